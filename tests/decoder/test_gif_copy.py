"""A GIF that is not scaled: the same film in a file of our own, without what else was in it."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import GifImagePlugin, Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Fit

from .gifs import (
    BACKGROUND,
    NONE,
    PREVIOUS,
    SCREEN,
    Part,
    coalesced,
    frames_of,
    gif,
    indices,
    lzw,
    seen,
    whole,
)
from .pictures import do, noise

SAME = Fit(width=20, height=20, animated=True)
STILL = Fit(width=20, height=20)
SECRET = b"taken at 52.37 N 4.89 E"


def copy(data: bytes, task: Fit = SAME, **limits: Any) -> bytes:
    return do(task, data, **limits).pictures["output"]


def with_codes(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


def test_a_copy_begins_with_a_whole_frame_and_plays_the_same() -> None:
    parts = [Part(0, 0, whole(), NONE, delay=7)]
    for seed, dispose in enumerate((NONE, BACKGROUND, PREVIOUS, NONE, PREVIOUS, BACKGROUND)):
        # Some reach over the screen, to the right and below.
        parts.append(Part(3 * seed, 2 * seed, indices(seed), dispose, is_cut_out=seed % 2 == 0, delay=seed))
    data = gif(parts)

    made = copy(data)

    assert seen(frames_of(made)) == seen(frames_of(data))
    assert [frame.duration_ms for frame in frames_of(made)] == [70, 0, 10, 20, 30, 40, 50]
    places = [struct.unpack_from("<HHHH", made, at) for at in image_places(made)]
    assert all(left + width <= SCREEN[0] and top + height <= SCREEN[1] for left, top, width, height in places)


def image_places(data: bytes) -> list[int]:
    """Where the image descriptors of our own files, which follow a control, have their place."""
    return [at + 9 for at in range(len(data)) if data[at : at + 3] == b"!\xf9\4" and data[at + 8] == 0x2C]


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize("first", [NONE, BACKGROUND])
@pytest.mark.parametrize("then", [NONE, BACKGROUND, PREVIOUS])
def test_another_reader_sees_the_same_frames(first: int, then: int, imagemagick: Callable[..., Any]) -> None:
    parts = [Part(0, 0, whole(), first)]
    for seed, place in enumerate([(2, 3), (4, 1), (0, 0), (15, 5), (5, 11)]):
        parts.append(Part(*place, indices(seed), then, is_cut_out=seed % 3 != 1))
    data = gif(parts)

    assert coalesced(copy(data), SCREEN, imagemagick) == coalesced(data, SCREEN, imagemagick)


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize(
    "first",
    [
        Part(3, 2, indices(1)),
        Part(3, 2, indices(1), is_cut_out=True),
        Part(0, 0, whole(), PREVIOUS),
        Part(4, 3, indices(1, *SCREEN), PREVIOUS),
        Part(30, 2, indices(1)),
    ],
    ids=["small", "small and cut out", "previous", "over the screen", "off the screen"],
)
def test_an_odd_first_frame_is_said_so_that_readers_agree(
    first: Part, imagemagick: Callable[..., Any]
) -> None:
    data = gif([first, Part(5, 4, indices(2), NONE), Part(0, 0, indices(3))])

    made = copy(data)

    assert seen(frames_of(made)) == seen(frames_of(data))
    assert coalesced(made, SCREEN, imagemagick) == seen(frames_of(data))
    still = Image.open(io.BytesIO(copy(data, STILL))).convert("RGBA")
    assert still.size == SCREEN
    assert np.array_equal(
        np.asarray(still)[..., 3], np.asarray(frames_of(data)[0].image.convert("RGBA"))[..., 3]
    )


@pytest.mark.parametrize("screen", [(20, 20), (10, 10), (16, 10)])
def test_a_first_frame_may_use_all_indices(screen: tuple[int, int]) -> None:
    picture = Image.frombytes("P", (16, 16), bytes(range(256)))
    picture.putpalette(bytes(level for index in range(256) for level in (index, 255 - index, 7)))
    file = io.BytesIO()
    picture.save(file, "GIF")
    data = file.getvalue()[:6] + struct.pack("<HH", *screen) + file.getvalue()[10:]

    made = copy(data, STILL)

    assert struct.unpack_from("<HH", made, 6) == screen
    assert seen(frames_of(made)) == seen(frames_of(data))


def test_frames_that_draw_nothing_are_still_frames() -> None:
    empty = np.zeros((0, 5), np.uint8)
    parts = [Part(0, 0, whole()), Part(20, 0, indices(1)), Part(3, 14, indices(2), BACKGROUND)]
    data = gif([*parts, Part(2, 2, empty), Part(1, 1, indices(3))])

    made = copy(data)

    assert len(frames_of(made)) == 5
    assert seen(frames_of(made)) == seen(frames_of(data))


def test_colours_that_no_table_has_are_black_in_the_copy() -> None:
    data = gif([Part(0, 0, whole() * 0 + 6), Part(0, 0, whole() * 0 + 6, table=bytes([9] * 24))])
    short = data.replace(b"\x82\0\0", b"\x80\0\0", 1)
    short = short[:19] + short[19 + 18 :]

    made = Image.open(io.BytesIO(copy(short)))

    assert made.convert("RGB").getpixel((3, 3)) == (0, 0, 0)
    made.seek(1)
    assert made.convert("RGB").getpixel((3, 3)) == (9, 9, 9)
    # Other readers take another colour, or none, so there is one for index 6 now (GIF89a, 18: its size).
    assert 2 << (copy(short)[10] & 7) > 6


def test_without_any_colours_a_copy_is_gray() -> None:
    made = Image.open(io.BytesIO(copy(gif([Part(0, 0, whole() * 0 + 5), Part(0, 0, indices(1))], table=b""))))

    assert made.convert("RGB").getpixel((3, 3)) == (5, 5, 5)


@pytest.mark.needs_imagemagick
def test_interlaced_frames_stay_as_they_look(imagemagick: Callable[..., Any]) -> None:
    picture = noise(61, 37).quantize(64).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = imagemagick(
        "png:-", "-interlace", "GIF", "(", "+clone", "-flop", ")", "gif:-", stdin=file.getvalue()
    ).stdout
    assert data[data.index(b",\0\0\0\0") + 9] & 0x40

    made = copy(data, Fit(width=61, height=61, animated=True))

    assert coalesced(made, (61, 37), imagemagick) == coalesced(data, (61, 37), imagemagick)


def test_nothing_but_the_film_is_copied() -> None:
    plain = gif([Part(0, 0, whole()), Part(1, 1, indices(2))])
    comment = b"!\xfe%c%b\0" % (len(SECRET), SECRET)
    foreign = b"!\xff\x0bFOREIGN 1.0%c%b\0" % (len(SECRET), SECRET)
    text = b"!\x01\x0c" + bytes(12) + b"%c%b\0" % (len(SECRET), SECRET)
    first_control = plain.index(b"!\xf9")
    data = plain[:first_control] + comment + foreign + text + plain[first_control:] + SECRET

    assert copy(data) == copy(plain)
    assert SECRET not in copy(data)
    assert SECRET not in copy(data, STILL)


@pytest.mark.parametrize("hidden", [SECRET, b"abc", bytes(3) + SECRET])
@pytest.mark.parametrize("is_own_block", [True, False])
def test_bytes_behind_a_pictures_end_code_are_not_copied(hidden: bytes, is_own_block: bool) -> None:
    codes = lzw(indices(1))
    plain = gif([Part(0, 0, whole()), Part(1, 1, indices(1))])
    grown = codes[:-1] + b"%c%b\0" % (len(hidden), hidden)
    if not is_own_block:
        assert codes[1] == len(codes) - 3
        grown = bytes([codes[0], codes[1] + len(hidden)]) + codes[2:-1] + hidden + b"\0"
    data = with_codes(plain, codes, grown)

    made = copy(data)

    assert hidden not in made
    assert seen(frames_of(made)) == seen(frames_of(plain))


def test_a_copy_is_no_larger_than_a_plain_upload() -> None:
    data = gif([Part(0, 0, whole(seed)) for seed in range(9)])

    assert len(copy(data)) <= len(data)
    assert len(copy(data, output_bytes=len(copy(data)))) <= len(data)
    with pytest.raises(WorkFailed) as failed:
        copy(data, output_bytes=len(copy(data)) - 1)
    assert failed.value.code is FailureCode.OUTPUT_TOO_LARGE


def test_a_copy_of_a_cut_file_is_refused_where_pixels_are_missing() -> None:
    data = gif([Part(0, 0, whole()), Part(0, 0, whole(2))])

    assert copy(data[:-2]) == copy(data)
    for cut in (data[:-3], data[:-40]):
        with pytest.raises(WorkFailed) as failed:
            copy(cut)
        assert failed.value.code is FailureCode.DAMAGED
        assert Image.open(io.BytesIO(copy(cut, STILL))).size == SCREEN


@pytest.mark.parametrize("loop", [None, 0, 1, 7])
def test_a_copy_plays_as_often(loop: int | None) -> None:
    data = gif([Part(0, 0, whole()), Part(1, 1, indices(2))])
    if loop is not None:
        at = data.index(b"!\xf9")
        data = data[:at] + b"!\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<HB", loop, 0) + data[at:]

    assert Image.open(io.BytesIO(copy(data))).info.get("loop") == (None if loop == 1 else loop)
    assert "loop" not in Image.open(io.BytesIO(copy(data, STILL))).info


def test_a_still_of_an_animation_has_its_first_frame_alone() -> None:
    data = gif([Part(0, 0, whole(), BACKGROUND), Part(0, 0, whole(2))])

    made = GifImagePlugin.GifImageFile(io.BytesIO(copy(data, STILL)))

    assert getattr(made, "n_frames", 1) == 1
    assert made.convert("RGBA").tobytes() == frames_of(data)[0].image.convert("RGBA").tobytes()
    assert made.disposal_method == NONE


def test_a_code_size_that_the_format_has_not_is_not_copied() -> None:
    """A size of one bit, with the table cleared (code 2) before each index, and the end (code 3)."""
    index = np.random.default_rng(1).integers(0, 2, SCREEN[0] * SCREEN[1])
    bits = "".join(f"{code:02b}"[::-1] for at in index for code in (2, int(at))) + "11"
    packed = int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")
    data = gif([Part(0, 0, whole(), None)])
    data = with_codes(data, lzw(whole()), b"\1%c%b\0" % (len(packed), packed))

    made = copy(data, STILL)

    assert 2 <= made[image_places(made)[0] + 9] <= 8
    assert frames_of(made)[0].image.tobytes() == frames_of(data)[0].image.tobytes()
