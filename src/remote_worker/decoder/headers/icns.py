"""Headers of ICNS: the largest picture inside counts."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ...contract.failures import WorkFailed
from ..header import Header
from . import Buffer, damaged, jp2

MOST_ELEMENTS = 256
HEAD_BYTES = 8
PNG = b"\x89PNG\r\n\x1a\n"

RAW_SIDES = {
    b"is32": 16,
    b"il32": 32,
    b"ih32": 48,
    b"it32": 128,
    b"icp4": 16,
    b"icp5": 32,
}
"""Elements that may hold packed red, green and blue planes, and their side in pixels."""
ARGB_SIDES = {b"ic04": 16, b"ic05": 32, b"icsb": 18, b"icsB": 36, b"sb24": 24, b"SB24": 48}
MASKS = {16: b"s8mk", 32: b"l8mk", 48: b"h8mk", 128: b"t8mk"}
"""The mask that belongs to the packed planes of a side."""
NO_PICTURES = frozenset(
    {
        b"TOC ",
        b"icnV",
        b"name",
        b"info",
        b"slct",
        b"sbtp",
        b"\xfd\xd9\x2f\xa8",
        b"drop",
        b"over",
        b"open",
        b"odrp",
    }
)


class Coding(StrEnum):
    """How the bytes of an element are to be read."""

    PNG = "png"
    JP2 = "jp2"
    ARGB = "argb"
    """`ARGB`, then four packed planes."""
    RGB = "rgb"
    """Three packed planes; the mask is an element of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """One picture of the file. `offset` and `length` are of its content, without the element's head."""

    kind: bytes
    coding: Coding
    offset: int
    length: int
    width: int
    height: int
    mask: tuple[int, int] | None = None
    """Offset and length of an 8-bit mask of width x height bytes, for `rgb`."""


def is_icns(prefix: bytes) -> bool:
    """The four letters."""
    return prefix.startswith(b"icns") and len(prefix) >= 2 * HEAD_BYTES


def read(data: Buffer) -> Header:
    """The facts of the largest picture."""
    icon = largest(data)
    return Header(
        width=icon.width,
        height=icon.height,
        display_width=icon.width,
        display_height=icon.height,
        has_alpha=True,
    )


def largest(data: Buffer) -> Icon:
    """The picture with the most pixels, by what its own header says."""
    elements = list(_elements(data))
    at = {kind: (offset, length) for kind, offset, length in elements}
    icons = [icon for element in elements if (icon := _icon(data, *element, at)) is not None]
    if not icons:
        raise damaged("no picture that can be read")
    return max(icons, key=lambda icon: icon.width * icon.height)


def _elements(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of the content of each element."""
    if len(data) < HEAD_BYTES or data[:4] != b"icns":
        raise damaged("no icon file")
    end = min(len(data), int.from_bytes(data[4:8], "big"))
    at = HEAD_BYTES
    for _ in range(MOST_ELEMENTS):
        if at + HEAD_BYTES > end:
            return
        kind, length = struct.unpack_from(">4sI", data, at)
        if length < HEAD_BYTES:
            raise damaged("an element smaller than its own head")
        if at + length > end:
            # A file that is cut still has the elements before the cut.
            if at == HEAD_BYTES:
                raise damaged("an element larger than the file")
            return
        yield kind, at + HEAD_BYTES, length - HEAD_BYTES
        at += length
    if at + HEAD_BYTES <= end:
        raise damaged("too many elements")


def _icon(
    data: Buffer, kind: bytes, offset: int, length: int, at: dict[bytes, tuple[int, int]]
) -> Icon | None:
    """The picture of one element, or None when it is none that we read."""
    if kind in NO_PICTURES:
        return None
    head = data[offset : offset + min(length, 32)]
    if head.startswith(PNG):
        if len(head) < 24 or head[12:16] != b"IHDR":
            return None
        width, height = struct.unpack_from(">II", head, 16)
        if width < 1 or height < 1:
            return None
        return Icon(kind=kind, coding=Coding.PNG, offset=offset, length=length, width=width, height=height)
    if head.startswith((jp2.SIGNATURE, jp2.CODESTREAM)):
        try:
            width, height = jp2.size(data[offset : offset + length])
        except WorkFailed:
            return None
        return Icon(
            kind=kind,
            coding=Coding.JP2,
            offset=offset,
            length=length,
            width=width,
            height=height,
        )
    if head.startswith(b"ARGB") and kind in {**ARGB_SIDES, **RAW_SIDES}:
        side = {**RAW_SIDES, **ARGB_SIDES}[kind]
        return Icon(kind=kind, coding=Coding.ARGB, offset=offset, length=length, width=side, height=side)
    side = RAW_SIDES.get(kind, 0)
    if side == 0 or length < 4:
        return None
    mask = at.get(MASKS[side])
    return Icon(
        kind=kind,
        coding=Coding.RGB,
        offset=offset,
        length=length,
        width=side,
        height=side,
        mask=mask if mask and mask[1] == side * side else None,
    )
