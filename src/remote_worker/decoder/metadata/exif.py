"""EXIF blocks (a TIFF structure): orientation, whether they tell a location, and a copy without it."""

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from . import xmp

Buffer = bytes | bytearray | mmap.mmap

MOST_BYTES = 16 * 1024 * 1024
MOST_ENTRIES = 4096
MOST_DIRECTORIES = 64
MOST_INNER_BLOCKS = 8
MOST_XMP_BYTES = 4 * 1024 * 1024
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}

SUB_DIRECTORIES = 0x014A
ORIENTATION = 0x0112
XMP_PACKET = 0x02BC
EXIF_DIRECTORY = 0x8769
GPS_DIRECTORY = 0x8825
INTEROP_DIRECTORY = 0xA005
POINTERS = frozenset({SUB_DIRECTORIES, EXIF_DIRECTORY, INTEROP_DIRECTORY})
KEPT_POINTERS = frozenset({EXIF_DIRECTORY, INTEROP_DIRECTORY})
GPS_COORDINATES = frozenset({1, 2, 3, 4, 19, 20, 21, 22})
"""Latitude and longitude with their hemispheres, and the same of the destination."""
MAKE = 0x010F
MAKER_NOTE = 0x927C
SIDES = ((0x0100, 0x0101), (0xA002, 0xA003))
"""Width and height of the picture, as TIFF and EXIF note them."""
DROPPED = frozenset(
    {
        SUB_DIRECTORIES,
        GPS_DIRECTORY,
        XMP_PACKET,
        0x0201,  # The thumbnail's offset and length; it would also show the picture as it lay.
        0x0202,
        0x83BB,  # IPTC
        0x8649,  # Photoshop resources
        0x830E,  # GeoTIFF: scale, tie points, matrix, keys
        0x8480,
        0x8482,
        0x85D8,
        0x87AF,
        0x87B0,
        0x87B1,
        0xA214,  # Where in the picture its subject is; exiftool calls it SubjectLocation
        0xA480,  # GDAL
        0xA481,
        0xC634,  # DNG private data, a maker note of another name
        0xEA1C,  # Padding
    }
)
PLACELESS_NOTES = (b"Apple iOS\0", b"FUJIFILM", b"OLYMP\0", b"OLYMPUS\0", b"OM SYSTEM\0")
"""How the maker notes begin in which exiftool knows no place. Canon's is kept without one field, those of
other makers are dropped: Nikon, Panasonic, Pentax, Samsung, Sony, Casio, DJI and more have fields for
coordinates or names of places."""
CANON_TIME_ZONE = 0x0035
"""The city of the time zone that the camera is set to."""
NMEA = re.compile(rb"\$G[PNLAB][A-Z]{3},")


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What one block says. `orientation` is 1..8, or None where it says nothing usable."""

    orientation: int | None = None
    has_gps: bool = False


def read(block: Buffer) -> ExifFacts:
    """The facts of a block, with or without its `Exif` prefix. A broken block gives what can be read."""
    start = _start(block)
    facts = _read_structure(block[start:] if start else block)
    if facts.has_gps:
        return facts
    # Thumbnails and previews are JPEGs with an EXIF block of their own, wherever a maker put them.
    position = start
    for _ in range(MOST_INNER_BLOCKS):
        position = block.find(b"Exif\0\0", position)
        if position < 0:
            break
        position += 6
        if _read_structure(block[position : position + 0xFFFF]).has_gps:
            return ExifFacts(facts.orientation, has_gps=True)
    return facts


def scrubbed(block: bytes, *, sides_swapped: bool = False) -> bytes:
    """A copy without location, thumbnail and previews, with orientation 1; empty when that cannot be sure.

    What is kept stays at its offset, because maker notes hold offsets of their own. The rest is zeroed.
    `sides_swapped` exchanges the noted width and height, for a picture that was turned by 90 degrees.
    """
    block = block[_start(block) :]
    order = byte_order(block)
    if order is None or len(block) > MOST_BYTES:
        return b""
    found = list(directories(block, order, pointers=KEPT_POINTERS, chain=False))
    kept = [directory for directory in found if not directory.is_gps]
    if not kept or not all(directory.is_whole for directory in found):
        return b""
    copy = bytearray(len(block))
    places = {directory.at for directory in kept}
    make = _make(block, kept[0])
    budget = 2 * len(block)
    lists = []
    end = 8
    for directory in kept:
        records = []
        for entry in directory.entries:
            if _is_dropped(block, order, entry, places):
                continue
            value = block[entry.value_at : entry.value_at + entry.value_bytes]
            if entry.tag == MAKER_NOTE:
                value = _scrubbed_note(value, make, order)
                if not value:
                    continue
            if entry.tag == ORIENTATION:
                records.append(struct.pack(order + "HHIHH", ORIENTATION, 3, 1, 1, 0))
                continue
            records.append(block[entry.at : entry.at + 12])
            if entry.value_bytes > 4:
                budget -= entry.value_bytes
                if budget < 0:
                    return b""
                copy[entry.value_at : entry.value_at + len(value)] = value
                end = max(end, entry.value_at + len(value))
        if sides_swapped:
            _swap_sides(records, order)
        lists.append((directory.at, struct.pack(order + "H", len(records)) + b"".join(records) + bytes(4)))
    for directory in found:
        if directory.is_gps:
            _wipe(copy, directory)
    copy[:8] = block[:8]
    for at, record_list in lists:
        copy[at : at + len(record_list)] = record_list
        end = max(end, at + len(record_list))
    # A link that was left out at the very end stays out.
    return _proven(bytes(copy[: min(end, len(block))]))


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry; `at` is the offset of its 12 bytes and `value_at` that of its value."""

    tag: int
    kind: int
    count: int
    at: int
    value_at: int
    value_bytes: int


