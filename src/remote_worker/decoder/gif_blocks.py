"""GIF and animated GIF from pixels: each frame's palette and LZW by Pillow, the blocks around them ours.

Pillow's own animation writer merges frames that look alike; here every frame stays.
"""

import io
import struct
from typing import NamedTuple

from PIL import Image, ImageChops

Rectangle = tuple[int, int, int, int]

_COLORS = 256
_HALF_CLEAR = 128
_CLEAR = 255
"""The palette index of transparent pixels, where there are any."""
_KEEP, _RESTORE = 1, 2
_MOST_HUNDREDTHS = 0xFFFF


def still(image: Image.Image) -> bytes:
    """A GIF of one picture in L, LA, RGB or RGBA."""
    return Animation(has_alpha=image.mode in ("LA", "RGBA"), loop=None).one(image)


class Animation:
    """Writes a GIF frame by frame.

    Opaque frames are the rectangle that differs from the one before, laid over it. With transparency every
    frame is whole, and cleared before the next.
    """

    def __init__(self, *, has_alpha: bool, loop: int | None) -> None:
        self._has_alpha = has_alpha
        self._loop = loop
        self._pieces: list[bytes] = []
        self._previous: Image.Image | None = None
        self.frames = 0
        self.size_bytes = 0

    def one(self, image: Image.Image) -> bytes:
        """The whole file of a single picture."""
        self.add(image, 0)
        return self.finish()

    def add(self, image: Image.Image, duration_ms: int) -> None:
        """One more frame; all are of one size."""
        frame = image.convert("RGBA" if self._has_alpha else "RGB")
        changed = self._changed(frame)
        if not self.frames:
            self._put(b"GIF89a" + struct.pack("<HHBBB", *frame.size, 0x70, 0, 0))
            if self._loop is not None:
                self._put(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", self._loop) + b"\0")
        self._put(_frame(frame.crop(changed), changed, duration_ms, self._has_alpha))
        self._previous = frame
        self.frames += 1

    def finish(self) -> bytes:
        """The whole file."""
        return b"".join([*self._pieces, b";"])

    def _changed(self, frame: Image.Image) -> Rectangle:
        if self._previous is None or self._has_alpha:
            return (0, 0, *frame.size)
        return ImageChops.difference(self._previous, frame).getbbox() or (0, 0, 1, 1)

    def _put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.size_bytes += len(piece)


class _Coded(NamedTuple):
    palette: bytes
    size_bits: int
    pixels: bytes


def _frame(image: Image.Image, place: Rectangle, duration_ms: int, has_alpha: bool) -> bytes:
    coded = _coded(_indexed(image, has_alpha))
    hundredths = min(_MOST_HUNDREDTHS, round(duration_ms / 10))
    flags = (_RESTORE if has_alpha else _KEEP) << 2 | has_alpha
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, hundredths, _CLEAR if has_alpha else 0, 0)
    left, top, right, bottom = place
    descriptor = struct.pack("<BHHHHB", 0x2C, left, top, right - left, bottom - top, 0x80 | coded.size_bits)
    return control + descriptor + coded.palette + coded.pixels


def _indexed(image: Image.Image, has_alpha: bool) -> Image.Image:
    """Up to 256 colours chosen for this frame; half-clear and clearer pixels take an index of their own."""
    if not has_alpha:
        return image.quantize(_COLORS, Image.Quantize.MEDIANCUT)
    indexed = image.convert("RGB").quantize(_COLORS - 1, Image.Quantize.MEDIANCUT)
    clear = image.getchannel("A").point(lambda alpha: 255 if alpha < _HALF_CLEAR else 0)
    indexed.paste(_CLEAR, mask=clear)
    palette = indexed.getpalette() or []
    indexed.putpalette(palette + [0] * (3 * _COLORS - len(palette)))
    return indexed


def _coded(indexed: Image.Image) -> _Coded:
    """Palette and LZW data, cut out of the single-frame file that Pillow writes.

    That file is a 13-byte screen descriptor, the colour table, a 10-byte image descriptor and the data.
    """
    file = io.BytesIO()
    indexed.info = {}
    indexed.save(file, "GIF", optimize=False, interlace=0)
    whole = file.getvalue()
    size_bits = whole[10] & 7
    table_end = 13 + 3 * (2 << size_bits)
    return _Coded(whole[13:table_end], size_bits, whole[table_end + 10 : -1])
