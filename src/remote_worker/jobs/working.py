"""Works jobs off: what is called for each unit of the engine, until there is an answer in the store."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from .. import metrics, telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..engines.engine import Again, Engine, EngineFailed, Full, Kind, Lease, Unit
from ..stores.store import NotThere, Store, StoreFailed, TooLarge
from ..telemetry import Event
from .job import Call, Caller, Fail, Job, Outcome, Perform
from .records import BODY, CALLBACK, JOB, RESULT, TOLD, DamagedRecord, Records, attempts_of
from .settings import MOST_ATTEMPTS, JobSettings

TRANSIENT = {
    FailureCode.BUSY,
    FailureCode.JAIL_UNAVAILABLE,
    FailureCode.FETCH_UNAVAILABLE,
    FailureCode.CHECK_FAILED,
}
"""What may go better in a while: no answer to a job, while there is time."""
LONGEST_PAUSE_SECONDS = 30.0
"""Between two tries of the same job."""
STORE_SECONDS = 5.0
"""After which a unit is handed out again whose store has failed."""
_ACCEPTANCE_SECONDS = 1.0
"""That a worker waits for a job which has its place and is about to be accepted."""
_COMMITS = 8
"""Tries to write an answer down, before the work is thrown away."""


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
        self._records = Records(store)
        self._engine = engine
        self._perform = perform
        self._settings = settings
        self._fail = fail
        self._heard = heard
        self._clock = clock
        self._turns = _Turns()

    async def run(self, stop: asyncio.Event, slots: int) -> None:
        """So many jobs at once until told to stop; those in hand end first. Cancelled, it lets go of them."""

        async def handle(unit: Unit, lease: Lease) -> None:
            await self.handle(unit, lease, stop)

        await self._engine.work(Kind.JOB, handle, slots=slots, stop=stop)

    async def handle(self, unit: Unit, lease: Lease, stop: asyncio.Event) -> None:
        """One unit. Raises Again where the store has failed, or where it stops before there is an answer."""
        if lease.attempt == 1:
            metrics.JOB_WAIT.observe(lease.waited_seconds, Kind.JOB)
        try:
            await self._work(unit.id, stop)
        except StoreFailed as failed:
            telemetry.emit(Event.JOBS_FAILED, level=logging.ERROR, job=unit.id, reason=str(failed))
            raise Again(STORE_SECONDS) from failed

    async def _work(self, id: str, stop: asyncio.Event) -> None:
        parts = await self._accepted(id, stop)
        if JOB not in parts:
            return  # Forgotten.
        if RESULT not in parts:
            await self._answer(id, parts, stop)
        # One that was killed between the two has left this to its successor.
        if CALLBACK in parts and TOLD not in parts:
            with suppress(Full, EngineFailed):  # Who looks after jobs submits it later.
                await self._engine.submit([webhook_of(id)])

    async def _accepted(self, id: str, stop: asyncio.Event) -> dict[str, int]:
        """What there is of a job. It has its place before it is accepted: that comes within a moment.

        Raises Again where it does not come: whoever was taking it has died, and its caller may come again.
        """
        until, pause = time.monotonic() + _ACCEPTANCE_SECONDS, 0.01
        while True:
            parts = await self._records.ask(self._records.parts, id)
            if JOB in parts or BODY not in parts:
                return parts
            if stop.is_set() or time.monotonic() > until:
                raise Again(STORE_SECONDS)
            await asyncio.sleep(pause)
            pause *= 2

    async def _answer(self, id: str, parts: dict[str, int], stop: asyncio.Event) -> None:
        # Attempts that have begun count, not those of the engine: a unit that was let go of, or whose store
        # failed, says nothing against its job, and a job may have had more than one unit.
        begun = attempts_of(parts)
        try:
            job = await self._records.ask(self._records.job, id)
        except NotThere:
            return
        except DamagedRecord as bad:
            telemetry.emit(Event.JOB_DAMAGED, level=logging.ERROR, job=id, reason=str(bad))
            await self._commit(id, self._fail(_nameless(id), WorkFailed(FailureCode.INTERNAL)), begun, stop)
            return
        if self._clock() >= job.deadline:
            await self._commit(id, self._fail(job, WorkFailed(FailureCode.DEADLINE, EXPIRED)), begun, stop)
            telemetry.emit(Event.JOB_EXPIRED, job=id, request_id=job.request_id)
        elif begun >= MOST_ATTEMPTS:
            await self._commit(id, self._fail(job, WorkFailed(FailureCode.WORKER_KILLED)), begun, stop)
        else:
            await self._try(job, begun, stop)

    async def _try(self, job: Job, begun: int, stop: asyncio.Event) -> None:
        """Until there is an answer that stays. Raises Again when it is to stop before there is one."""
        tries = 0
        # Alone before it is given up: whoever only ran beside it must not be taken for what kills workers.
        is_alone = begun == MOST_ATTEMPTS - 1
        while True:
            async with self._turns.take(is_alone=is_alone):
                outcome = await self._attempt(job, begun, stop)
            if outcome is None:
                return
            tries += 1
            pause = min(max(_seconds(outcome), 2.0**tries / 8), LONGEST_PAUSE_SECONDS)
            left = max(0.0, job.deadline - self._clock())
            try:
                await _pause(min(left, pause * random.uniform(1, 1.5)), stop)  # noqa: S311 - no secret
            except (Again, asyncio.CancelledError):
                with suppress(StoreFailed):
                    await self._records.ask(self._records.let_go, job.id)
                raise
            if await self._records.ask(self._is_over, job.id):
                return

    async def _attempt(self, job: Job, begun: int, stop: asyncio.Event) -> Outcome | None:
        """None: that was it. Otherwise what may go better in a while."""
        number = begun + 1
        while not await self._records.ask(self._records.begin, job.id, number):
            number += 1
        try:
            outcome = await self._outcome(job)
            if outcome is None:
                return None
            if outcome.code not in TRANSIENT or self._clock() >= job.deadline:
                await self._commit(job.id, outcome, number, stop)
                return None
            await self._records.ask(self._records.hold, job.id, number)
            return outcome
        except (StoreFailed, Again, asyncio.CancelledError):
            with suppress(StoreFailed):
                await self._records.ask(self._records.let_go, job.id, number)
            raise

    async def _outcome(self, job: Job) -> Outcome | None:
        """None where the job is gone, or done by another."""
        try:
            body = await self._records.ask(self._records.body, job.id, self._settings.jobs_bytes)
        except (NotThere, TooLarge) as bad:
            if await self._records.ask(self._is_over, job.id):
                return None
            telemetry.emit(Event.JOB_DAMAGED, level=logging.ERROR, job=job.id, reason=repr(bad))
            return self._fail(job, WorkFailed(FailureCode.INTERNAL))
        try:
            outcome = await self._perform(job, body)
            if len(outcome.body) > self._settings.jobs_bytes:
                raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE)  # Nobody could ever read it again.
            return outcome
        except WorkFailed as failed:
            return self._fail(job, failed)
        except Exception as bug:  # noqa: BLE001 - the job needs an answer, and the log has it
            telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=bug, job=job.id)
            return self._fail(job, WorkFailed(FailureCode.INTERNAL))

    def _is_over(self, id: str) -> bool:
        return not self._records.is_there(id) or self._records.is_done(id)

    async def _commit(self, id: str, outcome: Outcome, attempts: int, stop: asyncio.Event) -> None:
        """Write the answer down, unless there is one or the job is forgotten. Raises StoreFailed, Again."""
        outcome = replace(outcome, attempts=attempts, finished=self._clock())
        for tries in range(1, _COMMITS + 1):
            try:
                is_first = await self._records.ask(commit, self._records, id, outcome)
                break
            except StoreFailed:
                if tries == _COMMITS:
                    raise
                await _pause(min(2.0**tries / 4, LONGEST_PAUSE_SECONDS), stop)
        if is_first:
            ended(id, outcome)
        self._heard(id, len(outcome.body) if is_first else 0)


EXPIRED = "the job has waited for its turn too long"


def commit(records: Records, id: str, outcome: Outcome) -> bool:
    """Write an answer down; False: there was one. It blocks. A job that was forgotten gets none."""
    if not records.is_there(id):
        return False
    is_first = records.commit(id, outcome)
    if not records.is_there(id):  # Forgotten just now, perhaps before the answer was there to be taken away.
        records.forget(id)
    return is_first


def ended(id: str, outcome: Outcome) -> None:
    """Count and log an answer."""
    metrics.JOBS_ENDED.add(outcome.code or "ok")
    telemetry.emit(
        Event.JOB_FINISHED, job=id, status=outcome.status, code=outcome.code, attempts=outcome.attempts
    )


def webhook_of(id: str) -> Unit:
    """What the engine hands out so that somebody is told of a job."""
    return Unit(id=f"{id}.webhook", kind=Kind.WEBHOOK, body=id.encode())


class _Turns:
    """Jobs at work in this process: many beside each other, or one alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._running = 0
        self._is_alone = False

    @asynccontextmanager
    async def take(self, *, is_alone: bool) -> AsyncIterator[None]:
        """Wait for a turn. Whoever wants to be alone lets nobody begin any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_alone)
            if is_alone:
                self._is_alone = True
                try:
                    await self._changed.wait_for(lambda: not self._running)
                except BaseException:
                    self._is_alone = False
                    self._changed.notify_all()
                    raise
            self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._is_alone = self._is_alone and not is_alone
            async with self._changed:
                self._changed.notify_all()


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    """Raises Again when it is time to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    if stop.is_set():
        raise Again(0)


def _seconds(outcome: Outcome) -> float:
    told: Any = outcome.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else 0.0


def _nameless(id: str) -> Job:
    """A job of which nothing is known."""
    return Job(
        id=id,
        call=Call(method="", target="", headers={}),
        caller=Caller(),
        created=0,
        deadline=0,
        request_id="",
    )