@dataclass(frozen=True, slots=True)
class Directory:
    """One list of entries. `is_gps` when a GPS pointer led here, `is_first` for the main directory,
    `is_whole` when all the entries it claims are there."""

    at: int
    next_at: int
    entries: tuple[Entry, ...]
    is_gps: bool
    is_first: bool
    is_whole: bool


def byte_order(block: Buffer) -> str | None:
    """`<` or `>` for struct, or None when this is no TIFF structure."""
    head = bytes(block[:4])
    if head in (b"II*\0", b"II\0*"):
        return "<"
    if head in (b"MM\0*", b"MM*\0"):
        return ">"
    return None


def directories(
    block: Buffer, order: str, *, pointers: frozenset[int] = POINTERS, chain: bool = True
) -> Iterator[Directory]:
    """Every directory that can be reached, each once; `chain` also follows the links to thumbnails."""
    if len(block) < 8:
        return
    first: int = struct.unpack_from(order + "I", block, 4)[0]
    waiting = [(first, False)]
    seen: set[int] = set()
    entries_left = MOST_ENTRIES
    while waiting and len(seen) < MOST_DIRECTORIES and entries_left > 0:
        at, is_gps = waiting.pop(0)
        if at in seen or at < 8 or at + 2 > len(block):
            continue
        seen.add(at)
        directory = _directory(block, order, at, entries_left, is_gps=is_gps, is_first=at == first)
        entries_left -= len(directory.entries)
        yield directory
        for entry in directory.entries:
            if entry.tag in pointers:
                waiting += [(target, False) for target in _pointers(block, order, entry)]
            elif entry.tag == GPS_DIRECTORY:
                waiting += [(target, True) for target in _pointers(block, order, entry)]
        if chain and directory.next_at and not is_gps:
            waiting.append((directory.next_at, False))


def _start(block: Buffer) -> int:
    """Behind the prefix, which some writers put there twice."""
    start = 0
    while block[start : start + 6] == b"Exif\0\0" and start < 60:
        start += 6
    return start


def _read_structure(block: Buffer) -> ExifFacts:
    order = byte_order(block)
    if order is None:
        return ExifFacts()
    orientation = None
    has_gps = False
    # Thousands of entries may point to one packet.
    xmp_bytes_left = min(len(block), MOST_XMP_BYTES)
    for directory in directories(block, order):
        for entry in directory.entries:
            if directory.is_gps:
                has_gps = has_gps or (entry.tag in GPS_COORDINATES and entry.value_bytes > 0)
            elif entry.tag == ORIENTATION and directory.is_first and orientation is None:
                orientation = _orientation(block, order, entry)
            elif entry.tag == XMP_PACKET and not has_gps and entry.value_bytes <= xmp_bytes_left:
                xmp_bytes_left -= entry.value_bytes
                has_gps = xmp.has_gps(bytes(block[entry.value_at : entry.value_at + entry.value_bytes]))
    return ExifFacts(orientation, has_gps)


