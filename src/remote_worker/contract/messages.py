"""The tasks that go into the jail, and their JSON form on the way there."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from .limits import LONGEST_SIDE
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
MOST_OUTPUTS = 16
MOST_COLORS = 8
"""Dominant colours that are told."""
MOST_FIELDS = 128
"""Fields of metadata that are told."""
MOST_FIELD_CHARACTERS = 200

_NAME = re.compile(r"[A-Za-z0-9]{1,16}")
_TAKEN_NAME = "facts"
_BACKGROUND = re.compile(r"(?:[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{2})?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One picture of a recipe. Raises ValueError, which says what would do.

    `name` is 1 to 16 ASCII letters and digits, but not `facts`, and names the part. `width` and `height` are
    the box in pixels. Without `enlarge` the picture is never scaled up: then `cover` gives a smaller picture
    of the box's aspect ratio, and `pad` pads to the whole box. `background` is `rrggbb` or `rrggbbaa`, or
    empty: transparent where the format can, else white.
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

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == _TAKEN_NAME:
            raise ValueError(f"a name is 1 to 16 letters and digits, and not {_TAKEN_NAME}")
        if not (0 < self.width <= LONGEST_SIDE and 0 < self.height <= LONGEST_SIDE):
            raise ValueError(f"a side is 1 to {LONGEST_SIDE} pixels")
        for value, choices in ((self.mode, MODES), (self.gravity, GRAVITIES)):
            if value not in choices:
                raise ValueError(f"{value} is none of {', '.join(choices)}")
        if self.format is not None and self.format not in OUTPUT_FORMATS:
            raise ValueError(f"{self.format} is none of {', '.join(OUTPUT_FORMATS)}")
        if not _BACKGROUND.fullmatch(self.background):
            raise ValueError("a background is rrggbb or rrggbbaa")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError("quality is a whole number from 1 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Some still pictures, and facts about the picture, out of one decode. Raises ValueError."""

    kind: ClassVar[str] = "recipe"
    outputs: tuple[Output, ...] = ()
    facts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.outputs and not self.facts:
            raise ValueError("a recipe makes at least one picture or tells one fact")
        if len(self.outputs) > MOST_OUTPUTS:
            raise ValueError(f"a recipe makes at most {MOST_OUTPUTS} pictures")
        if len({output.name for output in self.outputs}) < len(self.outputs):
            raise ValueError("each picture of a recipe has a name of its own")
        if not set(FACTS).issuperset(self.facts) or len(set(self.facts)) < len(self.facts):
            raise ValueError(f"facts are, once each, of {', '.join(FACTS)}")


Task = Prepare | Fit | Avatars | Info | Recipe
AnyTask = TypeVar("AnyTask")


def encode_task(task: Task | TextTask) -> bytes:
    """The task as one JSON object with its kind."""
    return json.dumps({"kind": task.kind, **_members(task)}).encode()


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
    kind = kinds[members.pop("kind")]
    if kind is Recipe:
        members["outputs"] = tuple(Output(**output) for output in members["outputs"])
        members["facts"] = tuple(members["facts"])
    return kind(**members)


def _members(value: Task | TextTask | Output) -> dict[str, Any]:
    members = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Recipe):
        members["outputs"] = [_members(output) for output in value.outputs]
    elif isinstance(value, Output):
        # Sixteen of them must fit into one message, so what is as usual is left out.
        usual = {field.name: field.default for field in dataclasses.fields(value)}
        members = {name: member for name, member in members.items() if member != usual[name]}
    return members


_DECODER = json.JSONDecoder()

TASKS: dict[str, type[Task]] = {task.kind: task for task in (Prepare, Fit, Avatars, Info, Recipe)}


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
    """What came out of the jail, checked: `mime` is the upload's, `pictures` go by part name.

    `encode_seconds` is the child's own word for how long it wrote pictures.
    """

    format: str
    mime: str
    pictures: Mapping[str, Picture]
    info: Mapping[str, Any]
    encode_seconds: float = 0.0
