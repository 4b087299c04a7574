"""ICO headers."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.ico import is_ico, largest, read


def png(width: int, height: int, *, depth: int = 8, colour: int = 6) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">IIBBxxx", width, height, depth, colour) + bytes(4)
    )


def bitmap(width: int, height: int, *, bits: int = 32) -> bytes:
    return struct.pack("<IiiHH", 40, width, 2 * height, 1, bits) + bytes(24)


def ico(*pictures: bytes, kind: int = 1, sides: int = 0) -> bytes:
    offset = 6 + 16 * len(pictures)
    entries = b""
    for picture in pictures:
        entries += struct.pack("<BBBBHHII", sides, sides, 0, 0, 1, 32, len(picture), offset)
        offset += len(picture)
    return struct.pack("<HHH", 0, kind, len(pictures)) + entries + b"".join(pictures)


def test_the_largest_picture_counts_by_its_own_header() -> None:
    whole = ico(bitmap(16, 16), png(300, 200), bitmap(48, 48), sides=9)

    assert read(whole) == Header(width=300, height=200, display_width=300, display_height=200, has_alpha=True)
    assert (largest(whole).index, largest(whole).is_png) == (1, True)
    assert whole[largest(whole).offset :].startswith(b"\x89PNG")


def test_of_equal_pictures_the_one_with_more_bits_counts() -> None:
    assert largest(ico(bitmap(16, 16, bits=4), bitmap(16, 16, bits=32), bitmap(16, 16, bits=8))).index == 1


def test_half_of_a_bitmaps_height_is_its_mask() -> None:
    assert (read(ico(bitmap(36, 28))).width, read(ico(bitmap(36, 28))).height) == (36, 28)
    assert read(ico(bitmap(36, -28))).height == 28


def test_deep_pictures_are_told() -> None:
    assert read(ico(png(8, 8, depth=16))).bit_depth == 16
    assert read(ico(png(8, 8))).bit_depth == 8


def test_a_picture_that_cannot_be_read_is_passed_over() -> None:
    whole = ico(bitmap(16, 16), b"\x89PNG\r\n\x1a\n" + bytes(40), bytes(40), bitmap(0, 9), png(5, 0))

    assert largest(whole).index == 0


@pytest.mark.parametrize(
    "broken", [b"", ico(), ico(bytes(40)), ico(bitmap(16, 16), kind=2), ico(bitmap(16, 16))[:25]]
)
def test_a_file_without_a_picture_is_damaged(broken: bytes) -> None:
    assert outcome(read, broken) is FailureCode.DAMAGED


def test_a_directory_may_list_1024_pictures() -> None:
    assert read(ico(*[bitmap(2, 2)] * 1024)).width == 2
    assert outcome(read, ico(*[bitmap(2, 2)] * 1025)) is FailureCode.DAMAGED


def test_icons_are_told_from_cursors_and_films() -> None:
    assert is_ico(ico(bitmap(16, 16)))
    assert not is_ico(ico(bitmap(16, 16), kind=2))
    assert not is_ico(b"\0\0\1\xba" + bytes(40))
    assert not is_ico(b"\0\0\1\0")


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = ico(bitmap(16, 16), png(300, 200))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("ico"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    found = disagreements(read, sample)
    # The manifest counts the pictures inside; the contract says 1.
    found.pop("frames", None)

    assert found == {}
    assert read(sample.read()).frames == 1


def test_letters_in_the_place_of_the_count_are_no_icon() -> None:
    assert is_ico(b"\0\0\1\0" + struct.pack("<H", 1024) + bytes(16))
    assert not is_ico(b"\0\0\1\0" + struct.pack("<H", 1025) + bytes(16))
    assert not is_ico(b"\0\0\1\0ftypavif" + bytes(16))
