"""How many bytes of uploads and answers may be held in memory at once, over all requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..contract.failures import FailureCode, WorkFailed


class Budget:
    """A number of bytes that requests take from as their bodies arrive, and give back when they end."""

    def __init__(self, size_bytes: int) -> None:
        self.free_bytes = size_bytes

    @contextmanager
    def lease(self) -> Iterator["Lease"]:
        """What one request takes; all of it comes back when the block ends."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.free_bytes += lease.taken_bytes


class Lease:
    """The share of one request."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.taken_bytes = 0

    def take(self, count: int) -> None:
        """Take some more bytes. Raises WorkFailed when so many are not free."""
        if count > self._budget.free_bytes:
            raise WorkFailed(FailureCode.BUSY, "too many uploads and answers are held in memory")
        self._budget.free_bytes -= count
        self.taken_bytes += count
