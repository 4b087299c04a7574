"""Headers of SVG and SVGZ: the natural size, at 96 dots per inch."""

import math
import re
from dataclasses import dataclass

from ..header import Header
from ..metadata import xmp
from . import Buffer, damaged
from .isobmff import MOST_XMP_BYTES
from .svg_extent import extent_of
from .svg_text import Root, find_root, is_svg, not_svg, text_of

__all__ = ["Drawing", "drawing", "is_svg", "read"]

LENGTH = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|q|em|rem|ex|ch|%)?\s*", re.I
)
NO_NUMBER = re.compile(r"\s*[+-]?(?:nan|inf(?:inity)?)\b", re.I)
PIXELS = {
    "": 1.0,
    "px": 1.0,
    "pt": 96 / 72,
    "pc": 16.0,
    "in": 96.0,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "q": 96 / 101.6,
    "em": 16.0,
    "rem": 16.0,
    "ex": 8.0,
    "ch": 8.0,
}
MOST_LENGTH_CHARACTERS = 64
LONGEST_SIDE = 1e9
"""Sides above this are no claim worth telling."""
DEFAULT_SIZE = (300.0, 150.0)
"""What CSS gives to a picture that says nothing at all."""
MOST_TAG_CHARACTERS = 1024 * 1024
TAG = re.compile(r"<[^\s/>]+(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
SIZE_ATTRIBUTE = re.compile(r"(\s)(?:width|height|viewBox)\s*=\s*(?:\"[^\"]*\"|'[^']*')")

ViewBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A document with its natural size written into its root, for a renderer that would guess otherwise."""

    text: str
    width: float
    height: float


def read(data: Buffer) -> Header:
    """The facts of an SVG document."""
    text = text_of(data)
    root = find_root(text)
    if root is None:
        raise not_svg()
    width, height, _ = _natural(text, root)
    pixels = (_whole(width), _whole(height))
    return Header(
        width=pixels[0],
        height=pixels[1],
        display_width=pixels[0],
        display_height=pixels[1],
        has_alpha=True,
        has_gps=_has_gps(text),
    )


def drawing(data: Buffer) -> Drawing:
    """The document for drawing: as text, its root with width, height and viewBox in pixels."""
    text = text_of(data)
    root = find_root(text)
    if root is None:
        raise not_svg()
    width, height, box = _natural(text, root)
    tag = TAG.match(text, root.start, root.start + MOST_TAG_CHARACTERS)
    if tag is None:
        raise damaged("a root without an end")
    bare = SIZE_ATTRIBUTE.sub(r"\1", tag[0])
    at = re.match(r"<[^\s/>]+", bare)
    name_end = at.end() if at else 0
    left, top, box_width, box_height = box
    size = (
        f' width="{width:.6f}" height="{height:.6f}"'
        f' viewBox="{left:.6f} {top:.6f} {box_width:.6f} {box_height:.6f}"'
    )
    return Drawing(
        text[: root.start] + bare[:name_end] + size + bare[name_end:] + text[tag.end() :], width, height
    )


def _natural(text: str, root: Root) -> tuple[float, float, ViewBox]:
    """The size, and the part of the plane that is shown in it."""
    stated = {**root.attributes, **_style(root.attributes.get("style", ""))}
    box = _view_box(root.attributes.get("viewBox", ""))
    width = _length(stated.get("width"), box[2] if box else None)
    height = _length(stated.get("height"), box[3] if box else None)
    if box is None and (width is None or height is None):
        # Only the drawing itself can tell how large it is.
        extent = extent_of(text[root.start :])
        if extent is not None:
            left, top, right, bottom = extent
            box = (left, top, right - left, bottom - top)
            # A side that is stated shows the plane from its origin, as without this search.
            if width is not None:
                box = (0.0, box[1], width, box[3])
            if height is not None:
                box = (box[0], 0.0, box[2], height)
    if width is None or height is None:
        if box is None:
            width, height = width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1]
        elif width is None and height is None:
            width, height = box[2], box[3]
        elif width is None and height is not None:
            width = height * box[2] / box[3]
        elif width is not None:
            height = width * box[3] / box[2]
    if width is None or height is None or not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise damaged("a size that cannot be")
    return width, height, box or (0.0, 0.0, width, height)


def _length(stated: str | None, whole: float | None) -> float | None:
    """A length in pixels; None when it is not stated, or in a way that says nothing."""
    if stated is None or len(stated) > MOST_LENGTH_CHARACTERS:
        return None
    if NO_NUMBER.match(stated):
        raise damaged("a size that is no number")
    found = LENGTH.fullmatch(stated)
    if found is None:
        return None
    number, unit = float(found[1]), (found[2] or "").lower()
    if not math.isfinite(number) or number <= 0:
        raise damaged("a size that cannot be")
    if unit == "%":
        return None if whole is None else whole * number / 100
    return number * PIXELS[unit]


def _view_box(stated: str) -> ViewBox | None:
    """Left, top, width and height, or None when there are none that mean something."""
    parts = stated.replace(",", " ").split() if len(stated) <= 4 * MOST_LENGTH_CHARACTERS else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or numbers[2] <= 0 or numbers[3] <= 0:
        return None
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _style(style: str) -> dict[str, str]:
    """Width and height out of a style attribute."""
    found = {}
    for declaration in style[:4096].split(";"):
        name, _, value = declaration.partition(":")
        if name.strip().lower() in ("width", "height"):
            found[name.strip().lower()] = value.partition("!")[0].strip()
    return found


def _whole(side: float) -> int:
    return max(1, math.floor(side + 0.5))


def _has_gps(text: str) -> bool:
    """Whether an XMP packet inside tells a location."""
    start = text.find("<x:xmpmeta")
    end = text.find("</x:xmpmeta>", start)
    return 0 <= start < end <= start + MOST_XMP_BYTES and xmp.has_gps(
        text[start : end + len("</x:xmpmeta>")].encode()
    )
