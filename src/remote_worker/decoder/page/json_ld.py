"""JSON-LD of a page: bounded, cut to what may leave the jail, and what of it a preview shows."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...contract.nesting import is_deeper
from . import values

MOST_BLOCKS = 200
"""That are looked at."""
MOST_KEPT = 20
MOST_CHARACTERS = 256 * 1024
"""In all; blocks past it are not read."""
MOST_NODES = 1000
MOST_MEMBERS = 50
"""Of an object or a list."""
DEEPEST_READ = 64
"""A block that is nested deeper is not read."""
DEEPEST = 5
"""What is nested deeper is left out: with what is around it, that is the depth of a reply."""

Item = dict[str, Any]

_OPENS = re.compile(r"(?://|/\*)?\s*+<!(?:--|\[CDATA\[)(?:\s*+\*/)?")
_MOST_WHOLE = 1 << 53
_ARTICLES = (
    "NewsArticle",
    "ReportageNewsArticle",
    "Article",
    "BlogPosting",
    "TechArticle",
    "ScholarlyArticle",
    "SocialMediaPosting",
    "DiscussionForumPosting",
    "LiveBlogPosting",
    "Recipe",
    "Product",
    "Book",
    "Movie",
    "TVEpisode",
    "PodcastEpisode",
    "MusicRecording",
    "MusicAlbum",
    "Event",
    "JobPosting",
    "Course",
    "SoftwareApplication",
    "VideoObject",
    "AudioObject",
    "QAPage",
    "Question",
    "WebPage",
    "ItemPage",
    "AboutPage",
    "ProfilePage",
)
_RANK = {name: rank for rank, name in enumerate(_ARTICLES)}


def read(blocks: Sequence[str]) -> list[Any]:
    """The blocks that are JSON, as they are."""
    left = MOST_CHARACTERS
    read: list[Any] = []
    for block in blocks[:MOST_BLOCKS]:
        left -= len(block)
        if left < 0 or len(read) == MOST_KEPT:
            break
        text = _unwrapped(block)
        if is_deeper(text.encode("utf-8", "surrogatepass"), DEEPEST_READ):
            continue
        try:
            # Raw line breaks in strings are common, and harmless.
            value = json.loads(text, strict=False, parse_constant=_refuse)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            read.append(value)
    return read


def cut(blocks: Sequence[Any]) -> list[Any]:
    """The same, small and flat enough, with clean strings and plain numbers."""
    nodes = MOST_NODES

    def kept(value: Any, depth: int) -> Any:
        nonlocal nodes
        nodes -= 1
        if nodes < 0:
            return None
        match value:
            case str():
                return values.raw(value)
            case bool() | None:
                return value
            case int():
                return value if -_MOST_WHOLE <= value <= _MOST_WHOLE else None
            case float():
                return value if math.isfinite(value) else None
        if depth == DEEPEST:
            return None
        if isinstance(value, dict):
            pairs = ((values.raw(name), kept(value[name], depth + 1)) for name in list(value)[:MOST_MEMBERS])
            return {name: inner for name, inner in pairs if inner is not None}
        inside = (kept(inner, depth + 1) for inner in value[:MOST_MEMBERS])
        return [inner for inner in inside if inner is not None]

    return [kept(block, 0) for block in blocks]


def about(blocks: Sequence[Any], page: str) -> list[Item]:
    """The items that speak of this page, those first that say most of it."""
    here = _place(page)
    ranked = [(_rank(item), item) for item in _items(blocks)]
    found = [pair for pair in ranked if pair[0] < len(_RANK) and _is_here(pair[1], here)]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def first(items: Sequence[Item], *names: str) -> str:
    """The first string that one of these members has."""
    for item in items:
        for name in names:
            value = item.get(name)
            if isinstance(value, str) and value.strip():
                return value
    return ""


def name_of(value: Any) -> str:
    """Of a person or an organisation, or of several."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(name_of, value[:5])))
    if isinstance(value, dict):
        value = value.get("name")
        if isinstance(value, list):
            value = value[0] if value else ""
    return value.strip() if isinstance(value, str) and "://" not in value else ""


def pictures_of(value: Any) -> Iterator[Item]:
    """The `image` member, which may be a string, an object or a list of them."""
    for picture in value[:10] if isinstance(value, list) else [value]:
        if isinstance(picture, str):
            yield {"url": picture}
        elif isinstance(picture, dict):
            yield {**picture, "url": picture.get("url") or picture.get("contentUrl")}


def _unwrapped(block: str) -> str:
    """Without the comments around it that once hid scripts from browsers, and a semicolon behind it."""
    text = block.strip()
    if text and text[-1] not in "}]":
        text = text.rstrip(" \n;").removesuffix("-->").removesuffix("*/").removesuffix("]]>")
        text = text.rstrip(" \n/*;")
    if opens := _OPENS.match(text):
        text = text[opens.end() :]
    return text


def _items(blocks: Sequence[Any]) -> Iterator[Item]:
    for block in blocks:
        for item in block[:MOST_MEMBERS] if isinstance(block, list) else [block]:
            if isinstance(item, dict):
                yield item
                graph = item.get("@graph")
                if isinstance(graph, list):
                    yield from (inner for inner in graph[:MOST_MEMBERS] if isinstance(inner, dict))


def _rank(item: Item) -> int:
    said = item.get("@type")
    kinds = said[:10] if isinstance(said, list) else [said]
    ranks = [_RANK.get(kind.rpartition("/")[2], len(_RANK)) for kind in kinds if isinstance(kind, str)]
    return min(ranks, default=len(_RANK))


def _is_here(item: Item, here: str) -> bool:
    said = item.get("mainEntityOfPage") or item.get("url")
    if isinstance(said, dict):
        said = said.get("@id")
    return not isinstance(said, str) or "://" not in said or _place(said) == here


def _place(url: str) -> str:
    """What is left when two addresses of one page are made the same."""
    bare = re.split("[?#]", url[:4096], maxsplit=1)[0].partition("://")[2].lower()
    return bare.removeprefix("www.").rstrip("/")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
