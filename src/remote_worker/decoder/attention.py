"""Where the subject of a picture may be: at edges, strong colours and skin, as smartcrop and libvips look."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from PIL import Image, ImageChops, ImageFilter

from .placement import Focus

LOOKED_AT = 64
"""Pixels of the longer side of the picture that is looked at."""

_EDGE, _COLOR, _SKIN = 4, 2, 3
"""What each counts."""


def focus(image: Image.Image, cut: tuple[Fraction, Fraction]) -> Focus:
    """What to keep of a small RGB picture, `cut` of its width and height; of equal parts the middle one."""
    windows = [max(1, min(side, round(side * share))) for side, share in zip(image.size, cut, strict=True)]
    rows = _windows(_interest(image), windows[0])
    columns = _windows(list(zip(*rows, strict=True)), windows[1])
    best = max(
        (score, -abs(2 * x + 1 - len(columns)) - abs(2 * y + 1 - len(column)), -x, -y)
        for x, column in enumerate(columns)
        for y, score in enumerate(column)
    )
    return _share(-best[2], len(columns) - 1), _share(-best[3], len(columns[0]) - 1)


def _share(before: int, room: int) -> Fraction:
    """Of an odd number of places two are in the middle."""
    return Fraction(1, 2) if abs(2 * before - room) <= 1 else Fraction(before, room)


def _interest(image: Image.Image) -> list[Sequence[int]]:
    """How interesting each pixel is, row by row."""
    luma = image.convert("L")
    lit = luma.point(_LIT)
    saturation = image.convert("HSV").getchannel("S")
    counts = saturation.histogram()
    usual = sum(level * count for level, count in enumerate(counts)) // sum(counts)
    # What the whole picture is like, such as a meadow or the sky, is no subject.
    colorful = ImageChops.multiply(saturation.point([max(0, level - usual) for level in range(256)]), lit)
    _, blue, red = image.convert("YCbCr").split()
    skin = ImageChops.multiply(ImageChops.multiply(blue.point(_SKIN_BLUE), red.point(_SKIN_RED)), lit)
    levels = [
        _EDGE * edge + _COLOR * color + _SKIN * tone
        for edge, color, tone in zip(_edges(luma).tobytes(), colorful.tobytes(), skin.tobytes(), strict=True)
    ]
    return [levels[at : at + image.width] for at in range(0, len(levels), image.width)]


def _edges(luma: Image.Image) -> Image.Image:
    """Pillow's kernels leave the outermost pixels as they are: those say nothing here."""
    found = Image.new("L", luma.size)
    inside = (1, 1, luma.width - 1, luma.height - 1)
    if min(luma.size) > 2:
        found.paste(luma.filter(_LAPLACIAN).crop(inside), inside)
    return found


_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, -1, 0, -1, 4, -1, 0, -1, 0), scale=1)


def _windows(rows: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    """Of each row, the sum in every window of this width. What is near a window's ends counts for less."""
    if width == len(rows[0]):
        return [[sum(row)] for row in rows]
    wide = width - width // 4
    return [_sums(_sums(row, wide), width - wide + 1) for row in rows]


def _sums(values: Sequence[int], width: int) -> list[int]:
    running = [0, *accumulate(values)]
    return [after - before for before, after in zip(running, running[width:], strict=False)]


def _ramp(low: int, full: int, full_to: int, high: int) -> list[int]:
    """A table that is 255 from `full` to `full_to`, and falls to 0 at `low` and `high`."""
    return [
        max(0, min(255, 255 * (level - low) // (full - low), 255 * (high - level) // (high - full_to)))
        for level in range(256)
    ]


_LIT = _ramp(12, 50, 230, 256)
_SKIN_BLUE = _ramp(70, 85, 120, 130)
_SKIN_RED = _ramp(130, 138, 165, 178)
"""Skin of all tones lies close together in Cb and Cr (Chai and Ngan, 1999); how bright it is says little."""
