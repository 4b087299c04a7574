"""One preview's way: the page or the wall before it, what its provider says by oEmbed, the card."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, PageFacts, Place, Purpose, Want
from ..contract.texts import ReadOembed, ReadPage
from . import card as cards
from . import freshness, providers, walls
from .cache_file import Entry
from .freshness import Lifetime
from .preview import Course, Preview, as_preview, held_over
from .signing import Signer

MOST_REQUESTS = 6
"""Of one preview, with redirects: past them no oEmbed is asked for."""
MOST_OTHER_HOSTS = 3
"""Besides the first."""
OEMBED_SECONDS = 4.0
"""For an oEmbed answer: the page is there already and waits for it."""
WALL_SECONDS = 300.0
"""How long a card stands that was made in front of a wall."""
GRACE_SECONDS = 1.0
"""How long past its deadline a fetch may take to say so itself."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every errand is given."""

    fetcher: Fetcher
    reader: Reader
    signer: Signer
    fresh_seconds: float
    """For how long a card is good whose site does not say."""
    clock: Callable[[], float]


@dataclass(slots=True)
class Errand:
    """One preview on its way: what was asked so far, and what came of it."""

    means: Means
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
        signer = self.means.signer

        def proxy(url: str) -> str | None:
            # The address goes out with the card as long as the card is shown.
            return signer.address(url, kept_seconds=freshness.LONGEST_SECONDS + freshness.ERROR_SECONDS)

        self.parts = cards.Parts(self.means.fetcher.place, proxy)

    async def arrived(self, fetched: Fetched) -> Preview:
        """The card of what was fetched."""
        self._count(fetched)
        final = self.means.fetcher.place(fetched.url)
        flags = walls.of_answer(self.place.url, fetched)
        if not flags & walls.BARRIERS and fetched.media_type.startswith("image/"):
            card = cards.of_picture(self.place, final, self.parts)
            return self._done(card, fetched.status, fetched.headers, flags, final.url)
        if flags & walls.BARRIERS:
            return await self.at_a_wall(fetched.status, flags, final.url)
        task = ReadPage(url=fetched.url, charset=_charset(fetched.headers.get("content-type", "")))
        try:
            facts = await self.means.reader.read_page(
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
        held = held_over(self.known, freshness.FAILED_SECONDS, now=self.means.clock())
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
        fetcher, reader = self.means.fetcher, self.means.reader
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
        now = self.means.clock()
        good = freshness.lifetime(headers, now=now, default=self.means.fresh_seconds)
        if most_seconds is not None:
            good = good.at_most(most_seconds)
        if not self.is_whole:
            good = good.at_most(0.0)
        if flags & walls.BARRIERS:
            good = Lifetime(WALL_SECONDS, 0.0, 0.0)
        course = Course(
            final_url=final_url,
            status=status,
            hops=self.hops,
            received_bytes=self.received_bytes,
            milliseconds=self.milliseconds,
            dropped=self.parts.dropped,
        )
        return as_preview(card, course, now=now, good=good, headers=headers)


_OURS = {
    FailureCode.BUSY,
    FailureCode.DEADLINE,
    FailureCode.RATE_LIMITED,
    FailureCode.FETCH_UNAVAILABLE,
    FailureCode.DECODER_CRASHED,
    FailureCode.TOO_MUCH_MEMORY,
}
"""Failures that may be over at the next try."""


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
