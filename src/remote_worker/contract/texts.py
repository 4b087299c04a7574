"""The tasks of the text jail. Like those of pictures they go in as JSON, with a document beside them."""

from dataclasses import dataclass
from typing import ClassVar

from .limits import MIB


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
TEXT_TASKS: dict[str, type[TextTask]] = {task.kind: task for task in (ReadPage, ReadOembed, RenderMarkdown)}

MOST_TEXT_BYTES = MIB
"""Of one document. A page is read as far as this."""
MOST_READ_BYTES = 4 * MIB
"""Of what comes of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """HTML, and where in it (start and end, in characters) the `src` of each picture stands, escaped."""

    html: str
    image_sources: tuple[tuple[int, int], ...] = ()
