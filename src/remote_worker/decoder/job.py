"""One task on one document: detect, read the header, hold the limits, and only then decode."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from PIL import Image

from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import FormatName
from ..contract.limits import Limits
from ..contract.messages import Avatars, Fit, Info, Prepare, Recipe
from ..contract.signatures import Template
from . import animation, color, formats, gif_copy, jpeg_turn, operations, switches
from .avatars import avatars
from .document import Document, Size
from .formats import FORMATS, Format
from .header import Header
from .headers import Buffer
from .info import info
from .loaders import pillow
from .loaders.loader import Frame, Loader
from .made import Made, Result
from .recipe import recipe


def run(task: object, data: Buffer, limits: Limits, template: Template) -> Result:
    """Do a task. Raises WorkFailed."""
    row = detect(data, template)
    switches.hold_on(row.name)
    pillow.guard(limits.pixels)
    try:
        document = Document(data, row, _header(row, task, data), limits)
        return HANDLERS[type(task)](task, document)
    except MemoryError as error:
        raise WorkFailed(FailureCode.TOO_MUCH_MEMORY) from error


def _header(row: Format, task: object, data: Buffer) -> Header:
    read = row.header if isinstance(task, Info) or row.header_to_decode is None else row.header_to_decode
    try:
        return read(data)
    except WorkFailed as failed:
        raise WorkFailed(failed.code, failed.detail, in_header=True) from failed


def detect(data: Buffer, template: Template) -> Format:
    """The row of the table for these bytes, if this template reads it."""
    row = formats.detect(data)
    if row.template is not template:
        raise WorkFailed(FailureCode.UNSUPPORTED_FORMAT)
    return row


_allowed: frozenset[str] = frozenset(row.name for row in FORMATS)


def allow(names: Iterable[str]) -> None:
    """Decode these formats only; the others answer that they are not available."""
    global _allowed  # noqa: PLW0603  set once in a template, inherited by its children
    _allowed = frozenset(names)


def _prepare(task: Prepare, document: Document) -> Result:
    if document.format.name != "jpeg":
        raise WorkFailed(FailureCode.NOT_A_JPEG)
    document.hold_still()
    prepared = jpeg_turn.prepare(document.data, task.keep_metadata, document.limits)
    made = Made()
    made.add("output", "jpeg", prepared.size, prepared.pieces)
    return made.result(document)


def _fit(task: Fit, document: Document) -> Result:
    _hold_on(task.format, document)
    loader = _loader(document)
    size = operations.fitted(document.display, (task.width, task.height))
    film_kind = task.format or document.format.fit
    made = Made()
    if task.animated and document.moves and film_kind in animation.ANIMATED:
        switches.hold_on(film_kind)
        body = _fit_film(task, document, loader, film_kind, size)
        made.add("output", film_kind, size, body, _row(film_kind).header(body).frames)
        return made.result(document)
    if document.format.is_vector:
        document.hold(size)
    else:
        document.hold_still()
    if document.is_copied(film_kind, size):
        body = document.first_frame(document.limits.output_bytes)
        made.add("output", film_kind, size, body)
        return made.result(document)
    image = _fit_still(document, loader, size)
    kind = task.format or (
        document.format.fit_with_alpha if color.carries_alpha(image) else document.format.fit
    )
    switches.hold_on(kind)
    made.add("output", kind, size, made.written(image, kind, task.quality, document.limits.output_bytes))
    return made.result(document)


def _fit_still(document: Document, loader: Loader, size: Size) -> Image.Image:
    cover = operations.sides(size, document.header.orientation)
    decoded = loader.still(document.data, document.header, cover)
    profile = color.Profile.of(decoded.image)
    image = color.workable(decoded.image, document.header.bit_depth)
    image = operations.scaled(image, operations.sides(size, decoded.orientation), decoded.box)
    return operations.upright(color.to_srgb(image, profile), decoded.orientation)


def _fit_film(task: Fit, document: Document, loader: Loader, kind: str, size: Size) -> bytes:
    header, limits = document.header, document.limits
    document.hold_film()
    if document.is_copied(kind, size):
        return gif_copy.copied(document.data, header, limits.output_bytes)
    stored = operations.sides(size, header.orientation)

    def frames() -> Iterator[Frame]:
        for frame, duration_ms in loader.frames(document.data, header):
            profile = color.Profile.of(frame)
            image = operations.scaled(color.workable(frame, header.bit_depth), stored)
            yield Frame(operations.upright(color.to_srgb(image, profile), header.orientation), duration_ms)

    source = animation.Film(frames=frames, count=header.frames, size=size, loop=header.loop or 0)
    return animation.film(source, kind, task.quality, limits.output_bytes)


def _avatars(task: Avatars, document: Document) -> Result:
    switches.hold_on(FormatName.PNG)
    return avatars(task, document, _loader(document))


def _recipe(task: Recipe, document: Document) -> Result:
    for output in task.outputs:
        _hold_on(output.format, document)
    return recipe(task, document, _loader(document))


def _hold_on(kind: str | None, document: Document) -> None:
    """Where no format is asked for, those that it may come out as."""
    switches.hold_on(*([kind] if kind else (document.format.fit, document.format.fit_with_alpha)))


def _loader(document: Document) -> Loader:
    loader = document.format.loader if document.format.name in _allowed else None
    if loader is None:
        raise WorkFailed(FailureCode.FORMAT_UNAVAILABLE)
    return loader


def _row(name: str) -> Format:
    return next(row for row in FORMATS if row.name == name)


HANDLERS: dict[type, Callable[[Any, Document], Result]] = {
    Prepare: _prepare,
    Fit: _fit,
    Avatars: _avatars,
    Info: info,
    Recipe: _recipe,
}
"""By the type of the task."""
