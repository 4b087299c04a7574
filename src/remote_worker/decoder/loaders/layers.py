"""The frames of an animation laid over each other on one canvas, in the way that GIF and APNG share."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from PIL import Image

from ..color import carries_alpha
from .loader import Frame, Size

_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


class Disposal(Enum):
    """What becomes of a layer's place before the next layer comes."""

    KEEP = 0
    CLEAR = 1
    RESTORE = 2
    """As it was before the layer."""


class Layer(NamedTuple):
    """One frame as the file has it: L or LA, RGB or RGBA, all layers of a file either gray or in colour."""

    image: Image.Image
    left: int
    top: int
    duration_ms: int
    disposal: Disposal
    replaces: bool = False
    """Its clear pixels clear the canvas, instead of showing it."""
    mask: Image.Image | None = None
    """In mode 1, the pixels that are to be seen of an image without alpha: much faster than alpha."""


def composited(layers: Iterable[Layer], size: Size) -> Iterator[Frame]:
    """The canvas as each layer leaves it; it begins clear. No canvas is drawn on after it was handed out."""
    canvas: Image.Image | None = None
    for layer in layers:
        shown = _laid(canvas, layer, size)
        yield Frame(shown, layer.duration_ms)
        if layer.disposal is Disposal.KEEP:
            canvas = shown
        elif layer.disposal is Disposal.CLEAR:
            canvas = _cleared(shown, layer)


def _laid(canvas: Image.Image | None, layer: Layer, size: Size) -> Image.Image:
    image = layer.image
    hides = layer.replaces or not (carries_alpha(image) or layer.mask is not None)
    if (image.size, layer.left, layer.top) == (size, 0, 0) and (
        hides or (canvas is None and layer.mask is None)
    ):
        return image
    if canvas is None:
        canvas = Image.new(_WITH_ALPHA.get(image.mode, image.mode), size)
    elif hides and carries_alpha(image):
        canvas = _with_alpha(canvas)
    else:
        canvas = canvas.copy()
    if layer.mask is not None:
        canvas.paste(image, (layer.left, layer.top), layer.mask)
    elif hides:
        canvas.paste(_with_alpha(image) if carries_alpha(canvas) else image, (layer.left, layer.top))
    elif carries_alpha(canvas):
        canvas.alpha_composite(image, (layer.left, layer.top))
    else:
        canvas.paste(image, (layer.left, layer.top), image)
    return canvas


def _cleared(canvas: Image.Image, layer: Layer) -> Image.Image | None:
    place = (layer.left, layer.top, layer.left + layer.image.width, layer.top + layer.image.height)
    if place == (0, 0, *canvas.size):
        return None
    cleared = _with_alpha(canvas)
    cleared.paste((0,) * len(cleared.getbands()), place)
    return cleared


def _with_alpha(image: Image.Image) -> Image.Image:
    """A copy with an alpha channel."""
    return image.convert(_WITH_ALPHA.get(image.mode, image.mode))
