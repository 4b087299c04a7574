"""Photoshop documents through Pillow: the merged picture."""

from PIL import Image, ImageChops, PsdImagePlugin

from ..header import Header
from ..headers import Buffer
from .loader import Size, Still
from .pillow import PillowLoader


class PsdLoader(PillowLoader):
    """A fourth channel is transparency only where the header says so."""

    def __init__(self) -> None:
        super().__init__(PsdImagePlugin.PsdImageFile)

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The merged picture at full size."""
        image = super().still(data, header, cover).image
        if image.mode == "1":
            # A bitmap's ones are ink.
            return Still(ImageChops.invert(image))
        if image.mode != "RGBA":
            return Still(image)
        made = _off_white(image) if header.has_alpha else image.convert("RGB")
        made.info["icc_profile"] = image.info.get("icc_profile")
        return Still(made)


PSD = PsdLoader()


def _off_white(image: Image.Image) -> Image.Image:
    """The colours before Photoshop laid them on white: less the white they are the premultiplied ones."""
    *colors, alpha = image.split()
    white = ImageChops.invert(alpha)
    premultiplied = [ImageChops.subtract(color, white) for color in colors]
    return Image.merge("RGBa", (*premultiplied, alpha)).convert("RGBA")
