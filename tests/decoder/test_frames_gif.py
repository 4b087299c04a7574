"""GIF frames: composited as other readers do, cut at the screen, and each an image of its own."""

import io
import itertools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Fit
from remote_worker.decoder.formats import FORMATS
from remote_worker.decoder.loaders import pillow

from .gifs import (
    BACKGROUND,
    CLEAR,
    NONE,
    PREVIOUS,
    SCREEN,
    TABLE,
    Part,
    coalesced,
    frames_of,
    gif,
    indices,
    seen,
    visible,
    whole,
)
from .pictures import do, noise, output, saved

NATURAL = Fit(width=10_000, height=10_000, format="png", animated=True)


def written(data: bytes) -> list[bytes]:
    """The frames of the APNG that fit writes, which Pillow puts together as it should: they only replace."""
    image = Image.open(io.BytesIO(do(NATURAL, data).pictures["output"]))
    made = []
    for at in range(getattr(image, "n_frames", 1)):
        image.seek(at)
        made.append(image.convert("RGBA").tobytes())
    return visible(b"".join(made), image.size)


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize(
    ("first", "is_cut_out"),
    [(NONE, False), (NONE, True), (BACKGROUND, False), (BACKGROUND, True), (PREVIOUS, True)],
)
@pytest.mark.parametrize("then", [NONE, BACKGROUND, PREVIOUS])
def test_frames_are_what_imagemagick_shows(
    first: int, is_cut_out: bool, then: int, imagemagick: Callable[..., Any]
) -> None:
    parts = [Part(0, 0, whole(), first, is_cut_out=is_cut_out)]
    # The last two reach over the screen, to the right and below.
    for seed, place in enumerate([(2, 3), (4, 1), (0, 0), (15, 5), (5, 11)]):
        parts.append(Part(*place, indices(seed), then, is_cut_out=seed % 3 != 1))
    data = gif(parts)

    expected = coalesced(data, SCREEN, imagemagick)

    assert len(expected) == len(parts)
    assert seen(frames_of(data)) == expected
    assert written(data) == expected


@pytest.mark.needs_imagemagick
def test_disposals_may_change_from_frame_to_frame(imagemagick: Callable[..., Any]) -> None:
    parts = [Part(0, 0, whole())]
    for seed, dispose in enumerate(itertools.product((PREVIOUS, BACKGROUND, NONE), repeat=2)):
        parts += [Part(seed, seed % 7, indices(seed + at), dispose[at], is_cut_out=True) for at in (0, 1)]
    data = gif(parts)

    assert seen(frames_of(data)) == coalesced(data, SCREEN, imagemagick)


def test_what_is_disposed_of_over_an_opaque_picture_is_clear() -> None:
    data = gif([Part(0, 0, whole()), Part(5, 4, indices(2), BACKGROUND), Part(0, 0, indices(3, 3, 3))])

    alpha = np.asarray(frames_of(data)[2].image.convert("RGBA"))[..., 3]

    assert alpha.sum() // 255 == SCREEN[0] * SCREEN[1] - 9 * 6
    assert not alpha[4:10, 5:14].any()


