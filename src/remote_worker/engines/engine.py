"""What every engine can do: hand out units, at least once. To be done twice must do no harm to a unit."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

MOST_UNIT_BYTES = 8 * 1024
"""Of a unit's body. Pictures travel by the key of an object, never in a message."""
DEDUPE_SECONDS = 120
"""So long a unit of the same kind and id is not taken once more; JetStream's default."""

_is_id = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch


class Kind(StrEnum):
    """What a unit is about; each kind has a queue of its own."""

    JOB = "job"
    WEBHOOK = "webhook"
    SHARD = "shard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How units of one kind are handed out."""

    most_attempts: int
    """A unit is handed out once more than that, only so that its failure is recorded; then it is dropped."""
    lease_seconds: float
    """A worker that has not renewed for so long counts as dead."""
    places: int
    """Units that are there at once, waiting or leased; past them, Full."""


Policies = Mapping[Kind, Policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One piece of work."""

    id: str
    """1 to 128 of `[A-Za-z0-9._-]`."""
    kind: Kind
    body: bytes

    def __post_init__(self) -> None:
        if not _is_id(self.id):
            raise ValueError("a unit's id is 1 to 128 letters, digits, dots, underlines and hyphens")
        if len(self.body) > MOST_UNIT_BYTES:
            raise ValueError(f"a unit's body has at most {MOST_UNIT_BYTES} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much there is of one kind."""

    pending: int
    """Not handed out, or to be handed out again later."""
    leased: int
    """In hand. NATS cannot tell those apart that are to be handed out again later, and counts them here."""
    oldest_seconds: float = 0.0
    """How long the one that is next has waited; 0 where nothing waits."""


class Full(Exception):
    """There is no place for more units now."""

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(retry_seconds)
        self.retry_seconds = retry_seconds


class EngineFailed(Exception):
    """The engine cannot be reached, or cannot be used."""


class Again(Exception):
    """Raised by a handler: hand the unit out again after so many seconds. It counts as an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Lease(Protocol):
    """A unit in hand. While its handler runs, the engine renews it, as long as the event loop turns."""

    @property
    def attempt(self) -> int:
        """1 for the first."""
        ...

    @property
    def is_beyond(self) -> bool:
        """The attempts are used up, by workers that died or handlers that failed: only record that."""
        ...

    @property
    def waited_seconds(self) -> float:
        """From the unit's submission until it was handed out the first time, as far as that is known."""
        ...


Handler = Callable[[Unit, Lease], Awaitable[None]]
"""To return is to be done with the unit; Again or any other exception hands it out again, the latter soon."""


class Engine(Protocol):
    """An async context manager. Entering it, and everything else, raises EngineFailed."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def submit(self, units: Sequence[Unit]) -> int:
        """How many were taken: one that is known already is none. Raises Full once the first finds no place.

        Those before it have been taken then.
        """
        ...

    async def work(self, kind: Kind, handler: Handler, *, slots: int, stop: asyncio.Event) -> None:
        """Hand units to the handler, so many at once, until stop is set; those in hand end first.

        Cancelled, it lets go of those in hand: they are handed out again at once, and the attempt counts.
        It goes on over losses of the engine's connection.
        """
        ...

    async def depth(self, kind: Kind) -> Depth:
        """What is there now."""
        ...
