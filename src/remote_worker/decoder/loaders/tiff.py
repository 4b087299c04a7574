"""TIFF through Pillow: the first page, with the kinds of samples that Pillow reads askew set right."""

from typing import cast

from PIL import Image, ImageFile, TiffImagePlugin

from ...contract.formats import FormatName
from .. import switches
from ..header import Header
from ..headers import Buffer
from ..headers.tiff import BITS_PER_SAMPLE, EXTRA_SAMPLES, PHOTOMETRIC
from .loader import Size, Still, damaged, library_errors
from .pillow import PillowLoader, loaded


class TiffLoader(PillowLoader):
    """Pillow turns TIFF upright while it loads."""

    def __init__(self) -> None:
        super().__init__(TiffImagePlugin.TiffImageFile)

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:  # noqa: ARG002  no scaled decode
        """The first page at full size."""
        with library_errors():
            image = loaded(self._opened(data, header))
            self._checked(image, header)
            return Still(_whole_range(cast(TiffImagePlugin.TiffImageFile, image)))

    def _opened(self, data: Buffer, header: Header) -> ImageFile.ImageFile:
        image = cast(TiffImagePlugin.TiffImageFile, super()._opened(data, header))
        if image._compression in _INSIDE:
            switches.hold_on(_INSIDE[image._compression])
        _unpack_planes(image)
        _unpack_unsigned(image)
        return image

    def _size(self, header: Header) -> Size:
        return header.display_width, header.display_height


TIFF = TiffLoader()

_INSIDE = {"tiff_jpeg": FormatName.JPEG, "jpeg": FormatName.JPEG, "webp": FormatName.WEBP}
"""Compressions, by Pillow's names, that are formats of their own."""
_PLANES, _SEPARATE = 284, 2
_SAMPLE_FORMAT, _UNSIGNED = 339, 1
_PREMULTIPLIED = 1
_MIN_IS_WHITE = 0
_WHITE_16, _WHITE_32 = 65_535, 4_294_967_295
_NO_SMALL_NUMBERS = 1 << 31


def _unpack_planes(image: TiffImagePlugin.TiffImageFile) -> None:
    """Planes of 16 bits, of whose bytes Pillow takes each for a sample unless libtiff reads the file."""
    if image.tag_v2.get(_PLANES) != _SEPARATE or len(image.getbands()) == 1:
        return
    if _PREMULTIPLIED in image.tag_v2.get(EXTRA_SAMPLES, ()):
        raise damaged("premultiplied planes")
    if max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) > 8 and not image.use_load_libtiff:
        place = (f"{image.mode};16N", False, image.tag_v2.offset)
        image.tile = [
            image.tile[0]._replace(
                codec_name="libtiff", extents=(0, 0, *image._tile_size), offset=0, args=place
            )
        ]
        image.use_load_libtiff = True


def _unpack_unsigned(image: TiffImagePlugin.TiffImageFile) -> None:
    """Unsigned samples of 32 bits, which Pillow takes for signed ones."""
    if all(isinstance(tile.args, tuple) and tile.args[0] == "I;32N" for tile in image.tile):
        image._mode = "F"
        image.tile = [tile._replace(args=("F;32N", *tile.args[1:])) for tile in image.tile if tile.args]


def _whole_range(image: TiffImagePlugin.TiffImageFile) -> Image.Image:
    """Gray of 12, 16 and 32 bits from black at 0 to white."""
    is_inverted = image.tag_v2.get(PHOTOMETRIC) == _MIN_IS_WHITE
    bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    if image.mode == "I;16" and (is_inverted or bits < 16):
        scale = _WHITE_16 / ((1 << bits) - 1)
        wide = image.convert("I")
        if is_inverted:
            return wide.point(lambda value: value * -scale + (_WHITE_16 + 0.5))
        return wide.point(lambda value: value * scale + 0.5)
    if image.mode == "F" and is_inverted:
        raise damaged("floats of which the smallest is white")
    if image.mode == "F" and image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED:
        _, high = cast(tuple[float, float], image.getextrema())
        if high > _NO_SMALL_NUMBERS:
            return image.point(lambda value: value * (1 / _WHITE_32) + 0.0)
    return image
