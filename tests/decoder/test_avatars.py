"""Avatars, end to end inside the decoder."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import AVATAR_SIZES, Avatars

from .pictures import BLUE, RED, do, film, frame_count, noise, output, pixels, saved

Values = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("size", "count"),
    [((1, 1), 3), ((127, 300), 3), ((128, 128), 4), ((600, 300), 5), ((511, 512), 5), ((512, 512), 6)],
)
def test_the_avatars_that_are_due_are_square_png(size: tuple[int, int], count: int) -> None:
    result = do(Avatars(), saved(noise(*size), "PNG"))

    assert list(result.pictures) == [f"avatar{side}" for side in AVATAR_SIZES[:count]]
    for side, (name, body) in zip(AVATAR_SIZES, result.pictures.items(), strict=False):
        image = Image.open(io.BytesIO(body))
        assert (name, image.format, image.size) == (f"avatar{side}", "PNG", (side, side))


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000"])
@pytest.mark.parametrize("size", [(1000, 701), (701, 1000), (90, 60), (530, 530), (97, 2000)])
def test_avatars_look_like_imagemagicks(
    plugin: str, size: tuple[int, int], imagemagick: Callable[..., Any]
) -> None:
    data = saved(noise(*size), plugin, **({"quality": 95} if plugin == "JPEG" else {}))

    made = do(Avatars(), data).pictures

    for side in AVATAR_SIZES:
        if f"avatar{side}" not in made:
            continue
        square = f"{side}x{side}"
        cover = ("-filter", "Lanczos", "-resize", f"{square}^", "-gravity", "center", "-extent", square)
        reference = imagemagick("-[0]", *cover, "-depth", "8", "png:-", stdin=data).stdout
        # Enlarging, the two filters differ a little more.
        least = 0.98 if side <= min(size) else 0.96
        assert similarity(made[f"avatar{side}"], reference) >= least, side


def test_clear_colours_do_not_show() -> None:
    picture = Image.new("RGBA", (200, 200), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (50, 50, 150, 150))

    for side in (24, 48, 73, 128):
        made = output(Avatars(), saved(picture, "PNG"), f"avatar{side}")
        assert made.mode == "RGBA"
        seen = [pixel for pixel in pixels(made) if pixel[3] > 8]
        assert seen
        assert all(pixel[1] < 16 for pixel in seen)


@pytest.mark.parametrize("plugin", ["GIF", "WEBP", "PNG", "AVIF"])
def test_moving_avatars_keep_all_frames_for_ever(plugin: str) -> None:
    frames = [Image.new("RGB", (150, 140), color) for color in (RED, BLUE, (9, 99, 9))]
    data = film(frames, plugin, [100, 200, 300], loop=2)

    result = do(Avatars(animated=True), data)

    assert list(result.pictures) == ["avatar24", "avatar48", "avatar73", "avatar128"]
    for body, facts in zip(result.pictures.values(), result.facts["pictures"], strict=True):
        image = Image.open(io.BytesIO(body))
        assert frame_count(image) == facts["frames"] == 3
        assert image.info["loop"] == 0
        durations = []
        for at, color in enumerate((RED, BLUE, (9, 99, 9))):
            image.seek(at)
            durations.append(round(image.info["duration"]))
            pixel = image.convert("RGB").getpixel((10, 10))
            assert isinstance(pixel, tuple)
            assert max(abs(a - b) for a, b in zip(pixel, color, strict=True)) <= 8
        assert durations == [100, 200, 300]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"frames": 3}, None),
        ({"frames": 2}, FailureCode.TOO_MANY_FRAMES),
        ({"animation_pixels": 3 * 20 * 10}, None),
        ({"animation_pixels": 3 * 20 * 10 - 1}, FailureCode.TOO_MANY_PIXELS),
    ],
)
def test_frames_are_counted_where_all_are_asked_for(limits: dict[str, int], code: FailureCode | None) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in (RED, BLUE, (9, 99, 9))]
    data = film(frames, "GIF", [100, 200, 300])

    assert "avatar24" in do(Avatars(), data, **limits).pictures
    if code is None:
        assert "avatar24" in do(Avatars(animated=True), data, **limits).pictures
        return
    with pytest.raises(WorkFailed) as failed:
        do(Avatars(animated=True), data, **limits)
    assert failed.value.code is code


def test_all_avatars_together_count_against_the_limit() -> None:
    data = saved(Image.effect_noise((512, 512), 90), "PNG")
    whole = sum(map(len, do(Avatars(), data).pictures.values()))

    assert do(Avatars(), data, output_bytes=whole).pictures
    with pytest.raises(WorkFailed) as failed:
        do(Avatars(), data, output_bytes=whole - 1)
    assert failed.value.code is FailureCode.OUTPUT_TOO_LARGE


def similarity(one: bytes, other: bytes) -> float:
    """The mean structural similarity of two pictures in gray, with a Gaussian window of radius 1.5."""
    first, second = (
        np.asarray(Image.open(io.BytesIO(body)).convert("RGB").convert("L"), dtype=float)
        for body in (one, other)
    )
    a, b = _blurred(first), _blurred(second)
    spread = _blurred(first**2) - a**2 + _blurred(second**2) - b**2
    together = _blurred(first * second) - a * b
    return float(
        (((2 * a * b + 6.5) * (2 * together + 58.5)) / ((a**2 + b**2 + 6.5) * (spread + 58.5))).mean()
    )


def _blurred(values: Values) -> Values:
    weights = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(values, ((5, 5), (0, 0)), mode="reflect")
        rows = len(values)
        values = sum(weight * padded[at : at + rows] for at, weight in enumerate(weights)).T
    return values
