"""JPEG: the header's facts, told from the segments and from what lies behind the picture."""

import re
import struct
from collections.abc import Callable

from ...contract.failures import WorkFailed
from .. import jpeg_bytes
from ..header import Blocks, Header, turned
from ..metadata import exif, mp4
from . import Buffer, Metadata, damaged, piece

FRAME = struct.Struct(">BHHB")
LINES = struct.Struct(">H")
DNL = 0xDC
"""The marker that tells the number of lines where the frame header left it open."""
COMMENT = 0xFE
COLOR_SPACES = {1: "gray", 3: "rgb", 4: "cmyk"}

MORE_XMP_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
PICTURES_PREFIX = b"MPF\0"
PICTURE_ENTRIES = 0xB002
PICTURE_ENTRY_BYTES = 16

FOREIGN_BLOCK = re.compile(rb"\xff\xe1(..)(Exif\0\0|http://ns\.adobe\.com/xap/1\.0/\0)", re.DOTALL)


def read(data: Buffer) -> Header:
    """The facts of the first picture. A file that is cut off behind its frame header is still told."""
    head = read_head(data)
    return head if head.has_gps else _header(data, only_head=False)


def read_head(data: Buffer) -> Header:
    """The same without a search behind the start of the first scan, so that a location may stay unseen."""
    return _header(data, only_head=True)


def _header(data: Buffer, *, only_head: bool) -> Header:
    if data[:3] != b"\xff\xd8\xff":
        raise damaged("This is no JPEG header.")
    segments = _Segments(data, only_head=only_head)
    depth, height, width, components = segments.frame or (0, 0, 0, 0)
    height = height or segments.lines
    if only_head and height == 0:
        # Coders may tell the number of lines behind the first scan, or break the order of segments.
        return _header(data, only_head=False)
    if segments.frame is None:
        raise damaged("The JPEG has no frame header.")
    if width == 0 or height == 0:
        raise damaged("The JPEG header has no valid size.")
    if components not in COLOR_SPACES or not 2 <= depth <= 16:
        raise damaged("The JPEG header has no valid components.")
    metadata = segments.metadata
    display_width, display_height = turned(width, height, metadata.orientation)
    return Header(
        width=width,
        height=height,
        display_width=display_width,
        display_height=display_height,
        frames=segments.pictures,
        orientation=metadata.orientation,
        color_space=COLOR_SPACES[components],
        bit_depth=depth,
        has_icc_profile=segments.has_icc_profile,
        has_exif=metadata.has_exif,
        has_gps=metadata.has_gps or segments.elsewhere.has_gps or segments.video_has_location,
        blocks=segments.blocks,
    )


