"""TIFF and BigTIFF: the header's facts, told from the directories."""

import struct
from dataclasses import dataclass

from ..header import Blocks, Header, turned
from ..metadata import exif
from . import Buffer, Metadata, damaged, unpack

MOST_PAGES = 1_048_576
"""More directories than any reader follows; the chain may be as long as the file has offsets."""
MOST_ENTRIES = 4096
"""Of one directory that are looked at."""
MOST_VALUES = 64
PAGES_SEARCHED = 256
"""Pages in which a location is looked for."""

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, PHOTOMETRIC = 256, 257, 258, 262
ORIENTATION, SAMPLES_PER_PIXEL, EXTRA_SAMPLES = 274, 277, 338
XMP_PACKET, IPTC, PHOTOSHOP, ICC_PROFILE = 700, 33723, 34377, 34675
EXIF_DIRECTORY, GPS_DIRECTORY = 34665, 34853

COLOR_SPACES = {
    0: ("gray", 1),
    1: ("gray", 1),
    2: ("rgb", 3),
    3: ("rgb", 1),
    4: ("gray", 1),
    5: ("cmyk", 4),
    6: ("rgb", 3),
    8: ("lab", 3),
    9: ("lab", 3),
    10: ("lab", 3),
    32844: ("gray", 1),
    32845: ("rgb", 3),
}
"""Colour space and number of colour samples of each photometric interpretation (6 is YCbCr)."""
PALETTE = 3
ALPHA = frozenset({1, 2})
"""The extra samples that are alpha, premultiplied or not."""

TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
"""Struct letters of the field types that hold unsigned numbers."""
TYPE_BYTES = {**exif.TYPE_BYTES, 16: 8, 17: 8, 18: 8}


def read(data: Buffer) -> Header:
    """The facts of the first page, and how many pages there are."""
    file = _File(data)
    pages = file.pages()
    if not pages:
        raise damaged("The TIFF has no page.")
    page = file.directory(pages[0])
    width = file.number(page, IMAGE_WIDTH, 0)
    height = file.number(page, IMAGE_LENGTH, 0)
    if width == 0 or height == 0:
        raise damaged("The TIFF header has no valid size.")
    samples = file.number(page, SAMPLES_PER_PIXEL, 1)
    photometric = file.number(page, PHOTOMETRIC, 2 if samples >= 3 else 1)
    color_space, color_samples = COLOR_SPACES.get(photometric, ("rgb" if samples >= 3 else "gray", samples))
    bit_depth = max(file.numbers(page, BITS_PER_SAMPLE), default=1)
    if bit_depth == 0:
        raise damaged("The TIFF header has no valid number of bits.")
    metadata = _metadata(file, page, pages)
    blocks = Blocks(
        exif=data,
        placed_xmp=metadata.blocks.placed_xmp,
        has_xmp=XMP_PACKET in page,
        has_iptc=metadata.has_iptc or IPTC in page,
        profile=lambda: file.value(page, ICC_PROFILE),
    )
    stated = file.number(page, ORIENTATION, 0)
    orientation = stated if 1 <= stated <= 8 else metadata.orientation
    display_width, display_height = turned(width, height, orientation)
    return Header(
        width=width,
        height=height,
        display_width=display_width,
        display_height=display_height,
        frames=len(pages),
        orientation=orientation,
        has_alpha=samples > color_samples and not ALPHA.isdisjoint(file.numbers(page, EXTRA_SAMPLES)),
        color_space=color_space,
        bit_depth=8 if photometric == PALETTE else bit_depth,
        has_icc_profile=len(file.value(page, ICC_PROFILE)) > 0,
        has_exif=EXIF_DIRECTORY in page,
        has_gps=metadata.has_gps,
        blocks=blocks,
    )


def _metadata(file: "_File", page: "_Directory", pages: list[int]) -> Metadata:
    metadata = Metadata()
    elsewhere = Metadata()
    if packet := file.value(page, XMP_PACKET):
        metadata.take_xmp(packet)
    if resources := file.value(page, PHOTOSHOP):
        elsewhere.take_photoshop(resources)
        metadata.has_iptc = elsewhere.has_iptc
    # The file is one EXIF structure, and previews inside it may have their own.
    metadata.has_gps = metadata.has_gps or elsewhere.has_gps or exif.read(file.data).has_gps
    for at in pages[:PAGES_SEARCHED]:
        if metadata.has_gps:
            break
        metadata.has_gps = _tells_location(file, at)
    return metadata


