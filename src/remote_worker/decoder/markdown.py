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
    VOID,
    image_sources,
    is_address,
)
from ..contract.texts import RenderMarkdown
from .cmark import Cmark
from .mentions import link_mentions
from .nesting import DEEPEST, in_order
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
_FEW_TAGS = 2 * DEEPEST
"""They cannot be too deep."""
_HARMFUL = re.compile(r'(<(?:a href|img src)=")(?:javascript|vbscript|data):[^"]*', re.IGNORECASE)
_TABLE_END = re.compile(r"(</t(?:head|body)>)\n</table>\n")
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
    if has_raw or html.count("<") > _FEW_TAGS:
        html = in_order(html)
    html = _sanitised(_HARMFUL.sub(r"\1#harmful-link", html))
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


def _sanitised(html: str) -> str:
    """Parsed, cleaned and written by nh3; then each tag is one of a table, or made anew of its parts."""
    # In what nh3 writes, only characters of markup and this blank are spelled out.
    html = _CLEANER.clean(html).replace("&nbsp;", "\xa0")
    if "<table>" in html:
        html = _TABLE_END.sub(r"\1</table>", html)
    pieces = _MARKUP.split(html)
    pieces[1::2] = [_PLAIN.get(tag) or _with_attributes(tag) for tag in pieces[1::2]]
    if html.count("<") != len(pieces) // 2:
        raise WorkFailed(FailureCode.DECODER_CRASHED)
    if "@" in html:
        link_mentions(pieces)
    return "".join(pieces)


_PLAIN = {tag: tag for name in ELEMENTS - VOID for tag in (f"<{name}>", f"</{name}>")} | {
    f"<{name}>": f"<{name}/>" for name in ("br", "hr")
}


def _with_attributes(tag: str) -> str:
    """The tag with its attributes in alphabetical order, as v2ex/remote has them."""
    found = _WITH_ATTRIBUTES.fullmatch(tag)
    if found is None:
        raise WorkFailed(FailureCode.DECODER_CRASHED)
    return _WRITERS[found[1]](dict(_ATTRIBUTE.findall(found[2])))


def _link(attributes: dict[str, str]) -> str:
    address = attributes.get("href", "").strip()
    lead = ""
    if "href" in attributes and is_address(address):
        rel = "" if address[:7].lower() == "mailto:" else ' rel="nofollow"'
        lead = f' href="{address}"{rel}'
    return f"<a{_given('alt', attributes)}{lead}{_given('title', attributes)}>"


def _image(attributes: dict[str, str]) -> str:
    address = attributes.get("src", "").strip()
    source = f' src="{address}"' if "src" in attributes and is_address(address) else ""
    return (
        f'<img{_given("alt", attributes)} class="embedded_image" loading="lazy" '
        f'referrerpolicy="no-referrer" rel="noreferrer"{source}{_given("title", attributes)}/>'
    )


def _code(attributes: dict[str, str]) -> str:
    """With the name of a language; other classes are for the page around it to give."""
    language = attributes.get("class", "")
    return f'<code class="{language}">' if _LANGUAGE.fullmatch(language) else "<code>"


def _box(attributes: dict[str, str]) -> str:
    """A box that cannot be ticked; any other input would be part of a form."""
    return '<input disabled="" type="checkbox"/>' if attributes.get("type") == "checkbox" else ""


def _given(name: str, attributes: dict[str, str]) -> str:
    return f' {name}="{attributes[name]}"' if name in attributes else ""


_WRITERS = {"a": _link, "img": _image, "code": _code, "input": _box}
