"""A picture as avatars: squares of a few sizes, still or moving."""

from collections.abc import Iterator

from PIL import Image

from ..contract.messages import AVATAR_SIZES, Avatars
from . import animation, color, operations
from .document import Document, Size
from .loaders.loader import Loader
from .made import Made, Result
from .patience import Patience


def avatars(task: Avatars, document: Document, loader: Loader) -> Result:
    """Those that are due. Raises WorkFailed."""
    made = Made()
    if document.format.is_vector:
        pictures = _drawn(document, loader)
    elif task.animated and document.moves:
        return _moving(document, loader, made)
    else:
        document.hold_still()
        decoded = loader.still(document.data, document.header, _largest_due(document))
        pictures = _squares(document, decoded.image, decoded.box, decoded.orientation)
    left = document.limits.output_bytes
    for side, picture in sorted(pictures.items()):
        body = made.written(picture, "png", None, left)
        left -= len(body)
        made.add(f"avatar{side}", "png", (side, side), body)
    return made.result(document)


def _drawn(document: Document, loader: Loader) -> dict[int, Image.Image]:
    """Each drawn at its own size, the small pictures too; where drawing is slow, scaled from the largest."""
    patience = Patience()
    largest: Image.Image | None = None
    drawn = {}
    for side in reversed(AVATAR_SIZES):
        size = operations.enlarged(document.display, side)
        if largest is None or not patience.is_over:
            picture = loader.still(document.data, document.header, size).image
            largest = largest or picture
        else:
            picture = operations.scaled(largest, size)
        drawn[side] = operations.padded(picture, side)
    return drawn


def _moving(document: Document, loader: Loader, made: Made) -> Result:
    header, limits = document.header, document.limits
    document.hold_film()
    due = operations.avatar_sizes(document.display)

    def frames() -> Iterator[tuple[list[Image.Image], int]]:
        for frame, duration_ms in loader.frames(document.data, header):
            squares = _squares(document, frame, None, header.orientation)
            yield [squares[side] for side in due], duration_ms

    bodies = animation.films(frames, most_bytes=limits.output_bytes)
    for side, body in zip(due, bodies, strict=True):
        made.add(f"avatar{side}", "png", (side, side), body, header.frames)
    return made.result(document)


def _squares(
    document: Document, decoded: Image.Image, box: operations.Box | None, orientation: int
) -> dict[int, Image.Image]:
    profile = color.Profile.of(decoded)
    return operations.squares(
        color.workable(decoded, document.header.bit_depth),
        operations.avatar_sizes(document.display),
        lambda square: color.to_srgb(square, profile),
        orientation=orientation,
        box=box,
    )


def _largest_due(document: Document) -> Size:
    side = operations.avatar_sizes(document.display)[-1]
    return side, side
