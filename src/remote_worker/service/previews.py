"""Link previews: one URL to one card, fetched once however many ask, kept for as long as it is good."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from .. import metrics
from ..contract.callers import Caller, trust_of
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, PageFacts, Place, Purpose, Want
from ..contract.texts import ReadOembed, ReadPage
from . import card as cards
from . import freshness, one_time, providers, walls
from .cache import Cache, Failure, Key
from .cache_file import Entry
from .freshness import Lifetime
from .settings import LinkSettings
from .signing import Signer

MOST_REQUESTS = 6
"""Of one preview, with redirects: past them no oEmbed is asked for."""
MOST_OTHER_HOSTS = 3
"""Besides the first."""
MOST_REFRESHES = 64
"""Cards made anew while old ones are shown."""
OEMBED_SECONDS = 4.0
"""For an oEmbed answer: the page is there already and waits for it."""
WALL_SECONDS = 300.0
"""How long a card stands that was made in front of a wall."""
GRACE_SECONDS = 1.0
"""How long past its deadline a fetch may take to say so itself."""

LANGUAGE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*;=., -]{0,98}")
"""What may be asked for as `Accept-Language`."""


class Fetcher(Protocol):
    """The one door out."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What the URL leads to, by `deadline`, a `time.monotonic` value. Raises FetchFailed."""
        ...

    def place(self, url: str, base: str = "") -> Place:
        """The URL by the rules for URLs, without asking anybody. Raises WorkFailed."""
        ...


class Reader(Protocol):
    """Reads what was fetched, away from this process."""

    async def read_page(
        self, document: Document, task: ReadPage, *, deadline: float, caller: str = ""
    ) -> PageFacts:
        """What the page says. Raises WorkFailed."""
        ...

    async def read_oembed(
        self, document: Document, task: ReadOembed, *, deadline: float, caller: str = ""
    ) -> Mapping[str, Any]:
        """What the answer says. Raises WorkFailed."""
        ...


