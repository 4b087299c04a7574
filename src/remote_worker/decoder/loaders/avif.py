"""AVIF through Pillow (libavif), which leaves the rotation and the crop to us."""

from PIL import AvifImagePlugin

from ..header import Header
from ..headers import Buffer, heif
from . import libavif
from .loader import Size, Still
from .pillow import PillowLoader

AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class AvifLoader(PillowLoader):
    """The primary picture or the frames."""

    def __init__(self) -> None:
        super().__init__(AvifImagePlugin.AvifImageFile, libavif.decoder())

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The primary picture, or the first frame, at full size."""
        placed = heif.placement(data)
        decoded = super().still(data, header, cover)
        return Still(decoded.image.crop(placed.crop) if placed.crop else decoded.image, placed.turn)


AVIF = AvifLoader()
