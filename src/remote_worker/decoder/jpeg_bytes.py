"""JPEG files as marker segments: rid of metadata, or of location alone, without touching the picture."""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..contract.failures import FailureCode, WorkFailed
from .metadata import exif, iptc, xmp

Buffer = bytes | mmap.mmap
Pieces = list[bytes | memoryview]
"""A file in order. What stays as it is shows the memory of the upload instead of holding a copy."""

MOST_SEGMENTS = 65_536
MOST_PAYLOAD = 65_533

SOI, EOI, SOS, TEM = 0xD8, 0xD9, 0xDA, 0x01
APP0, APP1, APP2, APP13, APP14, COM = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Frame headers; 0xC4, 0xC8 and 0xCC are the tables of Huffman, an extension, and arithmetic coding."""
PROGRESSIVE = frozenset({0xC2, 0xCA})
RESTARTS = range(0xD0, 0xD8)
TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}) | FRAMES
"""What a decoder needs besides scans."""

EXIF_PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
ICC_PREFIX = b"ICC_PROFILE\0"
COMMENT_PLACE = re.compile(rb"(?i)gps|latitude|longitude|location|city|country|\$G[A-Z]{4},")

MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends a scan: neither a stuffed zero nor a restart nor a fill byte."""
MARKER = re.compile(rb"\xff[\x01-\xfe]")


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker with its payload; `end` lies behind the entropy-coded bytes when it starts a scan."""

    marker: int
    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Component:
    """How one colour channel is stored."""

    identity: int
    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A file cut into its segments. `end` is the offset behind the first picture's end marker."""

    segments: tuple[Segment, ...]
    end: int
    process: int
    bits: int
    width: int
    height: int
    components: tuple[Component, ...]
    orientation: int
    """1 to 8; what is no valid number counts as 1."""

    @property
    def is_progressive(self) -> bool:
        """Whether the picture comes in scans of rising detail."""
        return self.process in PROGRESSIVE


def read(data: Buffer) -> Jpeg:
    """Cut a JPEG into segments. Raises WorkFailed when it is none, or has no whole first picture."""
    found = tuple(segments(data))
    end = found[-1].end
    frames = [segment for segment in found if segment.marker in FRAMES]
    scans = [segment for segment in found if segment.marker == SOS]
    if len(frames) != 1 or not scans or scans[0].at < frames[0].at:
        raise _damaged("not one frame with its scans")
    payload = data[frames[0].start : frames[0].end]
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise _damaged("a frame header that is cut")
    bits, height, width, count = struct.unpack_from(">BHHB", payload)
    if not (width and height and count):
        raise _damaged("an empty picture")
    components = tuple(
        Component(payload[at], payload[at + 1] >> 4, payload[at + 1] & 15, payload[at + 2])
        for at in range(6, 6 + 3 * count, 3)
    )
    head = tuple(segment for segment in found if segment.at < scans[0].at)
    return Jpeg(
        found, end, frames[0].marker, bits, width, height, components, orientation=_orientation(data, head)
    )


def strip(data: Buffer, jpeg: Jpeg | None = None) -> Pieces:
    """The picture byte for byte with its colour profile, and nothing else: no metadata, no trailer."""
    return _rebuilt(data, jpeg or read(data), keep_metadata=False)


def keep(data: Buffer, jpeg: Jpeg | None = None) -> Pieces:
    """The picture byte for byte with its metadata freed of location, and orientation 1."""
    return _rebuilt(data, jpeg or read(data), keep_metadata=True)


def picture(data: Buffer, jpeg: Jpeg) -> bytes:
    """The coded picture alone, without its profile."""
    return b"".join([b"\xff\xd8", *_segments(_head(data, head_of(jpeg))), *_coded(data, jpeg)])


def is_rgb(data: Buffer, jpeg: Jpeg) -> bool:
    """Whether three channels are red, green and blue, and not luminance and chroma, as libjpeg tells it."""
    head = _head(data, head_of(jpeg))
    if len(jpeg.components) != 3 or APP0 in head:
        return False
    if APP14 in head:
        return head[APP14][11] == 0
    return bytes(component.identity for component in jpeg.components) == b"RGB"


