"""The codecs inside the wheels: what they are, under which licence, and their versions as they tell them.

`python -m remote_worker.decoder.codecs` prints the versions and wheels as JSON. It loads every library there
is and reads no stranger's byte; templates never import it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PIL import features

from . import codec_versions

Version = Callable[[], str | None]
"""None where the library is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One library inside a wheel."""

    name: str
    wheel: str
    """The distribution that brings it; empty for the system's own."""
    licence: str
    """An SPDX expression."""
    files: tuple[str, ...] = ()
    """Shared libraries of the wheel that are this one, without version; none when it is a part of another."""
    serves: str
    version: Version
    told_by: str
    """Where the version comes from."""
    licence_text: str
    """The file in the wheel's `.dist-info/licenses`, and the heading in it."""

    @property
    def reference(self) -> str:
        """What the bill of materials calls it: its wheel's name, which no version changes, and its own."""
        return f"{self.wheel.replace('_', '-')}#{self.name}"


def versions() -> dict[str, str]:
    """The version of every codec that is installed here, by name."""
    found = {codec.name: _told(codec) for codec in CODECS}
    return {name: version for name, version in found.items() if version}


def _told(codec: Codec) -> str | None:
    try:
        return codec.version()
    except (ImportError, OSError, AttributeError):
        return None


_ASKED = "the library"
_LISTED = "the wheel's SBOM"
_READ = "text in the file"
_heif_codec = partial(Codec, wheel="pillow-heif", told_by=_ASKED, serves="HEIC")
_pillow_codec = partial(Codec, wheel="pillow", told_by=_ASKED)
_BUNDLED = "LICENSES_bundled.txt"


def _crate(name: str, wheel: str, licence: str, serves: str) -> Codec:
    return Codec(
        name=name,
        wheel=wheel,
        licence=licence,
        serves=serves,
        version=partial(codec_versions.of_part, wheel, name),
        told_by=_LISTED,
        licence_text="LICENSE" if wheel != "cykooz-resizer" else "LICENSE-MIT",
    )


