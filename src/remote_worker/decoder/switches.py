"""Which formats are on: set in a template before it loads their libraries, inherited by its children."""

from collections.abc import Iterable

from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import FormatName

_on: frozenset[str] = frozenset(FormatName)


class SwitchedOff(WorkFailed):
    """The work needs a format that is off: that of the upload, one inside it, or the one to be written."""

    def __init__(self, name: str) -> None:
        super().__init__(FailureCode.FORMAT_UNAVAILABLE, f"{name} is switched off")


def leave_on(names: Iterable[str]) -> None:
    """Only these are read and written from now on."""
    global _on  # noqa: PLW0603  set once in a template, inherited by its children
    _on = frozenset(names)


def is_on(name: str) -> bool:
    """Whether the format is read and written here."""
    return name in _on


def hold_on(*names: str) -> None:
    """Raises SwitchedOff when none of these formats is on."""
    if not _on.intersection(names):
        raise SwitchedOff(" or ".join(names))
