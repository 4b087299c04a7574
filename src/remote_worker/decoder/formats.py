"""The table of formats: how each is told from its bytes, read, decoded and written. One row a format."""

from collections.abc import Callable
from dataclasses import dataclass

from ..contract.failures import FailureCode, WorkFailed
from ..contract.signatures import PREFIX_BYTES, Template
from .header import Header
from .headers import Buffer, bmp, gif, heif, icns, ico, jp2, jpeg, jxl, png, psd, svg, tiff, webp
from .loaders import gif as gif_loader
from .loaders import icons, pillow
from .loaders import jp2 as jp2_loader
from .loaders import psd as psd_loader
from .loaders import tiff as tiff_loader
from .loaders.loader import Loader


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format. `is_it` gets the first 4 KiB."""

    name: str
    mime: str
    is_it: Callable[[bytes], bool]
    header: Callable[[Buffer], Header]
    header_to_decode: Callable[[Buffer], Header] | None = None
    """Where the header tells what takes a search of the whole file: all the rest, which decoding needs."""
    load: Callable[[], Loader]
    """Gives the loader. Where its library serves it alone, that is imported only now: it stays out of a
    process in which the format is off. Raises ImportError when the library is not there."""
    template: Template = Template.RASTER
    fit: str
    """What `fit` writes when the caller names no format ..."""
    fit_with_alpha: str
    """... and when the picture has alpha."""
    keeps_frames: bool = False
    """The loader gives all frames of an animation."""
    is_vector: bool = False
    """Drawn at any size, so that only the drawn size counts against the limit of pixels."""

    @property
    def loader(self) -> Loader | None:
        """None when its library is not there. The first call must come before the seal."""
        try:
            return self.load()
        except ImportError:
            return None


def detect(data: Buffer) -> Format:
    """The first row whose signature matches. Raises UNSUPPORTED_FORMAT."""
    prefix = bytes(data[:PREFIX_BYTES])
    for row in FORMATS:
        if row.is_it(prefix):
            return row
    raise WorkFailed(FailureCode.UNSUPPORTED_FORMAT)


def _webp() -> Loader:
    from .loaders.webp import WEBP  # noqa: PLC0415  see Format.load

    return WEBP


def _avif() -> Loader:
    from .loaders.avif import AVIF  # noqa: PLC0415  see Format.load

    return AVIF


def _heic() -> Loader:
    from .loaders.heif import HEIC  # noqa: PLC0415  see Format.load

    return HEIC


def _jxl() -> Loader:
    from .loaders.jxl import JXL  # noqa: PLC0415  see Format.load

    return JXL


def _svg() -> Loader:
    from .loaders.svg import SVG  # noqa: PLC0415  see Format.load

    return SVG


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda prefix: prefix.startswith(signatures)


def _is_bmp(prefix: bytes) -> bool:
    """`BM` alone begins many a text, so the size of the header behind it must be one that exists."""
    return (
        prefix.startswith(b"BM")
        and int.from_bytes(prefix[14:18], "little") in _BMP_HEADERS
        and len(prefix) >= 18
    )


def _is_webp(prefix: bytes) -> bool:
    return (
        prefix.startswith(b"RIFF")
        and prefix[8:12] == b"WEBP"
        and prefix[12:16] in (b"VP8 ", b"VP8L", b"VP8X")
    )


_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

FORMATS = (
    Format(
        name="jpeg",
        mime="image/jpeg",
        is_it=_begins(b"\xff\xd8\xff"),
        header=jpeg.read,
        header_to_decode=jpeg.read_head,
        load=lambda: pillow.JPEG,
        fit="jpeg",
        fit_with_alpha="jpeg",
    ),
    Format(
        name="jp2",
        mime="image/jp2",
        is_it=jp2.is_jp2,
        header=jp2.read,
        load=lambda: jp2_loader.JP2,
        fit="jp2",
        fit_with_alpha="jp2",
    ),
    Format(
        name="png",
        mime="image/png",
        is_it=_begins(png.SIGNATURE),
        header=png.read,
        load=lambda: pillow.PNG,
        fit="png",
        fit_with_alpha="png",
        keeps_frames=True,
    ),
    Format(
        name="gif",
        mime="image/gif",
        is_it=_begins(b"GIF87a", b"GIF89a"),
        header=gif.read,
        load=lambda: gif_loader.GIF,
        fit="gif",
        fit_with_alpha="gif",
        keeps_frames=True,
    ),
    Format(
        name="bmp",
        mime="image/bmp",
        is_it=_is_bmp,
        header=bmp.read,
        load=lambda: pillow.BMP,
        fit="bmp",
        fit_with_alpha="bmp",
    ),
    Format(
        name="tiff",
        mime="image/tiff",
        is_it=_begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        header=tiff.read,
        load=lambda: tiff_loader.TIFF,
        fit="tiff",
        fit_with_alpha="tiff",
    ),
    Format(
        name="webp",
        mime="image/webp",
        is_it=_is_webp,
        header=webp.read,
        load=_webp,
        fit="webp",
        fit_with_alpha="webp",
        keeps_frames=True,
    ),
    Format(
        name="heic",
        mime="image/heic",
        is_it=lambda prefix: heif.brand(prefix) == "heic",
        header=heif.read,
        load=_heic,
        fit="jpeg",
        fit_with_alpha="png",
    ),
    Format(
        name="avif",
        mime="image/avif",
        is_it=lambda prefix: heif.brand(prefix) == "avif",
        header=heif.read,
        load=_avif,
        fit="avif",
        fit_with_alpha="avif",
        keeps_frames=True,
    ),
    Format(
        name="psd",
        mime="image/vnd.adobe.photoshop",
        is_it=_begins(b"8BPS\0\1", b"8BPS\0\2"),
        header=psd.read,
        load=lambda: psd_loader.PSD,
        fit="png",
        fit_with_alpha="png",
    ),
    Format(
        name="icns",
        mime="image/x-icns",
        is_it=icns.is_icns,
        header=icns.read,
        load=lambda: icons.ICNS,
        fit="png",
        fit_with_alpha="png",
    ),
    Format(
        name="ico",
        mime="image/vnd.microsoft.icon",
        is_it=ico.is_ico,
        header=ico.read,
        load=lambda: icons.ICO,
        fit="png",
        fit_with_alpha="png",
    ),
    Format(
        name="jxl",
        mime="image/jxl",
        is_it=jxl.is_jxl,
        header=jxl.read,
        load=_jxl,
        fit="jxl",
        fit_with_alpha="jxl",
    ),
    Format(
        name="svg",
        mime="image/svg+xml",
        is_it=svg.is_svg,
        header=svg.read,
        load=_svg,
        template=Template.SVG,
        fit="png",
        fit_with_alpha="png",
        is_vector=True,
    ),
)
"""Tried from the top; no two signatures match the same bytes."""
