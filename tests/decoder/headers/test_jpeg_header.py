"""JPEG headers."""

import struct
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.jpeg import read, read_head

EOI = b"\xff\xd9"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def sof(width: int = 3, height: int = 2, components: int = 3, depth: int = 8, marker: int = 0xC0) -> bytes:
    return segment(marker, struct.pack(">BHHB", depth, height, width, components) + bytes(3 * components))


def scan(coded: bytes = b"\x12\xff\x00\x34\xff\xd0\x56") -> bytes:
    return segment(0xDA, b"\1\1\0\0\x3f\0") + coded


def jpeg(*between: bytes, frame: bytes | None = None, after: bytes = b"", trailer: bytes = b"") -> bytes:
    return b"\xff\xd8" + b"".join(between) + (frame or sof()) + after + scan() + EOI + trailer


def exif(orientation: int | None = None, *, has_gps: bool = False) -> bytes:
    return segment(0xE1, b"Exif\0\0" + exif_block(orientation, has_gps=has_gps))


def xmp(orientation: int | None = None, *, has_gps: bool = False) -> bytes:
    return segment(0xE1, XMP + xmp_packet(orientation, has_gps=has_gps))


def more_xmp(*, has_gps: bool) -> bytes:
    packet = xmp_packet(has_gps=has_gps)
    cut = packet.index(b"exif:GPS") + 10
    pieces = [(cut, packet[cut:]), (0, packet[:cut])]
    return b"".join(
        segment(0xE1, MORE_XMP + b"A" * 32 + struct.pack(">II", len(packet), at) + piece)
        for at, piece in pieces
    )


def mpf(offsets: list[int], order: str = "<") -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entry = struct.pack(order + "HHHII", 1, 0xB002, 7, 16 * len(offsets), 26) + bytes(4)
    return segment(
        0xE2,
        b"MPF\0" + head + entry + b"".join(struct.pack(order + "IIIHH", 0, 9, at, 0, 0) for at in offsets),
    )


def mp4(*boxes: bytes) -> bytes:
    moov = b"".join(boxes)
    return box(b"ftyp", b"mp42") + box(b"moov", box(b"udta", moov))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    assert read(jpeg()) == Header(width=3, height=2, display_width=3, display_height=2)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCF])
def test_every_coding_process_tells_its_size(marker: int) -> None:
    assert read(jpeg(frame=sof(marker=marker))).width == 3


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC, 0xDB])
def test_tables_are_no_frame_header(marker: int) -> None:
    assert outcome(read, jpeg(frame=sof(marker=marker))) is FailureCode.DAMAGED
    assert read(jpeg(segment(marker, bytes(20)))).width == 3


@pytest.mark.parametrize(
    ("components", "color_space"), [(0, None), (1, "gray"), (2, None), (3, "rgb"), (4, "cmyk"), (5, None)]
)
def test_the_number_of_components_makes_the_colour_space(components: int, color_space: str | None) -> None:
    found = outcome(read, jpeg(frame=sof(components=components)))

    assert (found.color_space if isinstance(found, Header) else None) == color_space


@pytest.mark.parametrize(
    ("depth", "is_read"), [(1, False), (2, True), (8, True), (12, True), (16, True), (17, False)]
)
def test_2_to_16_bits_are_read(depth: int, is_read: bool) -> None:
    found = outcome(read, jpeg(frame=sof(depth=depth)))

    assert (isinstance(found, Header) and found.bit_depth == depth) is is_read


def test_a_height_that_is_told_behind_the_first_scan_is_found() -> None:
    lines = segment(0xDC, struct.pack(">H", 77))
    data = b"\xff\xd8" + sof(height=0) + scan() + lines + scan() + EOI

    assert read(data).height == read_head(data).height == 77
    assert outcome(read, jpeg(frame=sof(height=0))) is FailureCode.DAMAGED
    assert outcome(read, jpeg(frame=sof(width=0))) is FailureCode.DAMAGED


def test_a_height_in_the_frame_header_counts_before_one_behind_the_scan() -> None:
    assert read(b"\xff\xd8" + sof() + scan() + segment(0xDC, b"\0\x4d") + EOI).height == 2


@pytest.mark.parametrize("before", [b"", b"\xff\xff\xff", b"\0\0junk"])
def test_fill_bytes_and_junk_between_segments_are_skipped(before: bytes) -> None:
    assert read(jpeg(segment(0xFE, b"a comment"), before)).width == 3


def test_exif_turns_the_picture() -> None:
    header = read(jpeg(exif(6)))

    assert (header.orientation, header.has_exif, header.has_gps) == (6, True, False)
    assert (header.width, header.height) == (3, 2)
    assert (header.display_width, header.display_height) == (2, 3)


def test_orientation_comes_from_the_first_exif_block_before_xmp() -> None:
    assert read(jpeg(xmp(8), exif(3))).orientation == 3
    assert read(jpeg(xmp(8), exif())).orientation == 8
    assert read(jpeg(exif(3), exif(6))).orientation == 3


def test_metadata_behind_the_first_scan_does_not_turn_the_picture() -> None:
    data = b"\xff\xd8" + sof() + scan() + exif(6, has_gps=True) + scan() + EOI
    header = read(data)

    assert (header.orientation, header.has_exif, header.has_gps) == (1, False, True)


def test_exif_that_runs_over_two_segments_is_joined() -> None:
    block = exif_block(6, has_gps=True)
    cut = 30
    data = jpeg(segment(0xE1, b"Exif\0\0" + block[:cut]), segment(0xE1, b"Exif\0\0" + block[cut:]))

    assert (read(data).orientation, read(data).has_gps) == (6, True)


