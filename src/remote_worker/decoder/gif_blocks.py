"""The blocks of a GIF (GIF89a) as bytes; LZW by Pillow. Stays out of what to draw."""

import struct

from PIL import Image

Rectangle = tuple[int, int, int, int]

KEEP, CLEAR, RESTORE = 1, 2, 3
"""Disposals: what becomes of a frame's place before the next one."""
TRAILER = b";"

_TABLE = 0x80
_INTERLACED = 0x40
_EIGHT_BITS = 0x70
_MOST_HUNDREDTHS = 0xFFFF
_CODE_BITS = 8


def screen(size: tuple[int, int], table: bytes, loop: int | None) -> bytes:
    """The beginning of a file: its size, the colours for all frames, and how often they play."""
    flags, colors = _colors(table)
    start = b"GIF89a" + struct.pack("<HHBBB", *size, flags | _EIGHT_BITS, 0, 0) + colors
    return start if loop is None else start + b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0)


def control(duration_ms: int, disposal: int, clear_index: int | None) -> bytes:
    """What is told of the frame behind it."""
    hundredths = min(_MOST_HUNDREDTHS, round(duration_ms / 10))
    flags = disposal << 2 | (clear_index is not None)
    return struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, hundredths, clear_index or 0, 0)


def image(place: Rectangle, table: bytes, coded: bytes, *, is_interlaced: bool = False) -> bytes:
    """A frame at its place; without colours of its own it has the screen's."""
    left, top, right, bottom = place
    flags, colors = _colors(table)
    flags |= _INTERLACED if is_interlaced else 0
    return struct.pack("<BHHHHB", 0x2C, left, top, right - left, bottom - top, flags) + colors + coded


def coded(indices: Image.Image) -> bytes:
    """The LZW data of a picture in L or P."""
    return b"%c%b\0" % (_CODE_BITS, indices.tobytes("gif", indices.mode, _CODE_BITS, 0))


def data(content: bytes) -> bytes:
    """Data blocks with this content, without their terminator."""
    pieces = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join([b"%c%b" % (len(piece), piece) for piece in pieces])


def _colors(table: bytes) -> tuple[int, bytes]:
    """The flags that announce a colour table, and the table filled up to a power of two."""
    if not table:
        return 0, b""
    bits = max(0, (len(table) // 3 - 1).bit_length() - 1)
    return _TABLE | bits, table.ljust(3 * (2 << bits), b"\0")
