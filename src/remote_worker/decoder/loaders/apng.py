"""The frames of an APNG: each decoded as a PNG of its own and laid over the others as the format says.

Pillow's own compositing loses alpha under half-clear pixels and takes the wrong picture for the previous one.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, PngImagePlugin

from .. import color, png_chunks
from ..header import Header
from ..headers import Buffer
from ..headers import png as chunks
from .layers import Disposal, Layer, composited
from .loader import Frame, Size, damaged, library_errors, same_size

Info = dict[str | tuple[int, int], Any]
"""What Pillow hangs on a picture beside its pixels."""

_CONTROL = struct.Struct(">IIIIIHHBB")
_DISPOSALS = (Disposal.KEEP, Disposal.CLEAR, Disposal.RESTORE)
_OVER = 1
_MOST_BYTES = {b"PLTE": 768, b"tRNS": 256}
"""Every frame gets these, so that what is longer than any palette must not be copied along."""
_COLOR_FACTS = ("icc_profile", "gamma", "srgb")


def frames(data: Buffer, header: Header, facts: Info) -> Iterator[Frame]:
    """Every frame; `facts` are what Pillow read before the pixels, of which those about colour go along."""
    about_color: Info = {name: facts[name] for name in _COLOR_FACTS if name in facts}
    for image, duration_ms in composited(_layers(data, header), (header.width, header.height)):
        image.info = about_color.copy()
        yield Frame(image, duration_ms)


@dataclass(slots=True)
class _Part:
    """One frame as its chunks tell it."""

    width: int
    height: int
    left: int
    top: int
    duration_ms: int
    disposal: Disposal
    replaces: bool
    data: list[bytes] = field(default_factory=list)

    @classmethod
    def read(cls, body: bytes, canvas: Size) -> "_Part":
        _, width, height, left, top, delay, per_second, disposal, blend = _CONTROL.unpack(body)
        if not (0 < width <= canvas[0] - left and 0 < height <= canvas[1] - top):
            raise damaged("a frame outside the canvas")
        if disposal >= len(_DISPOSALS) or blend > _OVER:
            raise damaged("a frame with an unknown disposal or blend")
        duration_ms = round(delay * 1000 / (per_second or 100))
        return cls(width, height, left, top, duration_ms, _DISPOSALS[disposal], blend != _OVER)


def _layers(data: Buffer, header: Header) -> Iterator[Layer]:
    canvas = (header.width, header.height)
    shared: dict[bytes, bytes] = {}
    part: _Part | None = None
    is_before_pixels = True
    frames_left = header.frames
    for kind, start, end in _chunks(data):
        if kind in _MOST_BYTES and end - start <= _MOST_BYTES[kind] and is_before_pixels:
            shared[kind] = data[start:end]
        elif kind == b"fcTL":
            if part:
                yield _layer(part, data, shared, header)
                frames_left -= 1
            with library_errors():
                part = _Part.read(data[start:end], canvas)
        elif kind == b"IDAT":
            is_before_pixels = False
            # Without a control before it, it is a picture for other readers that is no part of the animation.
            if part:
                if (part.width, part.height) != canvas:
                    raise damaged("the first frame is not as large as the canvas")
                part.data.append(data[start:end])
        elif kind == b"fdAT" and part:
            part.data.append(data[start + 4 : end])
    if part:
        yield _layer(part, data, shared, header)
        frames_left -= 1
    if frames_left:
        raise damaged("fewer frames than were counted")


def _chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    at = len(chunks.SIGNATURE)
    last = len(data) - chunks.CHUNK.size
    while at <= last:
        length, kind = chunks.CHUNK.unpack_from(data, at)
        if kind == b"IEND" or length > chunks.LONGEST:
            return
        yield kind, at + 8, at + 8 + length
        at += length + 12


def _layer(part: _Part, data: Buffer, shared: dict[bytes, bytes], header: Header) -> Layer:
    with library_errors():
        image = _decoded(part, data, shared)
    image = color.workable(image, header.bit_depth)
    if image.mode == "I":
        image = color.to_srgb(image, color.Profile())
    return Layer(image, part.left, part.top, part.duration_ms, part.disposal, part.replaces)


def _decoded(part: _Part, data: Buffer, shared: dict[bytes, bytes]) -> Image.Image:
    """The frame's pixels, from a file that has its size and otherwise the canvas's header."""
    head = struct.pack(">II", part.width, part.height) + data[24:29]
    file = [
        png_chunks.SIGNATURE,
        png_chunks.chunk(b"IHDR", head),
        *(png_chunks.chunk(kind, body) for kind, body in shared.items()),
        png_chunks.chunk(b"IDAT", b"".join(part.data)),
        png_chunks.chunk(b"IEND", b""),
    ]
    image = PngImagePlugin.PngImageFile(io.BytesIO(b"".join(file)))
    same_size(image, (part.width, part.height))
    image.load()
    return image