def test_there_was_nothing_before_the_first_frame() -> None:
    # Browsers clear an opaque first frame that is to make room for the previous one; ImageMagick keeps it.
    data = gif([Part(0, 0, whole(), PREVIOUS), Part(5, 4, indices(2), PREVIOUS), Part(0, 0, indices(3))])

    covered = [np.asarray(frame.image.convert("RGBA"))[..., 3].sum() // 255 for frame in frames_of(data)]

    assert covered == [SCREEN[0] * SCREEN[1], 9 * 6, 9 * 6]


def test_a_disposal_counts_for_its_own_frame_alone() -> None:
    parts = [Part(0, 0, whole()), Part(5, 4, indices(2), BACKGROUND), Part(0, 0, indices(3), None)]
    data = gif([*parts, Part(12, 10, indices(4, 2, 2))])

    first, *_, last = (np.asarray(frame.image.convert("RGBA")) for frame in frames_of(data))

    # The third frame, which names no disposal, stays.
    assert last[0, 0, 3] == 255
    assert (last[13, 0] == first[13, 0]).all()


def test_a_first_frame_smaller_than_the_screen_leaves_the_rest_clear() -> None:
    data = gif([Part(3, 2, indices(1)), Part(0, 0, indices(2, 2, 2))])

    alpha = np.asarray(frames_of(data)[0].image.convert("RGBA"))[..., 3]
    still = output(Fit(width=10_000, height=10_000, format="png"), data)

    assert alpha[2:8, 3:12].all()
    assert alpha.sum() // 255 == 9 * 6
    assert (np.asarray(still.convert("RGBA"))[..., 3] == alpha).all()


def test_opaque_animations_stay_without_alpha() -> None:
    parts = [Part(0, 0, whole()), Part(4, 4, indices(1)), Part(2, 2, indices(2), is_cut_out=True)]

    assert [frame.image.mode for frame in frames_of(gif(parts))] == ["RGB"] * 3
    assert Image.open(io.BytesIO(do(NATURAL, gif(parts)).pictures["output"])).mode == "RGB"


def test_frames_stay_as_they_were_when_later_ones_come() -> None:
    disposals = [NONE, BACKGROUND, PREVIOUS, NONE]
    parts = [Part(0, 0, whole())] + [Part(2, at, indices(at), which) for at, which in enumerate(disposals)]
    row = next(row for row in FORMATS if row.name == "gif")
    assert row.loader is not None
    kept, then = [], []

    for frame in row.loader.frames(gif(parts), row.header(gif(parts))):
        kept.append(frame.image)
        then.append(frame.image.tobytes())

    assert [image.tobytes() for image in kept] == then
    assert len({id(image) for image in kept}) == len(parts)


@pytest.mark.parametrize("target", ["png", "webp", "gif"])
@pytest.mark.parametrize("plugin", ["GIF", "WEBP", "PNG"])
def test_frames_that_are_not_scaled_are_not_mixed_up(plugin: str, target: str) -> None:
    pictures = [Image.new("RGB", (80, 60), color) for color in ("red", "lime", "blue", "white", "black")]
    options: dict[str, Any] = {"lossless": True} if plugin == "WEBP" else {}
    data = saved(
        pictures[0],
        plugin,
        save_all=True,
        append_images=pictures[1:],
        duration=[30, 40, 50, 60, 70],
        **options,
    )

    made = Image.open(
        io.BytesIO(
            do(Fit(width=10_000, height=10_000, format=target, animated=True), data).pictures["output"]
        )
    )

    for at, picture in enumerate(pictures):
        made.seek(at)
        made.load()
        found = made.convert("RGB").getpixel((40, 30))
        assert isinstance(found, tuple)
        want = picture.getpixel((40, 30))
        assert isinstance(want, tuple)
        assert max(abs(a - b) for a, b in zip(found, want, strict=True)) <= 3


def test_durations_are_as_stored_and_none_without_a_control() -> None:
    parts = [Part(0, 0, whole(), delay=0), Part(0, 0, indices(2), None), Part(1, 1, indices(3), delay=65535)]

    assert [frame.duration_ms for frame in frames_of(gif(parts))] == [0, 0, 655350]


def test_a_frame_has_its_own_colours_or_the_screens() -> None:
    own = bytes(reversed(TABLE))
    data = gif([Part(0, 0, whole() * 0), Part(0, 0, whole() * 0, table=own), Part(0, 0, whole() * 0)])

    found = [frame.image.convert("RGB").getpixel((3, 3)) for frame in frames_of(data)]

    assert found == [tuple(TABLE[:3]), tuple(own[:3]), tuple(TABLE[:3])]


def test_without_any_colours_the_indices_are_gray() -> None:
    found = frames_of(gif([Part(0, 0, whole() * 0 + 5), Part(0, 0, indices(1))], table=b""))

    assert found[0].image.convert("RGB").getpixel((3, 3)) == (5, 5, 5)


@pytest.mark.needs_imagemagick
def test_interlaced_frames_are_read(imagemagick: Callable[..., Any]) -> None:
    data = imagemagick(
        "png:-",
        "-interlace",
        "GIF",
        "(",
        "+clone",
        "-flop",
        ")",
        "gif:-",
        stdin=saved(noise(61, 37).quantize(64).convert("RGB"), "PNG"),
    ).stdout
    assert data[data.index(b",\0\0\0\0") + 9] & 0x40

    assert seen(frames_of(data)) == coalesced(data, (61, 37), imagemagick)


def test_pixels_that_are_missing_are_damage() -> None:
    data = gif([Part(0, 0, whole()), Part(0, 0, whole(2))])

    # The terminator and the trailer alone are no pixels.
    assert seen(frames_of(data[:-2])) == seen(frames_of(data))
    for cut in (data[:-3], data[:-40]):
        with pytest.raises(WorkFailed) as failed:
            frames_of(cut)
        assert failed.value.code is FailureCode.DAMAGED
        assert output(Fit(width=5, height=5, format="png"), cut).size == (5, 4)


def test_a_frame_may_not_have_more_pixels_than_a_picture() -> None:
    pillow.guard(2_000_000)
    small = gif([Part(0, 0, whole()), Part(0, 0, whole())])
    at = small.rindex(struct.pack("<BHHHH", 0x2C, 0, 0, *SCREEN)) + 5

    for size, code in (((2000, 1000), FailureCode.DAMAGED), ((2000, 1001), FailureCode.TOO_MANY_PIXELS)):
        data = small[:at] + struct.pack("<HH", *size) + small[at + 4 :]
        with pytest.raises(WorkFailed) as failed:
            frames_of(data)
        assert failed.value.code is code


def test_a_clear_index_that_no_pixel_has_makes_nothing_clear() -> None:
    # ffmpeg and others announce one for every frame.
    parts = [Part(0, 0, whole() % CLEAR, is_cut_out=True), Part(3, 3, indices(2), is_cut_out=True)]
    data = gif(parts)

    made = do(Fit(width=10, height=10, animated=True), data).pictures["output"]

    assert [frame.image.mode for frame in frames_of(data)] == ["RGB"] * 2
    assert output(Fit(width=10, height=10, format="png"), data).mode == "RGB"
    # Opaque films say what changes; others, each frame whole, would say which index is clear.
    assert made[made.index(b"!\xf9\4") + 3] & 1 == 0


def test_a_clear_index_that_one_pixel_has_makes_it_clear() -> None:
    part = Part(0, 0, whole() % CLEAR, is_cut_out=True)
    part.indices[4, 9] = CLEAR

    alpha = np.asarray(frames_of(gif([part]))[0].image.convert("RGBA"))[..., 3]

    assert [tuple(place) for place in np.argwhere(alpha == 0)] == [(4, 9)]


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_frame_without_pixels_shows_what_was_there(size: tuple[int, int]) -> None:
    nothing = Part(3, 3, np.zeros(size, np.uint8), is_cut_out=True)

    first, second = frames_of(gif([Part(0, 0, whole()), nothing]))

    assert seen([first]) == seen([second])
