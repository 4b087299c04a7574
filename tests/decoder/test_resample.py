"""Resampling by both libraries, against Lanczos3 in exact arithmetic."""

import os

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from remote_worker.decoder.resample import BEST, Box, Resampler, Size

from .pictures import noise

Values = npt.NDArray[np.float64]

BOTH = pytest.mark.parametrize("resampler", [Resampler(), BEST], ids=["Pillow", "the fastest"])
MODES = ["L", "La", "RGB", "RGBa", "CMYK", "LAB", "I"]


@BOTH
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((100, 74), None),
        ((24, 24), (0, 0, 301, 223)),
        ((77, 50), (10.25, 3.5, 250.75, 200.1)),
        ((512, 400), None),
        ((301, 100), None),
        ((301, 223), (0.5, 0, 300.5, 223)),
    ],
)
def test_pixels_are_those_of_exact_lanczos(
    resampler: Resampler, mode: str, size: Size, box: Box | None
) -> None:
    image = _calm(301, 223, mode)

    made = resampler.lanczos(image, size, box)

    error = np.abs(_values(made) - _exact(image, size, box))
    assert (made.mode, made.size) == (mode, size)
    assert error.max() <= 1.75
    assert error.mean() <= 0.34  # Two roundings, one a pass, are a third of a level off on average.


@BOTH
def test_a_quarter_of_a_pixel_is_seen(resampler: Resampler) -> None:
    image = Image.effect_noise((301, 223), 90)

    made = resampler.lanczos(image, (40, 40), (100.25, 50, 140.25, 90))

    error = np.abs(_values(made) - _exact(image, (40, 40), (100, 50, 140, 90)))
    assert error.max() > 4


@BOTH
@pytest.mark.parametrize("box", [None, (250.5, 0.25, 1849.5, 1200.0)])
def test_far_smaller_pictures_still_look_like_exact_lanczos(resampler: Resampler, box: Box | None) -> None:
    image = _calm(2100, 1200, "RGB")

    made = resampler.lanczos(image, (48, 36), box)

    assert np.abs(_values(made) - _exact(image, (48, 36), box)).mean() <= 1


@BOTH
def test_a_box_may_end_at_the_edge_whatever_floats_make_of_its_width(resampler: Resampler) -> None:
    image = Image.new("RGB", (49, 49), "red")

    for start in range(1, 100):
        left = 49 * start / 103
        made = resampler.lanczos(image, (7, 7), (left, left, 49, 49))
        assert made.getcolors() == [(49, (255, 0, 0))]


@BOTH
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_goes_into_the_colours_and_out_again(resampler: Resampler, mode: str) -> None:
    image = noise(97, 61, mode)
    alpha = image.getchannel("A")

    mixed = resampler.premultiplied(image)
    back = resampler.straight(mixed)

    share = np.asarray(alpha, float)[..., None] / 255
    colors = _values(image)[..., :-1]
    assert mixed.mode == mode[:-1] + "a"
    assert back.mode == mode
    assert np.abs(_values(mixed)[..., :-1] - colors * share).max() <= 0.51
    assert back.getchannel("A").tobytes() == alpha.tobytes()
    solid = share[..., 0] > 0.5
    assert np.abs(_values(back)[..., :-1] - colors)[solid].max() <= 2


@BOTH
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "I"])
def test_what_has_no_alpha_stays_as_it_is(resampler: Resampler, mode: str) -> None:
    image = _calm(3, 2, mode)

    assert resampler.premultiplied(image) is image
    assert resampler.straight(image) is image


@BOTH
def test_no_thread_is_started(resampler: Resampler) -> None:
    before = os.listdir("/proc/self/task")

    resampler.straight(resampler.lanczos(resampler.premultiplied(noise(3000, 2000, "RGBA")), (900, 600)))

    assert os.listdir("/proc/self/task") == before


def _calm(width: int, height: int, mode: str) -> Image.Image:
    """A picture with detail that stays off black and white, where 8 bits between two passes would clip."""
    bands = {"La": "LA", "LAB": "RGB", "I": "L"}.get(mode, mode.upper())
    image = noise(width, height, bands).point(lambda level: 50 + level * 3 // 5)
    if mode == "I":
        return image.convert("I").point(lambda level: level * 257)
    return Image.merge(mode, image.split())


def _values(image: Image.Image) -> Values:
    """Height, width, channels: levels as they are stored."""
    return np.stack([np.asarray(band, float) for band in image.split()], axis=-1)


def _exact(image: Image.Image, size: Size, box: Box | None) -> Values:
    left, top, right, bottom = box or (0, 0, *image.size)
    rows = np.tensordot(_weights(image.height, size[1], top, bottom), _values(image), axes=(1, 0))
    return np.tensordot(_weights(image.width, size[0], left, right), rows, axes=(1, 1)).swapaxes(0, 1)


def _weights(length: int, count: int, start: float, end: float) -> Values:
    """Of each target pixel, how much every source pixel counts: sinc(x) sinc(x/3), or stretched."""
    step = (end - start) / count
    centers = start + (np.arange(count) + 0.5) * step
    x = (np.arange(length) + 0.5 - centers[:, None]) / max(step, 1.0)
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)
