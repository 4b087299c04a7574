"""What one document may cost. Every limit is checked before the expensive step it bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

MIB = 1024 * 1024

LONGEST_SIDE = 65_535
"""Pixels of the longest side that any output format of ours can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one document and of the child that decodes it."""

    input_bytes: int = 30 * MIB
    pixels: int = 64_000_000
    side_pixels: int = LONGEST_SIDE
    frames: int = 512
    animation_pixels: int = 256_000_000
    output_bytes: int = 64 * MIB
    memory_bytes: int = 1024 * MIB
    decode_seconds: float = 10.0
    cpu_seconds: int = 8

    def lowered(self, ceilings: Mapping[str, float]) -> Self:
        """The same with each of these that is lower, by name; none is raised."""
        if not ceilings:
            return self
        return replace(self, **{name: min(getattr(self, name), most) for name, most in ceilings.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What one caller may ask for at most; None leaves it to the worker's limits."""

    input_bytes: int | None = None
    pixels: int | None = None
    frames: int | None = None
    animation_pixels: int | None = None
    output_bytes: int | None = None
    decode_seconds: float | None = None
    work_seconds: float | None = None
    """Queue and work together."""

    def given(self) -> dict[str, float]:
        """Those that there are, by name."""
        if self is NO_CEILINGS:  # As of almost every caller.
            return {}
        return {row.name: most for row in fields(self) if (most := getattr(self, row.name)) is not None}

    def of_limits(self) -> dict[str, float]:
        """Those that there are and that bound a decode."""
        return {name: most for name, most in self.given().items() if name != "work_seconds"}

    def and_also(self, other: "Ceilings") -> "Ceilings":
        """The lower of both, one by one."""
        given, others = self.given(), other.given()
        lowest = {name: min(most, others.get(name, most)) for name, most in given.items()}
        return Ceilings(**{**others, **lowest})  # type: ignore[arg-type]  # each by its own name


NO_CEILINGS = Ceilings()
