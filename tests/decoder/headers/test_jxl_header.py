"""JPEG XL headers."""

import io
import struct
import time

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet
from decoder.headers.heif_files import box
from PIL import Image

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.jxl import is_jxl, read

CONTAINER = bytes.fromhex("0000000c4a584c200d0a870a") + box(b"ftyp", b"jxl \0\0\0\0jxl ")


class Writer:
    """Writes bits, lowest first."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, *fields: tuple[int, int]) -> "Writer":
        """Values with their count of bits."""
        for value, count in fields:
            self._bits += f"{value:0{count}b}"[::-1] if count else ""
        return self

    def done(self) -> bytes:
        bits = self._bits + "0" * (-len(self._bits) % 8)
        return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def size(width: int, height: int) -> list[tuple[int, int]]:
    """A size header in its 13-bit form."""
    return [(0, 1), (1, 2), (height - 1, 13), (0, 3), (1, 2), (width - 1, 13)]


def stream(
    width: int = 40,
    height: int = 20,
    *,
    orientation: int = 1,
    animation: tuple[int, int] | None = None,
    depth: int = 8,
    channels: tuple[int, ...] = (),
    space: int = 0,
    has_profile: bool = False,
) -> bytes:
    """A codestream up to its first frame; `animation` is ticks a second and loops."""
    writer = Writer().put((0x0AFF, 16), *size(width, height), (0, 1), (1, 1))
    writer.put((orientation - 1, 3), (0, 1), (0, 1), (int(animation is not None), 1))
    if animation is not None:
        ticks, loops = animation
        writer.put((2, 2), (ticks - 1, 10), (0, 2), (2, 2), (loops, 16), (0, 1))
    writer.put((0, 1), (3, 2), (depth - 1, 6), (1, 1))
    writer.put((2, 2), (len(channels) - 2, 4)) if len(channels) > 1 else writer.put((len(channels), 2))
    for kind in channels:
        writer.put((0, 1), (2, 2), (kind - 2, 4)) if kind > 1 else writer.put((0, 1), (kind, 2))
        writer.put((0, 1), (0, 2), (0, 2), (0, 2))
        writer.put((0, 1)) if kind == 0 else None
    writer.put((1, 1), (0, 1), (int(has_profile), 1), (space, 2))
    if not has_profile:
        writer.put((1, 2))
        writer.put((1, 2)) if space == 0 else None
        writer.put((0, 1), (2, 2), (11, 4), (1, 2))
    return writer.put((1, 1), (0, 2), (1, 1)).done()


def frame(ticks: int, *, is_last: bool = False, kind: int = 0, content: int = 5) -> bytes:
    """A frame of one section."""
    writer = Writer().put((0, 1), (kind, 2), (0, 1), (0, 2), (0, 2), (0, 6))
    if kind != 2:
        writer.put((0, 2))
    writer.put((0, 1))
    if kind != 2:
        writer.put((0, 2), (2, 2), (ticks, 8), (int(is_last), 1))
    if not is_last:
        writer.put((1, 2), (0, 1))
    writer.put((0, 2), (1, 1), (0, 2), (0, 1))
    return writer.done() + Writer().put((0, 2), (content, 10)).done() + bytes(content)


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    expected = Header(width=40, height=20, display_width=40, display_height=20)

    assert read(stream()) == expected
    assert read(CONTAINER + box(b"jxlc", stream())) == expected
    assert is_jxl(stream())
    assert is_jxl(CONTAINER)
    assert not is_jxl(b"\xff\x0b")


def test_a_container_may_hold_the_codestream_in_parts_or_with_a_long_size() -> None:
    whole = stream()
    parts = box(b"jxlp", bytes(4) + whole[:3]) + box(b"jxlp", b"\x80\0\0\1" + whole[3:])
    long_box = struct.pack(">I4sQ", 1, b"jxlc", 16 + len(whole)) + whole

    assert read(CONTAINER + parts) == read(whole)
    assert read(CONTAINER + long_box) == read(whole)


@pytest.mark.parametrize(("ratio", "width"), [(1, 40), (2, 48), (3, 53), (4, 60), (5, 71), (6, 50), (7, 80)])
def test_all_fields_at_their_defaults_are_a_picture_too(ratio: int, width: int) -> None:
    small = Writer().put((0x0AFF, 16), (1, 1), (4, 5), (ratio, 3), (1, 1), (1, 1)).done()

    assert read(small) == Header(width=width, height=40, display_width=width, display_height=40)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_codestream_tells_the_orientation_and_exif_does_not(orientation: int) -> None:
    exif = box(b"Exif", bytes(4) + exif_block(3))

    header = read(CONTAINER + box(b"jxlc", stream(orientation=orientation)) + exif)

    shown = (20, 40) if orientation >= 5 else (40, 20)
    assert (header.orientation, header.display_width, header.display_height) == (orientation, *shown)


@pytest.mark.parametrize(
    ("channels", "has_alpha", "space"),
    [((), False, "rgb"), ((0,), True, "rgb"), ((1,), False, "rgb"), ((4, 0), True, "cmyk")],
)
def test_extra_channels_say_alpha_and_black(channels: tuple[int, ...], has_alpha: bool, space: str) -> None:
    header = read(stream(channels=channels))

    assert (header.has_alpha, header.color_space) == (has_alpha, space)


def test_depth_colour_and_profile_are_told() -> None:
    assert read(stream(depth=12)).bit_depth == 12
    assert read(stream(space=1)).color_space == "gray"
    assert read(stream(has_profile=True)).has_icc_profile
    assert not read(stream()).has_icc_profile


def test_an_animation_tells_its_frames_rounds_and_length() -> None:
    frames = frame(7) + frame(0) + frame(5) + frame(0, kind=2) + frame(3, is_last=True)

    header = read(stream(animation=(50, 4)) + frames)

    assert (header.frames, header.is_animation, header.loop, header.duration_ms) == (3, True, 4, 300)
    assert read(stream() + frames).is_animation is False


def test_frames_are_counted_as_far_as_they_can_be() -> None:
    start = stream(animation=(50, 0))

    assert read(start + frame(7) + frame(5) + frame(3)).frames == 3
    assert read(start + frame(7) + frame(5) + frame(3)[:-1]).frames == 2
    assert read(start).frames == 1
    assert read(stream(animation=(50, 0), has_profile=True) + frame(7) * 3).frames == 1


def test_frames_without_end_are_not_counted_for_ever() -> None:
    started = time.process_time()

    assert read(stream(animation=(50, 0)) + frame(1, content=0) * 200_000).frames > 512
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_is_found_in_exif_and_xmp(has_gps: bool) -> None:
    start = CONTAINER + box(b"jxlc", stream())
    block = exif_block(has_gps=has_gps)

    assert read(start + box(b"Exif", bytes(4) + block)).has_gps is has_gps
    assert read(start + box(b"Exif", block)).has_gps is has_gps
    assert read(start + box(b"xml ", xmp_packet(has_gps=has_gps))).has_gps is has_gps
    assert read(start + box(b"Exif", bytes(4) + block)).has_exif


@pytest.mark.parametrize(
    ("kind", "bytes_inside", "has_exif", "has_gps"),
    [
        (b"Exif", 30, True, False),
        (b"Exif", 59, True, False),
        (b"Exif", 60, True, True),
        (b"jbrd", 60, False, False),
    ],
)
def test_a_location_is_not_denied_where_a_compressed_block_may_hold_one(
    kind: bytes, bytes_inside: int, has_exif: bool, has_gps: bool
) -> None:
    # RFC 7932: a window of 16 bits, then one last block with a length of four nibbles.
    brotli = Writer().put((0, 1), (1, 1), (0, 1), (0, 2), (bytes_inside - 1, 16)).done() + bytes(20)

    header = read(CONTAINER + box(b"jxlc", stream()) + box(b"brob", kind + brotli))

    assert (header.has_exif, header.has_gps) == (has_exif, has_gps)


@pytest.mark.parametrize(
    "broken", [b"", b"\xff\x0a", CONTAINER, CONTAINER + box(b"jxlc", b"\xff\x0b" + bytes(9))]
)
def test_headers_that_are_missing_are_damaged(broken: bytes) -> None:
    assert outcome(read, broken) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("mode", "has_alpha", "space"), [("RGB", False, "rgb"), ("RGBA", True, "rgb"), ("L", False, "gray")]
)
def test_what_an_encoder_writes_is_read(mode: str, has_alpha: bool, space: str) -> None:
    pytest.importorskip("pillow_jxl")
    buffer = io.BytesIO()
    Image.new(mode, (37, 22)).save(buffer, format="JXL")

    header = read(buffer.getvalue())

    assert (header.width, header.height) == (37, 22)
    assert (header.has_alpha, header.color_space, header.frames) == (has_alpha, space, 1)


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    animation = stream(animation=(50, 4), channels=(0,)) + frame(7) + frame(3, is_last=True)
    whole = CONTAINER + box(b"jxlc", animation) + box(b"Exif", bytes(4) + exif_block(6))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("jxl"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
