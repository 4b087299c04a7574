"""The tasks of the text jail. Like those of pictures they go in as JSON, with a document beside them."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage:
    """The head of an HTML page that was found at `url`; `charset` is what HTTP said of it."""

    kind: ClassVar[str] = "page"
    url: str
    charset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOembed:
    """An oEmbed answer (oembed.com, 2.3.4), JSON or XML by its media type."""

    kind: ClassVar[str] = "oembed"
    url: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderMarkdown:
    """Markdown to sanitised HTML, in the style of v2ex/remote."""

    kind: ClassVar[str] = "markdown"


TextTask = ReadPage | ReadOembed | RenderMarkdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """HTML, and where in it (start and end, in characters) the `src` of each picture stands, escaped."""

    html: str
    image_sources: tuple[tuple[int, int], ...] = ()
