"""The tasks that go into the jail, and their JSON form on the way there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from .texts import TextTask

OUTPUT_FORMATS = ("jpeg", "png", "webp", "avif")
"""What `?format=` may ask for."""

AVATAR_SIZES = (24, 48, 73, 128, 256, 512)
"""Sides in pixels; the first three are always made."""
ALWAYS_MADE = 73
"""Avatars up to this side are made of the smallest picture too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """A JPEG made upright and rid of its metadata, or with `keep_metadata` only of its location."""

    kind: ClassVar[str] = "prepare"
    keep_metadata: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A picture scaled down to fit into `width` x `height` pixels; `format` None keeps the upload's own."""

    kind: ClassVar[str] = "fit"
    width: int
    height: int
    format: str | None = None
    quality: int | None = None
    animated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Avatars:
    """Square PNG pictures in the six avatar sizes that the picture is large enough for."""

    kind: ClassVar[str] = "avatars"
    animated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What the header says, without reading pixels; with `metadata` the EXIF fields and the location too."""

    kind: ClassVar[str] = "info"
    metadata: bool = False


MODES = ("fit", "cover", "pad", "crop")
"""How a picture gets into its box: inside it; over it, and cut; inside it, and padded; cut unscaled."""
GRAVITIES = (
    "center",
    "north",
    "northeast",
    "east",
    "southeast",
    "south",
    "southwest",
    "west",
    "northwest",
    "attention",
)
"""What stays where something is cut, or where a padded picture stands."""
FACTS = ("blurhash", "thumbhash", "colors", "phash")
"""What may be told of a picture besides: two placeholders, its dominant colours, and a perceptual hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One picture of a recipe. `name` is 1 to 16 ASCII letters and digits, and names the part.

    `width` and `height` are the box in pixels. Without `enlarge` the picture is never scaled up: then `cover`
    gives a smaller picture of the box's aspect ratio, and `pad` pads to the whole box. `background` is
    `rrggbb` or `rrggbbaa`, or empty: transparent where the format can, else white.
    """

    name: str
    width: int
    height: int
    mode: str = "fit"
    gravity: str = "center"
    background: str = ""
    enlarge: bool = False
    format: str | None = None
    quality: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Several still pictures, and facts about the picture, out of one decode."""

    kind: ClassVar[str] = "recipe"
    outputs: tuple[Output, ...] = ()
    facts: tuple[str, ...] = ()


Task = Prepare | Fit | Avatars | Info | Recipe
AnyTask = TypeVar("AnyTask")


def encode_task(task: Task | TextTask) -> bytes:
    """The task as one JSON object with its kind."""
    members = {field.name: getattr(task, field.name) for field in fields(task)}
    return json.dumps({"kind": task.kind, **members}).encode()


def decode_task(message: bytes) -> Task:
    """The task of pictures that `encode_task` wrote. Raises ValueError, KeyError or TypeError."""
    return decode_one_of(TASKS, message)


def decode_one_of(kinds: Mapping[str, type[AnyTask]], message: bytes) -> AnyTask:
    """The task of one of these kinds that `encode_task` wrote. Raises ValueError, KeyError or TypeError."""
    text = message.decode()
    members, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError("more than one task")
    if not isinstance(members, dict):
        raise TypeError("a task that is no object")
    return kinds[members.pop("kind")](**members)


_DECODER = json.JSONDecoder()

TASKS: dict[str, type[Task]] = {task.kind: task for task in (Prepare, Fit, Avatars, Info)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One checked output: its bytes, and what its own header was found to say."""

    format: str
    width: int
    height: int
    frames: int
    body: memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came out of the jail, checked: `mime` is the upload's, `pictures` go by part name."""

    format: str
    mime: str
    pictures: Mapping[str, Picture]
    info: Mapping[str, Any]