def _orientation(block: Buffer, order: str, entry: Entry) -> int | None:
    """The first value, also of a list or as text, as the common readers take it."""
    raw = bytes(block[entry.value_at : entry.value_at + min(entry.value_bytes, 4)])
    value = 0
    if entry.kind in (1, 3, 4) and raw:
        width = TYPE_BYTES[entry.kind]
        value = int.from_bytes(raw[:width], "little" if order == "<" else "big")
    elif entry.kind == 2 and raw.rstrip(b"\0 ").isdigit():
        value = int(raw.rstrip(b"\0 "))
    return value if 1 <= value <= 8 else None


def _directory(
    block: Buffer, order: str, at: int, most_entries: int, *, is_gps: bool, is_first: bool
) -> Directory:
    claimed: int = struct.unpack_from(order + "H", block, at)[0]
    count = min(claimed, most_entries, (len(block) - at - 2) // 12)
    entries = []
    unpack = struct.Struct(order + "HHII").unpack_from
    for index in range(count):
        entry_at = at + 2 + 12 * index
        tag, kind, number, offset = unpack(block, entry_at)
        size = TYPE_BYTES.get(kind, 0) * number
        value_at = entry_at + 8 if size <= 4 else offset
        if value_at + size > len(block):
            size = 0
        entries.append(Entry(tag, kind, number, entry_at, value_at, size))
    end = at + 2 + 12 * count
    # Some writers leave out the link to the next directory at the very end of the block.
    has_link = count == claimed and end + 4 <= len(block)
    next_at: int = struct.unpack_from(order + "I", block, end)[0] if has_link else 0
    return Directory(at, next_at, tuple(entries), is_gps, is_first, count == claimed)


def _pointers(block: Buffer, order: str, entry: Entry) -> list[int]:
    """Where an entry leads; only the list of sub-directories may lead to several places."""
    if entry.kind == 3:
        return list(struct.unpack_from(order + "H", block, entry.at + 8))
    if entry.tag != SUB_DIRECTORIES or entry.value_bytes <= 4:
        return list(struct.unpack_from(order + "I", block, entry.at + 8))
    count = min(entry.value_bytes // 4, MOST_DIRECTORIES)
    return list(struct.unpack_from(f"{order}{count}I", block, entry.value_at))


def _make(block: bytes, first: Directory) -> bytes:
    for entry in first.entries:
        if entry.tag == MAKE:
            return block[entry.value_at : entry.value_at + min(entry.value_bytes, 64)]
    return b""


def _is_dropped(block: bytes, order: str, entry: Entry, places: set[int]) -> bool:
    if entry.tag in KEPT_POINTERS:
        return not places.issuperset(_pointers(block, order, entry))
    return entry.tag in DROPPED or entry.kind == 13 or entry.value_bytes == 0


def _scrubbed_note(note: bytes, make: bytes, order: str) -> bytes:
    if b"Exif\0" in note or NMEA.search(note):
        return b""
    if note.startswith(PLACELESS_NOTES):
        return note
    if make.startswith(b"Canon") and len(note) >= 2:
        count: int = struct.unpack_from(order + "H", note)[0]
        end = 2 + 12 * count
        if end + 4 > len(note):
            return b""
        records = [note[at : at + 12] for at in range(2, end, 12)]
        tag = struct.Struct(order + "H")
        kept = [record for record in records if tag.unpack_from(record)[0] != CANON_TIME_ZONE]
        body = tag.pack(len(kept)) + b"".join(kept) + note[end : end + 4]
        return body + bytes(end + 4 - len(body)) + note[end + 4 :]
    return b""


def _swap_sides(records: list[bytes], order: str) -> None:
    tag = struct.Struct(order + "H")
    at = {tag.unpack_from(record)[0]: index for index, record in enumerate(records)}
    for width, height in SIDES:
        if width in at and height in at:
            first, second = records[at[width]], records[at[height]]
            records[at[width]] = tag.pack(width) + second[2:]
            records[at[height]] = tag.pack(height) + first[2:]


def _wipe(copy: bytearray, directory: Directory) -> None:
    for entry in directory.entries:
        copy[entry.at : entry.at + 12] = bytes(12)
        copy[entry.value_at : entry.value_at + entry.value_bytes] = bytes(entry.value_bytes)


def _proven(block: bytes) -> bytes:
    """The block if it reads as having no location and standing upright, else nothing."""
    facts = read(block)
    return b"" if facts.has_gps or facts.orientation not in (None, 1) or b"Exif\0\0" in block else block
