"""Whether what was read from a job's folder is what it should be: others may write there. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from .rows import Item, Made, Plan, Retry, Row

MOST_SHARDS = 10_000_000
"""Their numbers are all held at once."""

Kind = TypeVar("Kind", Plan, Retry, Item, Row, Made)


class Unfit(ValueError):
    """It is none of these. The text does not repeat it."""


def checked(kind: type[Kind], told: object) -> Kind:
    """The members of a JSON object as this kind of thing. Raises Unfit."""
    checks = _CHECKS[kind]
    if not isinstance(told, Mapping):
        raise Unfit(f"this is no {kind.__name__}")
    for name, member in told.items():
        if name not in checks or not checks[name](member):
            raise Unfit(f"this is no {kind.__name__}: {name[:40]!r} cannot be so")
    try:
        return kind(**told)
    except TypeError:
        raise Unfit(f"this is no {kind.__name__}: a member is missing") from None


def row_of(told: object) -> Row:
    """A row, with its outputs. Raises Unfit."""
    if not isinstance(told, Mapping) or not isinstance(told.get("outputs", []), list):
        raise Unfit("this is no Row")
    outputs = tuple(checked(Made, made) for made in told.get("outputs", ()))
    return checked(Row, {**told, "outputs": outputs})


def is_count(value: object) -> bool:
    """Whether this is a whole number from 0."""
    return type(value) is int and value >= 0


def _is_shards(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_SHARDS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 <= value < math.inf


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and all(map(is_count, one.values())) for one in value
    )


def _is_there(_: object) -> bool:
    return True


_CHECKS: Mapping[type, Mapping[str, Callable[[object], bool]]] = {
    Plan: {
        **dict.fromkeys(("id", "source", "recipe", "objects", "made_by"), _is_text),
        **dict.fromkeys(("items", "size_bytes"), is_count),
        "task": _is_object,
        "shards": _is_shards,
        "created": _is_number,
    },
    Retry: {
        **dict.fromkeys(("first", "shards"), _is_shards),
        "items": is_count,
        "created": _is_number,
        "codes": _is_texts,
        "replaces": _are_counts,
    },
    Item: {"key": _is_text, "version": _is_text, "size_bytes": is_count},
    Row: {
        **dict.fromkeys(("key", "version", "code", "detail"), _is_text),
        "outputs": _is_there,  # Checked one by one.
        "facts": _is_object,
        "source_bytes": is_count,
        "milliseconds": _is_number,
    },
    Made: {"name": _is_text, "key": _is_text, "size_bytes": is_count},
}
