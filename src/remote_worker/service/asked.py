"""What the path and the parameters of an address ask for, as tasks. Pure: it knows no request."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import LONGEST_SIDE
from ..contract.messages import (
    FACTS,
    GRAVITIES,
    MODES,
    OUTPUT_FORMATS,
    Avatars,
    Fit,
    Info,
    Output,
    Prepare,
    Recipe,
    Task,
)
from .images import OUTPUT
from .presets import BACKGROUND, Presets

S = TypeVar("S")
T = TypeVar("T")

_OFF = {"", "0", "false", "no", "off"}
_BOX = re.compile(r"([0-9]+)(?:x([0-9]+))?")
_QUALITY = re.compile(r"[1-9][0-9]?|100")
_PLACING = ("mode", "gravity", "background", "enlarge")
"""Parameters that ask for more than scaling down."""
AD_HOC = ("fit", "format", "quality", "animated", *_PLACING)
"""Parameters with which a caller picks sizes and formats."""
_METADATA = {"strip": False, "keep": True}
RESCALING = "Error occurred during rescaling"
"""How messages of fit begin: words of the service before."""


def task(target: str, presets: Presets) -> Task:
    """What POST to this path and query makes of a picture, with nothing left open.

    Raises WorkFailed, also for a parameter that there is not: online such a one does no harm, but here it
    would be found out after a million pictures.
    """
    path, _, text = target.partition("?")
    query = dict(parse_qsl(text, keep_blank_values=True))
    name, _, argument = path.removeprefix(_IMAGES).partition("/")
    asking = _TARGETS.get((name, bool(argument))) if path.startswith(_IMAGES) else None
    if asking is None:
        raise WorkFailed(FailureCode.NOT_FOUND, f"{path} is none of {', '.join(TARGETS)}")
    known, make = asking
    for parameter in query:
        if parameter not in known:
            there_are = f"there are {', '.join(known)}" if known else "there are none"
            raise WorkFailed(FailureCode.BAD_PARAMETER, f"{path} has no parameter {parameter!r}: {there_are}")
    return make(argument, query, presets)


def box(text: str) -> tuple[int, int] | None:
    """Width and height of `800x600`, or of `800` for a square; None for anything else."""
    found = _BOX.fullmatch(text)
    if found is None:
        return None
    width = _side(found[1])
    return width, width if found[2] is None else _side(found[2])


def _side(digits: str) -> int:
    """A number of any length, at most the longest side: a box never enlarges."""
    digits = digits.lstrip("0")
    return LONGEST_SIDE if len(digits) > len(str(LONGEST_SIDE)) else min(int(digits or "0"), LONGEST_SIDE)


def fit(sides: tuple[int, int], query: Mapping[str, str]) -> Fit | Output:
    """What is to be made for this box: an Output where more is asked than scaling down. Raises WorkFailed."""
    width, height = sides
    if not (width and height):
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"{RESCALING}: a side of the box is at least 1 pixel")
    quality = query.get("quality")
    if quality is not None and not _QUALITY.fullmatch(quality):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "quality is a whole number from 1 to 100")
    if any(name in query for name in _PLACING):
        return _output(width, height, query)
    return Fit(
        width=width,
        height=height,
        format=_word(query, "format", OUTPUT_FORMATS, None),
        quality=None if quality is None else int(quality),
        animated=is_on(query, "animated"),
    )


def _output(width: int, height: int, query: Mapping[str, str]) -> Output:
    background = query.get("background", "")
    if background and not BACKGROUND.fullmatch(background):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "background is rrggbb or rrggbbaa")
    if is_on(query, "animated"):
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"animated goes with none of {', '.join(_PLACING)}")
    return Output(
        name=OUTPUT,
        width=width,
        height=height,
        mode=_word(query, "mode", MODES, MODES[0]),
        gravity=_word(query, "gravity", GRAVITIES, GRAVITIES[0]),
        background=background,
        enlarge=is_on(query, "enlarge"),
        format=_word(query, "format", OUTPUT_FORMATS, None),
        quality=int(query["quality"]) if "quality" in query else None,
    )


def prepare(query: Mapping[str, str]) -> Prepare:
    """A JPEG upright, with or without its metadata. Raises WorkFailed."""
    return Prepare(keep_metadata=one_of(query, "metadata", _METADATA, default=False))


def avatars(query: Mapping[str, str]) -> Avatars:
    """Square pictures, which move where that is asked for."""
    return Avatars(animated=is_on(query, "animated"))


def info(query: Mapping[str, str]) -> Info:
    """What a header says, with the metadata where that is asked for."""
    return Info(metadata=is_on(query, "metadata"))


def facts(query: Mapping[str, str]) -> Recipe:
    """The facts that are asked for: all where none is named. Raises WorkFailed."""
    named = [word.strip() for word in query.get("facts", ",".join(FACTS)).split(",")]
    if not all(word in FACTS for word in named):
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"facts is a list of {', '.join(FACTS)}")
    return Recipe(facts=tuple(word for word in FACTS if word in named))


def _word(query: Mapping[str, str], name: str, words: tuple[str, ...], default: T) -> str | T:
    return one_of(query, name, {word: word for word in words}, default=default)


def one_of(query: Mapping[str, str], name: str, choices: Mapping[str, S], *, default: T) -> S | T:
    """What the parameter's word stands for. Raises WorkFailed."""
    value = query.get(name)
    if value is None:
        return default
    if value not in choices:
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"{name} is one of {', '.join(choices)}")
    return choices[value]


def is_on(query: Mapping[str, str], name: str) -> bool:
    """Whether the parameter is there and does not say no."""
    return query.get(name, "").strip().lower() not in _OFF


def _fitted(argument: str, query: Mapping[str, str], _: Presets) -> Task:
    sides = box(argument)
    if sides is None:
        raise WorkFailed(FailureCode.NOT_FOUND, f"{argument} is no box, such as 800 or 800x600")
    wanted = fit(sides, query)
    return Recipe(outputs=(wanted,)) if isinstance(wanted, Output) else wanted


_IMAGES = "/images/"
_FIT = ("format", "quality", "animated", *_PLACING)
_TARGETS: Mapping[
    tuple[str, bool], tuple[tuple[str, ...], Callable[[str, Mapping[str, str], Presets], Task]]
] = {
    ("fit", True): (_FIT, _fitted),
    ("preset", True): ((), lambda name, _, presets: presets.named(name).recipe),
    ("rescale_avatar", False): (("animated",), lambda _, query, __: avatars(query)),
    ("resize_avatar", False): (("animated",), lambda _, query, __: avatars(query)),
    ("prepare_jpeg", False): (("metadata",), lambda _, query, __: prepare(query)),
    ("info", False): (("metadata",), lambda _, query, __: info(query)),
    ("facts", False): (("facts",), lambda _, query, __: facts(query)),
}
"""By the name in the path, and whether something follows it: the parameters, and what they come to."""
TARGETS = (
    "/images/fit/BOX",
    "/images/preset/NAME",
    "/images/rescale_avatar",
    "/images/prepare_jpeg",
    "/images/info",
    "/images/facts",
)
"""Paths of which `task` knows what they make."""