class Came(StrEnum):
    """How a preview came to be answered."""

    MISS = "miss"
    HIT = "hit"
    STALE = "stale"
    REVALIDATED = "revalidated"


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview, ready as JSON."""

    entry: Entry
    came: Came

    @property
    def body(self) -> bytes:
        """One JSON object."""
        return b'%b"%b"%b' % (self.entry.before, self.came.encode(), self.entry.after)

    def explained(self, now: float) -> bytes:
        """The same with `explain`: each hop, and what the cache decided."""
        entry = self.entry
        cache = {
            "decision": self.came,
            "age": round(now - entry.made, 3),
            "fresh_seconds": round(entry.fresh_until - now, 3),
            "stale_seconds": round(entry.stale_until - now, 3),
            "error_seconds": round(entry.error_until - now, 3),
            "is_kept": entry.is_kept,
        }
        body = self.body
        return b'%b, "explain": {"cache": %b, "hops": %b}}' % (
            body[:-1],
            _encode(cache).encode(),
            entry.hops,
        )


@dataclass(slots=True)
class _Flight:
    """A preview being made, and for how many."""

    key: Key
    deadline: float
    task: "asyncio.Task[Preview]" = field(init=False)
    waiting: int = 0
    waiters: "set[asyncio.Future[None]]" = field(default_factory=set)
    is_purged: bool = False


class Previews:
    """The use case. Enter it before use: it keeps what it made, and ends what it still makes."""

    def __init__(
        self,
        fetcher: Fetcher,
        reader: Reader,
        cache: Cache,
        signer: Signer,
        settings: LinkSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = fetcher
        self._reader = reader
        self._cache = cache
        self._signer = signer
        self._settings = settings
        self._clock = clock
        self._flights: dict[Key, _Flight] = {}
        self._refreshes: set[asyncio.Task[None]] = set()
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> "Previews":
        """Open the cache. Raises CacheUnusable."""
        await self._opened.enter_async_context(self._cache)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is under way, close the cache."""
        tasks = [*self._refreshes, *(flight.task for flight in self._flights.values())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._opened.aclose()

    async def preview(
        self,
        url: str,
        *,
        force: bool = False,
        language: str = "",
        explain: bool = False,
        deadline: float,
        caller: str = "",
    ) -> bytes:
        """The preview as JSON, by `deadline`, a `time.monotonic` value. Raises WorkFailed, often FetchFailed.

        A URL that looks as if it worked only once is not fetched unless `force` says so.
        """
        try:
            made = self._at_once(url, force=force, language=language, caller=caller) or await self._awaited(
                url, language, deadline, caller
            )
        except WorkFailed:
            metrics.CACHE_LOOKUPS.add("failure")
            raise
        metrics.CACHE_LOOKUPS.add(made.came)
        return made.explained(self._clock()) if explain else made.body

    async def batch(
        self,
        urls: Sequence[str],
        *,
        language: str = "",
        force: bool = False,
        deadline: float,
        caller: str = "",
    ) -> AsyncGenerator[tuple[int, bytes | WorkFailed], None]:
        """Previews of these URLs as they get ready, each with its place in the list."""

        async def one(index: int, url: str) -> tuple[int, bytes | WorkFailed]:
            try:
                return index, await self.preview(
                    url, force=force, language=language, deadline=deadline, caller=caller
                )
            except WorkFailed as failed:
                return index, failed

        tasks = [asyncio.ensure_future(one(index, url)) for index, url in enumerate(urls)]
        try:
            for ready in asyncio.as_completed(tasks):
                yield await ready
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def purge(self, url: str) -> int:
        """Forget this URL in all languages. Returns in how many it was known. Raises WorkFailed."""
        place = self._fetcher.place(url)
        for key, flight in self._flights.items():
            if key.url == place.url:
                flight.is_purged = True
        return await self._cache.purge(place.url)

    def _at_once(self, url: str, *, force: bool, language: str, caller: str) -> Preview | None:
        """What can be said without waiting. Raises WorkFailed."""
        place = self._fetcher.place(url)
        if not force and one_time.is_one_time(place.url):
            return self._unfetched(place)
        return self._cached(Key(place.url, language, trust_of(caller)))

    def _cached(self, key: Key) -> Preview | None:
        found = self._cache.get(key)
        now = self._clock()
        if isinstance(found, Failure):
            if now < found.until:
                raise FetchFailed(found.code, found.detail, hops=found.hops, status=found.status)
            return None
        if found is None:
            return None
        if now < found.fresh_until:
            return Preview(found, Came.HIT)
        if now < found.held_until:
            return Preview(found, Came.STALE)
        if now < found.stale_until and self._refresh(key):
            return Preview(found, Came.STALE)
        return None

    async def _awaited(self, url: str, language: str, deadline: float, caller: str) -> Preview:
        key = Key(self._fetcher.place(url).url, language, trust_of(caller))
        if key not in self._flights and self._cache.get(key) is None and await self._cache.load(key):
            found = self._cached(key)
            if found is not None:
                return found
        while True:
            flight = self._flights.get(key)
            if flight is None or flight.is_purged:
                flight = self._take_off(key, deadline, caller)
            try:
                return await self._join(flight)
            except WorkFailed as failed:
                # It may have had less time than is left here.
                if failed.code not in _LATE or deadline <= flight.deadline + GRACE_SECONDS:
                    raise

    def _take_off(self, key: Key, deadline: float, caller: str) -> _Flight:
        flight = _Flight(key, deadline)
        # What one caller may ask for at most is nothing to the others who wait for the same.
        sharing = Caller(caller, trust=key.trust)
        flight.task = asyncio.create_task(self._fly(key, flight, sharing))
        flight.task.add_done_callback(lambda _: self._landed(flight))
        self._flights[key] = flight
        return flight

    def _landed(self, flight: _Flight) -> None:
        self._forget(flight)
        if not flight.task.cancelled():
            flight.task.exception()  # Somebody may have waited for it, or nobody.
        for waiter in flight.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _join(self, flight: _Flight) -> Preview:
        flight.waiting += 1
        try:
            if not flight.task.done():
                await self._landing(flight)
            if flight.task.cancelled():
                raise WorkFailed(FailureCode.BUSY, "the worker is stopping")
            return flight.task.result()
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                flight.task.cancel()
                self._forget(flight)  # Who comes now must not join what is being cancelled.

    async def _landing(self, flight: _Flight) -> None:
        """Wait for the end, without ending it. `asyncio.shield` costs two more turns of the loop's queue."""
        waiter = asyncio.get_running_loop().create_future()
        flight.waiters.add(waiter)
        try:
            await waiter
        finally:
            flight.waiters.discard(waiter)

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _refresh(self, key: Key) -> bool:
        """Make it anew behind the back of who asked. Whether that is under way."""
        if key in self._flights:
            return True
        if len(self._refreshes) >= MOST_REFRESHES:
            return False
        flight = self._take_off(key, time.monotonic() + self._settings.preview_seconds, "")

        async def wait() -> None:
            with suppress(WorkFailed):
                await self._join(flight)

        task = asyncio.create_task(wait())
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)
        return True

    async def _fly(self, key: Key, flight: _Flight, caller: str) -> Preview:
        before = self._cache.get(key)
        known = before if isinstance(before, Entry) else None
        try:
            async with asyncio.timeout_at(flight.deadline + GRACE_SECONDS):
                made = await self._make(key, known, flight.deadline, caller)
        except TimeoutError:
            return self._failed(key, known, FetchFailed(FailureCode.TIMEOUT, "total"), flight)
        except WorkFailed as failed:
            return self._failed(key, known, failed, flight)
        if not flight.is_purged:
            self._cache.put(key, made.entry)
        return made

    def _failed(self, key: Key, known: Entry | None, failed: WorkFailed, flight: _Flight) -> Preview:
        """The old card where it may stand in; else the failure, remembered if it is the site's."""
        seconds = _remembered_seconds(failed)
        now = self._clock()
        held = self.held(known, seconds) if 0 < seconds < freshness.GONE_SECONDS else None
        if held is not None:
            if not flight.is_purged:
                self._cache.put(key, held.entry)
            return held
        if flight.is_purged:
            raise failed
        if seconds:
            hops = failed.hops if isinstance(failed, FetchFailed) else ()
            status = failed.status if isinstance(failed, FetchFailed) else 0
            self._cache.remember(
                key,
                Failure(
                    code=failed.code, detail=failed.detail, status=status, hops=hops, until=now + seconds
                ),
            )
        elif failed.code in _REFUSED:
            self._cache.drop(key)
        raise failed

    async def _make(self, key: Key, known: Entry | None, deadline: float, caller: str) -> Preview:
        place = self._fetcher.place(key.url)
        want = Want(
            url=key.url,
            purpose=Purpose.PAGE,
            language=key.language,
            etag=known.etag if known else "",
            last_modified=known.last_modified if known else "",
        )
        errand = _Errand(self, place, deadline, caller, known)
        try:
            fetched = await self._fetcher.fetch(want, deadline=deadline)
        except FetchFailed as failed:
            barriers = walls.of_failure(place.url, failed)
            if not barriers:
                raise
            errand.hops += failed.hops
            final_url = failed.hops[-1].url if failed.hops else place.url
            return await errand.at_a_wall(failed.status, barriers, final_url)
        with fetched:
            if fetched.status == 304 and known is not None:
                return self._renewed(known, fetched)
            return await errand.arrived(fetched)

    def held(self, known: Entry | None, seconds: float) -> Preview | None:
        """The old card, to stand in for so long, if there is one that still may."""
        now = self._clock()
        if known is None or now >= known.error_until:
            return None
        return Preview(replace(known, held_until=now + seconds), Came.STALE)

    def _renewed(self, known: Entry, fetched: Fetched) -> Preview:
        now = self._clock()
        good = freshness.lifetime(fetched.headers, now=now, default=self._settings.cache_seconds)
        if not known.is_kept and "cache-control" not in fetched.headers:
            # RFC 9111, 4.3.4: what is not said anew stays as it was said.
            good = Lifetime(freshness.SHORTEST_SECONDS, 0.0, 0.0, is_kept=False)
        entry = replace(
            known,
            fresh_until=now + good.fresh,
            stale_until=now + good.fresh + good.stale,
            error_until=now + good.fresh + good.error,
            is_kept=good.is_kept,
            etag=fetched.headers.get("etag", known.etag),
            last_modified=fetched.headers.get("last-modified", known.last_modified),
            held_until=0.0,
        )
        return Preview(entry, Came.REVALIDATED)

    def _unfetched(self, place: Place) -> Preview:
        """A card of a URL that nobody asks for."""
        card = cards.of_url(place)
        cards.set_flags(card, ["one_time_link"])
        card["fetch"] = _fetch_member(place.url, None, (), 0, 0.0, [])
        return Preview(_entry(card, (), self._clock(), Lifetime(0.0, 0.0, 0.0, is_kept=False), {}), Came.MISS)


