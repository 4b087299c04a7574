"""The box structure that HEIF, AVIF, JPEG 2000 and JPEG XL files share: boxes, and numbers inside them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from . import Buffer, damaged

MOST_BOXES = 32_768
"""Boxes of one file, of whatever depth; a real file has fewer than 4000."""
MOST_XMP_BYTES = 1024 * 1024
"""XMP of one file that is looked at: parsing it takes a quarter of a second at worst."""


class Box(NamedTuple):
    """One box: its four letters and where its content lies."""

    kind: bytes
    start: int
    end: int
    is_cut: bool = False
    """It claims more bytes than there are; `end` is where they end."""


def whole(box: Box) -> Box:
    """The box, when it is not cut."""
    if box.is_cut:
        raise damaged(f"the {name(box.kind)} box is cut")
    return box


class Walk:
    """Goes through the boxes of one file, and stops when there are too many in all."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self._left = MOST_BOXES

    def top(self) -> Iterator[Box]:
        """The outermost boxes. A box that is cut is the last one."""
        return self._boxes(0, len(self.data))

    def inside(self, box: Box, *, skip: int = 0) -> Iterator[Box]:
        """The boxes in a box, behind `skip` bytes of its own fields; each must be whole."""
        if box.end - box.start < skip:
            raise damaged(f"the {name(box.kind)} box is too short")
        return map(whole, self._boxes(box.start + skip, box.end))

    def fields(self, box: Box) -> "Fields":
        """The numbers of a box from its first byte."""
        return Fields(self.data, box.start, box.end)

    def _boxes(self, start: int, end: int) -> Iterator[Box]:
        data = self.data
        while end - start >= 8:
            self._left -= 1
            if self._left < 0:
                raise damaged("too many boxes")
            head = data[start : start + 16]
            size = int.from_bytes(head[:4], "big")
            head_bytes = 8
            if size == 1:
                head_bytes = 16
                size = int.from_bytes(head[8:16], "big")
            elif size == 0:
                size = end - start
            if size < head_bytes:
                raise damaged("a box smaller than its own head")
            is_cut = size > end - start
            stop = end if is_cut else start + size
            yield Box(head[4:8], min(start + head_bytes, stop), stop, is_cut)
            start = stop


def name(kind: bytes) -> str:
    """The four letters for a message."""
    return re.sub("[^ -~]", "?", kind.decode("latin-1"))


class Fields:
    """Reads big-endian numbers one after the other, never behind `end`."""

    def __init__(self, data: Buffer, start: int, end: int) -> None:
        self._data = data
        self.at = start
        self.end = min(end, len(data))

    def left(self) -> int:
        """How many bytes are left."""
        return self.end - self.at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self.end - self.at:
            raise damaged("a box ends before its fields do")
        taken = self._data[self.at : self.at + count]
        self.at += count
        return taken

    def number(self, size: int) -> int:
        """The next unsigned number of `size` bytes; 0 bytes say 0."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """The next signed number."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def version_and_flags(self) -> tuple[int, int]:
        """What every full box begins with."""
        return self.number(1), self.number(3)

    def text(self, most: int = 1024) -> bytes:
        """The bytes up to the next zero, or all that are left."""
        rest = self._data[self.at : min(self.end, self.at + most)]
        found, zero, _ = rest.partition(b"\0")
        self.at += len(found) + len(zero)
        return found
