"""Animated WebP as it is written: every frame and duration stays, and only what changed is written."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from remote_worker.decoder import animation
from remote_worker.decoder.formats import FORMATS
from remote_worker.decoder.loaders.loader import Frame

from .pictures import noise

LIMIT = 1 << 26


def webp(frames: list[Image.Image], durations: list[int], *, loop: int = 0) -> bytes:
    source = animation.Film(
        frames=lambda: map(Frame, frames, durations),
        count=len(frames),
        size=frames[0].size,
        loop=loop,
    )
    return animation.film(source, "webp", None, LIMIT)


def reread(data: bytes) -> tuple[list[Image.Image], list[int]]:
    """What libwebp's own reader of animations makes of it."""
    image = Image.open(io.BytesIO(data))
    frames, durations = [], []
    for at in range(getattr(image, "n_frames", 1)):
        image.seek(at)
        image.load()
        frames.append(image.convert("RGBA"))
        durations.append(round(image.info["duration"]))
    return frames, durations


def error(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of the channels, with colours premultiplied."""
    first, second = (np.asarray(image.convert("RGBA").convert("RGBa"), dtype=float) for image in (one, other))
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("has_alpha", [False, True])
def test_frames_that_look_alike_all_stay(has_alpha: bool) -> None:
    frames = [noise(33, 21, "RGBA" if has_alpha else "RGB")] * 5

    seen, durations = reread(webp(frames, [10, 0, 30, 1000, 50]))

    assert durations == [10, 0, 30, 1000, 50]
    assert all(error(image, frames[0]) < 8 for image in seen)


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (40, 31), (129, 66)])
def test_frames_come_back_as_they_were(size: tuple[int, int], has_alpha: bool) -> None:
    mode = "RGBA" if has_alpha else "RGB"
    frames = []
    for at in range(6):
        frame = noise(*size, mode)
        frame.paste((255, 20 * at, 0), (3 * at + 1, at + 1, 3 * at + 9, at + 8))
        # Far apart, so that the rectangle around the two is nearly the whole picture.
        frame.paste((0, 20 * at, 255), (size[0] - 4, size[1] - 3 - at, size[0], size[1]))
        if has_alpha and at > 2:
            frame.paste((0, 0, 0, 0), (0, 0, at, at))
        frames.append(frame)

    seen, _ = reread(webp(frames, [50] * 6))

    assert len(seen) == 6
    for image, frame in zip(seen, frames, strict=True):
        assert image.size == size
        assert error(image, frame) < 8
        assert image.getchannel("A").tobytes() == frame.convert("RGBA").getchannel("A").tobytes()


def test_what_did_not_change_stays_as_it_was() -> None:
    frames = [noise(320, 240) for _ in range(3)]
    frames[1].paste((255, 0, 0), (0, 0, 10, 10))
    frames[1].paste((255, 0, 0), (310, 230, 320, 240))
    frames[2].paste((255, 0, 0), (101, 101, 121, 121))

    data = webp(frames, [50] * 3)
    seen, _ = reread(data)

    still = np.asarray(seen[0])[40:90, 40:90]
    assert all((np.asarray(image)[40:90, 40:90] == still).all() for image in seen)
    assert len(data) < 1.6 * len(webp(frames[:1] * 2, [50] * 2))


def test_many_small_changes_far_apart_cost_no_more_than_libwebp_takes() -> None:
    frames = []
    for at in range(12):
        frame = noise(320, 240)
        frame.paste((255, 0, 0), (2 * at, 0, 2 * at + 10, 10))
        frame.paste((0, 0, 255), (310 - 2 * at, 230, 320 - 2 * at, 240))
        frames.append(frame)
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=50, quality=80, method=2)

    assert len(webp(frames, [50] * 12)) <= 1.2 * len(file.getvalue())


@pytest.mark.parametrize(("loop", "written"), [(0, 0), (3, 3), (65_535, 65_535), (65_536, 65_535)])
def test_rounds_are_as_many_as_the_format_can_say(loop: int, written: int) -> None:
    data = webp([noise(8, 8)] * 2, [50, 50], loop=loop)

    assert struct.unpack_from("<H", data, data.index(b"ANIM") + 12)[0] == written


def test_durations_are_as_long_as_the_format_can_say() -> None:
    _, durations = reread(webp([noise(8, 8)] * 3, [70_000, 0xFF_FFFF, 0xFF_FFFF + 1]))

    assert durations == [70_000, 0xFF_FFFF, 0xFF_FFFF]


def test_our_own_header_reader_agrees() -> None:
    row = next(row for row in FORMATS if row.name == "webp")

    header = row.header(webp([noise(9, 7)] * 3, [50, 60, 70], loop=2))

    assert (header.width, header.height, header.frames) == (9, 7, 3)
    assert (header.loop, header.duration_ms, header.is_animation) == (2, 180, True)


def test_the_header_tells_of_alpha_where_any_frame_has_some() -> None:
    plain, dots = noise(320, 240), noise(320, 240)
    for place in ((0, 0), (310, 230)):
        dots.paste((255, 0, 0), (*place, place[0] + 10, place[1] + 10))

    # Bit 4 of the flags (WebP container specification, extended file format).
    flags = [webp(frames, [50, 50])[20] & 0x10 for frames in ([plain, plain], [plain, dots])]

    assert flags == [0, 0x10]
