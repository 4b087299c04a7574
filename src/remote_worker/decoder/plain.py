"""The short way for Markdown without raw HTML: cmark's tags are all known, so no parser has to repair them.

Whatever is not known to come out of nh3 as it went in is left to nh3; the tests compare both.
"""

import re

from ..contract.markup import LANGUAGE, VOID
from . import tags
from .nesting import DEEPEST

FEW_TAGS = 2 * DEEPEST
"""They cannot be too deep."""

_VALUE = r'(?:[^"&<>\r\xa0]|&(?:amp|lt|gt|quot);)*+'
# Letters that every parser of addresses takes, and names of hosts that none reads as a number or decodes.
_LETTERS = r"(?:[\w.~!$()*+,;=:@/?#%-]|&amp;)*+"
_LABEL = r"[a-z0-9]{1,63}(?:-[a-z0-9]{1,63})*+"
_HOST = rf"(?:{_LABEL}\.){{0,20}}[a-z][a-z0-9]{{0,62}}"
_ADDRESS = (
    rf"(?:(?i:https?://{_HOST})(?::[0-9]{{1,4}})?+(?:[/?#]{_LETTERS})?+|(?:[\w.~%-]++)?+(?:[/?#]{_LETTERS})?+"
    r"|mailto:[\w.+-]{1,64}@[\w.-]{1,200})"
)
_TAG = re.compile(
    rf'<a href="(?P<link>{_ADDRESS})"(?: title="(?P<hint>{_VALUE})")?+>'
    rf'|<img src="(?P<image>{_ADDRESS})" alt="(?P<alt>{_VALUE})"(?: title="(?P<title>{_VALUE})")?+ />'
    rf'|(?P<code><code class="{LANGUAGE}">)'
    r'|<ol start="[0-9]{1,9}">',
    re.ASCII,
)
_KNOWN = (
    tags.PLAIN
    | {"<br />": tags.LINE, "<hr />": tags.RULE}
    | {
        f'<{cell} align="{side}">': f"<{cell}>"
        for cell in ("th", "td")
        for side in ("left", "center", "right")
    }
    | {f'<input type="checkbox"{checked} disabled="" />': tags.BOX for checked in ("", ' checked=""')}
)
_MARKUP = re.compile(r"(<[^<>]*>)")
_NOT_IN_THEMSELVES = frozenset({"<code>", "<del>", "<em>", "<strong>"})
_VOID = tuple(f"<{name}" for name in VOID)


def plain_pieces(html: str) -> list[str] | None:
    """Text and tags by turns, as they may leave; None where it takes a parser to say what there is."""
    if "\r" in html or not _links_are_apart(html):
        return None
    pieces = _MARKUP.split(html)
    names = pieces[1::2]
    if html.count("<") != len(names) or (len(names) > FEW_TAGS and not _is_shallow(names)):
        return None
    try:
        pieces[1::2] = [_KNOWN.get(tag) or _with_attributes(tag) for tag in names]
    except _Unknown:
        return None
    if "&quot;" in html:
        pieces[::2] = [text.replace("&quot;", '"') for text in pieces[::2]]
    return pieces


class _Unknown(Exception):
    """A tag that the short way does not know."""


def _with_attributes(tag: str) -> str:
    found = _TAG.fullmatch(tag)
    if found is None:
        raise _Unknown
    match found.lastgroup:
        case "link" | "hint":
            return tags.link(found["link"], title=found["hint"])
        case "alt" | "title":
            return tags.image(found["image"], alt=found["alt"], title=found["title"])
        case "code":
            return tag
        case _:
            return "<ol>"


def _links_are_apart(html: str) -> bool:
    """cmark makes a link within a link of `[<http://a.b>](/c)`; parsers do not."""
    return all("</a>" in link for link in html.split("<a ")[1:])


def _is_shallow(names: list[str]) -> bool:
    """No element is deeper than `nesting.in_order` leaves it, and no inline element within itself."""
    opened: list[str] = []
    for tag in names:
        if tag[1] == "/":
            opened.pop()
        elif not tag.startswith(_VOID):
            if len(opened) == DEEPEST or (tag in _NOT_IN_THEMSELVES and tag in opened):
                return False
            opened.append(tag)
    return True
