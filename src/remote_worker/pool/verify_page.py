"""Checks what a child says of a page or of an oEmbed answer, as if it were hostile."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..contract import pages
from ..contract.links import PageFacts, PageIcon, PageImage, PageMedia
from .verify import HostileReply

_RAW = {"og": dict, "twitter": dict, "json_ld": list}
_CHARSET = re.compile(r"[a-z0-9_-]{2,20}")

Check = Callable[[Any], Any]
T = TypeVar("T")


def facts(read: Mapping[str, Any]) -> PageFacts:
    """The checked facts of a ReadPage. Raises HostileReply."""
    return PageFacts(**{name: _member(_MEMBERS, name)(value) for name, value in read.items()})


def oembed(read: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checked members of a ReadOembed. Raises HostileReply."""
    return {name: _member(_OEMBED_MEMBERS, name)(value) for name, value in read.items()}


def _member(known: Mapping[str, T], name: str) -> T:
    if name not in known:
        raise HostileReply("a member that no fact has")
    return known[name]


def _text(longest: int, pattern: re.Pattern[str] | None = None) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not len(value) <= longest:
            raise HostileReply("no text, or too long a one")
        # Of ASCII only controls are unclean, and those are what cannot be printed.
        is_clean = (value.isascii() and value.isprintable()) or not pages.UNCLEAN.search(value)
        if not is_clean or (pattern is not None and not pattern.fullmatch(value)):
            raise HostileReply("text that is not clean")
        return value

    return check


def _number(most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise HostileReply("no number, or too large a one")
        return value

    return check


def _list(make: Callable[..., T], members: Mapping[str, Check], most: int) -> Callable[[Any], tuple[T, ...]]:
    def check(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise HostileReply("no list, or too long a one")
        return tuple(one(item) for item in value)

    def one(item: Any) -> T:
        if not isinstance(item, dict) or "url" not in item:
            raise HostileReply("an entry without an address")
        return make(**{name: _member(members, name)(value) for name, value in item.items()})

    return check


def _flags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(flag, str) for flag in value):
        raise HostileReply("no list of flags")
    if not set(value) <= set(pages.FLAGS) or len(set(value)) != len(value):
        raise HostileReply("an unknown flag, or one twice")
    return tuple(value)


def _raw(value: Any) -> Mapping[str, Any]:
    """Plain JSON; the reply's reader bounds its bytes and its depth."""
    if not isinstance(value, dict) or not value.keys() <= _RAW.keys():
        raise HostileReply("raw facts of another kind")
    for name, inner in value.items():
        if not isinstance(inner, _RAW[name]):
            raise HostileReply("raw facts of another shape")
        _walk(inner)
    return value


def _walk(value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _raw_text(name)
            _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner)
    elif isinstance(value, str):
        _raw_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise HostileReply("a number that is none")
    elif isinstance(value, int) and abs(value) > _MOST_NUMBER:
        raise HostileReply("too large a number")


_MOST_NUMBER = 1 << 53
_raw_text = _text(pages.LONGEST_RAW)
_url = _text(pages.LONGEST_URL, pages.URL)
_side = _number(pages.LARGEST_SIDE)
_media = _list(
    PageMedia,
    {"url": _url, "type": _text(129, pages.MEDIA_TYPE), "width": _side, "height": _side},
    pages.MOST_MEDIA,
)
_MEMBERS: dict[str, Check] = {
    "title": _text(pages.LONGEST_TITLE),
    "description": _text(pages.LONGEST_DESCRIPTION),
    "site_name": _text(pages.LONGEST_NAME),
    "author": _text(pages.LONGEST_NAME),
    "type": _text(64, pages.KIND),
    "canonical_url": _url,
    "lang": _text(64, pages.LANGUAGE),
    "published_time": _text(64, pages.DATE),
    "theme_color": _text(80, pages.COLOR),
    "images": _list(
        PageImage,
        {"url": _url, "width": _side, "height": _side, "alt": _text(pages.LONGEST_NAME)},
        pages.MOST_IMAGES,
    ),
    "icons": _list(PageIcon, {"url": _url, "sizes": _text(120, pages.SIZES)}, pages.MOST_ICONS),
    "videos": _media,
    "audios": _media,
    "oembed": _media,
    "flags": _flags,
    "charset": _text(20, _CHARSET),
    "raw": _raw,
}


def _oembed_type(value: Any) -> str:
    if value not in pages.OEMBED_TYPES:
        raise HostileReply("an unknown type of oEmbed")
    return str(value)


def _true(value: Any) -> bool:
    if value is not True:
        raise HostileReply("no flag")
    return True


_OEMBED_MEMBERS: dict[str, Check] = {
    **{name: _text(longest) for name, longest in pages.OEMBED_TEXTS.items()},
    **dict.fromkeys(pages.OEMBED_ADDRESSES, _url),
    **{name: _number(most) for name, most in pages.OEMBED_NUMBERS.items()},
    "type": _oembed_type,
    "has_html": _true,
}
