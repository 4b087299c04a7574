"""PNG and APNG from pixels: filters by picture arithmetic, deflate by igzip, chunks of our own.

docs/decisions/0006-pixels.md has the times and sizes of what else was tried.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from isal import isal_zlib
from PIL import Image, ImageChops

from .color import carries_alpha
from .vector_registers import clear_upper_halves

Rectangle = tuple[int, int, int, int]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
_STRIP_BYTES = 192 * 1024
"""Rows are filtered and deflated in strips of about this size: caches hold them, their memory is reused."""
_MEMORY_LEVEL = 6

_NO_FILTER, _UP, _AVERAGE = 0, 2, 3


class _Way(NamedTuple):
    """A filter, the level of deflate, and the bits of its window: how far it looks back for repetitions."""

    filter: int
    level: int
    window_bits: int


_PHOTO = _Way(_UP, 1, 9)
"""Noise repeats by chance, and what is near takes fewer bits to point at."""
_WITH_ALPHA = _Way(_AVERAGE, 2, 15)
_FRAME = _Way(_UP, 2, 15)
_DRAWN = _Way(_NO_FILTER, 2, 15)
"""Flat areas, lines and letters repeat as they are."""
_FEW_COLORS = 1 / 64
"""Of the pixels."""
_MOST_COLORS = 4096
_MOST_COUNTS = 0xFFFF


def header(mode: str, size: tuple[int, int]) -> bytes:
    """The signature and IHDR of 8-bit pixels in this mode."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, _COLOR_TYPES[mode], 0, 0, 0))


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return b"%b%b%b%b" % (
        struct.pack(">I", len(body)),
        kind,
        body,
        struct.pack(">I", isal_zlib.crc32(body, zlib.crc32(kind))),
    )


def still(image: Image.Image) -> Iterator[bytes]:
    """The whole file, piece by piece, of a picture in L, LA, RGB or RGBA."""
    yield header(image.mode, image.size)
    for part in _smallest(image):
        yield chunk(b"IDAT", part)
    yield chunk(b"IEND", b"")
    clear_upper_halves()


class Animation:
    """Writes an APNG frame by frame; the number of frames is filled in at the end.

    Each frame after the first is the rectangle that differs from the one before, laid over it.
    """

    def __init__(self, *, has_alpha: bool, loop: int) -> None:
        self._mode = "RGBA" if has_alpha else "RGB"
        self._loop = loop
        self._pieces: list[bytes] = []
        self._previous: Image.Image | None = None
        self._sequence = 0
        self.frames = 0
        self.size_bytes = 0

    def add(self, image: Image.Image, duration_ms: int) -> None:
        """One more frame; all are of one size."""
        frame = image if image.mode == self._mode else image.convert(self._mode)
        changed = _changed(self._previous, frame)
        if self._previous is None:
            self._put(header(self._mode, frame.size))
            self._pieces.append(b"")  # acTL belongs here.
        self._put(chunk(b"fcTL", self._control(changed, duration_ms)))
        way = _WITH_ALPHA if self._mode == "RGBA" else _FRAME
        for part in _deflated(frame if changed == (0, 0, *frame.size) else frame.crop(changed), way):
            if self._previous is None:
                self._put(chunk(b"IDAT", part))
            else:
                self._put(chunk(b"fdAT", struct.pack(">I", self._next()) + part))
        clear_upper_halves()
        self._previous = frame
        self.frames += 1

    def finish(self) -> bytes:
        """The whole file."""
        self._pieces[1] = chunk(b"acTL", struct.pack(">II", self.frames, self._loop))
        return b"".join([*self._pieces, chunk(b"IEND", b"")])

    def _put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.size_bytes += len(piece)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _control(self, changed: Rectangle, duration_ms: int) -> bytes:
        left, top, right, bottom = changed
        keep, overwrite = 0, 0
        sequence = self._next()
        return struct.pack(
            ">IIIIIHHBB",
            sequence,
            right - left,
            bottom - top,
            left,
            top,
            *_delay(duration_ms),
            keep,
            overwrite,
        )


def _delay(duration_ms: int) -> tuple[int, int]:
    """A fraction of a second from two 16-bit numbers, as fine as the first one has room for."""
    for per_second in (1000, 100, 10):
        count = round(duration_ms * per_second / 1000)
        if count <= _MOST_COUNTS:
            return count, per_second
    return min(_MOST_COUNTS, round(duration_ms / 1000)), 1


def _changed(previous: Image.Image | None, frame: Image.Image) -> Rectangle:
    if previous is None:
        return (0, 0, *frame.size)
    # A frame like the one before still needs a rectangle: one pixel.
    return ImageChops.difference(previous, frame).getbbox(alpha_only=False) or (0, 0, 1, 1)


def _smallest(image: Image.Image) -> Iterable[bytes]:
    """The zlib stream, in pieces; of few colours (a drawing, or a gray photo) the smaller of two."""
    has_alpha = carries_alpha(image)
    if not _has_few_colors(image):
        return _deflated(image, _WITH_ALPHA if has_alpha else _PHOTO)
    both = [list(_deflated(image, way)) for way in (_WITH_ALPHA if has_alpha else _FRAME, _DRAWN)]
    return min(both, key=lambda parts: sum(map(len, parts)))


def _has_few_colors(image: Image.Image) -> bool:
    """Costs little where there are many: counting stops at the limit."""
    most = min(_MOST_COLORS, int(image.width * image.height * _FEW_COLORS))
    return image.mode in ("RGB", "RGBA") and image.getcolors(most) is not None


def _deflated(image: Image.Image, way: _Way) -> Iterator[bytes]:
    """The zlib stream of the filtered rows, in pieces."""
    rows = max(1, _STRIP_BYTES // (image.width * len(image.getbands())))
    deflate = isal_zlib.compressobj(way.level, isal_zlib.DEFLATED, way.window_bits, _MEMORY_LEVEL)
    for top in range(0, image.height, rows):
        piece = deflate.compress(_filtered(image, top, min(image.height, top + rows), way.filter))
        if piece:
            yield piece
    yield deflate.flush()


def _filtered(image: Image.Image, top: int, bottom: int, kind: int) -> bytes:
    """Rows with their filter byte (PNG, 9.2), by arithmetic on samples in a row as if they were gray pixels.

    What lies outside the picture is zero, for `crop` as for PNG. The column left of it takes the filter byte.
    """
    pixel, rows = len(image.getbands()), bottom - top
    row = image.width * pixel
    with_row_above = image.crop((0, top - 1, image.width, bottom)).tobytes()
    samples = Image.frombuffer("L", (row, rows + 1), with_row_above, "raw", "L", 0, 1)
    made = samples.crop((-1, 1, row, rows + 1))
    if kind != _NO_FILTER:
        predicted = samples.crop((-1, 0, row, rows))
        if kind == _AVERAGE:
            left = samples.crop((-1 - pixel, 1, row - pixel, rows + 1))
            predicted = Image.blend(left, predicted, 0.5)  # Rounds down, as PNG does.
        made = ImageChops.subtract_modulo(made, predicted)
    made.paste(kind, (0, 0, 1, rows))
    return made.tobytes()