@dataclass(slots=True)
class _Errand:
    """One preview on its way: what was asked so far, and what came of it."""

    previews: Previews
    place: Place
    deadline: float
    caller: str
    known: Entry | None
    hops: list[Hop] = field(default_factory=list)
    received_bytes: int = 0
    milliseconds: float = 0.0
    is_whole: bool = True
    """No part is missing because this worker had no room or time for it."""
    parts: cards.Parts = field(init=False)

    def __post_init__(self) -> None:
        fetcher, signer = self.previews._fetcher, self.previews._signer

        def proxy(url: str) -> str | None:
            # The address goes out with the card as long as the card is shown.
            return signer.address(url, kept_seconds=freshness.LONGEST_SECONDS + freshness.ERROR_SECONDS)

        self.parts = cards.Parts(fetcher.place, proxy)

    async def arrived(self, fetched: Fetched) -> Preview:
        """The card of what was fetched."""
        self._count(fetched)
        final = self.previews._fetcher.place(fetched.url)
        flags = walls.of_answer(self.place.url, fetched)
        if not flags & walls.BARRIERS and fetched.media_type.startswith("image/"):
            card = cards.of_picture(self.place, final, self.parts)
            return self._done(card, fetched.status, fetched.headers, flags, final.url)
        if flags & walls.BARRIERS:
            return await self.at_a_wall(fetched.status, flags, final.url)
        task = ReadPage(url=fetched.url, charset=_charset(fetched.headers.get("content-type", "")))
        try:
            facts = await self.previews._reader.read_page(
                fetched.body, task, deadline=self.deadline, caller=self.caller
            )
        except WorkFailed as failed:
            raise FetchFailed(
                failed.code,
                failed.detail,
                hops=tuple(self.hops),
                status=fetched.status,
                retry_seconds=failed.retry_seconds,
            ) from failed
        flags |= set(facts.flags) & set(walls.FLAGS)
        if flags & walls.BARRIERS:
            return await self.at_a_wall(fetched.status, flags, final.url)
        card = cards.of_page(self.place, final, facts, self.parts)
        seconds = await self._add_oembed(card, facts, is_titled=bool(facts.title))
        return self._done(card, fetched.status, fetched.headers, flags, final.url, seconds)

    async def at_a_wall(self, status: int, flags: set[str], final_url: str) -> Preview:
        """The old card, else one of the URL alone and of what its provider says of it."""
        held = self.previews.held(self.known, freshness.FAILED_SECONDS)
        if held is not None:
            return held
        card = cards.of_url(self.place)
        await self._add_oembed(card, None, is_titled=False)
        return self._done(card, status, {}, flags, final_url)

    async def _add_oembed(
        self, card: cards.Card, facts: PageFacts | None, *, is_titled: bool
    ) -> float | None:
        """Ask where the page says, then where its provider is known to answer. Returns its `cache_age`."""
        known = providers.endpoint(self.place.url)
        if known is None and card["final_url"] != self.place.url:
            known = providers.endpoint(card["final_url"])
        offered = [(one.url, one.type) for one in facts.oembed] if facts else []
        offered.sort(key=lambda one: "json" not in one[1])
        wanted = [url for url, _ in offered[:1]]
        if known is not None and known not in wanted:
            wanted.append(known)
        for url in wanted:
            told = await self._ask_oembed(url)
            if told is not None:
                cards.add_oembed(card, told, self.parts, is_titled=is_titled)
                return _seconds(told.get("cache_age"))
        return None

    async def _ask_oembed(self, url: str) -> Mapping[str, Any] | None:
        fetcher, reader = self.previews._fetcher, self.previews._reader
        try:
            place = fetcher.place(url, self.place.url)
            self._check_share(place)
            want = Want(url=place.url, purpose=Purpose.OEMBED, site_of=self.place.url)
            deadline = min(self.deadline, time.monotonic() + OEMBED_SECONDS)
            async with asyncio.timeout_at(deadline + GRACE_SECONDS):
                with await fetcher.fetch(want, deadline=deadline) as fetched:
                    self._count(fetched)
                    task = ReadOembed(url=fetched.url, media_type=fetched.media_type)
                    return await reader.read_oembed(fetched.body, task, deadline=deadline, caller=self.caller)
        except TimeoutError:
            self.parts.drop("oembed", url, FailureCode.TIMEOUT)
        except WorkFailed as failed:
            if isinstance(failed, FetchFailed):
                self.hops += failed.hops
            self.is_whole = self.is_whole and failed.code not in _OURS
            self.parts.drop("oembed", url, failed.code)
        return None

    def _check_share(self, place: Place) -> None:
        """One preview asks so much and no more. Raises WorkFailed."""
        hosts = {_host(hop.url) for hop in self.hops} - {_host(self.place.url)}
        is_far = place.host not in hosts and place.host != self.place.host and len(hosts) >= MOST_OTHER_HOSTS
        if is_far or len(self.hops) >= MOST_REQUESTS:
            raise WorkFailed(FailureCode.REDIRECT_LIMIT)

    def _count(self, fetched: Fetched) -> None:
        self.hops += fetched.hops
        self.received_bytes += fetched.received_bytes
        self.milliseconds += fetched.milliseconds

    def _done(
        self,
        card: cards.Card,
        status: int,
        headers: Mapping[str, str],
        flags: set[str],
        final_url: str,
        most_seconds: float | None = None,
    ) -> Preview:
        cards.set_flags(card, flags)
        card["fetch"] = _fetch_member(
            final_url,
            status,
            self.hops,
            self.received_bytes,
            self.milliseconds,
            self.parts.dropped,
        )
        now = self.previews._clock()
        good = freshness.lifetime(headers, now=now, default=self.previews._settings.cache_seconds)
        if most_seconds is not None:
            good = good.at_most(most_seconds)
        if not self.is_whole:
            good = good.at_most(0.0)
        if flags & walls.BARRIERS:
            good = Lifetime(WALL_SECONDS, 0.0, 0.0)
        return Preview(_entry(card, self.hops, now, good, headers), Came.MISS)


