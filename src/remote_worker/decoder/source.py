"""One decoded picture from which several outputs are made, each by one Lanczos step."""

from functools import cached_property

from PIL import Image

from . import color, operations
from .loaders.loader import Still
from .resample import BEST as RESAMPLER
from .resample import Size


class Source:
    """A decoded picture; the loader may have scaled it down, but not below what is asked of it here."""

    def __init__(self, decoded: Still, bit_depth: int) -> None:
        self._profile = color.Profile.of(decoded.image)
        self._image = color.workable(decoded.image, bit_depth)
        self._box = decoded.box or (0.0, 0.0, *self._image.size)
        self._orientation = decoded.orientation

    def part(self, scaled: Size, cut: operations.Part) -> Image.Image:
        """A part of the picture at this size, upright and in sRGB."""
        size = operations.sides(scaled, self._orientation)
        left, top, right, bottom = operations.stored(cut, size, self._orientation)
        x, y, end_x, end_y = self._box
        across, down = (end_x - x) / size[0], (end_y - y) / size[1]
        box = (
            x + left * across,
            y + top * down,
            end_x if right == size[0] else x + right * across,
            end_y if bottom == size[1] else y + bottom * down,
        )
        image = self._scaled((right - left, bottom - top), box)
        return operations.upright(color.to_srgb(image, self._profile), self._orientation)

    def _scaled(self, size: Size, box: operations.Box) -> Image.Image:
        left, top, right, bottom = box
        if (right - left, bottom - top) == size:
            whole = (int(left), int(top), int(right), int(bottom))
            if whole == box:
                return self._image if whole == (0, 0, *self._image.size) else self._image.crop(whole)
        return RESAMPLER.straight(RESAMPLER.lanczos(self._premultiplied, size, box))

    @cached_property
    def _premultiplied(self) -> Image.Image:
        return RESAMPLER.premultiplied(self._image)
