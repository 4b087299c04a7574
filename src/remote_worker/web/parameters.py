"""What an address says of the picture that is wanted, as values."""

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.types import Scope

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import LONGEST_SIDE
from ..contract.messages import FACTS, GRAVITIES, MODES, OUTPUT_FORMATS, Fit, Output
from ..service.images import OUTPUT
from ..service.presets import BACKGROUND
from . import problems

S = TypeVar("S")
T = TypeVar("T")

_OFF = {"", "0", "false", "no", "off"}
_BOX = re.compile(r"([0-9]+)(?:x([0-9]+))?")
_QUALITY = re.compile(r"[1-9][0-9]?|100")
_PLACING = ("mode", "gravity", "background", "enlarge")
"""Parameters that ask for more than scaling down."""
AD_HOC = ("fit", "format", "quality", "animated", *_PLACING)
"""Parameters with which a caller picks sizes and formats."""


def query(scope: Scope) -> dict[str, str]:
    """The parameters of an address by name, of several with one name the last."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


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
        raise WorkFailed(
            FailureCode.BAD_PARAMETER, problems.rescaling("a side of the box is at least 1 pixel")
        )
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


def facts(query: Mapping[str, str]) -> tuple[str, ...]:
    """The facts that are asked for: all where none is named. Raises WorkFailed."""
    named = [word.strip() for word in query.get("facts", ",".join(FACTS)).split(",")]
    if not all(word in FACTS for word in named):
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"facts is a list of {', '.join(FACTS)}")
    return tuple(word for word in FACTS if word in named)


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