def _tells_location(file: "_File", at: int) -> bool:
    target = file.number(file.directory(at), GPS_DIRECTORY, 0)
    return not exif.GPS_COORDINATES.isdisjoint(file.directory(target)) if target else False


@dataclass(frozen=True, slots=True)
class _Entry:
    """One field: where its value lies, whether in the entry or elsewhere."""

    kind: int
    count: int
    at: int


_Directory = dict[int, _Entry]


class _File:
    """A TIFF's byte order, width of offsets, and directories."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        orders = {b"II": "<", b"MM": ">"}
        order = orders.get(data[:2])
        # Some writers give the version in the other byte order, and readers let them.
        version = data[2:4].strip(b"\0")
        if order is None or version not in (b"*", b"+") or len(data[2:4]) < 2:
            raise damaged("This is no TIFF header.")
        self.order = order
        self.is_big = version == b"+"
        self._count = struct.Struct(order + ("Q" if self.is_big else "H"))
        self._entry = struct.Struct(order + ("HHQ8x" if self.is_big else "HHI4x"))
        self._offset = struct.Struct(order + ("Q" if self.is_big else "I"))
        self._first: int = unpack(self._offset, data, 8 if self.is_big else 4)[0]

    def pages(self) -> list[int]:
        """The offsets of the directories in the chain, each once, up to a broken link."""
        at = self._first
        seen: dict[int, None] = {}
        last = len(self.data) - self._count.size
        while 0 < at <= last and at not in seen:
            (entries,) = self._count.unpack_from(self.data, at)
            end = at + self._count.size + entries * self._entry.size
            if entries == 0 or end > len(self.data):
                break
            seen[at] = None
            if len(seen) > MOST_PAGES:
                raise damaged("The TIFF has too many directories.")
            if end + self._offset.size > len(self.data):
                break
            (at,) = self._offset.unpack_from(self.data, end)
        return list(seen)

    def directory(self, at: int) -> _Directory:
        """The fields of a directory by tag; of a repeated tag the first counts."""
        found: _Directory = {}
        start = at + self._count.size
        if not 0 < at <= len(self.data) - self._count.size:
            return found
        claimed: int = self._count.unpack_from(self.data, at)[0]
        count = min(claimed, MOST_ENTRIES, (len(self.data) - start) // self._entry.size)
        for index in range(count):
            entry_at = start + index * self._entry.size
            tag, kind, number = self._entry.unpack_from(self.data, entry_at)
            value_at = entry_at + self._entry.size - self._offset.size
            if number * TYPE_BYTES.get(kind, 1) > self._offset.size:
                (value_at,) = self._offset.unpack_from(self.data, value_at)
            found.setdefault(tag, _Entry(kind, number, value_at))
        return found

    def value(self, directory: _Directory, tag: int) -> bytes:
        """A field's bytes, empty when it is missing or not all there."""
        entry = directory.get(tag)
        if entry is None:
            return b""
        end = entry.at + entry.count * TYPE_BYTES.get(entry.kind, 1)
        return self.data[entry.at : end] if end <= len(self.data) else b""

    def numbers(self, directory: _Directory, tag: int) -> tuple[int, ...]:
        """A field's first unsigned numbers, none when it is missing, cut off or of another type."""
        entry = directory.get(tag)
        letter = TYPES.get(entry.kind) if entry else None
        if entry is None or letter is None:
            return ()
        layout = struct.Struct(f"{self.order}{min(entry.count, MOST_VALUES)}{letter}")
        if entry.at + layout.size > len(self.data):
            return ()
        return layout.unpack_from(self.data, entry.at)

    def number(self, directory: _Directory, tag: int, default: int) -> int:
        """A field's first unsigned number."""
        return next(iter(self.numbers(directory, tag)), default)