class _Segments:
    """What the segments of the first picture say, and what its trailer tells of a location."""

    def __init__(self, data: Buffer, *, only_head: bool) -> None:
        self.frame: tuple[int, int, int, int] | None = None
        self.lines = 0
        self.pictures = 1
        self.has_icc_profile = False
        self.metadata = Metadata()
        self.elsewhere = Metadata()
        """Of Photoshop's resources, long XMP, and other pictures: only a location in them counts."""
        self._has_comment = False
        self._profile: Callable[[], bytes] | None = None
        self._is_head = True
        self._exif_pieces: list[bytes] = []
        self._more_xmp: dict[bytes, list[tuple[int, bytes]]] = {}
        self.video_has_location = False
        trailer_at = self._walk(data, only_head=only_head)
        if not only_head:
            self._look_behind(data, trailer_at)

    @property
    def blocks(self) -> Blocks:
        """What can be told in words; long XMP lies beside the picture's own, as Photoshop's resources do."""
        own, other = self.metadata.blocks, self.elsewhere.blocks
        return Blocks(
            exif=own.exif,
            placed_xmp=own.placed_xmp,
            has_xmp=own.has_xmp,
            has_iptc=other.has_iptc,
            has_comment=self._has_comment,
            profile=self._profile,
        )

    def _walk(self, data: Buffer, *, only_head: bool) -> int:
        """Read segments up to the picture's end, or to where the file is broken, and tell that place."""
        end = 0
        try:
            for segment in jpeg_bytes.segments(data, only_head=only_head):
                end = segment.end
                self._take(data, segment)
        except WorkFailed:
            # The segments before the break stand; without a frame header among them `read` fails.
            pass
        self._finish_exif()
        return end

    def _look_behind(self, data: Buffer, trailer_at: int) -> None:
        for pieces in self._more_xmp.values():
            self.elsewhere.take_xmp(b"".join(piece for _, piece in sorted(pieces)))
        self._find_foreign(data, trailer_at)
        self.video_has_location = mp4.has_location(data, trailer_at, len(data))

    def _take(self, data: Buffer, segment: jpeg_bytes.Segment) -> None:
        marker, start, end = segment.marker, segment.start, segment.end
        if marker in jpeg_bytes.FRAMES:
            if self.frame is None and end - start >= FRAME.size:
                self.frame = FRAME.unpack_from(data, start)
        elif marker == DNL and end - start == LINES.size:
            (self.lines,) = LINES.unpack_from(data, start)
        elif marker == COMMENT:
            self._has_comment = self._has_comment or self._is_head
        elif marker == jpeg_bytes.APP1:
            self._app1(data[start:end])
        elif marker == jpeg_bytes.APP2:
            self._app2(data, start, end)
        elif marker == jpeg_bytes.APP13:
            self.elsewhere.take_photoshop(data[start:end])
        elif marker in (jpeg_bytes.SOS, jpeg_bytes.EOI):
            # Readers look for the picture's own metadata only before its first scan.
            self._finish_exif()
            self._is_head = False

    def _app1(self, body: bytes) -> None:
        if body.startswith(jpeg_bytes.EXIF_PREFIX):
            block = body.removeprefix(jpeg_bytes.EXIF_PREFIX)
            # A block that is too long for one segment goes on in the next.
            if exif.byte_order(block) is not None:
                self._finish_exif()
            self._exif_pieces.append(block)
        elif body.startswith(jpeg_bytes.XMP_PREFIX):
            self._own().take_xmp(body.removeprefix(jpeg_bytes.XMP_PREFIX))
        elif body.startswith(MORE_XMP_PREFIX) and len(body) > len(MORE_XMP_PREFIX) + 40:
            body = body.removeprefix(MORE_XMP_PREFIX)
            # A name of 32 bytes, the length of the whole, and where this piece belongs.
            place = int.from_bytes(body[36:40], "big")
            self._more_xmp.setdefault(body[:32], []).append((place, body[40:]))

    def _app2(self, data: Buffer, start: int, end: int) -> None:
        if data[start : start + len(jpeg_bytes.ICC_PREFIX)] == jpeg_bytes.ICC_PREFIX:
            if self._is_head and not self.has_icc_profile:
                self.has_icc_profile = True
                # Of a long profile the first piece says what it is; two bytes number the pieces.
                self._profile = piece(data, start + len(jpeg_bytes.ICC_PREFIX) + 2, end)
        elif data[start : start + len(PICTURES_PREFIX)] == PICTURES_PREFIX and self._is_head:
            self.pictures = _pictures(data, start + len(PICTURES_PREFIX), end)

    def _finish_exif(self) -> None:
        if self._exif_pieces:
            self._own().take_exif(b"".join(self._exif_pieces))
        self._exif_pieces = []

    def _own(self) -> Metadata:
        return self.metadata if self._is_head else self.elsewhere

    def _find_foreign(self, data: Buffer, start: int) -> None:
        """Second pictures lie behind the first, with or without an index of them."""
        for found, _ in zip(FOREIGN_BLOCK.finditer(data, start), range(Metadata.MOST_BLOCKS), strict=False):
            block = data[found.end() : found.start() + 2 + int.from_bytes(found[1], "big")]
            if found[2] == jpeg_bytes.EXIF_PREFIX:
                self.elsewhere.take_exif(block)
            else:
                self.elsewhere.take_xmp(block)


def _pictures(data: Buffer, start: int, end: int) -> int:
    """How many pictures the index of CIPA DC-007 names that are in the file; the first always is."""
    block = data[start:end]
    order = exif.byte_order(block)
    if order is None:
        return 1
    offset_of = struct.Struct(order + "8xI4x")
    for directory in exif.directories(block, order, chain=False):
        for entry in directory.entries:
            if entry.tag == PICTURE_ENTRIES:
                whole_bytes = entry.value_bytes // PICTURE_ENTRY_BYTES * PICTURE_ENTRY_BYTES
                entries = block[entry.value_at : entry.value_at + whole_bytes]
                # The first picture's offset is 0; the others' count from the index.
                return 1 + sum(
                    data[start + offset : start + offset + 2] == b"\xff\xd8"
                    for (offset,) in offset_of.iter_unpack(entries)
                    if offset
                )
    return 1
