"""Memory for pixels in huge pages: touching 48 MB for the first time takes 15 ms less than in small ones."""

import ctypes
import mmap
from collections.abc import Callable
from contextlib import suppress

from PIL import Image, ImageFile, _imaging

from ..headers import Buffer
from .loader import Size

_HUGE = 2 * 1024 * 1024
_PIXEL_BYTES = {"L": 1, "P": 1, "LA": 4, "RGB": 4, "RGBA": 4, "CMYK": 4}
"""As Pillow keeps them: RGB with a byte to spare, LA as the RGBA of that gray."""


class Memory:
    """Writable zeros that end with this object. Raises MemoryError."""

    def __init__(self, length: int) -> None:
        spare = _HUGE if length >= _HUGE else 0
        try:
            self._pages = mmap.mmap(-1, length + spare, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as refusal:
            raise MemoryError from refusal
        if spare:
            # A kernel without them gives small pages.
            with suppress(OSError):
                self._pages.madvise(mmap.MADV_HUGEPAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        skipped = -start % _HUGE if spare else 0
        self.address = start + skipped
        self.view = memoryview(self._pages)[skipped : skipped + length]


class Canvas:
    """The pixels of one picture of these modes, rows without gaps, for C code to draw."""

    def __init__(self, mode: str, size: Size) -> None:
        self._mode, self._size = mode, size
        self.row_bytes = size[0] * _PIXEL_BYTES[mode]
        self.length = self.row_bytes * size[1]
        self._memory = Memory(self.length)
        self.address = self._memory.address

    def core(self) -> "_imaging.ImagingCore":
        """Pillow's inner picture on this memory, as Image.frombuffer makes it in fewer modes."""
        place = (self._mode, self.row_bytes, 1)
        made: _imaging.ImagingCore = _imaging.map_buffer(self._memory.view, self._size, "raw", 0, place)
        return made


Direct = Callable[[Buffer, Image.Image], Canvas | None]
"""Decodes what a plugin has opened. None leaves that to the plugin, as whatever is not in order."""


def lend(image: ImageFile.ImageFile) -> None:
    """Have a large picture that is opened and not yet loaded be decoded into a canvas."""
    width, height = image.size
    # Of a picture without any part to decode Pillow says so only if it has no memory yet.
    if image.tile and width * height * _PIXEL_BYTES.get(image.mode, 0) >= _HUGE:
        image.im = Canvas(image.mode, image.size).core()