# Made once: json.dumps makes one for each call that gives it an option.
_encode = json.JSONEncoder(sort_keys=True).encode
_MARK = secrets.token_hex(16)
_GAP = f'"{_MARK}"'.encode()

_REFUSED = {
    FailureCode.BLOCKED_ADDRESS,
    FailureCode.BLOCKED_NAME,
    FailureCode.SELF,
    FailureCode.BAD_PORT,
    FailureCode.BAD_HOST,
    FailureCode.BAD_SCHEME,
}
"""What was kept of a URL goes when the rules refuse it."""
_LATE = {FailureCode.TIMEOUT, FailureCode.DEADLINE, FailureCode.RATE_LIMITED}
_OURS = {
    FailureCode.BUSY,
    FailureCode.DEADLINE,
    FailureCode.RATE_LIMITED,
    FailureCode.FETCH_UNAVAILABLE,
    FailureCode.DECODER_CRASHED,
    FailureCode.TOO_MUCH_MEMORY,
}
"""Failures that may be over at the next try."""
_OF_THE_SITE = {
    FailureCode.DNS_NOT_FOUND,
    FailureCode.DNS_FAILED,
    FailureCode.DNS_CHAIN,
    FailureCode.TIMEOUT,
    FailureCode.CONNECT_FAILED,
    FailureCode.TLS_FAILED,
    FailureCode.DOWNGRADE,
    FailureCode.REDIRECT_LOOP,
    FailureCode.REDIRECT_LIMIT,
    FailureCode.REDIRECT_INVALID,
    FailureCode.BAD_HTTP,
    FailureCode.BAD_ENCODING,
    FailureCode.HTTP_4XX,
    FailureCode.HTTP_5XX,
    FailureCode.HTTP_STATUS,
    FailureCode.NOT_HTML,
    FailureCode.TYPE_MISMATCH,
    FailureCode.ATTACHMENT,
    FailureCode.TOO_LARGE,
    FailureCode.PARSE_LIMIT,
}
"""Failures that another try would most likely meet again."""


