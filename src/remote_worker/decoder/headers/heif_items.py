"""The meta box of HEIF and AVIF: its items, how they refer to each other, properties and locations."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import damaged
from .isobmff import MOST_XMP_BYTES, Box, Walk

MOST_ITEMS = 16_384
MOST_REFERENCES = 65_536
MOST_EXTENTS = 64
MOST_EXIF_BYTES = 16 * 1024 * 1024
MOST_METADATA_ITEMS = 64
METADATA_KINDS = frozenset({b"Exif", b"mime"})
XMP = b"application/rdf+xml"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the item list."""

    kind: bytes
    is_hidden: bool
    content_type: bytes = b""
    content_encoding: bytes = b""


@dataclass(frozen=True, slots=True)
class Reference:
    """`source` refers to `targets`, as a thumbnail, an auxiliary picture, a derivation..."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of an item lie: pieces counted from the file's or the idat box's first byte."""

    is_in_idat: bool
    extents: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Meta:
    """All of one meta box."""

    walk: Walk
    primary: int | None = None
    items: dict[int, Item] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    associations: dict[int, tuple[int, ...]] = field(default_factory=dict)
    locations: dict[int, Location] = field(default_factory=dict)
    idat: Box | None = None

    def properties_of(self, item: int | None) -> Iterator[Box]:
        """The properties of an item in the order in which they are listed."""
        for index in self.associations.get(item, ()) if item is not None else ():
            if 0 < index <= len(self.properties):
                yield self.properties[index - 1]

    def property_of(self, item: int, kind: bytes) -> Box | None:
        """The first property of a kind."""
        return next((box for box in self.properties_of(item) if box.kind == kind), None)

    def exif_blocks(self) -> Iterator[bytes]:
        """The TIFF structures of the Exif items."""
        for block in self._metadata(b"Exif", b"", MOST_EXIF_BYTES):
            # The first four bytes tell how far behind them the TIFF structure begins.
            start = 4 + int.from_bytes(block[:4], "big")
            yield block[start if start < len(block) else 4 :]

    def xmp_packets(self) -> Iterator[bytes]:
        """The XMP packets."""
        yield from self._metadata(b"mime", XMP, MOST_XMP_BYTES)

    def _metadata(self, kind: bytes, content_type: bytes, left: int) -> Iterator[bytes]:
        for number, location in self.locations.items():
            item = self.items[number]
            if item.kind != kind or item.content_type != content_type:
                continue
            content = self._content(location, left)
            if item.content_encoding == b"deflate":
                content = _inflate(content, left)
            left -= len(content)
            if content:
                yield content

    def _content(self, location: Location, most: int) -> bytes:
        data = self.walk.data
        start, end = 0, len(data)
        if location.is_in_idat:
            if self.idat is None:
                return b""
            start, end = self.idat.start, self.idat.end
        pieces = []
        for offset, length in location.extents:
            at = start + offset
            stop = min(end, at + length) if length else end
            piece = data[at : min(stop, at + most)] if at < stop else b""
            most -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)


def read_meta(walk: Walk, box: Box) -> Meta:
    """Read a meta box. Items that are missing a part simply lack it; broken boxes raise DAMAGED."""
    meta = Meta(walk)
    location_boxes = []
    for child in walk.inside(box, skip=4):
        if child.kind == b"pitm":
            fields = walk.fields(child)
            version, _ = fields.version_and_flags()
            meta.primary = fields.number(2 if version == 0 else 4)
        elif child.kind == b"iinf":
            _read_items(meta, child)
        elif child.kind == b"iref":
            _read_references(meta, child)
        elif child.kind == b"iprp":
            _read_properties(meta, child)
        elif child.kind == b"iloc":
            location_boxes.append(child)
        elif child.kind == b"idat":
            meta.idat = child
    # Locations may stand before the items that tell which of them matter.
    for child in location_boxes[:1]:
        _read_locations(meta, child)
    return meta


def _read_items(meta: Meta, box: Box) -> None:
    fields = meta.walk.fields(box)
    version, _ = fields.version_and_flags()
    fields.number(2 if version == 0 else 4)
    for child in meta.walk.inside(box, skip=6 if version == 0 else 8):
        if child.kind != b"infe":
            continue
        if len(meta.items) >= MOST_ITEMS:
            raise damaged("too many items")
        entry = meta.walk.fields(child)
        version, flags = entry.version_and_flags()
        if version < 2:
            continue
        number = entry.number(2 if version == 2 else 4)
        entry.take(2)
        kind = entry.take(4)
        content_type = encoding = b""
        if kind == b"mime":
            entry.text()
            content_type, encoding = entry.text(), entry.text()
        meta.items.setdefault(number, Item(kind, bool(flags & 1), content_type, encoding))


def _read_references(meta: Meta, box: Box) -> None:
    version, _ = meta.walk.fields(box).version_and_flags()
    size = 2 if version == 0 else 4
    left = MOST_REFERENCES
    for child in meta.walk.inside(box, skip=4):
        fields = meta.walk.fields(child)
        source = fields.number(size)
        count = fields.number(2)
        left -= 1 + count
        if left < 0:
            raise damaged("too many references")
        targets = struct.unpack(f">{count}{'H' if size == 2 else 'I'}", fields.take(count * size))
        meta.references.append(Reference(child.kind, source, targets))


def _read_properties(meta: Meta, box: Box) -> None:
    for child in meta.walk.inside(box):
        if child.kind == b"ipco" and not meta.properties:
            meta.properties = list(meta.walk.inside(child))
        elif child.kind == b"ipma":
            _read_associations(meta, child)


def _read_associations(meta: Meta, box: Box) -> None:
    fields = meta.walk.fields(box)
    version, flags = fields.version_and_flags()
    count = fields.number(4)
    if count > MOST_ITEMS:
        raise damaged("too many property associations")
    for _ in range(count):
        item = fields.number(2 if version < 1 else 4)
        listed = fields.number(1)
        if flags & 1:
            wide = struct.unpack(f">{listed}H", fields.take(2 * listed))
            indices = tuple(index & 0x7FFF for index in wide)
        else:
            indices = tuple(index & 0x7F for index in fields.take(listed))
        meta.associations.setdefault(item, indices)


def _read_locations(meta: Meta, box: Box) -> None:
    fields = meta.walk.fields(box)
    version, _ = fields.version_and_flags()
    sizes = fields.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if version == 0:
        index_size = 0
    if not {offset_size, length_size, base_size, index_size} <= {0, 4, 8}:
        raise damaged("item locations of an unknown size")
    count = fields.number(2 if version < 2 else 4)
    if count > MOST_ITEMS:
        raise damaged("too many item locations")
    for _ in range(count):
        number = fields.number(2 if version < 2 else 4)
        method = fields.number(2) & 15 if version else 0
        source = fields.number(2)
        base = fields.number(base_size)
        extents = fields.number(2)
        item = meta.items.get(number)
        is_metadata = item is not None and item.kind in METADATA_KINDS
        is_readable = method <= 1 and source == 0 and extents <= MOST_EXTENTS
        if not is_metadata or not is_readable or len(meta.locations) >= MOST_METADATA_ITEMS:
            fields.take(extents * (index_size + offset_size + length_size))
            continue
        pieces = []
        for _ in range(extents):
            fields.take(index_size)
            pieces.append((base + fields.number(offset_size), fields.number(length_size)))
        meta.locations.setdefault(number, Location(method == 1, tuple(pieces)))


def _inflate(content: bytes, most: int) -> bytes:
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window).decompress(content, max(1, most))
        except zlib.error:
            continue
    return b""
