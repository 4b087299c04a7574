"""A door and a reader that answer as they are told, by the same protocols as the real ones."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, FetchFailed, Hop, PageFacts, Place, Purpose, Want
from remote_worker.contract.texts import ReadOembed, ReadPage
from remote_worker.service.cache import Cache
from remote_worker.service.previews import Previews
from remote_worker.service.settings import LinkSettings
from remote_worker.service.signing import Signer

EPOCH = 1_790_000_000.0
"""When the tests' clock begins."""


@dataclass
class Clock:
    """A clock that a test turns."""

    now: float = EPOCH

    def __call__(self) -> float:
        """Fill the protocol."""
        return self.now


@dataclass(frozen=True)
class Page:
    """What the door comes back with."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"<title>x</title>"
    media_type: str = "text/html"
    status: int = 200
    final: str = ""
    way: tuple[str, ...] = ()
    """URLs that redirected."""


Answer = Page | WorkFailed | Callable[[Want], Page]


class Door:
    """Knows some URLs; the others do not exist. Counts what it is asked."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers = dict(answers or {})
        self.wants: list[Want] = []
        self.held: dict[str, asyncio.Event] = {}
        """URLs that answer when their event is set."""
        self.cancelled: list[str] = []

    @property
    def urls(self) -> list[str]:
        """What was asked for."""
        return [want.url for want in self.wants]

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """Fill the protocol."""
        self.wants.append(want)
        if want.url in self.held:
            try:
                await self.held[want.url].wait()
            except asyncio.CancelledError:
                self.cancelled.append(want.url)
                raise
        answer = self.answers.get(want.url)
        if answer is None:
            raise FetchFailed(FailureCode.DNS_NOT_FOUND, hops=(Hop(url=want.url, code="dns_not_found"),))
        if callable(answer):
            answer = answer(want)
        if isinstance(answer, WorkFailed):
            raise answer
        final = answer.final or want.url
        hops = tuple(Hop(url=url, status=302) for url in answer.way)
        return Fetched(
            url=final,
            status=answer.status,
            headers=answer.headers,
            body=Document.of(answer.body),
            media_type=answer.media_type,
            is_cut=False,
            hops=(*hops, Hop(url=final, status=answer.status, dialled="93.184.216.34:443")),
            received_bytes=len(answer.body),
            milliseconds=1.5,
        )

    def place(self, url: str, base: str = "") -> Place:
        """Fill the protocol, with the rules that the tests need."""
        parts = urlsplit(urljoin(base, url) if base else url)
        if parts.scheme not in ("http", "https"):
            raise WorkFailed(FailureCode.BAD_SCHEME)
        host = (parts.hostname or "").lower()
        if not host:
            raise WorkFailed(FailureCode.BAD_URL)
        if host == "localhost" or host.endswith(".internal"):
            raise WorkFailed(FailureCode.BLOCKED_NAME)
        try:
            if not ip_address(host).is_global:
                raise WorkFailed(FailureCode.BLOCKED_ADDRESS, "loopback")
        except ValueError:
            pass
        site = ".".join(host.split(".")[-2:])
        canonical = urlunsplit((parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query, ""))
        return Place(url=canonical, host=host, site=site)


class Sight:
    """Reads pages as it is told, by their URL."""

    def __init__(
        self,
        pages: Mapping[str, PageFacts | WorkFailed] | None = None,
        oembed: Mapping[str, Mapping[str, Any] | WorkFailed] | None = None,
    ) -> None:
        self.pages = dict(pages or {})
        self.oembed = dict(oembed or {})
        self.tasks: list[ReadPage | ReadOembed] = []

    async def read_page(
        self, document: Document, task: ReadPage, *, deadline: float, caller: str = ""
    ) -> PageFacts:
        """Fill the protocol."""
        self.tasks.append(task)
        told = self.pages.get(task.url, PageFacts(title="A page"))
        if isinstance(told, WorkFailed):
            raise told
        return told

    async def read_oembed(
        self, document: Document, task: ReadOembed, *, deadline: float, caller: str = ""
    ) -> Mapping[str, Any]:
        """Fill the protocol."""
        self.tasks.append(task)
        told = self.oembed.get(task.url, {"type": "link"})
        if isinstance(told, WorkFailed):
            raise told
        return told


@dataclass
class World:
    """Previews with all they stand on."""

    door: Door = field(default_factory=Door)
    sight: Sight = field(default_factory=Sight)
    clock: Clock = field(default_factory=Clock)
    settings: LinkSettings = field(default_factory=LinkSettings)
    cache: Cache | None = None

    def previews(self, **settings: Any) -> Previews:
        """The use case."""
        own = replace(self.settings, **settings)
        signer = Signer(
            own.proxy_keys, seconds=own.proxy_seconds, public_url=own.public_url, clock=self.clock
        )
        cache = self.cache or Cache(own.cache_bytes)
        return Previews(self.door, self.sight, cache, signer, own, clock=self.clock)


def picture(data: bytes = b"picture", **headers: str) -> Page:
    """What a URL of a picture leads to."""
    return Page(
        {name.replace("_", "-"): value for name, value in headers.items()},
        data,
        media_type="image/png",
    )


__all__ = ["EPOCH", "Clock", "Door", "Page", "Purpose", "Sight", "World", "picture"]
