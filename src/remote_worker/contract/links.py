"""What goes between those who want a URL, the process that fetches it, and the jail that reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from .document import Document
from .failures import FailureCode, WorkFailed


class Purpose(StrEnum):
    """What a URL is fetched for: it decides which types, how many bytes and which `Accept`."""

    PAGE = "page"
    """HTML up to its `</head>`; of a picture only so much that its type is known."""
    IMAGE = "image"
    OEMBED = "oembed"
    """JSON or XML."""
    RPC = "rpc"
    """JSON for a POSTed JSON, to an endpoint that the operator named."""
    CHECK = "check"
    """The same of who looks at every picture: at an address opened for this alone, as often as needed."""
    WEBHOOK = "webhook"
    """A POSTed JSON that tells of something; of the answer its status alone."""


POSTED = frozenset({Purpose.RPC, Purpose.CHECK, Purpose.WEBHOOK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One URL that somebody wants. `site_of` is the URL of the page that leads to it, if one does.

    A wanted page costs its site one token; what belongs to that page is free, but has its place in flight.
    """

    url: str
    purpose: Purpose
    site_of: str = ""
    language: str = ""
    """For `Accept-Language`."""
    etag: str = ""
    last_modified: str = ""
    body: bytes = b""
    """What is POSTed."""
    authorization: str = field(default="", repr=False)
    """Of a Purpose.CHECK."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """More of them, of a Purpose.WEBHOOK."""

    @property
    def is_posted(self) -> bool:
        """Whether it is a POST, which no redirect takes elsewhere."""
        return self.purpose in POSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One address that a name has, and the rule that let it through or refused it."""

    address: str
    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One request, or the attempt. `milliseconds`: `dns`, `connect`, `tls`, `ttfb`, `body`, as reached."""

    url: str
    verdicts: tuple[Verdict, ...] = ()
    dialled: str = ""
    """Address and port."""
    status: int = 0
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    code: str = ""
    """Of the failure that ended it here."""
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Fetched:
    """What a URL led to. Owns `body`: close it, or use it as a context manager.

    `headers` are those that somebody asks for, in lower case and joined where repeated. A status of 304 has
    an empty body.
    """

    url: str
    """The final one, canonical."""
    status: int
    headers: Mapping[str, str]
    body: Document
    media_type: str
    """`text/html` and the like, from the header and the first bytes as browsers do it."""
    is_cut: bool
    """There was more, which nobody asked for."""
    hops: tuple[Hop, ...]
    received_bytes: int
    """On the wire, heads and bodies."""
    milliseconds: float

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.body.close()


class FetchFailed(WorkFailed):
    """A URL that led nowhere: the code, one word or a few of detail, and how far it came."""

    def __init__(
        self,
        code: FailureCode,
        detail: str = "",
        *,
        hops: tuple[Hop, ...] = (),
        status: int = 0,
        headers: Mapping[str, str] | None = None,
        retry_seconds: int = 0,
    ) -> None:
        super().__init__(code, detail, retry_seconds=retry_seconds)
        self.hops = hops
        self.status = status
        """Of the last answer, 0 without one."""
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A URL that passed the rules for URLs: what it says of itself, without asking anybody."""

    url: str
    """Canonical, without its fragment."""
    host: str
    site: str
    """The registrable domain, or the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What name servers say: `answers` as text, `ttl` in seconds, `servers` that were asked."""

    answers: tuple[str, ...]
    ttl: float
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageImage:
    """A picture that a page offers for its preview; 0 where it does not tell a side."""

    url: str
    width: int = 0
    height: int = 0
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIcon:
    """An icon, with the `sizes` attribute."""

    url: str
    sizes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMedia:
    """A film or a sound, with its media type where the page tells."""

    url: str
    type: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What a page says of itself, cleaned and chosen in the jail, then checked. URLs are absolute."""

    title: str = ""
    description: str = ""
    site_name: str = ""
    type: str = ""
    canonical_url: str = ""
    lang: str = ""
    author: str = ""
    published_time: str = ""
    theme_color: str = ""
    images: tuple[PageImage, ...] = ()
    icons: tuple[PageIcon, ...] = ()
    videos: tuple[PageMedia, ...] = ()
    audios: tuple[PageMedia, ...] = ()
    oembed: tuple[PageMedia, ...] = ()
    """Where the page says its oEmbed is, with the type."""
    flags: tuple[str, ...] = ()
    """Of `bot_wall`, `consent`, `login`, `paywall`, `nsfw`, `noindex`, as far as the page's bytes tell."""
    charset: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """`og`, `twitter` and `json_ld`."""
