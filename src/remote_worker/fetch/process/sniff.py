"""What a body is, told from its header and its first bytes, and whether that is what was wanted. Pure.

A part of https://mimesniff.spec.whatwg.org. Unlike there, HTML that calls itself plain text is taken as HTML.
"""

import re
from collections.abc import Iterable

from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import Purpose

SNIFFED_BYTES = 512
"""Enough for every sign below."""

HTML = frozenset({"text/html", "application/xhtml+xml"})
UNTOLD = frozenset(
    {
        "",
        "text/plain",
        "application/octet-stream",
        "binary/octet-stream",
        "unknown/unknown",
        "application/unknown",
    }
)
"""Types that servers send when they do not know."""
_DATA = frozenset(
    {
        "application/json",
        "text/json",
        "application/javascript",
        "text/javascript",
        "application/xml",
        "text/xml",
    }
)
_NEVER_PICTURES = ("audio/", "video/", "font/")

_VALUE = re.compile(r'(?:[^,"]|"[^"]*"?)+')
_ESSENCE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_HTML_START = re.compile(
    rb"[\t\n\f\r ]*<(?:(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)"
    rb"[ >\t\n\f\r/]|!--)",
    re.IGNORECASE,
)
_SVG_START = re.compile(
    # Possessive: what is written to be matched in many ways would otherwise be tried in all of them.
    rb"(?>\s++|<\?[^>]*+>|<!--.*?-->|<!doctype svg[^>]*+>)*+<(?:\w{1,20}:)?svg[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_SIGNS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBPVP", re.DOTALL), "image/webp"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL), "image/heic"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"), "image/jxl"),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "image/jp2"),
    (re.compile(rb"BM....\0\0\0\0", re.DOTALL), "image/bmp"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "image/tiff"),
    (re.compile(rb"\0\0[\1\2]\0[^\0]\0"), "image/x-icon"),
    (re.compile(rb"icns"), "image/icns"),
    (re.compile(rb"8BPS\0[\1\2]"), "image/vnd.adobe.photoshop"),
)


def essence_of(values: Iterable[str]) -> str:
    """The last type that a header names, without its parameters; nothing where it names none."""
    found = ""
    for value in values:
        for part in _VALUE.findall(value):
            essence = part.partition(";")[0].strip("\t\n\r ").lower()
            if essence != "*/*" and _ESSENCE.match(essence):
                found = essence
    return found


def check_declared(purpose: Purpose, essence: str, *, is_attachment: bool) -> None:
    """Refuse by the header alone what no first bytes could change. Raises WorkFailed."""
    if purpose is Purpose.PAGE:
        if is_attachment:
            raise WorkFailed(FailureCode.ATTACHMENT)
        if essence not in HTML and essence not in UNTOLD and not essence.startswith("image/"):
            raise WorkFailed(FailureCode.NOT_HTML, essence)
    elif purpose is Purpose.IMAGE:
        if essence.startswith(_NEVER_PICTURES):
            raise WorkFailed(FailureCode.TYPE_MISMATCH, essence)
    elif not _is_data(essence) and essence not in UNTOLD and essence not in HTML:
        raise WorkFailed(FailureCode.TYPE_MISMATCH, essence)


def media_type(purpose: Purpose, essence: str, first: bytes) -> str:
    """What it is, by the declared type and its first SNIFFED_BYTES. Raises WorkFailed."""
    picture = picture_of(first)
    if purpose is Purpose.PAGE:
        return _page(essence, picture, first)
    if purpose is Purpose.IMAGE:
        return _image(essence, picture, first)
    return _data(purpose, first)


def picture_of(first: bytes) -> str:
    """The type of a picture of pixels that begins so."""
    return next((kind for sign, kind in _SIGNS if sign.match(first)), "")


def looks_like_html(first: bytes) -> bool:
    """Whether a browser that was told no type would take it for HTML."""
    return bool(_HTML_START.match(first.removeprefix(b"\xef\xbb\xbf")))


def looks_like_svg(first: bytes) -> bool:
    """Whether the first element is an `svg`."""
    return bool(_SVG_START.match(first.removeprefix(b"\xef\xbb\xbf")))


def _page(essence: str, picture: str, first: bytes) -> str:
    if essence in HTML:
        if picture:
            raise WorkFailed(FailureCode.TYPE_MISMATCH, picture)
        return essence
    if picture:
        return picture
    if essence == "image/svg+xml" and looks_like_svg(first):
        return essence
    is_html = looks_like_html(first)
    if essence in UNTOLD:
        if is_html:
            return "text/html"
        raise WorkFailed(FailureCode.NOT_HTML, essence or "no type")
    raise WorkFailed(FailureCode.TYPE_MISMATCH, "text/html" if is_html else "no picture")


def _image(essence: str, picture: str, first: bytes) -> str:
    if picture:
        return picture
    if looks_like_svg(first):
        return "image/svg+xml"
    if looks_like_html(first):
        raise WorkFailed(FailureCode.TYPE_MISMATCH, "text/html")
    if essence.startswith("image/"):
        # Maybe one that is not known here. Whoever reads it decides.
        return essence
    if essence in UNTOLD:
        return "application/octet-stream"
    raise WorkFailed(FailureCode.TYPE_MISMATCH, essence)


def _data(purpose: Purpose, first: bytes) -> str:
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begin in (b"{", b"["):
        return "application/json"
    if begin == b"<" and purpose is Purpose.OEMBED and not looks_like_html(first):
        return "text/xml"
    raise WorkFailed(FailureCode.TYPE_MISMATCH, "no data")


def _is_data(essence: str) -> bool:
    return essence in _DATA or essence.endswith(("+json", "+xml", "+oembed"))
