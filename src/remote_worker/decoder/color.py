"""Every Pillow mode to 8-bit gray or true colour in sRGB. Stays out of geometry."""

import io
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Self

from PIL import Image, ImageChops, ImageCms

from .icc import is_srgb, srgb_level

_PLAIN = ("L", "LA", "RGB", "RGBA")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
_WHITE_16 = 65535
_GAMMAS = (0.05, 20.0)
_GAMMA_NOISE = 0.05
"""So far from 1/2.2 no one sees a difference."""


def workable(image: Image.Image, bit_depth: int = 8) -> Image.Image:
    """The picture in a mode that scales well: L, LA, RGB, RGBA, I (16 bits), CMYK or LAB.

    Transparency becomes alpha; an alpha channel that is opaque everywhere is dropped.
    """
    made = _with_alpha(image, bit_depth)
    if carries_alpha(made) and _is_opaque(made):
        made = made.convert(made.mode[:-1])
    return made


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file says of its colours: an ICC profile, or (PNG) the exponent its samples were made with."""

    icc: bytes | None = None
    gamma: float | None = None

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """What came with a decoded picture."""
        icc = image.info.get("icc_profile")
        return cls(icc if isinstance(icc, bytes) and icc else None, _gamma(image))


def to_srgb(image: Image.Image, profile: Profile) -> Image.Image:
    """The picture in sRGB, in L, LA, RGB or RGBA; a profile that is broken or of another kind is ignored."""
    if image.mode == "I":
        image = image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if profile.icc and image.mode in _CHANNELS and not is_srgb(profile.icc):
        converted = _by_profile(image, profile.icc)
        if converted is not None:
            return converted
    if profile.gamma and image.mode in _PLAIN:
        return _by_gamma(image, profile.gamma)
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_to_srgb()) or image
    return image if image.mode in _PLAIN else image.convert("RGB")


def carries_alpha(image: Image.Image) -> bool:
    """It is gray or in colour, with straight alpha."""
    return image.mode in ("LA", "RGBA")


def is_usual_gamma(gamma: float) -> bool:
    """The exponent that software writes for sRGB."""
    return abs(gamma * 2.2 - 1) <= _GAMMA_NOISE


def _is_opaque(image: Image.Image) -> bool:
    first_row = image.crop((0, 0, image.width, 1))  # Where a cut-out is clear already: that spares the rest.
    return all(part.getchannel("A").getextrema() == (255, 255) for part in (first_row, image))


def _with_alpha(image: Image.Image, bit_depth: int) -> Image.Image:
    mode = image.mode
    transparent = image.info.get("transparency")
    if mode in _DEEP:
        return _deep_gray(image, transparent)
    if mode in ("I", "F"):
        return _wide_gray(image, bit_depth)
    if mode in ("P", "PA"):
        return _from_palette(image, transparent)
    if transparent is not None and mode in ("1", "L", "RGB"):
        if mode == "L" and isinstance(transparent, int) and bit_depth < 8:
            # Pillow stretches samples of 2 and 4 bits to 8, but not the transparent one.
            image.info["transparency"] = transparent * 255 // ((1 << bit_depth) - 1)
        if mode == "RGB" and bit_depth > 8 and isinstance(transparent, tuple):
            # Pillow keeps the high byte of 16-bit samples but leaves the transparent colour at 16 bits.
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
        return image.convert("RGBA" if mode == "RGB" else "LA")
    if mode in ("1", "La", "RGBa", "RGBX", "YCbCr", "HSV"):
        return image.convert({"1": "L", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB"))
    return image


def _from_palette(image: Image.Image, transparent: object) -> Image.Image:
    palette = image.palette
    has_alpha = (
        image.mode == "PA" or transparent is not None or (palette is not None and palette.mode == "RGBA")
    )
    if palette is not None and palette.mode == "CMYK":
        return image.convert("CMYK")
    return image.convert("RGBA" if has_alpha else "RGB")


def _deep_gray(image: Image.Image, transparent: object) -> Image.Image:
    """16 bits stay until the picture is small; with a transparent level they become 8 by /257, rounded."""
    wide = image.convert("I")
    if not isinstance(transparent, int):
        return wide
    above = wide.point(lambda value: value * 1 - transparent).convert("L")
    below = wide.point(lambda value: value * -1 + transparent).convert("L")
    alpha = ImageChops.add(above, below).point(lambda value: 255 if value else 0)
    return Image.merge("LA", (to_srgb(wide, Profile()), alpha))


def _wide_gray(image: Image.Image, bit_depth: int) -> Image.Image:
    """32-bit integers and floats: by the range that the values are in, since files do not say it."""
    low, high = _range(image)
    if image.mode == "F" and low >= 0 and high <= 1:
        scale, offset = 255.0, 0.0
    elif low >= 0 and high <= 255 and bit_depth <= 8:
        scale, offset = 1.0, 0.0
    elif low >= 0 and high <= _WHITE_16:
        scale, offset = 1 / 257, 0.0
    else:
        scale = 255.0 / (high - low) if high > low else 0.0
        offset = -low * scale
    return image.point(lambda value: value * scale + (offset + 0.5)).convert("L")


def _range(image: Image.Image) -> tuple[float, float]:
    low, high = image.getextrema()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise TypeError("one channel was expected")
    return (0.0, 1.0) if math.isnan(low) or math.isnan(high) else (low, high)


# Of a picture in this mode, the mode that its profile is about and its colour space there.
_CHANNELS = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK", "LAB": "Lab "}
_COLOR_SPACE = slice(16, 20)
_MOST_PROFILE_BYTES = 4 * 1024 * 1024


def _gamma(image: Image.Image) -> float | None:
    """PNG's exponent, where nothing better is said and it is not sRGB's own."""
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or {"srgb", "icc_profile"} & image.info.keys():
        return None
    return gamma if _GAMMAS[0] < gamma < _GAMMAS[1] and not is_usual_gamma(gamma) else None


def _by_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """Samples are light to the power of `gamma` (PNG, 11.3.2.2), as browsers show them."""
    levels = [round(srgb_level((value / 255) ** (1 / gamma))) for value in range(256)]
    colors = len(image.getbands()) - carries_alpha(image)
    straight = list(range(256)) if carries_alpha(image) else []
    return image.point(levels * colors + straight)


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    alpha = image.getchannel("A") if carries_alpha(image) else None
    colors = image.convert(image.mode[:-1]) if alpha else image
    transform = _transform(profile, colors.mode)
    if transform is None:
        return None
    converted = ImageCms.applyTransform(colors, transform)
    if converted is None:
        return None
    converted.info = {}
    if colors.mode == "L":
        converted = converted.getchannel("G")
    if alpha:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=2)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None for a profile of another kind of pixels, or one that is broken."""
    if profile[_COLOR_SPACE] != _CHANNELS[mode].encode() or len(profile) > _MOST_PROFILE_BYTES:
        return None
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            _srgb(),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB")
