"""PNG and APNG headers."""

import struct
import zlib

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.png import read

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def ihdr(width: int = 3, height: int = 2, depth: int = 8, color_type: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))


def png(*between: bytes, head: bytes | None = None, after: bytes = b"") -> bytes:
    head = head or ihdr()
    return SIGNATURE + head + b"".join(between) + chunk(b"IDAT", b"x") + after + chunk(b"IEND")


def actl(frames: int, plays: int = 0) -> bytes:
    return chunk(b"acTL", struct.pack(">II", frames, plays))


def fctl(numerator: int = 1, denominator: int = 10) -> bytes:
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 3, 2, 0, 0, numerator, denominator, 0, 0))


def raw_profile(kind: str, block: bytes) -> bytes:
    text = f"\n{kind}\n{len(block):8}\n".encode() + block.hex("\n", 36).encode()
    return chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text))


def itxt(text: bytes, *, is_deflated: bool = False) -> bytes:
    body = b"\1\0\0\0" + zlib.compress(text) if is_deflated else bytes(4) + text
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + body)


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    assert read(png()) == Header(width=3, height=2, display_width=3, display_height=2)


@pytest.mark.parametrize(
    ("color_type", "depth", "color_space", "has_alpha", "bit_depth"),
    [
        (0, 1, "gray", False, 1),
        (0, 16, "gray", False, 16),
        (2, 16, "rgb", False, 16),
        (3, 2, "rgb", False, 8),
        (4, 8, "gray", True, 8),
        (6, 16, "rgb", True, 16),
    ],
)
def test_colour_types_are_told(
    color_type: int, depth: int, color_space: str, has_alpha: bool, bit_depth: int
) -> None:
    header = read(png(head=ihdr(depth=depth, color_type=color_type)))

    assert (header.color_space, header.has_alpha, header.bit_depth) == (color_space, has_alpha, bit_depth)


@pytest.mark.parametrize(("color_type", "depth"), [(0, 3), (2, 4), (3, 16), (4, 4), (5, 8), (6, 0)])
def test_colour_types_that_do_not_exist_are_damaged(color_type: int, depth: int) -> None:
    assert outcome(read, png(head=ihdr(depth=depth, color_type=color_type))) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("width", "is_read"), [(0, False), (1, True), (0x7FFFFFFF, True), (0x80000000, False)]
)
def test_a_side_is_1_to_2147483647(width: int, is_read: bool) -> None:
    assert isinstance(outcome(read, png(head=ihdr(width=width))), Header) is is_read


def test_the_first_chunk_must_be_the_header() -> None:
    assert outcome(read, SIGNATURE + chunk(b"gAMA", bytes(13)) + ihdr()) is FailureCode.DAMAGED


@pytest.mark.parametrize("color_type", [0, 2, 3])
def test_transparent_colours_make_alpha_only_before_the_pixels(color_type: int) -> None:
    transparency = chunk(b"tRNS", bytes(6))

    assert read(png(transparency, head=ihdr(color_type=color_type))).has_alpha
    assert not read(png(after=transparency, head=ihdr(color_type=color_type))).has_alpha


def test_a_profile_is_told_from_the_mere_word_srgb() -> None:
    assert read(png(chunk(b"iCCP", b"p\0\0"))).has_icc_profile
    assert not read(png(chunk(b"sRGB", b"\0"))).has_icc_profile


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_turns_the_picture_before_and_after_the_pixels(after: bool, order: str) -> None:
    exif = chunk(b"eXIf", exif_block(6, order=order))

    header = read(png(after=exif) if after else png(exif))

    assert (header.orientation, header.has_exif, header.has_gps) == (6, True, False)
    assert (header.width, header.height) == (3, 2)
    assert (header.display_width, header.display_height) == (2, 3)


@pytest.mark.parametrize("has_gps", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda gps: chunk(b"eXIf", exif_block(has_gps=gps)),
        lambda gps: chunk(b"eXIf", b"Exif\0\0" + exif_block(has_gps=gps)),
        lambda gps: raw_profile("exif", b"Exif\0\0" + exif_block(has_gps=gps)),
        lambda gps: raw_profile("APP1", b"Exif\0\0" + exif_block(has_gps=gps)),
        lambda gps: raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet(has_gps=gps)),
        lambda gps: raw_profile("xmp", xmp_packet(has_gps=gps)),
        lambda gps: itxt(xmp_packet(has_gps=gps)),
        lambda gps: itxt(xmp_packet(has_gps=gps), is_deflated=True),
    ],
)
def test_a_location_is_found_wherever_writers_put_it(wrap, has_gps: bool) -> None:
    assert read(png(wrap(has_gps))).has_gps is has_gps
    assert read(png(after=wrap(has_gps))).has_gps is has_gps


def test_orientation_comes_from_exif_before_xmp() -> None:
    exif, xmp = chunk(b"eXIf", exif_block(3)), itxt(xmp_packet(8))

    assert read(png(xmp, exif)).orientation == 3
    assert read(png(xmp)).orientation == 8
    assert read(png(xmp, chunk(b"eXIf", exif_block()))).orientation == 8


def test_what_lies_behind_the_end_chunk_is_not_read() -> None:
    assert read(png() + chunk(b"eXIf", exif_block(6))).orientation == 1


def test_an_animation_tells_its_frames_rounds_and_length() -> None:
    header = read(png(actl(2, 3), fctl(1, 10), after=fctl(5, 0)))

    assert (header.frames, header.is_animation, header.loop) == (2, True, 3)
    assert header.duration_ms == 150  # A denominator of 0 stands for 100.


@pytest.mark.parametrize(
    "data",
    [
        png(actl(1), fctl()),
        png(fctl(), after=fctl()),
        png(actl(0), fctl(), after=fctl()),
        png(fctl(), after=actl(2) + fctl()),
    ],
    ids=["one frame", "no control", "control of none", "control behind the pixels"],
)
def test_what_is_no_animation_has_one_frame_and_no_rounds(data: bytes) -> None:
    header = read(data)

    assert (header.frames, header.is_animation, header.loop, header.duration_ms) == (1, False, None, None)


def test_frames_are_counted_and_not_believed() -> None:
    assert read(png(actl(2_000_000_000), fctl(), after=fctl())).frames == 2
    assert read(png(actl(2), fctl(), after=fctl() * 4)).frames == 5


def test_a_default_image_outside_the_animation_is_no_frame_of_it() -> None:
    assert read(png(actl(2), after=fctl() + fctl())).frames == 2


def test_a_bomb_of_text_is_inflated_within_bounds() -> None:
    bomb = zlib.compress(b" " * 50_000_000)
    packet = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb)

    assert read(png(packet * 20)).has_gps is False


def test_a_header_whose_pixels_are_missing_is_still_told() -> None:
    assert read(SIGNATURE + ihdr()).width == 3
    assert outcome(read, (SIGNATURE + ihdr())[:25]) is FailureCode.DAMAGED


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = png(
        actl(2), fctl(), chunk(b"eXIf", exif_block(6, has_gps=True)), itxt(xmp_packet(3)), after=fctl()
    )
    whole += raw_profile("exif", exif_block())

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("png", "apng"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
