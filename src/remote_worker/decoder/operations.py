"""What is done to pixels: upright, scaled into a box, cut into square avatars. Stays out of formats."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from PIL import Image

from ..contract.messages import ALWAYS_MADE, AVATAR_SIZES
from . import resample
from .resample import BEST as RESAMPLER
from .resample import SMALL

Size = resample.Size
Box = resample.Box
Part = tuple[int, int, int, int]
"""Left, top, right and bottom, on whole pixels."""
Finish = Callable[[Image.Image], Image.Image]
"""Last touch to pixels that are already small, such as colour."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_REVERSED_X = frozenset({2, 3, 7, 8})
_REVERSED_Y = frozenset({3, 4, 6, 7})
"""Orientations that show the stored columns, or rows, from the last to the first."""


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned by an EXIF orientation."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def sides(size: Size, orientation: int) -> Size:
    """The size with its sides swapped when the orientation swaps them."""
    return (size[1], size[0]) if orientation >= 5 else size


def stored(part: Part, size: Size, orientation: int) -> Part:
    """Where a part of the upright picture lies in the picture as it is stored, which has this size."""
    left, top, right, bottom = (part[1], part[0], part[3], part[2]) if orientation >= 5 else part
    if orientation in _REVERSED_X:
        left, right = size[0] - right, size[0] - left
    if orientation in _REVERSED_Y:
        top, bottom = size[1] - bottom, size[1] - top
    return left, top, right, bottom


def fitted(size: Size, box: Size, *, enlarge: bool = False) -> Size:
    """The size inside a box: aspect kept, at least 1, larger only with `enlarge`; rounds like thumbnail()."""
    width, height = size
    if width <= box[0] and height <= box[1] and not enlarge:
        return size
    aspect = width / height
    if box[0] / box[1] >= aspect:
        return _nearest(box[1] * aspect, lambda n: abs(aspect - n / box[1])), box[1]
    return box[0], _nearest(box[0] / aspect, lambda n: 0.0 if n == 0 else abs(aspect - box[0] / n))


def scaled(image: Image.Image, size: Size, box: Box | None = None) -> Image.Image:
    """The picture, or the box in it, at this size, with premultiplied alpha."""
    if image.size == size and box in (None, (0, 0, *size)):
        return image
    return RESAMPLER.straight(RESAMPLER.lanczos(RESAMPLER.premultiplied(image), size, box))


