"""TIFF and BigTIFF headers."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.tiff import read

LETTERS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q", 7: "B", 16: "Q"}
SIZE = [(256, 3, [3]), (257, 4, [2])]
GRAY = [*SIZE, (262, 3, [1]), (258, 3, [8]), (277, 3, [1])]
RGB = [*SIZE, (262, 3, [2]), (258, 3, [8, 8, 8]), (277, 3, [3])]
Field = tuple[int, int, list[int]]


def tiff(
    *pages: list[Field], order: str = "<", is_big: bool = False, last: int = 0, tail: bytes = b""
) -> bytes:
    """Pages one behind the other, the last of which links to `last`."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if is_big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if is_big else struct.pack(order + "I", 8)
    data = head
    for page in pages:
        data += _directory(
            page, len(data), order, is_big=is_big, next_at=None if page is not pages[-1] else last
        )
    return data + tail


def _directory(fields: list[Field], at: int, order: str, *, is_big: bool, next_at: int | None) -> bytes:
    count, entry, room, letter = ("Q", 20, 8, "Q") if is_big else ("H", 12, 4, "I")
    values_at = at + struct.calcsize(order + count) + entry * len(fields) + room
    packed, values = b"", b""
    for tag, kind, numbers in fields:
        value = struct.pack(f"{order}{len(numbers)}{LETTERS[kind]}", *numbers)
        packed += struct.pack(order + "HH" + letter, tag, kind, len(numbers))
        if len(value) <= room:
            packed += value.ljust(room, b"\0")
        else:
            packed += struct.pack(order + letter, values_at + len(values))
            values += value
    follows = values_at + len(values) if next_at is None else next_at
    return struct.pack(order + count, len(fields)) + packed + struct.pack(order + letter, follows) + values


def raw(tag: int, block: bytes) -> Field:
    return (tag, 7, list(block))


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_plain_picture_has_its_size_and_nothing_else(order: str, is_big: bool) -> None:
    expected = Header(width=3, height=2, display_width=3, display_height=2)

    assert read(tiff(RGB, order=order, is_big=is_big)) == expected


@pytest.mark.parametrize("is_big", [False, True])
def test_pages_are_counted_and_the_first_one_gives_the_facts(is_big: bool) -> None:
    header = read(tiff(RGB, GRAY, [(256, 3, [99]), (257, 3, [99])], is_big=is_big))

    assert (header.frames, header.width, header.color_space) == (3, 3, "rgb")
    assert (header.is_animation, header.loop, header.duration_ms) == (False, None, None)


def test_pages_that_go_round_in_a_circle_are_counted_once() -> None:
    assert read(tiff(RGB, last=8)).frames == 1
    assert read(tiff(RGB, GRAY, last=8)).frames == 2


def test_a_link_out_of_the_file_ends_the_pages() -> None:
    assert read(tiff(RGB, GRAY, last=0xFFFFFFF0)).frames == 2


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"II*\0\xff\0\0\0",
        b"II*\0\0\0\0\0" + bytes(20),
        b"II\x2c\0" + tiff(RGB)[4:],
        b"IM" + tiff(RGB)[2:],
    ],
)
def test_a_file_without_a_page_is_damaged(data: bytes) -> None:
    assert outcome(read, data) is FailureCode.DAMAGED


@pytest.mark.parametrize("missing", [256, 257])
def test_a_page_without_a_side_is_damaged(missing: int) -> None:
    fields = [field for field in RGB if field[0] != missing]

    assert outcome(read, tiff(fields)) is FailureCode.DAMAGED
    assert outcome(read, tiff([*fields, (missing, 3, [0])])) is FailureCode.DAMAGED


def test_a_version_in_the_wrong_byte_order_is_read_as_other_readers_do() -> None:
    data = tiff(RGB, order=">")

    assert read(b"MM*\0" + data[4:]).width == 3


@pytest.mark.parametrize("orientation", range(10))
def test_orientations_1_to_8_count(orientation: int) -> None:
    header = read(tiff([*RGB, (274, 3, [orientation])]))

    assert header.orientation == (orientation if 1 <= orientation <= 8 else 1)
    assert (header.width, header.height) == (3, 2)
    assert (header.display_width, header.display_height) == ((2, 3) if header.orientation >= 5 else (3, 2))


