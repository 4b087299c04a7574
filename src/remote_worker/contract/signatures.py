"""Which template a body goes to, told from its first bytes. Pure, and it inflates nothing."""

from enum import StrEnum

from .formats import FormatName

PREFIX_BYTES = 4096
"""How much of a body is looked at."""


class Template(StrEnum):
    """The kinds of sealed process; they differ in what they may read."""

    RASTER = "raster"
    SVG = "svg"
    TEXT = "text"
    """Pages, oEmbed and Markdown. It never gets an upload, whatever that begins with."""


_BEGINNINGS = (
    (b"\xff\xd8\xff", FormatName.JPEG),
    (b"\x89PNG\r\n\x1a\n", FormatName.PNG),
    (b"GIF8", FormatName.GIF),
    (b"II*\0", FormatName.TIFF),
    (b"MM\0*", FormatName.TIFF),
    (b"II+\0", FormatName.TIFF),
    (b"MM\0+", FormatName.TIFF),
    (b"\0\0\0\x0cjP  ", FormatName.JP2),
    (b"\xff\x4f\xff\x51", FormatName.JP2),
    (b"\0\0\0\x0cJXL ", FormatName.JXL),
    (b"\xff\x0a", FormatName.JXL),
    (b"8BPS", FormatName.PSD),
    (b"icns", FormatName.ICNS),
    (b"\0\0\1\0", FormatName.ICO),
    (b"BM", FormatName.BMP),
)
PICTURES = (Template.RASTER, Template.SVG)
"""Those that uploads go to."""


def template_of(prefix: bytes) -> Template:
    """XML-like text and gzip go to `svg`, all else to `raster`. The child detects again."""
    if prefix.startswith(b"\x1f\x8b"):
        return Template.SVG
    if prefix.startswith((b"\xff\xfe", b"\xfe\xff")) or prefix[:2] in (b"<\0", b"\0<"):
        # UTF-16, by its byte order mark or by its first letter.
        text = prefix.replace(b"\0", b"").lstrip(b"\xff\xfe")
    else:
        text = prefix.removeprefix(b"\xef\xbb\xbf")
    return Template.SVG if text.lstrip(b" \t\r\n\f\v").startswith(b"<") else Template.RASTER


def looks_like(prefix: bytes) -> FormatName | None:
    """The format that a body seems to be of, for counting alone: nothing is decided by it."""
    for beginning, name in _BEGINNINGS:
        if prefix.startswith(beginning):
            return name
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return FormatName.WEBP
    if prefix[4:8] == b"ftyp":
        is_avif = b"avif" in prefix[8:64] or b"avis" in prefix[8:64]
        return FormatName.AVIF if is_avif else FormatName.HEIC
    return FormatName.SVG if template_of(prefix) is Template.SVG else None
