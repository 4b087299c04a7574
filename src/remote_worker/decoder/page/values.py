"""Strangers' text, addresses and numbers, made fit to be shown: cleaned, resolved, cut."""

import re
import unicodedata
from datetime import datetime

import ada_url

from ...contract import pages

_SPACES = re.compile("[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_JOINER = re.compile("(?<![^\0-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\0-\x7f])")
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.[0-9]{1,9})?(?: ?px)?")
_ELLIPSIS = "\u2026"
_WRITTEN_FOR = 4
"""So many characters are looked at for each that may stay."""


def clean(text: str, longest: int) -> str:
    """In one line, composed, without what nobody can see; what is longer is cut at a word."""
    text = text[: _WRITTEN_FOR * longest]
    if not (text.isascii() and text.isprintable()):
        text = _JOINER.sub("", pages.UNCLEAN.sub("", _SPACES.sub(" ", text)))
        # In this order, since composing takes long for long runs of marks.
        text = unicodedata.normalize("NFC", text[: longest + 1])
    if "  " in text:
        text = _SPACES.sub(" ", text)
    text = text.strip(" ")
    if len(text) <= longest:
        return text
    kept = text[: longest - 1]
    space = kept.rfind(" ", longest * 3 // 4)
    return (kept[:space] if space > 0 else kept).rstrip(" ,;:-\u200c\u200d") + _ELLIPSIS


def raw(text: str) -> str:
    """As the page has it, but for what may not leave the jail."""
    text = text[: pages.LONGEST_RAW]
    return (
        text
        if text.isascii() and text.isprintable()
        else pages.UNCLEAN.sub("", _SPACES.sub(" ", text)).strip()
    )


def whole(said: object, most: int = pages.LARGEST_SIDE) -> int:
    """A positive number of pixels or the like, as a number or in words; 0 for anything else."""
    number = 0
    if isinstance(said, int | float):
        number = int(said) if 0 < said <= most else 0
    elif isinstance(said, str) and (found := _WHOLE.fullmatch(said.strip())):
        number = int(found[1])
    return number if number <= most else 0


def date(text: str) -> str:
    """An ISO 8601 date or time as it is given, or nothing."""
    text = text.strip()
    if not pages.DATE.fullmatch(text):
        return ""
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return ""
    return text


def matching(pattern: re.Pattern[str], text: str) -> str:
    """The text if it is of that shape, else nothing."""
    text = text.strip()
    return text if pattern.fullmatch(text) else ""


class Addresses:
    """Resolves addresses as a browser would that shows the page, and keeps those of http and https."""

    def __init__(self, page: str, base: str = "") -> None:
        self._base = page
        if base:
            try:
                self._base = ada_url.join_url(page, base)
            except ValueError:
                return
            if self._base.startswith(("data:", "javascript:")):
                self._base = page  # HTML, 4.2.3: such a base is none.

    def absolute(self, text: object) -> str:
        """The address, or nothing when it is of another scheme, too long or none."""
        if not isinstance(text, str) or not 0 < len(text) <= 2 * pages.LONGEST_URL:
            return ""
        text = text.strip()
        if not text:
            return ""
        try:
            href = ada_url.join_url(self._base, text)
        except ValueError:
            return ""
        return href if len(href) <= pages.LONGEST_URL and pages.URL.fullmatch(href) else ""
