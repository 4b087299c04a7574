"""Animated WebP from pixels: each frame's rectangle by Pillow, the chunks around them ours.

libwebp's own animation writer merges frames that look alike; here every frame stays.
"""

import struct

from PIL import Image, ImageChops

from .encode import WEBP_METHOD, save

Rectangle = tuple[int, int, int, int]

_MOVES, _ALPHA = 0x02, 0x10
_OVERWRITE, _BLEND = 0x02, 0
_BLOCK = 16
"""The side of VP8's macroblocks, so that clear ones cost next to nothing."""
_MANY = 0.5
"""Over this share of its blocks a rectangle is written whole."""
_ANY = [0] + [255] * 255
_MOST_MS = 0xFF_FFFF
_CODED = frozenset({b"ALPH", b"VP8 ", b"VP8L"})
"""The chunks of a still that carry its pixels."""


class Animation:
    """Writes a WebP frame by frame: each is the rectangle that differs from the one before, laid over it.

    Of an opaque rectangle in which little differs, such as a pointer and a clock at two ends of a screen,
    only the blocks that do are there; the rest is clear.
    """

    def __init__(self, *, has_alpha: bool, loop: int, quality: int) -> None:
        self._mode = "RGBA" if has_alpha else "RGB"
        self._loop = loop
        self._quality = quality
        self._pieces: list[bytes] = []
        self._flags = _MOVES | (_ALPHA if has_alpha else 0)
        self._size = (0, 0)
        self._previous: Image.Image | None = None
        self.frames = 0
        self.size_bytes = 0

    def add(self, image: Image.Image, duration_ms: int) -> None:
        """One more frame; all are of one size."""
        frame = image if image.mode == self._mode else image.convert(self._mode)
        piece = self._whole(frame, duration_ms) if self._previous is None else self._part(frame, duration_ms)
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        self._size = frame.size
        self._previous = frame
        self.frames += 1

    def finish(self) -> bytes:
        """The whole file."""
        width, height = self._size
        screen = struct.pack("<I", self._flags) + _u24(width - 1) + _u24(height - 1)
        body = [_chunk(b"VP8X", screen), _chunk(b"ANIM", struct.pack("<IH", 0, self._loop)), *self._pieces]
        return _chunk(b"RIFF", b"".join((b"WEBP", *body)))

    def _whole(self, frame: Image.Image, duration_ms: int) -> bytes:
        head = _head((0, 0, *frame.size), duration_ms, _OVERWRITE)
        return _chunk(b"ANMF", head + self._coded(frame))

    def _part(self, frame: Image.Image, duration_ms: int) -> bytes:
        difference = ImageChops.difference(self._previous or frame, frame)
        # It begins at even places, and one pixel stands for none.
        left, top, right, bottom = difference.getbbox(alpha_only=False) or (0, 0, 1, 1)
        place = (left & ~1, top & ~1, right, bottom)
        part = frame.crop(place)
        blocks = _blocks(difference.crop(place)) if self._mode == "RGB" else None
        if blocks is None:
            return _chunk(b"ANMF", _head(place, duration_ms, _OVERWRITE) + self._coded(part))
        part.putalpha(blocks)
        self._flags |= _ALPHA
        return _chunk(b"ANMF", _head(place, duration_ms, _BLEND) + self._coded(part))

    def _coded(self, image: Image.Image) -> bytes:
        still = save(image, "WEBP", quality=self._quality, method=WEBP_METHOD)
        at = 12
        pieces = []
        while at < len(still):
            kind, length = struct.unpack_from("<4sI", still, at)
            end = at + 8 + length + (length & 1)
            if kind in _CODED:
                pieces.append(still[at:end])
            at = end
        return b"".join(pieces)


def _blocks(difference: Image.Image) -> Image.Image | None:
    """A mask of the blocks where anything differs, or None where they are many or none."""
    red, green, blue = difference.split()
    differs = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(_ANY)
    few = differs.reduce(_BLOCK).point(_ANY)
    if not 0 < few.histogram()[255] <= _MANY * few.width * few.height:
        return None
    return few.resize((few.width * _BLOCK, few.height * _BLOCK), Image.Resampling.NEAREST).crop(
        (0, 0, *difference.size)
    )


def _head(place: Rectangle, duration_ms: int, flags: int) -> bytes:
    left, top, right, bottom = place
    numbers = (left // 2, top // 2, right - left - 1, bottom - top - 1, min(_MOST_MS, duration_ms))
    return b"".join(map(_u24, numbers)) + bytes([flags])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) & 1)


def _u24(value: int) -> bytes:
    return value.to_bytes(3, "little")
