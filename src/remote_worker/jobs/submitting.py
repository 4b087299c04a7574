"""What the callers of jobs do: submit one, look at it, have its answer, forget it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from .. import metrics, telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..engines.engine import DEDUPE_SECONDS, Engine, EngineFailed, Full, Kind, Unit
from ..stores.store import NotThere, Store, StoreFailed, TooLarge
from ..telemetry import Event
from .fingerprint import fingerprint
from .job import Call, Caller, Job, Outcome, State
from .records import (
    BEGUN,
    JOB,
    RESULT,
    TOLD,
    DamagedRecord,
    KeyRecord,
    Records,
    attempts_of,
    born,
    is_id,
    key_name,
    new_id,
)
from .settings import JobSettings

RETRY_SECONDS = 5
"""After which a store or an engine that failed is asked again."""
SWEEP_RETRY_SECONDS = 60
"""After which there may be room for more bytes: room comes with a sweep."""
ABANDONED_SECONDS = 600
"""After which a submission that has not got as far as its acceptance does not go on any more."""
MOST_ASKING = 8
"""Of those who wait for answers, at once: the other threads are for those who do not wait."""
_FULL = "there is no place for more jobs"
_GONE = "there is no such job: it is forgotten, its time is over, or another key submitted it"
_UNREACHABLE = "jobs cannot be taken right now"
_FIRST_FAILED_STATUS = 400
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 1.0
"""Between two looks for an answer that another process may write."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job that ends in an answer; `is_new` says that it was not accepted before."""

    job: Job
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job as it is now; the body of its answer is left out."""

    job: Job
    state: State
    attempts: int
    outcome: Outcome | None
    told: Mapping[str, Any] | None


class Jobs:
    """The jobs in a store. Everything raises WorkFailed; without a store, always `not_configured`."""

    def __init__(
        self,
        store: Store | None,
        engine: Engine | None,
        settings: JobSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store_records = Records(store) if store else None
        self._maybe_engine = engine
        self._settings = settings
        self._clock = clock
        self._found_bytes = 0
        self.written_bytes = 0
        """What this process has ever written."""
        self._counted_bytes = 0
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._asking = asyncio.Semaphore(MOST_ASKING)

    async def submit(
        self,
        call: Call,
        body: bytes,
        caller: Caller,
        *,
        idempotency_key: str = "",
        callback: str = "",
        request_id: str = "",
    ) -> Accepted:
        """Accept it: from then on it ends in an answer. Raises busy and key_reused too."""
        records, engine = self._records(), self._engine()
        sent = fingerprint(call, body, callback)
        key = key_name(caller, idempotency_key) if idempotency_key else ""
        if key and (known := await self._known(key, sent)):
            return known
        await self.find_room(len(body))
        now = self._clock()
        id = new_id(now)
        if key:
            id = await self._take(key, KeyRecord(id=id, fingerprint=sent))
        job = Job(
            id=id,
            call=call,
            caller=caller,
            created=now,
            deadline=now + self._settings.jobs_seconds,
            request_id=request_id,
            callback=callback,
            fingerprint=sent,
            idempotency=key,
        )
        try:
            is_new = await self._write(job, body, engine)
        except WorkFailed:
            if not key:  # Else others may be writing the same, and who comes again goes on with it.
                with suppress(WorkFailed):
                    await self._do(records.forget, id)
            raise
        if not is_new:
            return Accepted(job=await self._do(records.job, id), is_new=False)
        metrics.JOBS_ACCEPTED.add()
        telemetry.emit(Event.JOB_ACCEPTED, job=id, request_id=request_id)
        return Accepted(job=job, is_new=True)

    async def look(self, id: str, caller: Caller, *, wait_seconds: float = 0.0) -> Seen:
        """How far it is, as soon as it is done or after so many seconds. Raises not_found."""
        records = self._records()
        job = await self._own(id, caller)
        if wait_seconds > 0:
            await self._wait(id, wait_seconds)
        parts = await self._do(records.parts, id)
        if JOB not in parts:  # Forgotten meanwhile.
            raise WorkFailed(FailureCode.NOT_FOUND, _GONE)
        begun = attempts_of(parts)
        outcome = await self._do(records.result, id) if RESULT in parts else None
        return Seen(
            job=job,
            state=_state(outcome, parts),
            attempts=outcome.attempts if outcome else begun,
            outcome=outcome,
            told=await self._do(records.told, id) if TOLD in parts else None,
        )

    async def outcome(self, id: str, caller: Caller) -> Outcome:
        """The whole answer. Raises not_found, not_ready."""
        await self._own(id, caller)
        outcome = await self._do(self._records().answer, id, self._settings.jobs_bytes)
        if outcome is None:
            raise WorkFailed(FailureCode.NOT_READY)
        return outcome

    async def forget(self, id: str, caller: Caller) -> None:
        """Take all of it away at once; if it is in hand, its answer is discarded. Raises not_found."""
        job = await self._own(id, caller)
        if job.idempotency:
            await self._do(self._records().drop_key, job.idempotency)
        await self._do(self._records().forget, id)
        self._wake(id)

    def hear(self, id: str, size_bytes: int) -> None:
        """This process has written an answer, of so many bytes."""
        self.written_bytes += size_bytes
        self._wake(id)

    def count(self, found_bytes: int, counted_bytes: int) -> None:
        """A sweep has found so many bytes, when this process had written that many."""
        self._found_bytes, self._counted_bytes = found_bytes, counted_bytes

    def _records(self) -> Records:
        if self._store_records is None:
            raise WorkFailed(FailureCode.NOT_CONFIGURED)
        return self._store_records

    def _engine(self) -> Engine:
        if self._maybe_engine is None:
            raise WorkFailed(FailureCode.NOT_CONFIGURED)
        return self._maybe_engine

    async def _do(self, what: Callable[..., _Answer], *arguments: object) -> _Answer:
        """Ask the store, in a thread. What it raises becomes a failure that callers may hear about."""
        try:
            return await self._records().ask(what, *arguments)
        except NotThere as gone:
            raise WorkFailed(FailureCode.NOT_FOUND, _GONE) from gone
        except (DamagedRecord, TooLarge) as bad:
            telemetry.emit(Event.JOB_DAMAGED, level=logging.ERROR, reason=str(bad))
            raise WorkFailed(FailureCode.INTERNAL) from bad
        except StoreFailed as failed:
            telemetry.emit(Event.JOBS_FAILED, level=logging.ERROR, reason=str(failed))
            raise WorkFailed(FailureCode.BUSY, _UNREACHABLE, retry_seconds=RETRY_SECONDS) from failed

    async def _own(self, id: str, caller: Caller) -> Job:
        if not is_id(id):
            raise WorkFailed(FailureCode.NOT_FOUND, _GONE)
        job = await self._do(self._records().job, id)
        if job.caller.key != caller.key:
            raise WorkFailed(FailureCode.NOT_FOUND, _GONE)
        return job

    async def _known(self, key: str, fingerprint: str) -> Accepted | None:
        """The job that the key has led to, None where it has to be written yet."""
        records = self._records()
        try:
            id = _same(await self._do(records.key, key), fingerprint)
            job = await self._do(records.job, id)
        except WorkFailed as failed:
            if failed.code is FailureCode.NOT_FOUND:
                return None
            raise
        if self._clock() - born(id) < DEDUPE_SECONDS and not await self._do(records.is_done, id):
            # The engine may have been unreachable then. It knows it otherwise.
            with suppress(Full, EngineFailed):
                await self._engine().submit([unit_of(id)])
        return Accepted(job=job, is_new=False)

    async def _take(self, key: str, record: KeyRecord) -> str:
        """The ID of the job that the key leads to from now on; others with it go on with the same."""
        records = self._records()
        leads = await self._do(records.take_key, key, record)
        if self._clock() - born(leads.id) > ABANDONED_SECONDS and not await self._do(
            records.is_there, leads.id
        ):
            await self._do(records.drop_key, key)
            leads = await self._do(records.take_key, key, record)
        return _same(leads, record.fingerprint)

    async def find_room(self, size_bytes: int) -> None:
        """Refuse what would find none, before anything is written for it."""
        held = self._found_bytes + self.written_bytes - self._counted_bytes
        if held + size_bytes > self._settings.jobs_bytes:
            raise WorkFailed(
                FailureCode.BUSY, "there is no room for more jobs", retry_seconds=SWEEP_RETRY_SECONDS
            )
        try:
            depth = await self._engine().depth(Kind.JOB)
        except EngineFailed as failed:
            telemetry.emit(Event.JOBS_FAILED, level=logging.ERROR, reason=str(failed))
            raise WorkFailed(FailureCode.BUSY, _UNREACHABLE, retry_seconds=RETRY_SECONDS) from failed
        if depth.pending + depth.leased >= self._settings.jobs_queue:
            raise WorkFailed(FailureCode.BUSY, _FULL, retry_seconds=RETRY_SECONDS)

    async def _write(self, job: Job, body: bytes, engine: Engine) -> bool:
        """The body, a place at the engine, then the job, which is the acceptance. False: it was there.

        In this order nobody is told of a job that is refused afterwards: not even one of two who come with
        the same key at once, of whom only the other finds a place.
        """
        records = self._records()
        self.written_bytes += len(body)  # At once, for those who ask while it is written.
        await self._do(records.write_body, job.id, body)
        try:
            await engine.submit([unit_of(job.id)])
        except Full as full:
            raise WorkFailed(FailureCode.BUSY, _FULL, retry_seconds=full.retry_seconds) from full
        except EngineFailed as failed:
            # Who looks after jobs finds that nobody works on it, and submits it again.
            telemetry.emit(Event.JOBS_FAILED, level=logging.WARNING, reason=str(failed))
        return await self._do(records.write_job, job)

    async def _wait(self, id: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + seconds, _FIRST_PAUSE_SECONDS
        written = asyncio.Event()
        self._waiting.setdefault(id, set()).add(written)
        try:
            while not await self._is_done(id) and (left := until - loop.time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, left)):
                        await written.wait()
                if written.is_set():
                    return
                pause = min(2 * pause, _LAST_PAUSE_SECONDS)
        finally:
            waiting = self._waiting[id]
            waiting.discard(written)
            if not waiting:
                del self._waiting[id]

    async def _is_done(self, id: str) -> bool:
        async with self._asking:
            return await self._do(self._records().is_done, id)

    def _wake(self, id: str) -> None:
        for written in self._waiting.get(id, ()):
            written.set()


def unit_of(id: str) -> Unit:
    """What the engine hands out for a job."""
    return Unit(id=id, kind=Kind.JOB, body=b"")


def _state(outcome: Outcome | None, parts: Iterable[str]) -> State:
    if outcome is None:
        return State.RUNNING if any(part.startswith(BEGUN) for part in parts) else State.QUEUED
    return State.FAILED if outcome.status >= _FIRST_FAILED_STATUS else State.DONE


def _same(record: KeyRecord, fingerprint: str) -> str:
    """The ID where the key leads. Raises key_reused."""
    if record.fingerprint != fingerprint:
        raise WorkFailed(FailureCode.KEY_REUSED)
    return record.id
