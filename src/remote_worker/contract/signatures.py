"""Which template a body goes to, told from its first bytes. Pure, and it inflates nothing."""

from enum import StrEnum

PREFIX_BYTES = 4096
"""How much of a body is looked at."""


class Template(StrEnum):
    """The kinds of sealed process; they differ in what they may read."""

    RASTER = "raster"
    SVG = "svg"
    TEXT = "text"
    """Pages, oEmbed and Markdown. It never gets an upload, whatever that begins with."""


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
