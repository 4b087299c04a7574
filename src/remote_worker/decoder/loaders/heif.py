"""HEIC through pillow_heif (libheif, libde265), which turns and crops the picture itself."""

import mmap
from collections.abc import Iterator

import pillow_heif
from PIL import Image
from pillow_heif import options

from ..header import Header
from ..headers import Buffer
from .loader import Frame, Size, Still, damaged, library_errors

options.DECODE_THREADS = 0
options.THUMBNAILS = False
options.DEPTH_IMAGES = False
options.AUX_IMAGES = False


class HeifLoader:
    """The primary picture, upright."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:  # noqa: ARG002  no scaled decode
        """The primary picture at full size."""
        display = (header.display_width, header.display_height)
        with library_errors():
            container = pillow_heif.open_heif(bytes(data) if isinstance(data, mmap.mmap) else data)
            picture = container[container.primary_index]
            if picture.size != display:
                raise damaged(f"the header says {display}, the decoder {picture.size}")
            pixels = picture.data
            if picture.size != display:
                raise damaged(f"the header says {display}, the pixels {picture.size}")
            image = Image.frombytes(picture.mode, picture.size, pixels, "raw", picture.mode, picture.stride)
        profile = picture.info.get("icc_profile")
        if profile:
            image.info["icc_profile"] = profile
        return Still(image)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """HEIF pictures are no animation: the primary one alone."""
        yield Frame(self.still(data, header, None).image, 0)


HEIC = HeifLoader()
