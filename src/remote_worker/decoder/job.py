"""One task on one document: detect, read the header, hold the limits, and only then decode."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from PIL import Image

from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import FormatName
from ..contract.limits import Limits
from ..contract.messages import AVATAR_SIZES, Avatars, Fit, Info, Output, Prepare, Recipe
from ..contract.signatures import Template
from . import (
    animation,
    attention,
    color,
    encode,
    facts,
    formats,
    gif_copy,
    icc,
    jpeg_bytes,
    jpeg_turn,
    operations,
    placement,
    switches,
)
from .formats import FORMATS, Format
from .header import Blocks, Header
from .headers import Buffer
from .loaders import pillow
from .loaders.loader import Frame, Loader
from .metadata import fields, xmp_place
from .source import Source

Size = tuple[int, int]
Body = bytes | jpeg_bytes.Pieces
"""A picture's file, whole or in pieces."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made: pictures by part name, and the facts about them and the upload."""

    pictures: dict[str, Body]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A stranger's bytes with what is known of them before any pixel is decoded."""

    data: Buffer
    format: Format
    header: Header
    limits: Limits

    @property
    def display(self) -> Size:
        """The size upright."""
        return self.header.display_width, self.header.display_height


@dataclass(slots=True)
class Made:
    """Collects the pictures of a task with their facts."""

    pictures: dict[str, Body] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)
    encode_seconds: float = 0.0
    """Spent on writing still pictures. The frames of an animation are read while it is written."""

    def written(
        self, image: Image.Image, kind: str, quality: int | None, most_bytes: int, *, in_a_hurry: bool = False
    ) -> bytes:
        """A still picture's file; how long writing it took counts. Raises WorkFailed."""
        began = time.perf_counter()
        body = encode.encode(image, kind, quality, most_bytes, in_a_hurry=in_a_hurry)
        self.encode_seconds += time.perf_counter() - began
        return body

    def add(self, name: str, kind: str, size: Size, body: Body, frames: int = 1) -> None:
        """One picture."""
        self.pictures[name] = body
        self.facts.append(
            {"name": name, "format": kind, "width": size[0], "height": size[1], "frames": frames}
        )


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
    _hold_still(document)
    prepared = jpeg_turn.prepare(document.data, task.keep_metadata, document.limits)
    made = Made()
    made.add("output", "jpeg", prepared.size, prepared.pieces)
    return _result(document, made)


def _fit(task: Fit, document: Document) -> Result:
    switches.hold_on(
        *([task.format] if task.format else (document.format.fit, document.format.fit_with_alpha))
    )
    loader = _loader(document)
    size = operations.fitted(document.display, (task.width, task.height))
    film_kind = task.format or document.format.fit
    made = Made()
    if task.animated and _moves(document) and film_kind in animation.ANIMATED:
        switches.hold_on(film_kind)
        body = _fit_film(task, document, loader, film_kind, size)
        made.add("output", film_kind, size, body, _row(film_kind).header(body).frames)
        return _result(document, made)
    if document.format.is_vector:
        _hold(size, document.limits)
    else:
        _hold_still(document)
    if _is_copied(document, film_kind, size):
        first = replace(document.header, frames=1, loop=None)
        body = gif_copy.copied(document.data, first, document.limits.output_bytes)
        made.add("output", film_kind, size, body)
        return _result(document, made)
    image = _fit_still(document, loader, size)
    kind = task.format or (
        document.format.fit_with_alpha if color.carries_alpha(image) else document.format.fit
    )
    switches.hold_on(kind)
    made.add("output", kind, size, made.written(image, kind, task.quality, document.limits.output_bytes))
    return _result(document, made)


def _fit_still(document: Document, loader: Loader, size: Size) -> Image.Image:
    cover = operations.sides(size, document.header.orientation)
    decoded = loader.still(document.data, document.header, cover)
    profile = color.Profile.of(decoded.image)
    image = color.workable(decoded.image, document.header.bit_depth)
    image = operations.scaled(image, operations.sides(size, decoded.orientation), decoded.box)
    return operations.upright(color.to_srgb(image, profile), decoded.orientation)


def _fit_film(task: Fit, document: Document, loader: Loader, kind: str, size: Size) -> bytes:
    header, limits = document.header, document.limits
    _hold_film(header, limits)
    if _is_copied(document, kind, size):
        return gif_copy.copied(document.data, header, limits.output_bytes)
    stored = operations.sides(size, header.orientation)

    def frames() -> Iterator[Frame]:
        for frame, duration_ms in loader.frames(document.data, header):
            profile = color.Profile.of(frame)
            image = operations.scaled(color.workable(frame, header.bit_depth), stored)
            yield Frame(operations.upright(color.to_srgb(image, profile), header.orientation), duration_ms)

    source = animation.Film(frames=frames, count=header.frames, size=size, loop=header.loop or 0)
    return animation.film(source, kind, task.quality, limits.output_bytes)


