"""How many bytes of uploads and answers may be held in memory at once, in all and for one caller."""

from collections import Counter
from dataclasses import dataclass
from typing import Self

from ..contract.failures import FailureCode, WorkFailed


class Budget:
    """A number of bytes that requests take from as their bodies arrive, and give back when they end.

    A caller's only request may take all that is free. Where it has others too, they grow only while together
    they hold less than twice what is free (the dynamic threshold of Choudhury and Hahne, 1998): the first
    caller gets two thirds, and the next finds a third.
    """

    def __init__(self, size_bytes: int) -> None:
        self.free_bytes = size_bytes
        self._held_bytes: Counter[str] = Counter()

    def share(self, caller: str) -> "Share":
        """What this caller's requests take from."""
        return Share(self, caller)

    def take(self, count: int, caller: str, *, held_bytes: int) -> None:
        """Take for a request of this caller that holds so many already. Raises WorkFailed."""
        is_only = self._held_bytes[caller] == held_bytes
        has_share = is_only or self._held_bytes[caller] < 2 * self.free_bytes
        if count > self.free_bytes or not has_share:
            raise WorkFailed(FailureCode.BUSY, "too many uploads and answers are held in memory")
        self.free_bytes -= count
        self._held_bytes[caller] += count

    def give_back(self, count: int, caller: str) -> None:
        """Let others take these."""
        self.free_bytes += count
        self._held_bytes[caller] -= count
        if not self._held_bytes[caller]:
            del self._held_bytes[caller]


@dataclass(frozen=True, slots=True)
class Share:
    """The budget as one caller has it."""

    budget: Budget
    caller: str

    def lease(self) -> "Lease":
        """What one request takes; all of it comes back when the block ends."""
        return Lease(self)


class Lease:
    """What one request holds. A context manager; its end gives all of it back."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self.taken_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._share.budget.give_back(self.taken_bytes, self._share.caller)

    def take(self, count: int) -> None:
        """Take some more bytes. Raises WorkFailed when so many are not free, or not for this caller."""
        self._share.budget.take(count, self._share.caller, held_bytes=self.taken_bytes)
        self.taken_bytes += count
