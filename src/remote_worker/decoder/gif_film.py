"""GIF and animated GIF from pixels.

Pillow's own animation writer merges frames that look alike; here every frame stays.
"""

from PIL import Image, ImageChops, ImageStat

from . import gif_blocks
from .color import carries_alpha
from .gif_blocks import Rectangle

_COLORS = 255
_HALF_CLEAR = 128
_SAMPLE_SIDE = 300
"""Colours are chosen from about this many rows and columns: more cost time and show nowhere."""
_WORSE = 1.5
_WORSE_LEVELS = 0.5
"""Colours are chosen anew for a frame that they miss by so much more than the one they were made for."""
_MOST = 0.75
"""Over this share of equal pixels a frame is smaller with them left clear."""


def still(image: Image.Image) -> bytes:
    """A GIF of one picture in L, LA, RGB or RGBA."""
    film = Animation(has_alpha=carries_alpha(image), loop=None)
    film.add(image, 0)
    return film.finish()


class Animation:
    """Writes a GIF frame by frame.

    Opaque frames are the rectangle that differs from the one before, laid over it. With transparency every
    frame has all that is to be seen, and is cleared before the next.
    """

    def __init__(self, *, has_alpha: bool, loop: int | None) -> None:
        self._has_alpha = has_alpha
        self._loop = loop
        self._pieces: list[bytes] = []
        self._palette = _Palette()
        self._screen_table = b""
        self._previous: Image.Image | None = None
        self.frames = 0
        self.size_bytes = 0

    def add(self, image: Image.Image, duration_ms: int) -> None:
        """One more frame; all are of one size."""
        indexed = self._palette.indexed(image.convert("RGB"))
        colors = bytes(indexed.getpalette() or ())
        clear_index = len(colors) // 3
        table = colors + bytes(3)
        if not self.frames:
            self._screen_table = table
            self._put(gif_blocks.screen(image.size, table, self._loop))
        clear: Image.Image | None
        if self._has_alpha:
            place, clear = self._clear(image.convert("RGBA").getchannel("A"))
            disposal = gif_blocks.CLEAR
        else:
            place, clear = self._same(indexed)
            disposal = gif_blocks.KEEP
        part = indexed.crop(place)
        if clear:
            part.paste(clear_index, mask=clear)
        self._put(gif_blocks.control(duration_ms, disposal, clear_index if clear else None))
        own_table = b"" if table == self._screen_table else table
        self._put(gif_blocks.image(place, own_table, gif_blocks.coded(part)))
        self._previous = indexed
        self.frames += 1

    def finish(self) -> bytes:
        """The whole file."""
        return b"".join([*self._pieces, gif_blocks.TRAILER])

    def _clear(self, alpha: Image.Image) -> tuple[Rectangle, Image.Image]:
        """The rectangle outside of which all is clear, and a mask of what is clear in it.

        The first frame is whole, for readers that take its size for the screen's.
        """
        clear = alpha.point([255] * _HALF_CLEAR + [0] * (256 - _HALF_CLEAR))
        seen = ImageChops.invert(clear).getbbox() or (0, 0, 1, 1)
        place = seen if self.frames else (0, 0, *alpha.size)
        return place, clear.crop(place)

    def _same(self, indexed: Image.Image) -> tuple[Rectangle, Image.Image | None]:
        """The rectangle that differs, and a mask of what does not in it, where that is nearly all."""
        if self._previous is None:
            return (0, 0, *indexed.size), None
        difference = _difference(self._previous, indexed)
        place = difference.getbbox() or (0, 0, 1, 1)
        same = difference.crop(place).point([255] + [0] * 255, "L")
        return place, same if same.histogram()[255] > _MOST * same.width * same.height else None

    def _put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.size_bytes += len(piece)


class _Palette:
    """Colours for the frames of a film: those of one frame, as long as they do as well for the next ones."""

    def __init__(self) -> None:
        self._colors: Image.Image | None = None
        self._error = 0.0

    def indexed(self, image: Image.Image) -> Image.Image:
        """An RGB picture in its nearest colours, which leave the last index free."""
        step = -(-max(image.size) // _SAMPLE_SIDE)
        size = max(1, image.width // step), max(1, image.height // step)
        sample = image.resize(size, Image.Resampling.NEAREST)
        if self._colors is None or _error(sample, self._colors) > _WORSE * self._error + _WORSE_LEVELS:
            self._colors = sample.quantize(_COLORS, Image.Quantize.MEDIANCUT)
            self._error = _error(sample, self._colors)
        return _mapped(image, self._colors)


def _mapped(image: Image.Image, colors: Image.Image) -> Image.Image:
    return image.quantize(palette=colors, dither=Image.Dither.NONE)


def _error(image: Image.Image, colors: Image.Image) -> float:
    """How far off the colours are, in levels: the root of the mean square."""
    difference = ImageChops.difference(image, _mapped(image, colors).convert("RGB"))
    return max(ImageStat.Stat(difference).rms)


def _difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """A picture of one band that is 0 where the two have the same colour."""
    if one.getpalette() == other.getpalette():
        return ImageChops.difference(one, other)
    red, green, blue = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)