def _is_copied(document: Document, kind: str, size: Size) -> bool:
    return kind == document.format.name == "gif" and size == document.display


def _avatars(task: Avatars, document: Document) -> Result:
    switches.hold_on(FormatName.PNG)
    loader = _loader(document)
    made = Made()
    if document.format.is_vector:
        pictures = _drawn_avatars(document, loader)
    elif task.animated and _moves(document):
        return _moving_avatars(document, loader, made)
    else:
        _hold_still(document)
        decoded = loader.still(document.data, document.header, _largest_due(document))
        pictures = _squares(document, decoded.image, decoded.box, decoded.orientation)
    left = document.limits.output_bytes
    for side, picture in sorted(pictures.items()):
        body = made.written(picture, "png", None, left)
        left -= len(body)
        made.add(f"avatar{side}", "png", (side, side), body)
    return _result(document, made)


def _drawn_avatars(document: Document, loader: Loader) -> dict[int, Image.Image]:
    """Each drawn at its own size, the small pictures too; where drawing is slow, scaled from the largest."""
    started = time.process_time()
    largest: Image.Image | None = None
    drawn = {}
    for side in reversed(AVATAR_SIZES):
        size = operations.enlarged(document.display, side)
        if largest is None or time.process_time() - started < _DRAWING_SECONDS:
            picture = loader.still(document.data, document.header, size).image
            largest = largest or picture
        else:
            picture = operations.scaled(largest, size)
        drawn[side] = operations.padded(picture, side)
    return drawn


_DRAWING_SECONDS = 1.0
"""Six drawings of what takes longer than this would not end in time."""


def _moving_avatars(document: Document, loader: Loader, made: Made) -> Result:
    header, limits = document.header, document.limits
    _hold_film(header, limits)
    due = operations.avatar_sizes(document.display)

    def frames() -> Iterator[tuple[list[Image.Image], int]]:
        for frame, duration_ms in loader.frames(document.data, header):
            squares = _squares(document, frame, None, header.orientation)
            yield [squares[side] for side in due], duration_ms

    bodies = animation.films(frames, most_bytes=limits.output_bytes)
    for side, body in zip(due, bodies, strict=True):
        made.add(f"avatar{side}", "png", (side, side), body, header.frames)
    return _result(document, made)


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


def _recipe(task: Recipe, document: Document) -> Result:
    for output in task.outputs:
        switches.hold_on(
            *([output.format] if output.format else (document.format.fit, document.format.fit_with_alpha))
        )
    made = Made()
    pictures = _Pictures(task, document, _loader(document), made)
    left = document.limits.output_bytes
    for output, plan in zip(task.outputs, pictures.plans, strict=True):
        kind, body = pictures.made(output, plan, left)
        left -= len(body)
        made.add(output.name, kind, plan.canvas, body)
    result = _result(document, made)
    result.facts["info"] = facts.told(task.facts, pictures.look) if task.facts else {}
    return result


