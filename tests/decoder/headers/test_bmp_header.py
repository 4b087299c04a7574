"""BMP headers."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.bmp import read


def info(
    size: int = 40, width: int = 3, height: int = 2, bits: int = 24, compression: int = 0, rest: bytes = b""
) -> bytes:
    fixed = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + bytes(12) + (fixed + rest).ljust(size, b"\0") + bytes(16)


def masks(alpha: int) -> bytes:
    return struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, alpha)


def profile(kind: bytes, length: int = 4) -> bytes:
    return masks(0) + kind + bytes(48) + struct.pack("<II", 124, length)


@pytest.mark.parametrize("size", [16, 40, 52, 56, 64, 108, 124])
def test_every_kind_of_header_tells_its_size(size: int) -> None:
    assert read(info(size)) == Header(width=3, height=2, display_width=3, display_height=2)


def test_the_first_os2_header_has_short_sides() -> None:
    data = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 3, 65535, 1, 24)

    assert (read(data).width, read(data).height) == (3, 65535)


@pytest.mark.parametrize("size", [0, 11, 13, 41, 125, 0xFFFFFFFF])
def test_headers_that_do_not_exist_are_damaged(size: int) -> None:
    data = bytearray(info(124))
    data[14:18] = struct.pack("<I", size)

    assert outcome(read, bytes(data)) is FailureCode.DAMAGED


def test_rows_that_go_downwards_have_a_negative_height() -> None:
    assert read(info(height=-5)).height == 5
    assert read(info(height=-(2**31))).height == 2**31


@pytest.mark.parametrize(("width", "height"), [(0, 2), (3, 0), (-3, 2)])
def test_an_empty_picture_is_damaged(width: int, height: int) -> None:
    assert outcome(read, info(width=width, height=height)) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("bits", "is_read"), [(0, False), (1, True), (3, False), (8, True), (32, True), (33, False)]
)
def test_only_known_numbers_of_bits_are_read(bits: int, is_read: bool) -> None:
    assert isinstance(outcome(read, info(bits=bits)), Header) is is_read


def test_a_jpeg_or_png_inside_needs_no_number_of_bits() -> None:
    assert read(info(bits=0, compression=4)).width == 3
    assert read(info(bits=0, compression=5)).width == 3
    assert outcome(read, info(bits=0, compression=3)) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("size", "bits", "compression", "alpha", "has_alpha"),
    [
        (108, 32, 3, 0xFF000000, True),
        (56, 16, 3, 0xF000, True),
        (124, 32, 3, 0, False),
        (124, 32, 0, 0xFF000000, False),
        (52, 32, 3, 0xFF000000, False),
        (40, 32, 3, 0xFF000000, False),
        (40, 32, 6, 0xFF000000, True),
        (64, 32, 3, 0xFF000000, False),
        (124, 24, 3, 0xFF000000, False),
    ],
)
def test_alpha_is_what_a_mask_says_where_masks_count(
    size: int, bits: int, compression: int, alpha: int, has_alpha: bool
) -> None:
    data = info(size, bits=bits, compression=compression, rest=masks(alpha))

    assert read(data).has_alpha is has_alpha


def test_a_profile_inside_is_told_from_the_name_of_a_file() -> None:
    assert read(info(124, rest=profile(b"DEBM"))).has_icc_profile
    assert not read(info(124, rest=profile(b"KNIL"))).has_icc_profile
    assert not read(info(124, rest=profile(b"DEBM", length=0))).has_icc_profile
    assert not read(info(108, rest=profile(b"DEBM")[:68])).has_icc_profile


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = info(124, bits=32, compression=3, rest=profile(b"DEBM"))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("bmp"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