@pytest.mark.parametrize(
    ("photometric", "bits", "color_space", "bit_depth"),
    [
        (0, [1], "gray", 1),
        (1, [16], "gray", 16),
        (2, [16, 16, 16], "rgb", 16),
        (3, [4], "rgb", 8),
        (5, [8, 8, 8, 8], "cmyk", 8),
        (6, [8, 8, 8], "rgb", 8),
        (8, [8, 8, 8], "lab", 8),
    ],
)
def test_colours_are_told(photometric: int, bits: list[int], color_space: str, bit_depth: int) -> None:
    fields = [*SIZE, (262, 3, [photometric]), (258, 3, bits), (277, 3, [len(bits)])]
    header = read(tiff(fields))

    assert (header.color_space, header.bit_depth, header.has_alpha) == (color_space, bit_depth, False)


def test_a_page_that_says_nothing_of_bits_has_one() -> None:
    header = read(tiff(SIZE))

    assert (header.color_space, header.bit_depth) == ("gray", 1)


@pytest.mark.parametrize(("kind", "has_alpha"), [(0, False), (1, True), (2, True), (3, False)])
def test_an_extra_sample_is_alpha_where_it_says_so(kind: int, has_alpha: bool) -> None:
    rgba = [*SIZE, (262, 3, [2]), (258, 3, [8] * 4), (277, 3, [4]), (338, 3, [kind])]
    cmyk = [*SIZE, (262, 3, [5]), (258, 3, [8] * 4), (277, 3, [4]), (338, 3, [kind])]

    assert read(tiff(rgba)).has_alpha is has_alpha
    assert not read(tiff(cmyk)).has_alpha  # Four samples are all its colours.


def test_a_profile_must_be_in_the_file() -> None:
    whole = tiff([*RGB, raw(34675, b"profile")])

    assert read(whole).has_icc_profile
    assert not read(whole[:-1]).has_icc_profile
    assert not read(tiff(RGB)).has_icc_profile


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize(("tag", "has_gps"), [(0, False), (2, True), (4, True), (18, False)])
def test_a_location_is_a_latitude_or_longitude(is_big: bool, tag: int, has_gps: bool) -> None:
    pointer = len(tiff([*RGB, (34853, 4, [0])], is_big=is_big))
    gps = _directory([(tag, 5, [1, 2, 3])], pointer, "<", is_big=is_big, next_at=0)

    assert read(tiff([*RGB, (34853, 4, [pointer])], is_big=is_big, tail=gps)).has_gps is has_gps


@pytest.mark.parametrize("has_gps", [False, True])
@pytest.mark.parametrize("is_big", [False, True])
def test_a_location_is_found_in_xmp_and_in_photoshops_resources(has_gps: bool, is_big: bool) -> None:
    packet, block = xmp_packet(has_gps=has_gps), exif_block(has_gps=has_gps)
    resource = b"8BIM\x04\x22\0\0" + struct.pack(">I", len(block)) + block

    assert read(tiff([*RGB, raw(700, packet)], is_big=is_big)).has_gps is has_gps
    assert read(tiff([*RGB, raw(34377, resource)], is_big=is_big)).has_gps is has_gps


def test_a_location_on_a_later_page_is_found() -> None:
    pointer = len(tiff(RGB, [*GRAY, (34853, 4, [0])], is_big=True))
    gps = _directory([(2, 5, [1, 2, 3])], pointer, "<", is_big=True, next_at=0)

    assert read(tiff(RGB, [*GRAY, (34853, 4, [pointer])], is_big=True, tail=gps)).has_gps


def test_exif_is_a_directory_of_its_own() -> None:
    assert read(tiff([*RGB, (34665, 4, [8])])).has_exif
    assert not read(tiff(RGB)).has_exif


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    fields = [
        *RGB,
        (274, 3, [6]),
        (338, 3, [0]),
        raw(700, xmp_packet(3)),
        raw(34675, b"profile"),
        (34853, 4, [8]),
    ]

    for is_big in (False, True):
        whole = tiff(fields, GRAY, order=">", is_big=is_big)
        found = [outcome(read, data) for data in mutilated(whole)]
        assert {type(each) for each in found if each != FailureCode.DAMAGED} == {Header}


@pytest.mark.parametrize("sample", samples_of("tiff"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}


@pytest.mark.parametrize(("bits", "expected"), [(1, 1), (0, FailureCode.DAMAGED)])
def test_samples_without_bits_are_damage(bits: int, expected: object) -> None:
    made = outcome(read, tiff([*SIZE, (262, 3, [1]), (258, 3, [bits]), (277, 3, [1])]))

    assert (made.bit_depth if isinstance(made, Header) else made) == expected