def test_a_profile_is_found_before_and_behind_the_frame_header() -> None:
    icc = segment(0xE2, b"ICC_PROFILE\0\1\1profile")

    assert read(jpeg(icc)).has_icc_profile
    assert read(jpeg(after=icc)).has_icc_profile
    assert not read(jpeg(segment(0xE2, b"FPXR\0profile"))).has_icc_profile


def second_picture(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + sof() + scan() + EOI


def thumbnail(*, has_gps: bool) -> bytes:
    block = exif_block() + second_picture(exif(has_gps=has_gps))
    return segment(0xE1, b"Exif\0\0" + block)


def resources(*, has_gps: bool) -> bytes:
    block = exif_block(has_gps=has_gps)
    return segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x22\0\0" + struct.pack(">I", len(block)) + block)


@pytest.mark.parametrize("has_gps", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda gps: jpeg(exif(has_gps=gps)),
        lambda gps: jpeg(exif(), exif(has_gps=gps)),
        lambda gps: jpeg(xmp(has_gps=gps)),
        lambda gps: jpeg(xmp(), more_xmp(has_gps=gps)),
        lambda gps: jpeg(thumbnail(has_gps=gps)),
        lambda gps: jpeg(resources(has_gps=gps)),
        lambda gps: jpeg(trailer=second_picture(exif(has_gps=gps))),
        lambda gps: jpeg(trailer=b"padding" + second_picture(xmp(has_gps=gps))),
        lambda gps: jpeg(trailer=mp4(box(b"\xa9xyz" if gps else b"\xa9nam", b"+52.5+013.4/"))),
        lambda gps: jpeg(trailer=second_picture() + mp4(box(b"loci" if gps else b"titl", bytes(20)))),
    ],
    ids=[
        "exif",
        "exif 2",
        "xmp",
        "long xmp",
        "thumbnail",
        "resources",
        "picture",
        "picture xmp",
        "video",
        "both",
    ],
)
def test_a_location_is_found_wherever_it_hides(make, has_gps: bool) -> None:
    assert read(make(has_gps)).has_gps is has_gps


def test_a_second_picture_turns_only_itself() -> None:
    header = read(jpeg(trailer=second_picture(exif(6), segment(0xE2, b"ICC_PROFILE\0\1\1profile"))))

    assert (header.orientation, header.has_exif, header.has_icc_profile) == (1, False, False)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pictures_of_the_index_count_when_they_are_in_the_file(order: str) -> None:
    index_at = 2 + 8
    whole = jpeg(mpf([0, 0], order))
    second_at = len(whole) - index_at

    assert read(jpeg(mpf([0, second_at], order), trailer=second_picture())).frames == 2
    assert read(jpeg(mpf([0, second_at], order))).frames == 1
    assert read(jpeg(mpf([0, second_at + 1], order), trailer=second_picture())).frames == 1
    assert read(jpeg(trailer=second_picture())).frames == 1
    assert not read(jpeg(mpf([0, second_at], order), trailer=second_picture())).is_animation


def test_a_file_that_is_cut_off_behind_its_frame_header_is_told() -> None:
    whole = jpeg(exif(6))
    frame_end = whole.index(sof()) + len(sof())

    assert read(whole[:frame_end]).orientation == 6
    assert outcome(read, whole[: frame_end - 1]) is FailureCode.DAMAGED


@pytest.mark.parametrize("coded", [b"\xff\0" * 8_000_000, b"\xff\xd0" * 8_000_000, b"\xff" * 16_000_000])
def test_the_end_is_found_in_linear_time(coded: bytes) -> None:
    data = jpeg(after=scan(coded), trailer=second_picture(exif(has_gps=True)))
    began = time.process_time()

    assert read(data).has_gps
    assert time.process_time() - began < 2


def test_a_million_segments_end_at_once() -> None:
    data = b"\xff\xd8" + sof() + segment(0xE1, b"Exif\0\0II") * 1_000_000 + scan() + EOI
    began = time.process_time()

    assert read(data).width == 3
    assert time.process_time() - began < 2


FULL = jpeg(exif(6), more_xmp(has_gps=True), mpf([0, 99]), resources(has_gps=False), trailer=mp4())


def unplaced(reader: Callable[[bytes], Header]) -> Callable[[bytes], Header]:
    return lambda data: replace(reader(data), has_gps=False)


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    outcomes = {
        type(found) for data in mutilated(FULL) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


def test_the_head_of_a_mutilated_file_tells_what_the_whole_tells() -> None:
    assert [outcome(unplaced(read_head), data) for data in mutilated(FULL)] == [
        outcome(unplaced(read), data) for data in mutilated(FULL)
    ]


def test_the_head_alone_does_not_tell_a_location_behind_it() -> None:
    data = jpeg(exif(6), trailer=second_picture(exif(has_gps=True)))

    assert not read_head(data).has_gps
    assert replace(read_head(data), has_gps=True) == read(data)
    assert read_head(jpeg(exif(has_gps=True))).has_gps


@pytest.mark.parametrize("sample", samples_of("jpeg"), ids=lambda sample: sample.id)
def test_but_for_the_location_the_head_tells_what_the_whole_tells(sample: Sample) -> None:
    data = sample.path.read_bytes()

    assert outcome(unplaced(read_head), data) == outcome(unplaced(read), data)


@pytest.mark.parametrize("sample", samples_of("jpeg"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