def _remembered_seconds(failed: WorkFailed) -> float:
    if isinstance(failed, FetchFailed) and failed.status in (404, 410):
        return freshness.GONE_SECONDS
    return freshness.FAILED_SECONDS if failed.code in _OF_THE_SITE else 0.0


def _fetch_member(
    final_url: str,
    status: int | None,
    hops: Sequence[Hop],
    received_bytes: int,
    milliseconds: float,
    parts: list[dict[str, str]],
) -> dict[str, Any]:
    return {
        "status": status or None,
        "final_url": final_url,
        "hops": [{"url": hop.url, "status": hop.status or None} for hop in hops],
        "bytes": received_bytes,
        "milliseconds": round(milliseconds, 1),
        "cache": _MARK,
        "parts": parts,
    }


def _entry(
    card: cards.Card, hops: Sequence[Hop], now: float, good: Lifetime, headers: Mapping[str, str]
) -> Entry:
    before, after = _encode(card).encode().split(_GAP)
    return Entry(
        before=before,
        after=after,
        hops=_encode([explained_hop(hop) for hop in hops]).encode(),
        made=now,
        fresh_until=now + good.fresh,
        stale_until=now + good.fresh + good.stale,
        error_until=now + good.fresh + good.error,
        is_kept=good.is_kept,
        etag=headers.get("etag", ""),
        last_modified=headers.get("last-modified", ""),
    )


def explained_hop(hop: Hop) -> dict[str, Any]:
    """One request, as an explanation tells it."""
    return {
        "url": hop.url,
        "verdicts": [
            {"address": verdict.address, "allowed": verdict.allowed, "rule": verdict.rule}
            for verdict in hop.verdicts
        ],
        "dialled": hop.dialled or None,
        "status": hop.status or None,
        "milliseconds": {phase: round(took, 1) for phase, took in hop.milliseconds.items()},
        "code": hop.code or None,
        "detail": hop.detail or None,
    }


def _charset(content_type: str) -> str:
    found = re.search(r';\s*charset\s*=\s*"?([^\s;"]{1,40})', content_type, re.IGNORECASE)
    return found[1] if found else ""


def _seconds(value: object) -> float | None:
    """A `cache_age`, which some write as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    return float(value) if type(value) is int and value >= 0 else None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