def enlarged(size: Size, side: int) -> Size:
    """The size with its longer side made exactly this, up or down."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def avatar_sizes(size: Size) -> list[int]:
    """The sides that a picture of this upright size gets: small ones always, others when it is as large."""
    return [side for side in AVATAR_SIZES if side <= ALWAYS_MADE or side <= min(size)]


def squares(
    image: Image.Image, due: Iterable[int], finish: Finish, *, orientation: int = 1, box: Box | None = None
) -> dict[int, Image.Image]:
    """The middle square of the picture (or of the box in it) at each side that is due, finished and upright.

    One Lanczos step makes the largest. The others come from one made before that is at least twice as large:
    smaller steps, one upon the other, would blur. Of a small picture each comes from the picture itself,
    which is turned first: that costs next to nothing, and how it was stored then shows in no pixel.
    """
    if min(image.size) <= SMALL and box in (None, (0, 0, *image.size)):
        image, orientation, box = upright(image, orientation), 1, None
    left, top, right, bottom = box or (0.0, 0.0, *image.size)
    width, height = right - left, bottom - top
    is_wide = width >= height
    across = (top, bottom) if is_wide else (left, right)
    picture = _Source(
        RESAMPLER.premultiplied(image), -(left if is_wide else top), 1.0, across, is_finished=False
    )
    short = min(width, height)
    sources: dict[int, _Source] = {}
    made: dict[int, Image.Image] = {}
    for cut in reversed(_cuts((width, height), sorted(due), orientation)):
        large_enough = [side for side in sources if side >= _LEAST_STEP * cut.side]
        source = sources[min(large_enough)] if large_enough else picture
        smaller = source.strip(cut, is_wide=is_wide)
        plain = RESAMPLER.straight(smaller)
        done = plain if source.is_finished else finish(plain)
        made[cut.side] = upright(done.crop(cut.square(is_wide=is_wide)), orientation)
        if short > SMALL and cut.side <= short:
            pixels = smaller if done is plain else RESAMPLER.premultiplied(done)
            sources[cut.side] = _Source(pixels, cut.start, cut.step, (0.0, cut.side), is_finished=True)
    return made


_LEAST_STEP = 2


class _Source(NamedTuple):
    """Premultiplied pixels to scale down from.

    `start` is where they begin along the picture's longer side, and `step` how many of the picture's pixels
    make one of theirs; `across` is their part of the shorter side.
    """

    pixels: Image.Image
    start: float
    step: float
    across: tuple[float, float]
    is_finished: bool

    def strip(self, cut: "_Cut", *, is_wide: bool) -> Image.Image:
        """The strip of the picture from which the avatar is cut, at its size."""
        length = self.pixels.width if is_wide else self.pixels.height
        begin = max(0.0, (cut.start - self.start) / self.step)
        end = min(length, (cut.end - self.start) / self.step)
        low, high = self.across
        return RESAMPLER.lanczos(
            self.pixels,
            (cut.pixels, cut.side) if is_wide else (cut.side, cut.pixels),
            (begin, low, end, high) if is_wide else (low, begin, high, end),
        )


class _Cut(NamedTuple):
    """The strip of the picture from which one avatar is cut, along the longer side.

    `start` and `end` are in the picture's pixels, of which `step` make one of the avatar's. The strip is
    `before` pixels longer than the square on one side, and `pixels` long: the smaller ones are cut from it.
    """

    side: int
    start: float
    end: float
    step: float
    before: int
    pixels: int

    def square(self, *, is_wide: bool) -> tuple[int, int, int, int]:
        """The avatar in its strip."""
        if is_wide:
            return self.before, 0, self.before + self.side, self.side
        return 0, self.before, self.side, self.before + self.side


def _cuts(size: tuple[float, float], due: list[int], orientation: int) -> list[_Cut]:
    """By rising side. Each square lies on whole pixels of the picture scaled to cover it, as others cut it.

    So the middle of an odd number of pixels too many is half a pixel off, not the same half at every size.
    """
    short, long = sorted(size)
    is_reversed = orientation in (_REVERSED_X if size[0] >= size[1] else _REVERSED_Y)
    cuts: list[_Cut] = []
    for side in due:
        covering = max(side, math.floor(long * side / short + 0.5))
        offset = covering // 2 - side // 2
        if is_reversed:
            offset = covering - side - offset
        step = long / covering
        spare = math.ceil((_spare(cuts) + 1) * side / cuts[-1].side) if cuts else 0
        first = max(0, offset - spare)
        last = min(covering, offset + side + spare)
        cuts.append(_Cut(side, first * step, last * step, step, offset - first, last - first))
    return cuts


def _spare(cuts: list[_Cut]) -> int:
    return max(cuts[-1].before, cuts[-1].pixels - cuts[-1].side - cuts[-1].before)


def padded(image: Image.Image, side: int) -> Image.Image:
    """The whole picture in the middle of a transparent square."""
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def laid(
    image: Image.Image, canvas: Size, corner: tuple[int, int], background: str, *, has_alpha: bool
) -> Image.Image:
    """The picture on a canvas of this colour (`rrggbb` or `rrggbbaa`); without one it is clear or white.

    A picture that fills its canvas stays as it is where no colour is asked for.
    """
    if not background:
        if image.size == canvas:
            return image
        background = "00000000" if has_alpha else "ffffff"
    *color, alpha = bytes.fromhex(background.ljust(8, "f"))
    is_gray = image.mode in ("L", "LA") and len(set(color)) == 1
    is_opaque = alpha == 255
    made = Image.new("RGB" if is_opaque else "RGBA", canvas, (*color, alpha)[: 3 + (not is_opaque)])
    for piece, place in _pieces(image, corner):
        if is_opaque:
            mask = piece.getchannel("A") if piece.mode in ("LA", "RGBA") else None
            made.paste(piece.convert("RGB"), place, mask)
        elif alpha == 0:
            made.paste(piece.convert("RGBA"), place)
        else:
            made.alpha_composite(piece.convert("RGBA"), place)
    return made.convert("L" if is_opaque else "LA") if is_gray else made


_PIECE_PIXELS = 1 << 22
"""Laying a picture down makes some copies of it: of a large one only of so much at a time."""


def _pieces(image: Image.Image, corner: tuple[int, int]) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    rows = max(1, _PIECE_PIXELS // image.width)
    if rows >= image.height:
        yield image, corner
        return
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield image.crop((0, top, image.width, bottom)), (corner[0], corner[1] + top)


def _nearest(value: float, error: Callable[[int], float]) -> int:
    return max(min(math.floor(value), math.ceil(value), key=error), 1)
