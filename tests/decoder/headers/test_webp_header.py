"""WebP headers."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.webp import read


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8(width: int = 3, height: int = 2, *, tag: int = 0, code: bytes = b"\x9d\x01\x2a") -> bytes:
    return chunk(b"VP8 ", struct.pack("<BH", tag, 0) + code + struct.pack("<HH", width, height) + b"x")


def vp8l(width: int = 3, height: int = 2, *, has_alpha: bool = False, version: int = 0) -> bytes:
    bits = (width - 1) | (height - 1) << 14 | has_alpha << 28 | version << 29
    return chunk(b"VP8L", struct.pack("<BI", 0x2F, bits))


def vp8x(flags: int, width: int = 3, height: int = 2) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return chunk(b"VP8X", struct.pack("<I", flags) + sides)


def anim(times: int) -> bytes:
    return chunk(b"ANIM", struct.pack("<IH", 0, times))


def anmf(picture: bytes, milliseconds: int = 10) -> bytes:
    return chunk(b"ANMF", bytes(12) + milliseconds.to_bytes(3, "little") + b"\0" + picture)


@pytest.mark.parametrize(
    "picture", [vp8(), vp8(3 | 0x4000, 2 | 0xC000), vp8l()], ids=["VP8", "scaled", "VP8L"]
)
def test_a_plain_picture_has_its_size_and_nothing_else(picture: bytes) -> None:
    assert read(webp(picture)) == Header(width=3, height=2, display_width=3, display_height=2)


def test_sides_reach_to_their_limits() -> None:
    assert read(webp(vp8(16383, 1))).width == 16383
    assert read(webp(vp8l(1, 16384))).height == 16384
    header = read(webp(vp8x(0, 1 << 24, 0x12345)))

    assert (header.width, header.height) == (1 << 24, 0x12345)


@pytest.mark.parametrize(
    "picture",
    [vp8(0, 2), vp8(tag=1), vp8(code=b"\x9d\x01\x2b"), vp8l(version=1), chunk(b"ALPH", bytes(20)), b""],
)
def test_what_does_not_begin_with_a_picture_is_damaged(picture: bytes) -> None:
    assert outcome(read, webp(picture)) is FailureCode.DAMAGED


@pytest.mark.parametrize("has_alpha", [False, True])
def test_alpha_is_told_by_the_lossless_header_or_by_the_extended_one(has_alpha: bool) -> None:
    assert read(webp(vp8l(has_alpha=has_alpha))).has_alpha is has_alpha
    assert read(webp(vp8x(0x10 if has_alpha else 0), vp8())).has_alpha is has_alpha


def test_an_animation_tells_its_frames_rounds_and_length() -> None:
    header = read(webp(vp8x(2), anim(5), anmf(vp8(), 70_000), anmf(vp8(), 30)))

    assert (header.frames, header.is_animation, header.loop) == (2, True, 5)
    assert header.duration_ms == 70_030


def test_frames_count_only_where_the_header_announces_an_animation() -> None:
    header = read(webp(vp8x(0), anim(5), anmf(vp8()), anmf(vp8())))

    assert (header.frames, header.is_animation, header.loop, header.duration_ms) == (1, False, None, None)


def test_an_animation_of_one_frame_is_none() -> None:
    header = read(webp(vp8x(2), anim(5), anmf(vp8())))

    assert (header.frames, header.is_animation, header.loop) == (1, False, None)


@pytest.mark.parametrize(
    ("first", "has_alpha"),
    [
        (vp8(), False),
        (chunk(b"ALPH", b"x") + vp8(), True),
        (vp8l(), False),
        (vp8l(has_alpha=True), True),
    ],
)
def test_the_first_frame_decides_on_alpha(first: bytes, has_alpha: bool) -> None:
    second = anmf(chunk(b"ALPH", b"x") + vp8())

    assert read(webp(vp8x(0x12), anim(0), anmf(first), second)).has_alpha is has_alpha
    assert not read(webp(vp8x(0x02), anim(0), anmf(first), second)).has_alpha


def test_exif_turns_the_picture() -> None:
    header = read(webp(vp8x(8), vp8(), chunk(b"EXIF", exif_block(6))))

    assert (header.orientation, header.has_exif, header.has_gps) == (6, True, False)
    assert (header.display_width, header.display_height) == (2, 3)


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_is_found_in_exif_and_xmp(has_gps: bool) -> None:
    block, packet = exif_block(has_gps=has_gps), xmp_packet(8, has_gps=has_gps)

    assert read(webp(vp8x(8), vp8(), chunk(b"EXIF", b"Exif\0\0" + block))).has_gps is has_gps
    assert read(webp(vp8x(4), vp8(), chunk(b"XMP ", packet))).has_gps is has_gps
    assert read(webp(vp8x(4), vp8(), chunk(b"XMP ", packet))).orientation == 8


def test_a_profile_is_told() -> None:
    assert read(webp(vp8x(0x20), chunk(b"ICCP", b"p"), vp8())).has_icc_profile
    assert not read(webp(vp8x(0x20), vp8())).has_icc_profile


def test_what_lies_behind_the_container_is_not_read() -> None:
    assert not read(webp(vp8x(8), vp8()) + chunk(b"EXIF", exif_block(6))).has_exif


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    frames = [anmf(chunk(b"ALPH", b"x") + vp8()), anmf(vp8l())]
    whole = webp(vp8x(0x1E), anim(0), *frames, chunk(b"EXIF", exif_block(6)), chunk(b"XMP ", xmp_packet(3)))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("webp"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
