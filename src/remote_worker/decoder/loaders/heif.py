"""HEIC through pillow_heif (libheif, libde265), which turns and crops the picture itself."""

import _thread
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import pillow_heif
from PIL import Image
from pillow_heif import options

from ...contract.failures import FailureCode, WorkFailed
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
        with _threads_told(), library_errors():
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


@contextmanager
def _threads_told() -> Iterator[None]:
    """libde265 decodes in a thread of its own, and calls a picture broken where it gets none."""
    try:
        yield
    except WorkFailed as failed:
        if failed.code is FailureCode.DAMAGED and not _has_threads():
            raise WorkFailed(FailureCode.FORMAT_UNAVAILABLE, "no thread could be started") from failed
        raise


def _has_threads() -> bool:
    try:
        _thread.start_new_thread(int, ())
    except RuntimeError:
        return False
    return True


HEIC = HeifLoader()
