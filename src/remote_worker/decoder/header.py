"""What a picture's header says, read without decoding a pixel."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_MS = (1 << 53) - 1
"""What every reader of JSON can hold exactly; a header that claims a longer time is told as this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The metadata that was found on the way, for those who ask what it says."""

    exif: bytes | mmap.mmap = b""
    """The first TIFF structure, with or without its prefix."""
    placed_xmp: bytes = b""
    """The first XMP packet that speaks of coordinates."""
    has_xmp: bool = False
    has_iptc: bool = False
    has_comment: bool = False
    profile: Callable[[], bytes] | None = None
    """Gives an ICC profile, or its beginning; none where it is not easily reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The facts of one document. Sizes are in pixels.

    `width` and `height` are as stored in the file; the display size is what a viewer shows, after
    orientation, HEIF rotation and clean aperture. `orientation` is 1..8 with the meaning of TIFF/EXIF
    tag 274, whatever the format calls it (irot and imir are told as the equal orientation).
    """

    width: int
    height: int
    display_width: int
    display_height: int
    frames: int = 1
    orientation: int = 1
    has_alpha: bool = False
    color_space: str = "rgb"
    """rgb, gray, cmyk, lab or ycbcr (the last only where it is all that is known)."""
    bit_depth: int = 8
    """Bits of one channel."""
    has_icc_profile: bool = False
    has_exif: bool = False
    has_gps: bool = False
    loop: int | None = None
    """How often an animation plays, 0 for ever; None when it is no animation."""
    duration_ms: int | None = None
    """How long one round of an animation takes; None when it is no animation."""
    is_animation: bool = False
    """Frames follow each other in time (pages, MPO pictures and HEIF items do not)."""
    blocks: Blocks = field(default=Blocks(), compare=False, repr=False)


def turned(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size upright: orientations 5 to 8 swap the sides."""
    return (height, width) if orientation >= 5 else (width, height)
