"""What a point of the hold is given, and the rows that it measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: what was asked of the service, the bar, what was measured, and whether that reaches it."""

    case: str
    bar: str
    measured: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Where everything is and how long the long points last."""

    shared: Path
    """The folder with the corpus and the inputs."""
    server_cores: tuple[int, ...]
    load_core: int
    fuzz_seconds: float
    """For each fuzz target."""
    mutation_minutes: float
    fault_minutes: float
    soak_minutes: float


Measure = Callable[[Given], Sequence[Row]]
"""Measures one point. Raises SystemExit when it cannot be measured here."""
