"""The one clear colour of a PNG of 16 bits: Pillow keeps the upper bytes alone, but both have to match."""

from collections.abc import Iterable
from functools import reduce
from typing import cast

from PIL import Image, ImageChops, ImageFile


def applied(image: Image.Image, unread: Image.Image) -> Image.Image:
    """The picture with alpha. `unread` is the same file, opened only: it is read for the lower bytes."""
    lower = cast(ImageFile.ImageFile, unread)
    lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
    lower.load()
    clear = image.info["transparency"]
    matches = [
        *_where(image, (value >> 8 for value in clear)),
        *_where(lower, (value & 255 for value in clear)),
    ]
    made = image.copy()
    made.putalpha(ImageChops.invert(reduce(ImageChops.darker, matches)))
    del made.info["transparency"]
    return made


def _where(image: Image.Image, values: Iterable[int]) -> list[Image.Image]:
    """Of each band, white where it has its value."""
    return [
        band.point([255 if level == value else 0 for level in range(256)])
        for band, value in zip(image.split(), values, strict=True)
    ]