CODECS = (
    _pillow_codec(
        name="libjpeg-turbo",
        licence="IJG AND BSD-3-Clause AND Zlib",
        files=("libjpeg",),
        serves="JPEG, JPEG in TIFF",
        version=lambda: features.version_feature("libjpeg_turbo"),
        licence_text="LICENSE: LIBJPEG",
    ),
    _pillow_codec(
        name="openjpeg",
        licence="BSD-2-Clause",
        files=("libopenjp2",),
        serves="JPEG 2000",
        version=lambda: features.version_codec("jpg_2000"),
        licence_text="LICENSE: OPENJPEG",
    ),
    _pillow_codec(
        name="libtiff",
        licence="libtiff",
        files=("libtiff",),
        serves="TIFF",
        version=lambda: features.version_codec("libtiff"),
        licence_text="LICENSE: LIBTIFF",
    ),
    _pillow_codec(
        name="libpng",
        licence="libpng-2.0",
        files=("libpng16",),
        serves="PNG stills",
        version=lambda: codec_versions.text("libpng16", "png_get_libpng_ver", arguments=(None,)),
        licence_text="LICENSE: LIBPNG",
    ),
    _pillow_codec(
        name="libwebp",
        licence="BSD-3-Clause",
        files=("libwebp", "libwebpdemux", "libwebpmux", "libsharpyuv"),
        serves="WebP",
        version=lambda: codec_versions.packed("libwebp", "WebPGetDecoderVersion", 8),
        licence_text="LICENSE: LIBWEBP",
    ),
    _pillow_codec(
        name="libavif",
        licence="BSD-2-Clause",
        files=("libavif",),
        serves="AVIF",
        version=lambda: features.version_module("avif"),
        licence_text="LICENSE: LIBAVIF",
    ),
    _pillow_codec(
        name="dav1d",
        licence="BSD-2-Clause",
        serves="reading AVIF, in libavif",
        version=lambda: codec_versions.inside_avif("dav1d"),
        licence_text="LICENSE: DAV1D",
    ),
    _pillow_codec(
        name="libaom",
        licence="BSD-2-Clause",
        serves="writing AVIF, in libavif",
        version=lambda: codec_versions.inside_avif("aom"),
        licence_text="LICENSE: AOM",
    ),
    _pillow_codec(
        name="libyuv",
        licence="BSD-3-Clause",
        serves="colours of AVIF, in libavif",
        version=codec_versions.yuv,
        licence_text="LICENSE: LIBYUV",
    ),
    _pillow_codec(
        name="lcms2",
        licence="MIT",
        files=("liblcms2",),
        serves="colour profiles",
        version=lambda: features.version_module("littlecms2"),
        licence_text="LICENSE: LCMS2",
    ),
    _pillow_codec(
        name="liblzma",
        licence="0BSD",
        files=("liblzma",),
        serves="LZMA in TIFF",
        version=lambda: codec_versions.text("liblzma", "lzma_version_string"),
        licence_text="LICENSE: LIBLZMA",
    ),
    _pillow_codec(
        name="zstd",
        licence="BSD-3-Clause OR GPL-2.0-only",
        files=("libzstd",),
        serves="Zstandard in TIFF",
        version=lambda: codec_versions.text("libzstd", "ZSTD_versionString"),
        licence_text="LICENSE: ZSTD",
    ),
    _pillow_codec(
        name="freetype",
        licence="FTL OR GPL-2.0-or-later",
        files=("libfreetype",),
        serves="nothing here: text, which is never drawn by Pillow",
        version=lambda: features.version_module("freetype2"),
        licence_text="LICENSE: FREETYPE2",
    ),
    _pillow_codec(
        name="harfbuzz",
        licence="MIT-Modern-Variant",
        files=("libharfbuzz",),
        serves="nothing here, with freetype",
        version=lambda: features.version_feature("harfbuzz"),
        licence_text="LICENSE: HARFBUZZ",
    ),
    _pillow_codec(
        name="raqm",
        licence="MIT",
        serves="nothing here, with freetype",
        version=lambda: features.version_feature("raqm"),
        licence_text="LICENSE: RAQM",
    ),
    _pillow_codec(
        name="brotli",
        licence="MIT",
        files=("libbrotlicommon", "libbrotlidec"),
        serves="nothing here, with freetype",
        version=lambda: codec_versions.packed("libbrotlidec", "BrotliDecoderVersion", 12),
        licence_text="LICENSE: BROTLI",
    ),
    _pillow_codec(
        name="bzip2",
        licence="bzip2-1.0.6",
        serves="nothing here, in freetype",
        version=codec_versions.bzip2,
        told_by=_READ,
        licence_text="LICENSE: BZIP2",
    ),
    _pillow_codec(
        name="libxcb",
        licence="X11",
        files=("libxcb",),
        serves="nothing here: screenshots",
        version=partial(codec_versions.of_part, "pillow", "libxcb"),
        told_by=_LISTED,
        licence_text="LICENSE: XCB",
    ),
    _pillow_codec(
        name="libXau",
        licence="MIT-open-group",
        files=("libXau",),
        serves="nothing here, with libxcb",
        version=partial(codec_versions.of_part, "pillow", "libXau"),
        told_by=_LISTED,
        licence_text="LICENSE: XAU",
    ),
    _heif_codec(
        name="libheif",
        licence="LGPL-3.0-or-later",
        files=("libheif",),
        version=codec_versions.heif,
        licence_text=f"{_BUNDLED}: libheif",
    ),
    _heif_codec(
        name="libde265",
        licence="LGPL-3.0-or-later",
        files=("libde265",),
        version=lambda: codec_versions.text("libde265", "de265_get_version", "pillow_heif"),
        licence_text=f"{_BUNDLED}: libde265",
    ),
    _heif_codec(
        name="x265",
        licence="GPL-2.0-or-later",
        files=("libx265",),
        serves="nothing here: HEIC is never written; libheif loads it",
        version=codec_versions.x265,
        licence_text=f"{_BUNDLED}: x265",
    ),
    Codec(
        name="libjxl",
        wheel="pillow-jxl-plugin",
        licence="BSD-3-Clause",
        serves="JPEG XL, with highway, brotli and skcms as it brings them",
        version=codec_versions.libjxl,
        told_by=_LISTED,
        licence_text="LICENSE (of the plugin; none of libjxl's own is in the wheel)",
    ),
    _crate("jpegxl-rs", "pillow-jxl-plugin", "GPL-3.0-or-later", "JPEG XL: binds libjxl"),
    _crate("resvg", "resvg_py", "Apache-2.0 OR MIT", "SVG"),
    _crate("usvg", "resvg_py", "Apache-2.0 OR MIT", "SVG: reads the document"),
    _crate("roxmltree", "resvg_py", "MIT OR Apache-2.0", "SVG: XML"),
    _crate("tiny-skia", "resvg_py", "BSD-3-Clause", "SVG: draws"),
    _crate("skrifa", "resvg_py", "MIT OR Apache-2.0", "SVG: fonts"),
    _crate("png", "resvg_py", "MIT OR Apache-2.0", "SVG: PNG embedded in it"),
    _crate("zune-jpeg", "resvg_py", "MIT OR Apache-2.0 OR Zlib", "SVG: JPEG embedded in it"),
    _crate("gif", "resvg_py", "MIT OR Apache-2.0", "SVG: GIF embedded in it"),
    _crate("image-webp", "resvg_py", "MIT OR Apache-2.0", "SVG: WebP embedded in it"),
    Codec(
        name="isa-l",
        wheel="isal",
        licence="BSD-3-Clause",
        serves="deflate of PNG",
        version=codec_versions.isa_l,
        told_by=_ASKED,
        licence_text="isal/isa-l/LICENSE, beside the code",
    ),
    _crate("fast_image_resize", "cykooz-resizer", "MIT OR Apache-2.0", "scaling"),
    Codec(
        name="base64",
        wheel="pybase64",
        licence="BSD-2-Clause",
        serves="base64 of answers; in the host, and it reads nothing of a stranger's",
        version=partial(codec_versions.of_part, "pybase64", "base64"),
        told_by=_LISTED,
        licence_text="base64/LICENSE",
    ),
    Codec(
        name="cmark-gfm",
        wheel="cmarkgfm",
        licence="BSD-2-Clause",
        serves="Markdown",
        version=codec_versions.cmark,
        told_by=_READ,
        licence_text="LICENSE.txt",
    ),
    _crate("ammonia", "nh3", "MIT OR Apache-2.0", "Markdown: sanitises its HTML"),
    _crate("html5ever", "nh3", "MIT OR Apache-2.0", "Markdown: parses its HTML"),
    Codec(
        name="ada",
        wheel="ada-url",
        licence="MIT OR Apache-2.0",
        serves="URLs",
        version=codec_versions.ada,
        told_by=_ASKED,
        licence_text="LICENSE",
    ),
    Codec(
        name="libmaxminddb",
        wheel="maxminddb",
        licence="Apache-2.0",
        serves="the database of IP facts, which the operator names; in the host",
        version=partial(codec_versions.released, "maxminddb"),
        told_by="the wheel's own number, for it tells no other",
        licence_text="LICENSE",
    ),
    Codec(
        name="zlib",
        wheel="",
        licence="Zlib",
        serves="PNG and TIFF; the system's, for Pillow's wheel brings none",
        version=lambda: codec_versions.text("libz", "zlibVersion"),
        told_by=_ASKED,
        licence_text="",
    ),
    Codec(
        name="libturbojpeg",
        wheel="",
        licence="IJG AND BSD-3-Clause AND Zlib",
        serves="turning JPEGs without loss; the system's, where it is installed",
        version=codec_versions.turbojpeg,
        told_by="the file's name",
        licence_text="",
    ),
)
"""Every library that the wheels bring, and the system's that see pictures."""


if __name__ == "__main__":
    wheels = {codec.name: codec.wheel for codec in CODECS}
    print(json.dumps({name: [version, wheels[name]] for name, version in versions().items()}))
