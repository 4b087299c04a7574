"""Link previews: one URL to one card, fetched once however many ask, kept for as long as it is good."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

from .. import metrics
from ..contract.callers import Caller, trust_of
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Place, Purpose, Want
from . import card as cards
from . import freshness, one_time, walls
from .cache import Cache, Failure, Key
from .cache_file import Entry
from .errand import GRACE_SECONDS, Errand, Fetcher, Means, Reader
from .freshness import Lifetime
from .preview import Came, Course, Preview, as_preview, held_over
from .settings import LinkSettings
from .signing import Signer

MOST_REFRESHES = 64
"""Cards made anew while old ones are shown."""

LANGUAGE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*;=., -]{0,98}")
"""What may be asked for as `Accept-Language`."""


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
        self._cache = cache
        self._settings = settings
        self._clock = clock
        self._means = Means(
            fetcher=fetcher, reader=reader, signer=signer, fresh_seconds=settings.cache_seconds, clock=clock
        )
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
        known = self.known(url, force=force, language=language, explain=explain, caller=caller)
        if known is not None:
            return known
        return await self.made(url, language=language, explain=explain, deadline=deadline, caller=caller)

    def known(
        self, url: str, *, force: bool = False, language: str = "", explain: bool = False, caller: str = ""
    ) -> bytes | None:
        """The preview, if it takes no waiting. Raises WorkFailed."""
        try:
            found = self._at_once(url, force=force, language=language, caller=caller)
        except WorkFailed:
            metrics.CACHE_LOOKUPS.add("failure")
            raise
        return None if found is None else self._told(found, explain=explain)

    async def made(
        self, url: str, *, language: str = "", explain: bool = False, deadline: float, caller: str = ""
    ) -> bytes:
        """The preview of what was not `known` just now. Raises WorkFailed."""
        try:
            made = await self._awaited(url, language, deadline, caller)
        except WorkFailed:
            metrics.CACHE_LOOKUPS.add("failure")
            raise
        return self._told(made, explain=explain)

    def _told(self, made: Preview, *, explain: bool) -> bytes:
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
        old = held_over(known, seconds, now=now) if 0 < seconds < freshness.GONE_SECONDS else None
        if old is not None:
            if not flight.is_purged:
                self._cache.put(key, old.entry)
            return old
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
        errand = Errand(self._means, place, deadline, caller, known)
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
        good = Lifetime(0.0, 0.0, 0.0, is_kept=False)
        return as_preview(card, Course(final_url=place.url), now=self._clock(), good=good, headers={})


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
