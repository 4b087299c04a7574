"""PSD and PSB: the header's facts."""

import struct

from ..header import Header, turned
from . import Buffer, Metadata, damaged, unpack

HEADER = struct.Struct(">4sH6xHIIHH")
LENGTH = struct.Struct(">I")
LONG_LENGTH = struct.Struct(">Q")
LAYERS = struct.Struct(">h")

MODES = {
    0: ("gray", 1),
    1: ("gray", 1),
    2: ("rgb", 1),
    3: ("rgb", 3),
    4: ("cmyk", 4),
    7: ("rgb", 3),
    8: ("gray", 1),
    9: ("lab", 3),
}
"""Colour space and number of colour channels of each mode (7 is multichannel, 8 duotone)."""
INDEXED = 2


def read(data: Buffer) -> Header:
    """The facts of a PSD. It is one picture, the merged one, however many layers it has."""
    signature, version, channels, height, width, depth, mode = unpack(HEADER, data, 0)
    if signature != b"8BPS" or version not in (1, 2) or mode not in MODES:
        raise damaged("This is no PSD header.")
    if width == 0 or height == 0 or not 1 <= channels <= 56 or depth not in (1, 8, 16, 32):
        raise damaged("The PSD header has no valid size.")
    color_space, color_channels = MODES[mode]
    at = _behind(data, HEADER.size)
    resources_end = _behind(data, at)
    metadata = Metadata()
    metadata.take_photoshop(data[at + LENGTH.size : resources_end])
    display_width, display_height = turned(width, height, metadata.orientation)
    return Header(
        width=width,
        height=height,
        display_width=display_width,
        display_height=display_height,
        orientation=metadata.orientation,
        has_alpha=channels > color_channels and _merges_alpha(data, resources_end, is_large=version == 2),
        color_space=color_space,
        bit_depth=8 if mode == INDEXED else depth,
        has_icc_profile=metadata.has_icc_profile,
        has_exif=metadata.has_exif,
        has_gps=metadata.has_gps,
        blocks=metadata.blocks,
    )


def _behind(data: Buffer, at: int) -> int:
    """The offset behind a section that begins with its length; a cut section ends with the file."""
    if at + LENGTH.size > len(data):
        return len(data)
    length: int = LENGTH.unpack_from(data, at)[0]
    return min(len(data), at + LENGTH.size + length)


def _merges_alpha(data: Buffer, at: int, *, is_large: bool) -> bool:
    """A negative number of layers says that the first extra channel is the merged picture's transparency."""
    length = LONG_LENGTH if is_large else LENGTH
    start = at + 2 * length.size
    if start + LAYERS.size > len(data) or length.unpack_from(data, start - length.size)[0] == 0:
        return False
    if length.unpack_from(data, at)[0] == 0:
        return False
    count: int = LAYERS.unpack_from(data, start)[0]
    return count < 0