class _Pictures:
    """What a recipe's outputs are made of: one decode for all of them, or of a vector picture a drawing each.

    Holds the limits for all that will be made.
    """

    def __init__(self, task: Recipe, document: Document, loader: Loader, made: Made) -> None:
        self._document = document
        self._written = made.written
        self._loader = loader
        self._needs_look = bool(task.facts) or any(output.gravity == _ATTENTION for output in task.outputs)
        self._started = time.process_time()
        self._unhurried_pixels_left = encode.MOST_UNHURRIED_PIXELS
        self.plans = [placement.plan(document.display, output) for output in task.outputs]
        if not document.format.is_vector:
            _hold_still(document)
        for plan in self.plans:
            _hold(plan.canvas, document.limits)
            if document.format.is_vector:
                _hold(plan.scaled, document.limits)
        if sum(plan.canvas[0] * plan.canvas[1] for plan in self.plans) > document.limits.pixels:
            raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "over all outputs")

    def made(self, output: Output, plan: placement.Plan, most_bytes: int) -> tuple[str, Body]:
        """One output: its format and its file."""
        document = self._document
        kind = output.format or document.format.fit
        is_plain = output.mode == "fit" and not output.background
        if is_plain and _is_copied(document, kind, plan.canvas):
            first = replace(document.header, frames=1, loop=None)
            return kind, gif_copy.copied(document.data, first, most_bytes)
        focus = self._focus(output, plan)
        image = self._source(plan.scaled).part(plan.scaled, plan.window(focus))
        if not output.format and color.carries_alpha(image):
            kind = document.format.fit_with_alpha
        has_alpha = encode.WRITERS[kind].has_alpha
        image = operations.laid(
            image, plan.canvas, plan.corner(focus), output.background, has_alpha=has_alpha
        )
        in_a_hurry = self._is_in_a_hurry(plan.canvas)
        return kind, self._written(image, kind, output.quality, most_bytes, in_a_hurry=in_a_hurry)

    def _is_in_a_hurry(self, size: Size) -> bool:
        """Sixteen pictures must be written in the time of one: some at leisure, the others not."""
        pixels = size[0] * size[1]
        if len(self.plans) == 1:
            return False
        if pixels > self._unhurried_pixels_left:
            return True
        self._unhurried_pixels_left -= pixels
        return False

    @cached_property
    def look(self) -> Image.Image:
        """The small picture that facts are told from."""
        size = operations.fitted(self._document.display, (facts.LOOKED_AT, facts.LOOKED_AT))
        return self._source(size).part(size, (0, 0, *size))

    def _focus(self, output: Output, plan: placement.Plan) -> placement.Focus:
        if output.gravity != _ATTENTION:
            return placement.FOCUS[output.gravity]
        if plan.cut == plan.scaled:
            return placement.CENTER
        small = operations.fitted(self.look.size, (attention.LOOKED_AT, attention.LOOKED_AT))
        image = operations.scaled(facts.opaque(self.look), small).convert("RGB")
        shares = Fraction(plan.cut[0], plan.scaled[0]), Fraction(plan.cut[1], plan.scaled[1])
        return attention.focus(image, shares)

    def _source(self, scaled: Size) -> Source:
        """What holds the picture at this size or a larger one."""
        if not self._document.format.is_vector:
            return self._largest
        is_slow = time.process_time() - self._started > _DRAWING_SECONDS
        return self._largest if scaled == self._largest_size or is_slow else self._read(scaled)

    @cached_property
    def _largest(self) -> Source:
        return self._read(self._largest_size)

    @cached_property
    def _largest_size(self) -> Size:
        display = self._document.display
        sizes = [plan.scaled for plan in self.plans]
        if self._needs_look:
            sizes.append(operations.fitted(display, (facts.LOOKED_AT, facts.LOOKED_AT)))
        if self._document.format.is_vector:
            return max(sizes)
        width, height = (max(sides) for sides in zip(*sizes, strict=True))
        # A picture that is to be enlarged is not there any larger than it is.
        return min(width, display[0]), min(height, display[1])

    def _read(self, size: Size) -> Source:
        header = self._document.header
        decoded = self._loader.still(self._document.data, header, operations.sides(size, header.orientation))
        return Source(decoded, header.bit_depth)


_ATTENTION = "attention"


def _info(task: Info, document: Document) -> Result:
    header = document.header
    told: dict[str, Any] = {
        "binary_size": len(document.data),
        "mime_type": document.format.mime,
        "format": document.format.name,
        **{name: getattr(header, name) for name in _INFO},
    }
    if task.metadata:
        told["metadata"] = _metadata(header.blocks)
    return Result({}, {"upload": _upload(document), "info": told})


def _metadata(blocks: Blocks) -> dict[str, Any]:
    name = icc.description(blocks.profile()) if blocks.profile else None
    return {
        "exif": fields.fields(blocks.exif),
        "gps": fields.place(blocks.exif) or xmp_place.place(blocks.placed_xmp),
        "xmp": blocks.has_xmp,
        "iptc": blocks.has_iptc,
        "comment": blocks.has_comment,
        "icc": (fields.printable(name) or None) if name else None,
    }


_INFO = (
    "width",
    "height",
    "display_width",
    "display_height",
    "frames",
    "orientation",
    "has_alpha",
    "color_space",
    "bit_depth",
    "has_icc_profile",
    "has_exif",
    "has_gps",
    "loop",
    "duration_ms",
)


def _loader(document: Document) -> Loader:
    loader = document.format.loader if document.format.name in _allowed else None
    if loader is None:
        raise WorkFailed(FailureCode.FORMAT_UNAVAILABLE)
    return loader


def _moves(document: Document) -> bool:
    return document.format.keeps_frames and document.header.is_animation and document.header.frames > 1


def _hold_still(document: Document) -> None:
    _hold((document.header.width, document.header.height), document.limits)


def _hold(size: Size, limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels or max(size) > limits.side_pixels:
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, f"{size[0]} x {size[1]}")


def _hold_film(header: Header, limits: Limits) -> None:
    _hold((header.width, header.height), limits)
    if header.frames > limits.frames:
        raise WorkFailed(FailureCode.TOO_MANY_FRAMES, f"{header.frames} frames")
    if header.frames * header.width * header.height > limits.animation_pixels:
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "over all frames")


def _row(name: str) -> Format:
    return next(row for row in FORMATS if row.name == name)


def _upload(document: Document) -> dict[str, str]:
    return {"format": document.format.name, "mime": document.format.mime}


def _result(document: Document, made: Made) -> Result:
    facts = {"upload": _upload(document), "pictures": made.facts, "encode_us": int(made.encode_seconds * 1e6)}
    return Result(made.pictures, facts)


HANDLERS: dict[type, Callable[[Any, Document], Result]] = {
    Prepare: _prepare,
    Fit: _fit,
    Avatars: _avatars,
    Info: _info,
    Recipe: _recipe,
}
"""By the type of the task."""
