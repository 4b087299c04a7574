"""Works jobs off: what is called for each unit of the engine, until there is an answer in the store."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from ..contract.failures import WorkFailed
from ..engines.engine import Engine
from ..stores.store import Store
from .job import Job, Outcome
from .settings import JobSettings

Perform = Callable[[Job, bytes], Awaitable[Outcome]]
"""Answers the call of a job with its body. The worker sets `finished` and `attempts` of the outcome."""
Fail = Callable[[Job, WorkFailed], Outcome]
"""The outcome of a job that fails before, or instead of, being performed."""


class Worker:
    """Works off jobs. `heard` is told of every answer: the job's ID, and bytes that were written."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        perform: Perform,
        settings: JobSettings,
        *,
        fail: Fail,
        heard: Callable[[str, int], None] = lambda _id, _bytes: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event, slots: int) -> None:
        """So many jobs at once until told to stop; those in hand end first. Cancelled, it lets go of them."""
        raise NotImplementedError
