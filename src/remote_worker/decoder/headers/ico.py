"""Headers of ICO: the largest picture inside counts."""

import struct
from dataclasses import dataclass

from ..header import Header
from . import Buffer, damaged

MOST_ENTRIES = 1024
DIRECTORY = struct.Struct("<HHH")
ENTRY = struct.Struct("<BBBBHHII")
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """One picture of the file, with the size that its own header says."""

    index: int
    offset: int
    length: int
    width: int
    height: int
    bits: int
    is_png: bool


def is_ico(prefix: bytes) -> bool:
    """An icon; cursors differ only in their type."""
    if len(prefix) < DIRECTORY.size + ENTRY.size:
        return False
    zero, kind, count = DIRECTORY.unpack_from(prefix)
    return (zero, kind) == (0, 1) and 1 <= count <= MOST_ENTRIES


def read(data: Buffer) -> Header:
    """The facts of the largest picture."""
    icon = largest(data)
    return Header(
        width=icon.width,
        height=icon.height,
        display_width=icon.width,
        display_height=icon.height,
        has_alpha=True,
        bit_depth=16 if icon.bits > 32 else 8,
    )


def largest(data: Buffer) -> Icon:
    """The picture with the most pixels; of equal ones that with the most bits a pixel."""
    if len(data) < DIRECTORY.size:
        raise damaged("no directory")
    zero, kind, count = DIRECTORY.unpack_from(data)
    if zero != 0 or kind != 1 or not 1 <= count <= MOST_ENTRIES:
        raise damaged("no directory, or one that is too long")
    icons = [icon for index in range(count) if (icon := _icon(data, index)) is not None]
    if not icons:
        raise damaged("no picture that can be read")
    return max(icons, key=lambda icon: (icon.width * icon.height, icon.bits, -icon.index))


def _icon(data: Buffer, index: int) -> Icon | None:
    """The picture of one entry, or None when its own header cannot be read."""
    at = DIRECTORY.size + ENTRY.size * index
    if at + ENTRY.size > len(data):
        return None
    *_, length, offset = ENTRY.unpack_from(data, at)
    length = min(length, len(data) - offset)
    if length < 16:
        return None
    head = data[offset : offset + min(length, 33)]
    is_png = head.startswith(PNG)
    if is_png:
        if len(head) < 26 or head[12:16] != b"IHDR":
            return None
        width, height, depth, colour = struct.unpack_from(">IIBB", head, 16)
        bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 4)
    else:
        header_bytes, width, height, _, bits = struct.unpack_from("<IiiHH", head)
        if header_bytes < 40:
            return None
        # The mask below the picture is counted as height.
        height = abs(height) // 2
    if width < 1 or height < 1:
        return None
    return Icon(
        index=index, offset=offset, length=length, width=width, height=height, bits=bits, is_png=is_png
    )
