"""JPEG XL through pillow_jxl's decoder (libjxl), which turns pixels but not reconstructed JPEGs."""

from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

from ..header import Header
from ..headers import Buffer
from .loader import Frame, Loader, Size, Still, damaged, library_errors
from .pillow import JPEG

JXL: Loader | None = None
"""None where there is no wheel for this Python."""

with suppress(ImportError):
    import pillow_jxl

    _MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")

    class JxlLoader:
        """The first frame. The decoder works when it is called, so the limits must hold before."""

        def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
            """The picture; from a transcoded JPEG at the smallest scale that covers."""
            with library_errors():
                decoder = pillow_jxl.Decoder(num_threads=0)
                is_jpeg, facts, pixels, profile, _ = decoder(bytes(data[:]))
                if is_jpeg:
                    return JPEG.still(bytes(pixels), header, cover)
                if facts.mode not in _MODES:
                    raise damaged(f"pixels of the unknown kind {facts.mode!r}")
                size = (facts.width, facts.height)
                if size != (header.display_width, header.display_height):
                    raise damaged(f"the header is not of a picture of {size}")
                image = Image.frombytes(facts.mode, size, bytes(pixels))
            if profile:
                image.info["icc_profile"] = bytes(profile)
            return Still(image)

        def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
            """The decoder gives the first frame alone."""
            yield Frame(self.still(data, header, None).image, 0)

    JXL = JxlLoader()
