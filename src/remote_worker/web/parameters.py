"""What an address says of the picture that is wanted, as values."""

import re
from collections.abc import Mapping
from typing import TypeVar

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import LONGEST_SIDE
from ..contract.messages import OUTPUT_FORMATS, Fit
from . import problems

T = TypeVar("T")

_OFF = {"", "0", "false", "no", "off"}
_BOX = re.compile(r"([0-9]+)(?:x([0-9]+))?")
_QUALITY = re.compile(r"[1-9][0-9]?|100")


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


def fit(sides: tuple[int, int], query: Mapping[str, str]) -> Fit:
    """The task for this box. Raises WorkFailed."""
    width, height = sides
    if not (width and height):
        raise WorkFailed(
            FailureCode.BAD_PARAMETER, problems.rescaling("a side of the box is at least 1 pixel")
        )
    quality = query.get("quality")
    if quality is not None and not _QUALITY.fullmatch(quality):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "quality is a whole number from 1 to 100")
    return Fit(
        width=width,
        height=height,
        format=one_of(query, "format", {name: name for name in OUTPUT_FORMATS}, default=None),
        quality=None if quality is None else int(quality),
        animated=is_on(query, "animated"),
    )


def one_of(query: Mapping[str, str], name: str, choices: Mapping[str, T], *, default: T) -> T:
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
