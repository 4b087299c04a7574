"""JPEG XL through pillow_jxl's decoder (libjxl), which turns pixels but not reconstructed JPEGs."""

import re
from collections.abc import Iterator

import pillow_jxl
from PIL import Image

from ...contract.formats import FormatName
from .. import switches
from ..color import is_usual_gamma
from ..header import Header
from ..headers import Buffer
from .loader import Frame, Size, Still, damaged, library_errors
from .pillow import JPEG

_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")


class JxlLoader:
    """The first frame. The decoder works when it is called, so the limits must hold before."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The picture; from a transcoded JPEG at the smallest scale that covers."""
        with library_errors():
            decoder = pillow_jxl.Decoder(num_threads=0)
            is_jpeg, facts, pixels, profile, _ = decoder(bytes(data[:]))
            if is_jpeg:
                switches.hold_on(FormatName.JPEG)
                return JPEG.still(bytes(pixels), header, cover)
            if facts.mode not in _MODES:
                raise damaged(f"pixels of the unknown kind {facts.mode!r}")
            size = (facts.width, facts.height)
            if size != (header.display_width, header.display_height):
                raise damaged(f"the header is not of a picture of {size}")
            image = Image.frombytes(facts.mode, size, _samples(bytes(pixels), facts.mode, size))
        if profile and not _is_nearly_srgb(bytes(profile)):
            image.info["icc_profile"] = bytes(profile)
        return Still(image)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """The decoder gives the first frame alone."""
        yield Frame(self.still(data, header, None).image, 0)


JXL = JxlLoader()


_SAMPLE_BYTES = {"I;16": 2, "F": 4}


def _samples(pixels: bytes, mode: str, size: Size) -> bytes:
    """Of samples of two bytes under the name of a mode that has one, the upper byte."""
    due = size[0] * size[1] * Image.getmodebands(mode) * _SAMPLE_BYTES.get(mode, 1)
    if len(pixels) == 2 * due and mode not in _SAMPLE_BYTES:
        return pixels[1::2]
    if len(pixels) != due:
        raise damaged(f"{len(pixels)} bytes of {mode} pixels")
    return pixels


def _is_nearly_srgb(profile: bytes) -> bool:
    """libjxl's own profile for a PNG's exponent. One that is close to sRGB's means it, as in PNG."""
    name = _BY_EXPONENT.search(profile.replace(b"\0", b""))
    return name is not None and is_usual_gamma(float(name[1]))


_BY_EXPONENT = re.compile(rb"(?:RGB_D65_SRG|Gra_D65)_(?:Per|Rel|Sat|Abs)_g(0\.\d{1,9})")
