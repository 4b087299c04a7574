"""Headers of JPEG XL: bare codestreams and containers."""

from dataclasses import dataclass
from fractions import Fraction

from ..header import LONGEST_MS, Header, turned
from ..metadata import exif
from . import Buffer, Metadata, damaged
from .isobmff import MOST_XMP_BYTES, Box, Walk
from .jxl_codestream import ALPHA, BLACK, SIGNATURE, Bits, read_picture
from .jxl_frames import count_frames

CONTAINER = bytes.fromhex("0000000c4a584c200d0a870a")
MOST_EXIF_BYTES = 16 * 1024 * 1024
LEAST_PLACE_BYTES = {b"Exif": 60, b"xml ": 100}
"""A block that is shorter than this cannot hold coordinates."""


def is_jxl(prefix: bytes) -> bool:
    """A container or a bare codestream."""
    return prefix.startswith((SIGNATURE, CONTAINER))


def read(data: Buffer) -> Header:
    """The facts of a JPEG XL file.

    A Brotli-compressed Exif or XMP box is not read. `has_gps` is then true unless the block is too short to
    hold coordinates: a location that may be there is not denied.
    """
    document = _open(data)
    bits = Bits(document.codestream, document.start, document.end)
    picture = read_picture(bits)
    metadata = _metadata(data, document.metadata)
    width, height = turned(picture.width, picture.height, picture.orientation)
    frames, duration_ms, loop = 1, None, None
    if picture.animation is not None:
        counted = count_frames(bits, picture)
        frames = max(1, counted.shown)
        loop = picture.animation.loops
        seconds = Fraction(counted.ticks * picture.animation.seconds, picture.animation.ticks)
        duration_ms = min(LONGEST_MS, round(1000 * seconds))
    space = "gray" if picture.is_gray else "cmyk" if BLACK in picture.extra_channels else "rgb"
    return Header(
        width=picture.width,
        height=picture.height,
        display_width=width,
        display_height=height,
        frames=frames,
        orientation=picture.orientation,
        has_alpha=ALPHA in picture.extra_channels,
        color_space=space,
        bit_depth=picture.bit_depth,
        has_icc_profile=picture.has_profile,
        has_exif=metadata.has_exif,
        has_gps=metadata.has_gps,
        loop=loop,
        duration_ms=duration_ms,
        is_animation=picture.animation is not None,
        blocks=metadata.blocks,
    )


@dataclass(frozen=True, slots=True)
class _Document:
    codestream: Buffer
    start: int
    end: int
    metadata: tuple[Box, ...] = ()


def _open(data: Buffer) -> _Document:
    if data[: len(SIGNATURE)] == SIGNATURE:
        return _Document(data, 0, len(data))
    whole: Box | None = None
    parts: list[bytes] = []
    metadata: list[Box] = []
    for box in Walk(data).top():
        if box.kind == b"jxlc" and whole is None:
            whole = box
        elif box.kind == b"jxlp":
            # The first four bytes are the part's number; parts stand in order.
            parts.append(data[min(box.start + 4, box.end) : box.end])
        elif box.kind in (b"Exif", b"xml ", b"brob"):
            metadata.append(box)
    if whole is not None:
        document = _Document(data, whole.start, whole.end, tuple(metadata))
    else:
        codestream = b"".join(parts)
        document = _Document(codestream, 0, len(codestream), tuple(metadata))
    if document.codestream[document.start : document.start + 2] != SIGNATURE:
        raise damaged("no codestream")
    return document


def _metadata(data: Buffer, found: tuple[Box, ...]) -> Metadata:
    metadata = Metadata()
    exif_left, xmp_left = MOST_EXIF_BYTES, MOST_XMP_BYTES
    for box in found:
        length = box.end - box.start
        if box.kind == b"brob":
            kind = data[box.start : box.start + 4]
            if kind in LEAST_PLACE_BYTES:
                size = _inflated_bytes(data[box.start + 4 : min(box.end, box.start + 12)])
                metadata.has_exif |= kind == b"Exif"
                metadata.has_gps |= size is None or size >= LEAST_PLACE_BYTES[kind]
        elif box.kind == b"Exif" and length <= exif_left:
            exif_left -= length
            block = data[box.start : box.end]
            # The first four bytes tell where the TIFF structure begins; some writers leave them out.
            start = 4 + int.from_bytes(block[:4], "big")
            is_bare = exif.byte_order(block) is not None or start >= length
            metadata.take_exif(block if is_bare else block[start:])
        elif box.kind == b"xml " and length <= xmp_left:
            xmp_left -= length
            metadata.take_xmp(data[box.start : box.end])
    return metadata


def _inflated_bytes(head: bytes) -> int | None:
    """The length that a Brotli stream of one block claims; None for a stream of several."""
    bits = int.from_bytes(head, "little")
    if bits & 1 == 0:
        at = 1
    elif bits & 0x0E:
        at = 4
    elif bits & 0x70 != 0x10:
        at = 7
    else:
        return None
    is_last, is_empty = bits >> at & 1, bits >> at + 1 & 1
    if not is_last:
        return None
    if is_empty:
        return 0
    nibbles = 4 + (bits >> at + 2 & 3)
    if nibbles == 7 or at + 4 + 4 * nibbles > 8 * len(head):
        return None
    return 1 + (bits >> at + 4 & (1 << 4 * nibbles) - 1)
