"""Who may hold a connection: up to the limit and one's share as an equal, past them as a guest."""

from collections import Counter
from collections.abc import Callable, Hashable
from enum import Enum
from itertools import cycle

from .callers import Callers

RETRY_SECONDS = range(15, 31)


class Standing(Enum):
    """How a connection is let in."""

    EQUAL = "may do everything"
    GUEST = "may ask once, for what has no body"
    TURNED_AWAY = "is closed at once"


class Door:
    """Counts connections, over all callers and for each.

    A caller is let in as an equal while those it holds are fewer than twice the places that are free, as with
    its share of `budget`. When no place is free, the connection that has been idle for longest gives its own.
    There are as many places for guests as for equals.
    """

    def __init__(self, places: int, callers: Callers) -> None:
        self._equals_free = places
        self._guests_free = places
        self._callers = callers
        self._held: Counter[str] = Counter()
        self._equals: dict[Hashable, str | None] = {}
        """The caller of each equal; None for a proxy, which has many."""
        self._guests: set[Hashable] = set()
        self._idle: dict[Hashable, Callable[[], None]] = {}
        self._retry_seconds = cycle(RETRY_SECONDS)

    def enter(self, connection: Hashable, host: str) -> Standing:
        """Let a connection from this address in. Whoever is not turned away must `leave`."""
        caller = self._callers.at(host)
        held = 0 if caller is None else self._held[caller]
        if self._equals_free == 0 and self._idle and held < 2:
            longest_idle = next(iter(self._idle))
            close = self._idle[longest_idle]
            self.leave(longest_idle)
            close()
        if self._equals_free and (caller is None or held < 2 * self._equals_free):
            self._equals_free -= 1
            self._equals[connection] = caller
            if caller is not None:
                self._held[caller] += 1
            return Standing.EQUAL
        if self._guests_free:
            self._guests_free -= 1
            self._guests.add(connection)
            return Standing.GUEST
        return Standing.TURNED_AWAY

    def leave(self, connection: Hashable) -> None:
        """The connection is gone, or goes."""
        self.wakes(connection)
        if connection in self._guests:
            self._guests.remove(connection)
            self._guests_free += 1
        elif connection in self._equals:
            caller = self._equals.pop(connection)
            self._equals_free += 1
            if caller is not None:
                self._held[caller] -= 1
                if not self._held[caller]:
                    del self._held[caller]

    def retry_seconds(self) -> int:
        """After how long someone who found no place may come again: each a second after the one before.

        A crowd that is told the same time comes back together, and each such refusal costs a connection.
        """
        return next(self._retry_seconds)

    def rests(self, connection: Hashable, close: Callable[[], None]) -> None:
        """The connection waits for its next request, and may be closed by this."""
        if connection in self._equals:
            self._idle[connection] = close

    def wakes(self, connection: Hashable) -> None:
        """The connection is not idle any more."""
        self._idle.pop(connection, None)
