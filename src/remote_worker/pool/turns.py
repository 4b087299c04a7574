"""Waiting for one's turn: the queue's decisions, with a clock and a future for each job that waits."""

import asyncio
import time

from ..contract.failures import FailureCode, WorkFailed
from ..metrics import QueueLoad
from .queue import Queue, Ticket


class Turns:
    """Hands out slots. Whoever was given one gives it back."""

    def __init__(self, *, slots: int, places: int) -> None:
        self._queue = Queue(slots=slots, places=places)
        self._calls: dict[Ticket, asyncio.Future[None]] = {}

    def load(self, ready: int) -> QueueLoad:
        """What the queue has in hand, with the children that wait for work."""
        return self._queue.load(ready)

    def check_room(self, caller: str) -> None:
        """Tell early that a job of this caller would find no place. Raises WorkFailed."""
        self._queue.check_room(caller, time.monotonic())

    async def take(self, caller: str, kind: str, deadline: float, *, places: int = 1) -> Ticket:
        """A slot, when it is the job's turn; until then it takes so many places.

        `deadline` is a `time.monotonic` value. Raises WorkFailed.
        """
        now = time.monotonic()
        ticket = self._queue.arrive(caller, kind, deadline, now, places=places)
        if ticket.is_waiting:
            await self._called(ticket, deadline - now)
        return ticket

    def give_back(self, ticket: Ticket, *, is_typical: bool) -> None:
        """The job is over; `is_typical` says that its time tells something of others of its kind."""
        for called in self._queue.leave(ticket, time.monotonic(), is_typical=is_typical):
            call = self._calls[called]
            # One that is cancelled already gives its slot back in its own turn.
            if not call.done():
                call.set_result(None)

    async def _called(self, ticket: Ticket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        call = self._calls[ticket] = loop.create_future()
        timer = loop.call_later(seconds, _end, call)
        try:
            await call
        except BaseException as reason:
            # It may have been called in the very turn in which it was told to stop.
            self.give_back(ticket, is_typical=False)
            if isinstance(reason, TimeoutError):
                raise WorkFailed(FailureCode.DEADLINE, "it waited too long for its turn") from reason
            raise
        finally:
            timer.cancel()
            del self._calls[ticket]


def _end(call: asyncio.Future[None]) -> None:
    if not call.done():
        call.set_exception(TimeoutError())
