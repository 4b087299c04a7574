"""Switches in a query."""

from starlette.datastructures import QueryParams

_OFF = {"", "0", "false", "no", "off"}


def is_on(query: QueryParams, name: str) -> bool:
    """Whether it is there with a value that does not mean off."""
    return query.get(name, "").strip().lower() not in _OFF
