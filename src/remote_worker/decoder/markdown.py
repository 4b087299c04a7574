"""Markdown as GitHub reads it, as HTML in the style of v2ex/remote. Sanitised last."""

import functools
import re

import nh3

from ..contract.failures import FailureCode, WorkFailed
from ..contract.markup import (
    ELEMENTS,
    LANGUAGE,
    MOST_HTML_BYTES,
    MOST_IMAGES,
    image_sources,
    is_address,
)
from ..contract.texts import RenderMarkdown
from . import tags
from .cmark import Cmark
from .mentions import link_mentions
from .nesting import in_order
from .plain import FEW_TAGS, plain_pieces
from .reading import Read

HTML = "html"
IMAGES = "images"

_CLEANER = nh3.Cleaner(
    tags=set(ELEMENTS),
    clean_content_tags=set(),
    attributes={
        "*": set(),  # Else it takes `title` and `lang` everywhere.
        "a": {"href", "alt", "title"},
        "img": {"src", "alt", "title"},
        "code": {"class"},
        "input": {"type"},
    },
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
)
_HARMFUL = re.compile(r'(<(?:a href|img src)=")(?:javascript|vbscript|data):[^"]*', re.IGNORECASE)
_TABLE_END = re.compile(r"(</t(?:head|body)>)\n</table>\n")
_KNOWN = tags.PLAIN | {"<br>": tags.LINE, "<hr>": tags.RULE}
_MARKUP = re.compile(r"(<[^<>]*>)")
_WITH_ATTRIBUTES = re.compile(r'<(a|code|img|input)((?: [a-z]+="[^"<>]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z]+)="([^"]*)"')
_LANGUAGE = re.compile(LANGUAGE)
_SAMPLE = """# *a* @b

@b 你 <b>[c](/d)</b> ![e](f) ~~g~~ h@i.jk

|l|
|-|
|m|

- [ ] n

```o
p
```
"""


def render(task: RenderMarkdown, data: bytes) -> Read:  # noqa: ARG001 - as of every handler
    """The HTML of this UTF-8, and where its pictures' addresses stand.

    Raises WorkFailed when that is too much.
    """
    made, has_raw = _cmark().html(data)
    _check_length(made)
    html = made.decode()
    html = (None if has_raw else short_way(html)) or long_way(html, has_raw=has_raw)
    images = image_sources(html)
    if len(images) > MOST_IMAGES:
        raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE)
    encoded = html.encode()
    _check_length(encoded)
    return Read(facts={IMAGES: images}, parts={HTML: encoded})


def warm() -> None:
    """Load all that is loaded late."""
    render(RenderMarkdown(), _SAMPLE.encode())


def _check_length(html: bytes) -> None:
    if len(html) > MOST_HTML_BYTES:
        raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE)


@functools.cache
def _cmark() -> Cmark:
    return Cmark()


def short_way(html: str) -> str | None:
    """What cmark made of a text without raw HTML, as it may leave; None where that takes the long way."""
    pieces = plain_pieces(_with_tables_closed(html))
    return None if pieces is None else _with_mentions(pieces)


def long_way(html: str, *, has_raw: bool) -> str:
    """Parsed, cleaned and written by nh3; then each tag is one of a table, or made anew of its parts."""
    if has_raw or html.count("<") > FEW_TAGS:
        html = in_order(html)
    html = _HARMFUL.sub(r"\1#harmful-link", html)
    # In what nh3 writes, only characters of markup and this blank are spelled out.
    html = _with_tables_closed(_CLEANER.clean(html).replace("&nbsp;", "\xa0"))
    pieces = _MARKUP.split(html)
    pieces[1::2] = [_KNOWN.get(tag) or _with_attributes(tag) for tag in pieces[1::2]]
    if html.count("<") != len(pieces) // 2:
        raise WorkFailed(FailureCode.DECODER_CRASHED)
    return _with_mentions(pieces)


def _with_tables_closed(html: str) -> str:
    """As v2ex/remote has the ends of tables."""
    return _TABLE_END.sub(r"\1</table>", html) if "<table>" in html else html


def _with_mentions(pieces: list[str]) -> str:
    link_mentions(pieces)
    return "".join(pieces)


def _with_attributes(tag: str) -> str:
    """The tag with its attributes in alphabetical order, as v2ex/remote has them."""
    found = _WITH_ATTRIBUTES.fullmatch(tag)
    if found is None:
        raise WorkFailed(FailureCode.DECODER_CRASHED)
    return _WRITERS[found[1]](dict(_ATTRIBUTE.findall(found[2])))


def _link(attributes: dict[str, str]) -> str:
    return tags.link(_address(attributes, "href"), alt=attributes.get("alt"), title=attributes.get("title"))


def _image(attributes: dict[str, str]) -> str:
    return tags.image(_address(attributes, "src"), alt=attributes.get("alt"), title=attributes.get("title"))


def _address(attributes: dict[str, str], name: str) -> str | None:
    address = attributes.get(name, "").strip()
    return address if name in attributes and is_address(address) else None


def _code(attributes: dict[str, str]) -> str:
    """With the name of a language; other classes are for the page around it to give."""
    language = attributes.get("class", "")
    return f'<code class="{language}">' if _LANGUAGE.fullmatch(language) else "<code>"


def _box(attributes: dict[str, str]) -> str:
    return tags.BOX if attributes.get("type") == "checkbox" else ""


_WRITERS = {"a": _link, "img": _image, "code": _code, "input": _box}
