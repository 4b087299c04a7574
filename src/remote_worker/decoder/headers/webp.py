"""WebP, still and animated: the header's facts, told from the chunks."""

import struct

from ..header import Header, turned
from . import Buffer, Metadata, damaged, piece, unpack

RIFF = struct.Struct("<4sI4s")
CHUNK = struct.Struct("<4sI")
VP8 = struct.Struct("<B2x3sHH")
VP8L = struct.Struct("<BI")
VP8X = struct.Struct("<B3xHBHB")
ANIM = struct.Struct("<4xH")
ANMF = struct.Struct("<12xHBB")

METADATA = frozenset({b"EXIF", b"XMP "})
WANTED = frozenset({b"ANIM", b"ANMF", b"ICCP"}) | METADATA
MOST_METADATA_CHUNKS = 1_000
ALPHA, ANIMATION = 0x10, 0x02


def read(data: Buffer) -> Header:
    """The facts of a WebP. An animation has alpha when its first frame has."""
    riff, size, webp = unpack(RIFF, data, 0)
    if (riff, webp) != (b"RIFF", b"WEBP"):
        raise damaged("This is no WebP header.")
    kind, _ = unpack(CHUNK, data, RIFF.size)
    start = RIFF.size + CHUNK.size
    is_animated = False
    if kind == b"VP8X":
        flags, low_width, high_width, low_height, high_height = unpack(VP8X, data, start)
        width = 1 + (low_width | high_width << 16)
        height = 1 + (low_height | high_height << 16)
        has_alpha = bool(flags & ALPHA)
        is_animated = bool(flags & ANIMATION)
    else:
        width, height, has_alpha = _picture(kind, data, start)
    chunks = _Chunks(data, min(len(data), 8 + size), is_animated=is_animated)
    is_animation = chunks.frames > 1
    display_width, display_height = turned(width, height, chunks.metadata.orientation)
    return Header(
        width=width,
        height=height,
        display_width=display_width,
        display_height=display_height,
        frames=max(1, chunks.frames),
        orientation=chunks.metadata.orientation,
        has_alpha=has_alpha and (not is_animated or chunks.first_frame_has_alpha),
        has_icc_profile=chunks.has_icc_profile,
        has_exif=chunks.metadata.has_exif,
        has_gps=chunks.metadata.has_gps,
        blocks=chunks.metadata.blocks,
        loop=chunks.loop if is_animation else None,
        duration_ms=chunks.duration_ms if is_animation else None,
        is_animation=is_animation,
    )


class _Chunks:
    """What the chunks say, up to where the file is cut off."""

    def __init__(self, data: Buffer, end: int, *, is_animated: bool) -> None:
        self.frames = 0
        self.loop = 1
        self.duration_ms = 0
        self.first_frame_has_alpha = False
        self.has_icc_profile = False
        self.metadata = Metadata()
        metadata_chunks = 0
        at = RIFF.size
        while at + CHUNK.size <= end:
            kind, length = CHUNK.unpack_from(data, at)
            start = at + CHUNK.size
            at = start + length + (length & 1)
            if kind not in WANTED:
                continue
            if kind == b"ANMF" and is_animated and start + ANMF.size <= end:
                self._frame(data, start, end)
            elif start + length > end:
                return
            elif kind in METADATA:
                metadata_chunks += 1
                if length and metadata_chunks <= MOST_METADATA_CHUNKS:
                    self._take_metadata(kind, data[start : start + length])
            elif kind == b"ICCP":
                self.has_icc_profile = length > 0
                self.metadata.profile = piece(data, start, start + length)
            elif kind == b"ANIM" and length >= ANIM.size:
                (self.loop,) = ANIM.unpack_from(data, start)

    def _take_metadata(self, kind: bytes, block: bytes) -> None:
        if kind == b"EXIF":
            self.metadata.take_exif(block)
        else:
            self.metadata.take_xmp(block)

    def _frame(self, data: Buffer, start: int, end: int) -> None:
        low, high, _ = ANMF.unpack_from(data, start)
        self.duration_ms += low | high << 16
        self.frames += 1
        inner = start + ANMF.size
        if self.frames == 1 and inner + CHUNK.size <= end:
            kind, _ = CHUNK.unpack_from(data, inner)
            if kind == b"VP8L" and inner + CHUNK.size + VP8L.size <= end:
                self.first_frame_has_alpha = _picture(kind, data, inner + CHUNK.size)[2]
            else:
                self.first_frame_has_alpha = kind == b"ALPH"


def _picture(kind: bytes, data: Buffer, start: int) -> tuple[int, int, bool]:
    """Width, height and alpha of one coded picture."""
    if kind == b"VP8 ":
        tag, code, width, height = unpack(VP8, data, start)
        width, height = width & 0x3FFF, height & 0x3FFF
        if tag & 1 or code != b"\x9d\x01\x2a" or width == 0 or height == 0:
            raise damaged("The WebP picture has no valid header.")
        return width, height, False
    if kind == b"VP8L":
        signature, bits = unpack(VP8L, data, start)
        if signature != 0x2F or bits >> 29:
            raise damaged("The WebP picture has no valid header.")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    raise damaged("The WebP does not begin with a picture.")