def with_carried(made: bytes, data: Buffer, jpeg: Jpeg, *, keep_metadata: bool) -> Pieces:
    """Another picture, made from this one, with the profile (and metadata) that this file carried.

    It is one that a library here has just written, so that all behind its head is its scans.
    """
    made_head = tuple(segments(made, only_head=True))
    head = _head(made, made_head)
    if APP0 in head:
        # An encoder does not know the density, so the one of the upload comes back.
        head[APP0] = _head(data, head_of(jpeg)).get(APP0, head[APP0])
    tables = [made[segment.at : segment.end] for segment in made_head if segment.marker in TABLES]
    carried = _carried(data, jpeg, keep_metadata=keep_metadata, sides_swapped=jpeg.orientation >= 5)
    return [b"\xff\xd8", *_segments(head), *carried, *tables, memoryview(made)[made_head[-1].end :]]


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height as stored, without a look at the scans; None where no frame header tells them."""
    try:
        for segment in segments(data, only_head=True):
            if segment.marker in FRAMES:
                height, width = struct.unpack_from(">xHH", data, segment.start)
                return width, height
    except (WorkFailed, struct.error):
        pass
    return None


def segments(data: Buffer, *, only_head: bool = False) -> Iterator[Segment]:
    """All segments from the start marker to the first picture's end marker, both included.

    `only_head` stops before the first scan, and so without a search through all coded bytes, which takes
    half a millisecond a megabyte. As in libjpeg, bytes between segments that are no marker are skipped.
    Raises WorkFailed.
    """
    if data[:2] != b"\xff\xd8":
        raise WorkFailed(FailureCode.NOT_A_JPEG, "no JPEG start marker")
    yield Segment(SOI, 0, 2, 2)
    size = len(data)
    at = 2
    for _ in range(MOST_SEGMENTS):
        match = MARKER.search(data, at)
        if match is None:
            raise _damaged("the picture has no end marker")
        start = match.end()
        marker = data[start - 1]
        if marker == EOI:
            yield Segment(EOI, start - 2, start, start)
            return
        if marker in RESTARTS or marker == TEM:
            at = start
            continue
        if marker == SOI or marker < 0xC0:
            raise _damaged("a marker that cannot stand there")
        length = int.from_bytes(data[start : start + 2], "big")
        end = start + length
        if length < 2 or end > size:
            raise _damaged("a segment of impossible length")
        if marker == SOS:
            if only_head:
                return
            match = MARKER_IN_SCAN.search(data, end)
            if match is None:
                raise _damaged("the picture has no end marker")
            end = match.start()
        yield Segment(marker, start - 2, start + 2, end)
        at = end
    raise _damaged("too many segments")


def profile(data: Buffer, head: tuple[Segment, ...]) -> bytes | None:
    """The ICC profile, joined from its chunks; None unless every chunk is there once."""
    chunks: dict[int, bytes] = {}
    counts = set()
    for segment in head:
        if segment.marker == APP2 and data[segment.start : segment.start + 12] == ICC_PREFIX:
            payload = data[segment.start + 12 : segment.end]
            if len(payload) < 2 or payload[0] in chunks:
                return None
            chunks[payload[0]] = payload[2:]
            counts.add(payload[1])
    if counts != {len(chunks)} or set(chunks) != set(range(1, len(chunks) + 1)):
        return None
    return b"".join(chunks[index] for index in sorted(chunks)) or None


def exif_block(data: Buffer, head: tuple[Segment, ...]) -> bytes:
    """The first EXIF block without its prefix, joined where it runs over several segments."""
    block = b""
    for segment in head:
        if segment.marker == APP1 and data[segment.start : segment.start + 6] == EXIF_PREFIX:
            piece = data[segment.start + 6 : segment.end]
            if block and exif.byte_order(piece) is not None:
                break
            block += piece
    return block


def xmp_packet(data: Buffer, head: tuple[Segment, ...]) -> bytes:
    """The first main XMP packet, without its extension."""
    for segment in head:
        if segment.marker == APP1 and data[segment.start : segment.start + len(XMP_PREFIX)] == XMP_PREFIX:
            return data[segment.start + len(XMP_PREFIX) : segment.end]
    return b""


def head_of(jpeg: Jpeg) -> tuple[Segment, ...]:
    """The segments before the first scan; readers look for metadata nowhere else."""
    for index, segment in enumerate(jpeg.segments):
        if segment.marker == SOS:
            return jpeg.segments[:index]
    return jpeg.segments


def _orientation(data: Buffer, head: tuple[Segment, ...]) -> int:
    stated = exif.read(exif_block(data, head)).orientation
    if stated is None:
        stated = xmp.orientation(xmp_packet(data, head))
    return stated or 1


def _rebuilt(data: Buffer, jpeg: Jpeg, *, keep_metadata: bool) -> Pieces:
    carried = _carried(data, jpeg, keep_metadata=keep_metadata, sides_swapped=False)
    return [b"\xff\xd8", *_segments(_head(data, head_of(jpeg))), *carried, *_coded(data, jpeg)]


def _segments(payloads: dict[int, bytes]) -> list[bytes]:
    return [_segment(marker, payload) for marker, payload in payloads.items()]


def _coded(data: Buffer, jpeg: Jpeg) -> Pieces:
    """Tables, frame and scans as they are, in runs as long as possible, and the end marker."""
    view = memoryview(data)
    pieces: Pieces = []
    start = end = 0
    for segment in jpeg.segments:
        if segment.marker == SOS or segment.marker in TABLES:
            if segment.at != end:
                pieces.append(view[start:end])
                start = segment.at
            end = segment.end
    return [*pieces, view[start:end], b"\xff\xd9"]


def _head(data: Buffer, head: tuple[Segment, ...]) -> dict[int, bytes]:
    """The JFIF payload without its thumbnail and Adobe's, by which decoders tell the colours apart."""
    found: dict[int, bytes] = {}
    for segment in head:
        payload = data[segment.start : min(segment.end, segment.start + 14)]
        if segment.marker == APP0 and payload[:5] == b"JFIF\0" and len(payload) == 14:
            found[APP0] = payload[:12] + b"\0\0"
        elif segment.marker == APP14 and payload[:5] == b"Adobe" and len(payload) >= 12:
            found[APP14] = payload[:12]
    return dict(sorted(found.items()))


