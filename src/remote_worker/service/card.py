"""What a preview says, built out of what a URL, a page and an oEmbed answer say. Pure.

A text that nobody gave is None, a list that nobody filled is empty. Every URL is asked of `place` before it
is shown.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ..contract import pages
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import PageFacts, PageMedia, Place
from . import embeds, walls

MOST_DROPPED = 16
"""Parts of a page that are told to be dropped."""
LONGEST_DROPPED = 200
"""Characters of the URL of one: it may be a whole picture as `data:`."""
_LONGEST_TITLE = 120
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_HIDDEN = re.compile(rf"{pages.UNCLEAN.pattern}|[\u200c\u200d]")
_JOINTS = re.compile(r"[-_+\s]+")

_OEMBED_TEXTS = ("type", "title", "author_name", "provider_name")
_OEMBED_URLS = ("author_url", "provider_url", "thumbnail_url", "url")
_OEMBED_SIDES = ("width", "height", "thumbnail_width", "thumbnail_height")


@dataclass(slots=True)
class Parts:
    """The URLs of one preview on their way out, and those that did not make it."""

    place: Callable[[str], Place]
    proxy: Callable[[str], str | None]
    dropped: list[dict[str, str]] = field(default_factory=list)

    def shown(self, part: str, url: str) -> str | None:
        """The URL as it is shown, or None when there is none or it is refused."""
        if not url:
            return None
        try:
            return self.place(url).url
        except WorkFailed as refused:
            self.drop(part, url, refused.code)
            return None

    def drop(self, part: str, url: str, code: FailureCode) -> None:
        """This part is not shown."""
        if len(self.dropped) < MOST_DROPPED:
            self.dropped.append({"part": part, "url": url[:LONGEST_DROPPED], "code": code})


Card = dict[str, Any]


def of_url(place: Place) -> Card:
    """What a URL says of itself."""
    return _blank(place) | {"title": title_of(place), "embed": embeds.embed(place.url)}


def _blank(place: Place) -> Card:
    """All members of a card, and nothing said."""
    return {
        "url": place.url,
        "final_url": place.url,
        "canonical_url": None,
        "title": None,
        "description": None,
        "site_name": place.site,
        "type": None,
        "lang": None,
        "author": None,
        "published_time": None,
        "theme_color": None,
        "images": [],
        "icons": [],
        "videos": [],
        "audios": [],
        "oembed": None,
        "embed": None,
        "flags": [],
        "raw": {},
        "status": "ok",
        "success": True,
    }


def of_page(place: Place, final: Place, facts: PageFacts, parts: Parts) -> Card:
    """What the page says that a URL led to."""
    canonical = _canonical(final, facts.canonical_url, parts)
    return _blank(place) | {
        "final_url": final.url,
        "canonical_url": canonical,
        "title": facts.title or title_of(final),
        "description": facts.description or None,
        "site_name": facts.site_name or final.site,
        "type": facts.type or None,
        "lang": facts.lang or None,
        "author": facts.author or None,
        "published_time": facts.published_time or None,
        "theme_color": facts.theme_color or None,
        "images": [
            _image(url, image.width, image.height, image.alt, parts)
            for image in facts.images
            if (url := parts.shown("image", image.url))
        ],
        "icons": [
            {"url": url, "sizes": icon.sizes or None}
            for icon in facts.icons
            if (url := parts.shown("icon", icon.url))
        ],
        "videos": _media("video", facts.videos, parts),
        "audios": _media("audio", facts.audios, parts),
        "embed": embeds.embed(place.url, final.url, *([canonical] if canonical else [])),
        "raw": dict(facts.raw),
    }


def of_picture(place: Place, final: Place, parts: Parts) -> Card:
    """A URL that leads to a picture itself."""
    return of_url(place) | {
        "final_url": final.url,
        "title": title_of(final),
        "site_name": final.site,
        "type": "image",
        "images": [_image(final.url, 0, 0, "", parts)],
    }


def add_oembed(card: Card, told: Mapping[str, Any], parts: Parts, *, is_titled: bool) -> None:
    """What an oEmbed answer says: as such, and where the page said nothing. Its HTML is left out."""
    shown: dict[str, Any] = {name: _text(told.get(name)) for name in _OEMBED_TEXTS}
    shown |= {name: parts.shown("oembed", _text(told.get(name)) or "") for name in _OEMBED_URLS}
    shown |= {name: _side(told.get(name)) for name in _OEMBED_SIDES}
    card["oembed"] = shown
    if not is_titled and shown["title"]:
        card["title"] = shown["title"]
    if not is_titled and shown["provider_name"]:
        card["site_name"] = shown["provider_name"]
    card["author"] = card["author"] or shown["author_name"]
    if card["images"]:
        return
    if shown["thumbnail_url"]:
        width, height = shown["thumbnail_width"], shown["thumbnail_height"]
        card["images"] = [_image(shown["thumbnail_url"], width, height, "", parts)]
    elif shown["type"] == "photo" and shown["url"]:
        card["images"] = [_image(shown["url"], shown["width"], shown["height"], "", parts)]


def set_flags(card: Card, flags: Iterable[str]) -> None:
    """The flags that there are, in their order."""
    told = set(flags)
    card["flags"] = [flag for flag in walls.FLAGS if flag in told]


def title_of(place: Place) -> str:
    """The last words in a URL's path, or its host."""
    segments = [segment for segment in urlsplit(place.url).path.split("/") if segment]
    for segment in reversed(segments):
        text = unquote(segment, errors="replace")
        text = _JOINTS.sub(" ", _EXTENSION.sub("", _HIDDEN.sub("", text))).strip()
        if len(text) >= 3 and any(letter.isalpha() for letter in text):
            return text[:_LONGEST_TITLE]
    return place.host


def _canonical(final: Place, url: str, parts: Parts) -> str | None:
    """Only of the same registrable domain: else any page could pass for another."""
    shown = parts.shown("canonical_url", url)
    if shown is None or parts.place(shown).site != final.site:
        return None
    return shown


def _image(url: str, width: int | None, height: int | None, alt: str, parts: Parts) -> dict[str, Any]:
    return {
        "url": url,
        "width": width or None,
        "height": height or None,
        "alt": alt or None,
        "proxy_url": parts.proxy(url),
    }


def _media(part: str, media: Iterable[PageMedia], parts: Parts) -> list[dict[str, Any]]:
    return [
        {"url": url, "type": one.type or None, "width": one.width or None, "height": one.height or None}
        for one in media
        if (url := parts.shown(part, one.url))
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _side(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 100_000 else None
