"""JPEG 2000 headers."""

import struct
import time

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import (
    directory,
    disagreements,
    exif_block,
    mutilated,
    outcome,
    samples_of,
    xmp_packet,
)
from decoder.headers.heif_files import box

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.jp2 import EXIF_UUID, GEOTIFF_UUID, XMP_UUID, is_jp2, read, size

HEAD = bytes.fromhex("0000000c6a5020200d0a870a") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def siz(width: int = 40, height: int = 20, components: int = 3, depth: int = 8, left: int = 0) -> bytes:
    sides = struct.pack(">8I", width + left, height, left, 0, width, height, 0, 0)
    body = b"\0\0" + sides + struct.pack(">H", components) + bytes((depth - 1, 1, 1)) * components
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(body) + 2) + body


def jp2(*more: bytes, stream: bytes = b"", colour: bytes = b"", ihdr: tuple[int, int] = (40, 20)) -> bytes:
    colour = colour or colr(16)
    header = box(b"ihdr", struct.pack(">IIHBBBB", ihdr[1], ihdr[0], 3, 7, 7, 0, 0))
    return HEAD + box(b"jp2h", header + colour) + box(b"jp2c", stream or siz()) + b"".join(more)


def colr(space: int) -> bytes:
    return box(b"colr", b"\1\0\0" + struct.pack(">I", space))


def cdef(*kinds: int) -> bytes:
    entries = b"".join(struct.pack(">HHH", at, kind, at + 1) for at, kind in enumerate(kinds))
    return box(b"cdef", struct.pack(">H", len(kinds)) + entries)


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    expected = Header(width=40, height=20, display_width=40, display_height=20)

    assert read(jp2()) == expected
    assert read(siz()) == expected
    assert size(jp2()) == (40, 20)
    assert is_jp2(jp2())
    assert is_jp2(siz())
    assert not is_jp2(jp2()[1:])


def test_the_picture_begins_at_the_offset_of_its_grid() -> None:
    assert read(siz(30, left=12)).width == 30


@pytest.mark.parametrize(
    ("components", "colour", "has_alpha", "space"),
    [
        (1, colr(17), False, "gray"),
        (2, colr(17), True, "gray"),
        (3, colr(16), False, "rgb"),
        (4, colr(16), True, "rgb"),
        (4, colr(12), False, "cmyk"),
        (5, colr(12) + cdef(0, 0, 0, 0, 1), True, "cmyk"),
        (4, colr(16) + cdef(0, 0, 0, 0), False, "rgb"),
        (4, colr(16) + cdef(0, 0, 0, 2), True, "rgb"),
        (3, colr(14), False, "lab"),
        (3, colr(18), False, "rgb"),
    ],
)
def test_channels_say_colour_and_alpha(components: int, colour: bytes, has_alpha: bool, space: str) -> None:
    header = read(jp2(stream=siz(components=components), colour=colour))

    assert (header.has_alpha, header.color_space) == (has_alpha, space)


def test_a_palette_says_the_channels() -> None:
    palette = box(b"pclr", struct.pack(">HB", 1, 4) + bytes((7, 7, 7, 7)) + bytes(4))

    header = read(jp2(stream=siz(components=1, depth=4), colour=colr(16) + palette))

    assert (header.has_alpha, header.color_space, header.bit_depth) == (True, "rgb", 8)


@pytest.mark.parametrize("depth", [1, 8, 12, 16])
def test_the_depth_is_that_of_the_codestream(depth: int) -> None:
    assert read(jp2(stream=siz(depth=depth))).bit_depth == depth


def test_a_profile_is_told_from_a_numbered_space() -> None:
    assert read(jp2(colour=box(b"colr", b"\2\0\0profile"))).has_icc_profile
    assert not read(jp2()).has_icc_profile


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_is_found_in_exif_xmp_and_geotiff(has_gps: bool) -> None:
    tie_points = directory([(33922 if has_gps else 34735, 4, 6, 8)], 8)
    geotiff = b"II*\0\x08\0\0\0" + tie_points + bytes(24)

    assert read(jp2(box(b"uuid", EXIF_UUID + exif_block(has_gps=has_gps)))).has_gps is has_gps
    assert read(jp2(box(b"uuid", XMP_UUID + xmp_packet(has_gps=has_gps)))).has_gps is has_gps
    assert read(jp2(box(b"xml ", xmp_packet(has_gps=has_gps)))).has_gps is has_gps
    assert read(jp2(box(b"uuid", GEOTIFF_UUID + geotiff))).has_gps is has_gps


def test_exif_turns_the_picture() -> None:
    header = read(jp2(box(b"uuid", EXIF_UUID + exif_block(6))))

    assert (header.orientation, header.has_exif, header.display_width) == (6, True, 20)
    assert not read(jp2()).has_exif


@pytest.mark.parametrize(
    "broken",
    [
        jp2(ihdr=(41, 20)),
        HEAD,
        HEAD + box(b"jp2c", siz()),
        jp2(stream=b"\xff\x4f\xff\x52" + siz()[4:]),
        siz()[:-1],
        siz(components=0),
        siz(0),
        siz()[:4] + b"\0\x30" + siz()[6:],
        b"",
    ],
)
def test_headers_that_are_missing_or_differ_are_damaged(broken: bytes) -> None:
    assert outcome(read, broken) is FailureCode.DAMAGED


def test_a_flood_of_packets_takes_no_time() -> None:
    packets = box(b"xml ", xmp_packet() + b"<a/>" * 100_000) * 20 + box(b"xml ", xmp_packet()) * 20_000
    started = time.process_time()

    assert read(jp2(packets)).width == 40
    assert time.process_time() - started < 1.0


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = jp2(box(b"uuid", EXIF_UUID + exif_block(6, has_gps=True)), colour=colr(16) + cdef(0, 0, 0))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("jp2"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
