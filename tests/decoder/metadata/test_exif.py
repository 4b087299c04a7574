"""EXIF blocks: what is read from them, and that a scrubbed copy tells no place."""

import io
import random
import struct
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from remote_worker.decoder.metadata import exif

LONDON = {1: "N", 2: (51.0, 30.0, 26.0), 3: "W", 4: (0.0, 7.0, 39.0)}


def block(
    tags: dict[int, object] | None = None, gps: dict[int, object] | None = None, order: str = ">"
) -> bytes:
    """A block as Pillow writes it, without the prefix."""
    made = Image.Exif()
    made.endian = order
    made.update(tags or {})
    if gps:
        made[ExifTags.IFD.GPSInfo] = gps
    return made.tobytes()[6:]


def read_by_pillow(data: bytes) -> Image.Exif:
    read = Image.Exif()
    read.load(b"Exif\0\0" + data)
    return read


def hand_made(entries: list[tuple[int, int, int, int]], order: str = "<", tail: bytes = b"") -> bytes:
    """One directory with these (tag, type, count, value or offset), and bytes behind it."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    records = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return head + struct.pack(order + "H", len(entries)) + records + bytes(4) + tail


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("number", "read"), [(0, None), (1, 1), (6, 6), (8, 8), (9, None), (65535, None)])
def test_an_orientation_is_1_to_8(order: str, number: int, read: int | None) -> None:
    assert exif.read(block({0x0112: number}, order=order)).orientation == read


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"])
def test_the_prefix_may_be_there_or_not(prefix: bytes) -> None:
    assert exif.read(prefix + block({0x0112: 3}, LONDON)) == exif.ExifFacts(3, has_gps=True)


@pytest.mark.parametrize(
    ("gps", "has_gps"),
    [
        (LONDON, True),
        ({2: (51.0, 30.0, 26.0)}, True),
        ({1: "N"}, True),
        ({20: (51.0, 30.0, 26.0)}, True),
        ({0: b"\2\3\0\0"}, False),
        ({29: "2026:01:01"}, False),
    ],
)
def test_only_coordinates_make_a_location(gps: dict[int, object], has_gps: bool) -> None:
    assert exif.read(block({}, gps)).has_gps is has_gps


def test_a_location_in_the_thumbnail_counts() -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 16)).save(thumbnail, "JPEG", exif=b"Exif\0\0" + block({}, LONDON))
    start = 8 + 2 + 12 * 2 + 4
    whole = hand_made(
        [(0x0201, 4, 1, start), (0x0202, 4, 1, len(thumbnail.getvalue()))], tail=thumbnail.getvalue()
    )

    assert exif.read(whole).has_gps
    assert not exif.read(whole.replace(b"Exif\0\0", b"Nope\0\0")).has_gps


def test_a_location_in_an_xmp_packet_inside_counts() -> None:
    packet = b'<x xmlns:e="http://ns.adobe.com/exif/1.0/" e:GPSLatitude="51,30.4N"/>'

    assert exif.read(hand_made([(700, 1, len(packet), 8 + 2 + 12 + 4)], tail=packet)).has_gps


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_scrubbed_block_keeps_all_but_the_location(order: str) -> None:
    whole = block({0x010F: "Maker", 0x0112: 6, 0x0132: "2026:01:01 00:00:00"}, LONDON, order)

    copy = exif.scrubbed(whole)

    read = read_by_pillow(copy)
    assert dict(read) == {0x010F: "Maker", 0x0112: 1, 0x0132: "2026:01:01 00:00:00"}
    assert struct.pack(order + "II", 26, 1) in whole
    assert struct.pack(order + "II", 26, 1) not in copy


def test_a_scrubbed_block_keeps_values_at_their_offsets() -> None:
    whole = block({0x010F: "A maker with a long name", 0x0132: "2026:01:01 00:00:00"}, LONDON)

    copy = exif.scrubbed(whole)

    assert copy.index(b"A maker") == whole.index(b"A maker")
    assert copy.index(b"2026:01") == whole.index(b"2026:01")


def test_a_kept_value_that_reaches_over_the_coordinates_does_not_carry_them() -> None:
    latitude = struct.pack("<6I", 51, 1, 30, 1, 26, 1)
    gps_at = 8 + 2 + 24 + 4
    gps = struct.pack("<HHHIII", 1, 2, 5, 3, gps_at + 18, 0) + latitude
    whole = hand_made([(0x8825, 4, 1, gps_at), (0x9286, 7, len(gps), gps_at)], tail=gps)
    assert exif.read(whole).has_gps

    assert latitude not in exif.scrubbed(whole)


def test_sides_are_exchanged_for_a_picture_that_was_turned() -> None:
    whole = hand_made([(0x0100, 4, 1, 640), (0x0101, 3, 1, 480)])

    assert dict(read_by_pillow(exif.scrubbed(whole))) == {0x0100: 640, 0x0101: 480}
    assert dict(read_by_pillow(exif.scrubbed(whole, sides_swapped=True))) == {0x0100: 480, 0x0101: 640}


def test_the_thumbnail_is_dropped() -> None:
    image = b"\xff\xd8thumbnail\xff\xd9"
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(image), 0)
    first = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 6, 26)
    whole = first + second + image
    assert whole.index(image) == 56

    copy = exif.scrubbed(whole)

    assert b"thumbnail" not in copy
    assert exif.read(copy) == exif.ExifFacts(1, has_gps=False)


@pytest.mark.parametrize(
    ("make", "note", "is_kept"),
    [
        (b"Apple", b"Apple iOS\0\0\1MMrest", True),
        (b"FUJIFILM", b"FUJIFILM\x0c\0\0\0rest", True),
        (b"Nikon", b"Nikon\0\2\x10\0\0MM\0*rest", False),
        (b"Apple", b"Apple iOS\0\0\1MM$GPRMC,1,2", False),
        (b"Apple", b"Apple iOS\0\0\1MMExif\0\0", False),
    ],
)
def test_maker_notes_are_kept_where_they_know_no_place(make: bytes, note: bytes, is_kept: bool) -> None:
    at = 8 + 2 + 24 + 4
    whole = hand_made([(0x010F, 2, len(make), at), (0x927C, 7, len(note), at + len(make))], tail=make + note)

    assert (note in exif.scrubbed(whole)) is is_kept


def test_canon_keeps_its_note_without_the_city_of_its_time_zone() -> None:
    at = 8 + 2 + 24 + 4
    kept = struct.pack("<HHII", 0x0006, 2, 4, 0x41424344)
    city = struct.pack("<HHII", 0x0035, 4, 1, 0x01020304)
    note = struct.pack("<H", 2) + city + kept + bytes(4) + b"values"
    whole = hand_made([(0x010F, 2, 6, at), (0x927C, 7, len(note), at + 6)], tail=b"Canon\0" + note)

    copy = exif.scrubbed(whole)

    assert kept in copy
    assert city not in copy
    assert copy.endswith(b"values")
    assert len(copy) == len(whole)


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"II*\0",
        b"II+\0\x08\0\0\0\0\0\0\0",
        b"II*\0\xff\xff\xff\xff\0\0\0\0",
        hand_made([(0x010F, 2, 4, 0)])[:-8],
        b"II*\0\x08\0\0\0\xff\xff" + bytes(100),
    ],
)
def test_a_broken_block_is_dropped_whole(whole: bytes) -> None:
    assert exif.scrubbed(whole) == b""
    assert exif.read(whole) == exif.ExifFacts()


def test_a_directory_that_leads_to_itself_ends() -> None:
    whole = hand_made([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x0112, 3, 1, 6)])

    assert exif.read(whole).orientation == 6
    assert exif.read(exif.scrubbed(whole)).orientation in (1, None)


def test_entries_that_each_claim_the_whole_block_are_bounded() -> None:
    entries = [(0x9000 + index, 7, 40_000, 0) for index in range(4000)]

    assert exif.scrubbed(hand_made(entries)) == b""


def test_no_spoilt_block_raises_or_comes_out_with_a_location(samples: Path) -> None:
    whole = block({0x010F: "Maker", 0x0112: 6, 0x8769: {0x9003: "2026:01:01 00:00:00"}}, LONDON)
    numbers = random.Random(1)
    for _ in range(3000):
        spoilt = bytearray(whole)
        for _ in range(numbers.randint(1, 6)):
            spoilt[numbers.randrange(len(spoilt))] = numbers.randrange(256)
        copy = exif.scrubbed(bytes(spoilt[: numbers.randint(0, len(spoilt))]))

        assert not exif.read(copy).has_gps
        assert exif.read(copy).orientation in (None, 1)
