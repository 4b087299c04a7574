"""Geometry: boxes, orientations and avatar squares."""

import pytest
from PIL import Image

from remote_worker.decoder import operations
from remote_worker.decoder.operations import avatar_sizes, fitted, squares, upright

from .pictures import corner_colors, corners, noise, pixels


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((300, 200), (100, 100), (100, 67)),
        ((200, 300), (100, 100), (67, 100)),
        ((1000, 3), (100, 100), (100, 1)),
        ((1024, 1024), (4096, 4096), (1024, 1024)),
        ((1024, 1024), (1024, 1024), (1024, 1024)),
        ((1024, 1024), (1023, 2000), (1023, 1023)),
        ((640, 480), (1, 1), (1, 1)),
        ((640, 480), (320, 100), (133, 100)),
        ((640, 480), (100, 320), (100, 75)),
    ],
)
def test_a_box_is_filled_keeping_the_aspect_and_never_enlarging(
    size: tuple[int, int], box: tuple[int, int], expected: tuple[int, int]
) -> None:
    thumbnail = Image.new("L", size)
    thumbnail.thumbnail(box)

    assert fitted(size, box) == expected == thumbnail.size


@pytest.mark.parametrize(
    ("orientation", "stored"),
    # What the four corners of an upright r g / b w look like in a file with this EXIF orientation.
    [(1, "rgbw"), (2, "grwb"), (3, "wbgr"), (4, "bwrg"), (5, "rbgw"), (6, "gwrb"), (7, "wgbr"), (8, "brwg")],
)
def test_each_orientation_comes_to_stand_upright(orientation: int, stored: str) -> None:
    colors = dict(zip("rgbw", _quarters(), strict=True))
    image = Image.new("RGB", (32, 32))
    for at, letter in enumerate(stored):
        image.paste(colors[letter], (at % 2 * 16, at // 2 * 16))

    assert corner_colors(upright(image, orientation)) == list("rgbw")


@pytest.mark.parametrize(
    ("size", "due"),
    [
        ((1, 1), [24, 48, 73]),
        ((127, 300), [24, 48, 73]),
        ((128, 300), [24, 48, 73, 128]),
        ((300, 255), [24, 48, 73, 128]),
        ((256, 256), [24, 48, 73, 128, 256]),
        ((511, 512), [24, 48, 73, 128, 256]),
        ((512, 512), [24, 48, 73, 128, 256, 512]),
    ],
)
def test_an_avatar_is_due_when_both_sides_are_as_large(size: tuple[int, int], due: list[int]) -> None:
    assert avatar_sizes(size) == due


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(150, 101), (101, 150), (500, 384), (384, 500)])
def test_squares_of_a_small_picture_are_the_same_whichever_way_it_is_stored(
    orientation: int, size: tuple[int, int]
) -> None:
    picture = noise(*size)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright(picture, back)

    plain = squares(picture, [24, 48, 73], lambda image: image)
    turned = squares(stored, [24, 48, 73], lambda image: image, orientation=orientation)

    for side, square in plain.items():
        difference = max(_difference(square, turned[side]))
        assert square.size == (side, side)
        assert difference == 0


def test_the_middle_is_cut() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))

    made = squares(picture, [24, 73], lambda image: image)

    for image in made.values():
        edges = [image.getpixel((x, 12)) for x in (0, image.width - 1)]
        assert image.getpixel((image.width // 2, 12)) == (0, 0, 255)
        assert all(isinstance(pixel, tuple) and pixel[2] > 200 for pixel in edges)


def test_clear_pixels_do_not_bleed_into_their_neighbours() -> None:
    picture = Image.new("RGBA", (100, 100), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 50, 100))

    made = squares(picture, [73, 24], lambda image: image)

    for image in [*made.values(), operations.scaled(picture, (33, 33))]:
        visible = [pixel for pixel in pixels(image) if pixel[3] > 8]
        assert all(pixel[1] < 16 for pixel in visible)


def test_a_picture_is_padded_in_the_middle_of_a_clear_square() -> None:
    padded = operations.padded(Image.new("RGBA", (10, 4), "red"), 10)

    assert padded.getbbox() == (0, 3, 10, 7)
    assert padded.size == (10, 10)


def _quarters() -> list[Image.Image]:
    image = corners(32, 32)
    return [image.crop((x, y, x + 16, y + 16)) for y in (0, 16) for x in (0, 16)]


def _difference(one: Image.Image, other: Image.Image) -> list[int]:
    pairs = zip(one.tobytes(), other.tobytes(), strict=True)
    return [abs(a - b) for a, b in pairs]
