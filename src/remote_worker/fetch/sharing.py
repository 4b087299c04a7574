"""Equal wants at a time share one fetch; each who waits gets a document or an error of its own."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from ..contract.failures import FailureCode
from ..contract.links import Fetched, FetchFailed, Purpose
from . import outcomes
from .running import ProcessLost

_LATE_SECONDS = 0.5
"""Past its deadline a fetch gets this long to say by itself why it failed."""


class Shared:
    """One fetch and those who wait for it. Nobody left: it is cancelled."""

    def __init__(
        self,
        work: asyncio.Future[Fetched],
        until: float,
        purpose: Purpose,
        *,
        again: Callable[[ProcessLost], asyncio.Future[Fetched]],
        forget: Callable[[], None],
    ) -> None:
        """`again` is asked for the fetch once more when its process was lost."""
        self.work = work
        self.until = until
        self._purpose = purpose
        self._again: Callable[[ProcessLost], asyncio.Future[Fetched]] | None = again
        self._forget = forget
        self._outcome: Fetched | BaseException | None = None
        self._waiting = 0
        self._waiters: set[asyncio.Future[None]] = set()
        work.add_done_callback(self._ended)

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, for everybody."""
        return self._outcome is not None

    async def wait(self, deadline: float) -> Fetched:
        """What it leads to, with a document of one's own. Raises FetchFailed."""
        self._waiting += 1
        is_given = False
        try:
            if self._outcome is None:
                await self._ending(max(0.0, deadline + _LATE_SECONDS - time.monotonic()))
            outcome = self._outcome or FetchFailed(FailureCode.TIMEOUT, "total")
            if isinstance(outcome, FetchFailed):
                raise _copy(outcome) from outcome
            if isinstance(outcome, BaseException):
                raise outcome
            is_given = self._waiting == 1
            return outcome if is_given else _share(outcome)
        finally:
            self._waiting -= 1
            if not self._waiting and not is_given:
                self._give_up()

    async def _ending(self, seconds: float) -> None:
        """Wait for the end, for so long. `asyncio.wait` costs twice as much."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        clock = loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            clock.cancel()
            self._waiters.discard(waiter)

    def _ended(self, work: asyncio.Future[Fetched]) -> None:
        error = FetchFailed(FailureCode.FETCH_UNAVAILABLE) if work.cancelled() else work.exception()
        again, self._again = self._again, None
        if isinstance(error, ProcessLost) and again is not None and self._waiting:
            self.work = again(error)
            self.work.add_done_callback(self._ended)
            return
        self._forget()
        self._outcome = work.result() if error is None else outcomes.told(error)
        if isinstance(self._outcome, Fetched | FetchFailed):
            outcomes.report(self._outcome.hops)
            outcomes.count(self._purpose, self._outcome)
        for waiter in self._waiters:
            _wake(waiter)

    def _give_up(self) -> None:
        self._forget()
        if not self.work.cancel() and not self.work.cancelled() and self.work.exception() is None:
            self.work.result().body.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _share(fetched: Fetched) -> Fetched:
    try:
        body = fetched.body.share()
    except OSError as short:
        raise FetchFailed(FailureCode.BUSY, "descriptors") from short
    return replace(fetched, body=body)


def _copy(failed: FetchFailed) -> FetchFailed:
    """Each who waits gets its own: an error grows with everyone that it passes."""
    return FetchFailed(
        failed.code,
        failed.detail,
        hops=failed.hops,
        status=failed.status,
        headers=failed.headers,
        retry_seconds=failed.retry_seconds,
    )
