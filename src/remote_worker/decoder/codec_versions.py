"""How the codecs inside the wheels tell their versions: by a function, a list beside them, or text within."""

import ctypes
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import _avif, features

from . import jpeg_turn

PACKAGES = Path(features.__file__).parents[1]
"""Where the wheels are installed."""


@dataclass(frozen=True, slots=True)
class Component:
    """What a wheel's own CycloneDX file says of one of its parts."""

    name: str
    version: str
    licence: str
    url: str
    """A package URL, or empty."""


@cache
def listed(wheel: str) -> Sequence[Component]:
    """The parts that the wheel's own CycloneDX files list, but for those that only build it."""
    found = []
    for file in sorted(PACKAGES.glob(f"{wheel.replace('-', '_')}-*.dist-info/sboms/*.json")):
        for part in json.loads(file.read_text()).get("components", ()):
            if part.get("scope") == "excluded" or part["name"] == wheel:
                continue
            licences = [
                licence.get("expression") or licence["license"].get("id", "")
                for licence in part.get("licenses", ())
            ]
            url = part.get("purl", "")
            version = part.get("version") or url.rpartition("@")[2]
            found.append(Component(part["name"], version, " AND ".join(licences), url))
    return found


def text(name: str, function: str, wheel: str = "pillow", arguments: tuple[object, ...] = ()) -> str:
    """What a function of the library answers with a string."""
    call = getattr(_library(wheel, name), function)
    call.restype = ctypes.c_char_p
    told: bytes = call(*arguments)
    return told.decode()


def packed(name: str, function: str, bits: int, unused: int = 0, wheel: str = "pillow") -> str:
    """A version of three numbers in one, each of `bits` bits, above `unused` lower ones."""
    number = getattr(_library(wheel, name), function)() >> unused
    mask = (1 << bits) - 1
    return f"{number >> 2 * bits}.{number >> bits & mask}.{number & mask}"


def inside_avif(codec: str) -> str | None:
    """dav1d and libaom, as libavif names them: `dav1d [dec]:1.5.3-0-gb546257, aom [enc]:3.14.1`."""
    for part in _avif.codec_versions().split(","):
        name, _, version = part.strip().partition(":")
        if name.split(" ")[0] == codec:
            return str(version).partition("-")[0]
    return None


def yuv() -> str:
    """libyuv, by the release that libavif holds."""
    return str(_library("pillow", "libavif").avifLibYUVVersion())


def heif() -> str:
    """libheif, as its binding says."""
    import pillow_heif  # noqa: PLC0415  not on every Python

    return str(pillow_heif.libheif_version())


def x265() -> str:
    """x265, without what was changed since."""
    told = ctypes.c_char_p.in_dll(_library("pillow_heif", "libx265"), "x265_version_str").value or b""
    return told.decode().partition("+")[0]


def isa_l() -> str:
    """ISA-L, as its binding says."""
    import isal  # noqa: PLC0415  its own name

    return str(isal.ISAL_VERSION)


def cmark() -> str | None:
    """From the text in it: the binding's own constant is that of another release."""
    for file in PACKAGES.glob("cmarkgfm/_cmark*.so"):
        for text in file.read_bytes().split(b"\0"):
            if re.fullmatch(rb"[0-9.]+\.gfm\.[0-9]+", text):
                return text.decode()
    return None


def released(package: str) -> str:
    """Of a package that is itself what is listed."""
    from importlib import metadata  # noqa: PLC0415  it brings sockets, which no other part of the jail has

    return metadata.version(package)


def ada() -> str:
    """Ada, as its binding says."""
    import ada_url  # noqa: PLC0415  its own name

    return str(ada_url.get_version())  # type: ignore[no-untyped-call]  # its stub leaves the return type out


def of_part(wheel: str, component: str) -> str | None:
    """What the wheel's own list says of a part."""
    versions = [part.version for part in listed(wheel) if part.name == component]
    return versions[-1] if versions else None


def libjxl() -> str | None:
    """The crate of bindings says in its version which libjxl it was built from."""
    told = of_part("pillow-jxl-plugin", "jpegxl-sys") or ""
    return told.partition("+libjxl-")[2] or None


def bzip2() -> str | None:
    """FreeType holds it without giving its function away, so from the text in it: `1.0.8, 13-Jul-2019`."""
    (file,) = (PACKAGES / "pillow.libs").glob("libfreetype-*")
    for text in file.read_bytes().split(b"\0"):
        if text.startswith(b"1.0.") and text.endswith(b"-2019"):
            return text.split(b",")[0].decode()
    return None


def turbojpeg() -> str | None:
    """TurboJPEG has no function that tells; a distribution's file name has its number."""
    name = jpeg_turn.load_library()
    if name is None:
        return None
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libturbojpeg" in line:
            return Path(line.split(maxsplit=5)[5]).name.partition(".so.")[2]
    return name


def _library(wheel: str, name: str) -> ctypes.CDLL:
    """A shared library of a wheel. Raises OSError."""
    found = sorted((PACKAGES / f"{wheel}.libs").glob(f"{name}-*.so*"))
    return ctypes.CDLL(str(found[0]) if found else f"{name}.so")
