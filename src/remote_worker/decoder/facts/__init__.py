"""What is told of a picture besides: placeholders, dominant colours and a perceptual hash.

Each is a function of a small picture (L, LA, RGB or RGBA, upright and in sRGB), in plain Python.
"""

from collections.abc import Callable
from typing import Any

from PIL import Image

from ..color import carries_alpha
from ..encode import on_white
from ..operations import fitted, scaled
from . import blurhash, colors, phash, thumbhash

LOOKED_AT = 256
"""Pixels of the longer side of the picture that facts are told from."""
_PLACEHOLDER_SIDE = 32
"""Beyond the few waves that placeholders are made of, more pixels say nothing."""
_COLORS_SIDE = 48


def told(names: tuple[str, ...], look: Image.Image) -> dict[str, Any]:
    """The facts of these names."""
    return {name: _FACTS[name](look) for name in names}


def _small(look: Image.Image, side: int) -> Image.Image:
    return scaled(look, fitted(look.size, (side, side)))


def _blurhash(look: Image.Image) -> str:
    return blurhash.encode(_small(opaque(look), _PLACEHOLDER_SIDE).convert("RGB"))


def _thumbhash(look: Image.Image) -> str:
    return thumbhash.encode(_small(look, _PLACEHOLDER_SIDE).convert("RGBA"))


def _colors(look: Image.Image) -> list[str]:
    # Nearest pixels: a filter would mix colours at edges that are not in the picture.
    size = fitted(look.size, (_COLORS_SIDE, _COLORS_SIDE))
    return colors.dominant(look.convert("RGBA").resize(size, Image.Resampling.NEAREST))


def _phash(look: Image.Image) -> str:
    return phash.of(opaque(look))


def opaque(image: Image.Image) -> Image.Image:
    """The picture on white where it is clear."""
    return on_white(image) if carries_alpha(image) else image


_FACTS: dict[str, Callable[[Image.Image], Any]] = {
    "blurhash": _blurhash,
    "thumbhash": _thumbhash,
    "colors": _colors,
    "phash": _phash,
}