def _carried(data: Buffer, jpeg: Jpeg, *, keep_metadata: bool, sides_swapped: bool) -> list[bytes]:
    head = head_of(jpeg)
    carried = _metadata(data, head, sides_swapped=sides_swapped) if keep_metadata else []
    icc = profile(data, head)
    if icc is not None:
        room = MOST_PAYLOAD - 14
        chunks = [icc[at : at + room] for at in range(0, len(icc), room)]
        for number, chunk in enumerate(chunks, 1):
            carried.append(_segment(APP2, ICC_PREFIX + bytes((number, len(chunks))) + chunk))
    return carried


def _metadata(data: Buffer, head: tuple[Segment, ...], *, sides_swapped: bool) -> list[bytes]:
    """EXIF, XMP, IPTC and comments without location. Of other segments nobody can say what they tell."""
    kept = []
    block = exif.scrubbed(exif_block(data, head), sides_swapped=sides_swapped)
    kept += _split(APP1, EXIF_PREFIX, block)
    packet = xmp.scrubbed(xmp_packet(data, head))
    if 0 < len(packet) <= MOST_PAYLOAD - len(XMP_PREFIX):
        kept.append(_segment(APP1, XMP_PREFIX + packet))
    photoshop = b""
    for segment in head:
        if segment.marker == APP13 and data[segment.start : segment.start + 14] == iptc.PHOTOSHOP:
            photoshop += data[segment.start + 14 : segment.end]
    kept += _split(APP13, iptc.PHOTOSHOP, iptc.scrubbed_photoshop(photoshop))
    for segment in head:
        text = data[segment.start : segment.end]
        if segment.marker == COM and COMMENT_PLACE.search(text) is None:
            kept.append(_segment(COM, text))
    return kept


def _split(marker: int, prefix: bytes, block: bytes) -> list[bytes]:
    room = MOST_PAYLOAD - len(prefix)
    return [_segment(marker, prefix + block[at : at + room]) for at in range(0, len(block), room)]


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _damaged(detail: str) -> WorkFailed:
    return WorkFailed(FailureCode.DAMAGED, detail)
