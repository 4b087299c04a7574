"""The tags of a page in one pass, without a tree: what takes a parser seconds takes this milliseconds.

Markup ends where the tokenizer of the HTML standard (13.2.5) says that it ends, scripting off. No loop of
ours turns more often than MOST_TAGS; the rest are regular expressions that never go back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from html.entities import html5
from itertools import islice

MOST_TAGS = 20_000
"""Of any kind; behind them nothing is read."""
MOST_FOUND = 2_000
"""Tags that are kept."""
MOST_ATTRIBUTES = 50
MOST_ENTITY_CHARACTERS = 128 * 1024
"""Of values that have entities, in all; values past it are empty."""
LONGEST_VALUE = 4096
"""Of an attribute or a title, as it is written."""

Attributes = dict[str, str]

_TAG_ATTRIBUTES = (
    r"""(?:[\t\n\f\r /]++|[^\t\n\f\r />][^\t\n\f\r />=]*+"""
    r"""(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"""
    r"""(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >"'][^\t\n\f\r >]*+|(?=>|\Z)))?+)*+"""
)
_MARKUP = re.compile(rf"<(?:(/?[A-Za-z][^\t\n\f\r />]*+)({_TAG_ATTRIBUTES})(>?)|(!--)|[!?]|/(?=[^>]))")
_ATTRIBUTE = re.compile(
    r"""([^\t\n\f\r />][^\t\n\f\r />=]*+)"""
    r"""(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r >"'][^\t\n\f\r >]*+)|\Z))?+"""
)
_USUAL_META = re.compile(
    rf""" (property|name|itemprop)="([^"&]{{1,100}})" content="([^"]{{0,{LONGEST_VALUE}}})"[ /]*+"""
)
"""Most are written like this, and read in a third of the time."""
_COMMENT_END = re.compile(r"--!?>")
_ENDS = {
    name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE)
    for name in ("title", "script", "style", "textarea", "iframe", "noframes", "noembed", "xmp")
}
"""Of the elements whose content is no markup."""
_SCRIPT = re.compile(r"<!--(?!-*+>)|-->|</?script(?=[\t\n\f\r />])", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|[A-Za-z][A-Za-z0-9]*+(?:;|(?!=)))")

_FOUND_AT_ONCE = 256
"""Characters of a tag whose attributes are too few to count."""
_LONGEST_NAME = 20
_HEAD = frozenset(
    """head /head html meta link title base basefont bgsound script /script style /style noscript /noscript
    noframes /noframes /title template /template""".split()
)
"""Tags that may stand in a head and leave it open."""
_FOREIGN = {"svg": "/svg", "math": "/math"}

Tag = tuple[str, re.Match[str], int]
"""A name in lower case, with a slash when it ends something; the tag itself, whose second group has its
attributes; where its content ends, if that is no markup, else where the tag ends."""


class Reader:
    """Reads one page. Bounds how many entities of it are decoded, because those cost the most."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._left = MOST_ENTITY_CHARACTERS

    def tags(self, at: int = 0) -> Iterator[Tag]:
        """All tags from there on. Comments and content that is no markup are passed over."""
        text = self.text
        for _ in range(MOST_TAGS):
            found = _MARKUP.search(text, at)
            if found is None:
                return
            at = found.end()
            name = found[1]
            if name is None:
                at = _comment_end(text, at) if found[4] else text.find(">", at) + 1
                if not at:
                    return
                continue
            if not found[3]:
                return  # The page ends within a tag, which is none then.
            name = name[:_LONGEST_NAME].lower()
            if name in _ENDS:
                at = _script_end(text, at) if name == "script" else _found_at(_ENDS[name], text, at)
            elif name == "plaintext":
                return
            yield name, found, at

    def attributes(self, tag: re.Match[str]) -> Attributes:
        """Of a tag: the first of each name, entities decoded."""
        start, end = tag.span(2)
        if usual := _USUAL_META.fullmatch(self.text, start, end):
            content = usual[3]
            return {usual[1]: usual[2], "content": self._decoded(content) if "&" in content else content}
        read: Attributes = {}
        if end - start <= _FOUND_AT_ONCE:
            all_found = _ATTRIBUTE.findall(self.text, start, end)[:MOST_ATTRIBUTES]
        else:
            some = islice(_ATTRIBUTE.finditer(self.text, start, end), MOST_ATTRIBUTES)
            all_found = [found.groups() for found in some]
        for name, double, single, bare in all_found:
            value = double or single or bare or ""
            if len(value) > LONGEST_VALUE:
                value = value[:LONGEST_VALUE]
            if "&" in value:
                value = self._decoded(value)
            read.setdefault(name.lower(), value)
        return read

    def title(self, start: int, end: int) -> str:
        """Content that is text and may have entities."""
        return unescape(self.text[start : min(end, start + LONGEST_VALUE)])

    def _decoded(self, value: str) -> str:
        self._left -= len(value)
        return _ENTITY.sub(_entity, value) if self._left >= 0 else ""


@dataclass(slots=True)
class Head:
    """What stands in a head, in order."""

    metas: list[Attributes] = field(default_factory=list)
    links: list[Attributes] = field(default_factory=list)
    title: str = ""
    base: str = ""
    lang: str = ""
    json_ld: list[str] = field(default_factory=list)
    ends: int = 0
    """Where the body begins, as far as one can tell."""


def head(reader: Reader) -> Head:
    """All there is up to the end of the head, or of the page when it has no head that ends.

    What a parser would move into the body, because something stands before it that no head may have, is still
    meant as the head; pages are full of that.
    """
    found = Head(ends=len(reader.text))
    closed = loose = titled = False
    inert = kept = 0
    foreign = ""
    for name, tag, ends in reader.tags():
        if foreign:
            # Within a drawing a title is the drawing's. A meta ends the drawing, as a parser has it.
            if name not in (foreign, "meta"):
                continue
            foreign = ""
        if name not in _HEAD:
            if closed or name in ("body", "frameset"):
                found.ends = found.ends if loose else tag.start()
                break
            if not loose:
                loose, found.ends = True, tag.start()
            foreign = "" if tag[0].endswith("/>") else _FOREIGN.get(name, "")
        elif name == "/head":
            if loose:
                break
            closed = True
        elif name == "template":
            inert += 1
        elif name == "/template":
            inert = max(0, inert - 1)
        elif inert or name in ("head", "noscript"):
            continue
        elif name == "html":
            found.lang = found.lang or reader.attributes(tag).get("lang", "")
        elif name == "title":
            if not titled:
                titled, found.title = True, reader.title(tag.end(), ends)
        elif name == "base":
            found.base = found.base or reader.attributes(tag).get("href", "")
        elif name in ("meta", "link") or (name == "script" and "json" in tag[2].lower()):
            kept += 1
            if kept > MOST_FOUND:
                break
            attributes = reader.attributes(tag)
            if name == "meta":
                found.metas.append(attributes)
            elif name == "link":
                found.links.append(attributes)
            elif _type(attributes) == "application/ld+json":
                found.json_ld.append(reader.text[tag.end() : ends])
    return found


def _type(attributes: Attributes) -> str:
    return attributes.get("type", "").partition(";")[0].strip().lower()


def _comment_end(text: str, at: int) -> int:
    """Behind the comment that was opened before `at`, 0 when it never ends."""
    if text.startswith(">", at):
        return at + 1
    if text.startswith("->", at):
        return at + 2
    found = _COMMENT_END.search(text, at)
    return found.end() if found else 0


def _found_at(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.search(text, at)
    return found.start() if found else len(text)


def _script_end(text: str, at: int) -> int:
    """A script may hold scripts: in a comment, which is how the standard calls it (13.2.5.20 and on)."""
    end = _found_at(_ENDS["script"], text, at)
    if text.find("<!--", at, end) < 0:
        return end
    is_escaped = is_double = False
    for found in _SCRIPT.finditer(text, at):
        mark = found[0].lower()
        if mark == "<!--":
            is_escaped = True
        elif mark == "-->":
            is_escaped = is_double = False
        elif mark == "<script":
            is_double = is_escaped
        elif is_double:
            is_double = False
        else:
            return found.start()
    return len(text)


def _entity(found: re.Match[str]) -> str:
    """An entity in an attribute: without its semicolon it is none before `=` or more letters (13.2.5.73)."""
    text = found[0]
    return html5.get(text[1:], text) if text[1] != "#" else unescape(text)
