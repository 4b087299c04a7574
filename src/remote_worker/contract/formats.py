"""The names of formats and of their files, and which are on. What each is, the decoder's table says."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

OFF = "off"
"""The word of a format that is neither read nor written."""
OK = "ok"
"""The word of a format whose samples were decoded and written when its template got ready."""


class FormatName(StrEnum):
    """Every format there is."""

    JPEG = "jpeg"
    JP2 = "jp2"
    PNG = "png"
    GIF = "gif"
    BMP = "bmp"
    TIFF = "tiff"
    WEBP = "webp"
    HEIC = "heic"
    AVIF = "avif"
    PSD = "psd"
    ICNS = "icns"
    ICO = "ico"
    JXL = "jxl"
    SVG = "svg"


FORMATS_BY_SUFFIX = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".apng": "png",
    ".webp": "webp",
    ".avif": "avif",
    ".gif": "gif",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jp2": "jp2",
    ".jxl": "jxl",
}
"""What an output file's name asks for."""
SUFFIXES = {name: suffix for suffix, name in reversed(FORMATS_BY_SUFFIX.items())}
"""How a file of a format is called, by the first name that stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatReport:
    """What a worker can do with one format. `word` is OK, OFF, or what is missing to read it."""

    word: str
    mime: str
    is_written: bool
    keeps_frames: bool
    """All frames of an animation can be read."""


def switched_on(words: Sequence[str]) -> tuple[FormatName, ...]:
    """The formats that are on: these alone, or with a minus before each all but these; all without a word.

    Raises ValueError for an unknown name, for both ways at once, and when no format is left.
    """
    named = {FormatName(word.removeprefix("-")) for word in words}
    are_off = {word.startswith("-") for word in words}
    if len(are_off) > 1:
        raise ValueError("names with a minus beside names without one")
    is_off = are_off != {False}
    left = tuple(name for name in FormatName if (name in named) is not is_off)
    if not left:
        raise ValueError("no format is left")
    return left
