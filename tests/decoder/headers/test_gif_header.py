"""GIF headers."""

import struct
import time

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.gif import read

XMP_TRAILER = b"\1" + bytes(range(255, -1, -1)) + b"\0"


def screen(width: int = 3, height: int = 2, *, has_table: bool = True) -> bytes:
    table = bytes(6) if has_table else b""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 if has_table else 0, 0, 0) + table


def frame(width: int = 3, height: int = 2, *, has_table: bool = False) -> bytes:
    table = bytes(12) if has_table else b""
    flags = 0x81 if has_table else 0
    # Data blocks hold what looks like other blocks.
    return (
        b"," + struct.pack("<HHHHB", 0, 0, width, height, flags) + table + b"\2" + b"\3,!;" + b"\1;" + b"\0"
    )


def control(delay: int = 0, *, is_transparent: bool = False) -> bytes:
    return b"!\xf9\4" + struct.pack("<BHB", 1 if is_transparent else 0, delay, 0) + b"\0"


def loops(times: int, name: bytes = b"NETSCAPE2.0") -> bytes:
    return b"!\xff\x0b" + name + b"\3\1" + struct.pack("<H", times) + b"\0"


def test_a_still_picture_has_its_size_and_nothing_else() -> None:
    expected = Header(width=3, height=2, display_width=3, display_height=2)

    assert read(screen() + frame() + b";") == expected
    assert read(screen(has_table=False) + frame(has_table=True) + b";") == expected


def test_the_size_is_that_of_the_screen_and_not_of_a_frame() -> None:
    header = read(screen(3, 2) + frame(9, 9) + b";")

    assert (header.width, header.height) == (3, 2)


@pytest.mark.parametrize(("width", "height"), [(0, 2), (3, 0)])
def test_an_empty_screen_is_damaged(width: int, height: int) -> None:
    assert outcome(read, screen(width, height) + frame() + b";") is FailureCode.DAMAGED


def test_a_file_without_a_frame_is_damaged() -> None:
    assert outcome(read, screen() + control() + b";") is FailureCode.DAMAGED


def test_frames_and_their_delays_are_added_up() -> None:
    header = read(screen() + control(7) + frame() + control(300) + frame() + frame() + b";")

    assert (header.frames, header.is_animation, header.duration_ms) == (3, True, 3070)


@pytest.mark.parametrize(
    ("extension", "loop"),
    [
        (b"", 1),
        (loops(0), 0),
        (loops(3), 3),
        (loops(65535, b"ANIMEXTS1.0"), 65535),
        (loops(4, b"NETSCAPE2.1"), 1),
        (loops(4) + loops(5), 5),
    ],
)
def test_rounds_are_told_as_the_file_says(extension: bytes, loop: int) -> None:
    assert read(screen() + extension + frame() + frame() + b";").loop == loop
    assert read(screen() + extension + frame() + b";").loop is None


def test_the_first_frame_decides_on_alpha() -> None:
    opaque, transparent = control(), control(is_transparent=True)

    assert read(screen() + transparent + frame() + opaque + frame() + b";").has_alpha
    assert not read(screen() + opaque + frame() + transparent + frame() + b";").has_alpha
    assert not read(screen() + frame() + transparent + frame() + b";").has_alpha


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_in_xmp_is_found_in_both_ways_of_writing_it(has_gps: bool) -> None:
    packet = xmp_packet(has_gps=has_gps)
    pieces = [packet[at : at + 200] for at in range(0, len(packet), 200)]
    raw = b"!\xff\x0bXMP DataXMP" + packet + XMP_TRAILER
    in_blocks = b"!\xff\x0bXMP DataXMP" + b"".join(bytes((len(p),)) + p for p in pieces) + b"\0"

    assert read(screen() + raw + frame() + frame() + b";").has_gps is has_gps
    assert read(screen() + raw + frame() + frame() + b";").frames == 2
    assert read(screen() + frame() + in_blocks + b";").has_gps is has_gps


def test_stray_bytes_between_blocks_are_skipped_and_the_trailer_ends_the_file() -> None:
    assert read(screen() + frame() + b"\0\0ab" + frame() + b";" + frame()).frames == 2


def test_a_comment_does_not_count_as_a_frame() -> None:
    assert read(screen() + frame() + b"!\xfe\5,,,,,\0" + b";").frames == 1


def test_100_000_frames_are_counted_at_once() -> None:
    data = screen() + frame() * 100_000 + b";"
    began = time.process_time()

    assert read(data).frames == 100_000
    assert time.process_time() - began < 1


def test_a_file_that_is_cut_off_tells_the_frames_up_to_there() -> None:
    assert read((screen() + frame() + frame())[:-3]).frames == 2
    assert read((screen() + frame() + frame())[: -len(frame()) + 5]).frames == 1


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    xmp = b"!\xff\x0bXMP DataXMP" + xmp_packet() + XMP_TRAILER
    whole = screen() + loops(3) + xmp + control(5) + frame() + control(5) + frame(has_table=True) + b";"

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("gif"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
