"""Looks after what is kept of jobs: deletes what is old, counts bytes, and submits again what was lost.

Nothing here is needed for a job that nobody died over. Several processes may do it at once: whatever is done
twice does no harm.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from .. import metrics, telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..engines.engine import Depth, Engine, EngineFailed, Full, Kind, Unit
from ..stores.store import NotThere, Store, StoreFailed
from ..telemetry import Event
from .job import Fail, Job, Outcome
from .records import BEGUN, BODY, CALLBACK, JOB, RESULT, TOLD, DamagedRecord, Records, born
from .settings import GRACE_SECONDS, LEASE_SECONDS, JobSettings
from .submitting import ABANDONED_SECONDS, Jobs, unit_of
from .working import EXPIRED, commit, ended, webhook_of

EVERY_SECONDS = 60.0
"""From one look to the next, of those who take jobs."""
_SHARE = 0.02
"""Of the time that looking may take: where there is much to look at, it is done less often."""
_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A job without an answer."""

    id: str
    has_begun: bool


@dataclass(slots=True)
class Survey:
    """What one look has found."""

    size_bytes: int = 0
    open: list[Open] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    """Jobs with an answer of which somebody is still to be told."""
    expired: list[tuple[Job, Outcome]] = field(default_factory=list)
    """Jobs that were ended here, because their time was over."""


class Keeper:
    """Looks after the jobs of a store, again and again."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: JobSettings,
        *,
        fail: Fail,
        jobs: Jobs | None = None,
        every_seconds: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`jobs` hears how many bytes there are, and of answers."""
        self._records = Records(store)
        self._engine = engine
        self._settings = settings
        self._fail = fail
        self._jobs = jobs
        self._every_seconds = every_seconds
        self._clock = clock
        self._keys: dict[str, str] = {}
        """Where each key leads: they are read once."""
        self._suspects: dict[Kind, set[str]] = {}
        """Without an end at the last look."""

    async def run(self) -> None:
        """Until it is cancelled. What fails is logged, and tried at the next look."""
        while True:
            began = time.monotonic()
            try:
                await self.look()
            except (StoreFailed, EngineFailed) as failed:
                telemetry.emit(Event.JOBS_FAILED, level=logging.WARNING, reason=str(failed))
            took = time.monotonic() - began
            await asyncio.sleep(max(self._every_seconds, took / _SHARE))

    async def look(self) -> Survey:
        """Once. Raises StoreFailed, EngineFailed."""
        written = self._jobs.written_bytes if self._jobs else 0
        # Asked before: what is accepted from now on is not missed.
        depths = {kind: await self._engine.depth(kind) for kind in (Kind.JOB, Kind.WEBHOOK)}
        survey = await self._records.ask(self._survey, self._clock())
        for job, outcome in survey.expired:
            telemetry.emit(Event.JOB_EXPIRED, job=job.id, request_id=job.request_id)
            ended(job.id, outcome)
            if self._jobs:
                self._jobs.hear(job.id, 0)
        metrics.JOBS_BYTES.values[()] = survey.size_bytes
        if self._jobs:
            self._jobs.count(survey.size_bytes, written)
        await self._resubmit(Kind.JOB, self._lost_jobs(survey, depths[Kind.JOB]))
        lost = self._lost(Kind.WEBHOOK, survey.untold, len(survey.untold), depths[Kind.WEBHOOK])
        await self._resubmit(Kind.WEBHOOK, lost)
        return survey

    def _lost_jobs(self, survey: Survey, depth: Depth) -> list[str]:
        now = self._clock()
        # The engine hands out what waits the longest: what is older and was never begun is not there.
        longest = max(depth.oldest_seconds, 0) + LEASE_SECONDS
        never = [job.id for job in survey.open if not job.has_begun and now - born(job.id) > longest]
        settled = sum(now - born(job.id) > _SETTLING_SECONDS for job in survey.open)
        begun = [job.id for job in survey.open if job.has_begun]
        return never + self._lost(Kind.JOB, begun, settled, depth)

    def _lost(self, kind: Kind, ids: Sequence[str], there: int, depth: Depth) -> list[str]:
        """Those that were there at the last look too, while more have no end than the engine knows."""
        before, self._suspects[kind] = self._suspects.get(kind, set()), set(ids)
        if there <= depth.pending + depth.leased:
            return []
        return [id for id in ids if id in before]

    async def _resubmit(self, kind: Kind, ids: Sequence[str]) -> None:
        units = [_UNITS[kind](id) for id in ids]
        for start in range(0, len(units), _BATCH):
            try:
                taken = await self._engine.submit(units[start : start + _BATCH])
            except Full:
                return
            if taken:
                metrics.JOBS_REPAIRED.add(kind, by=taken)
                telemetry.emit(Event.JOB_REPAIRED, level=logging.WARNING, kind=kind, units=taken)

    def _survey(self, now: float) -> Survey:
        survey = Survey()
        ids = set()
        for id, parts in self._records.every():
            age = now - born(id)
            if age > self._settings.jobs_keep_seconds:
                self._delete(id, parts)
                continue
            if JOB not in parts:
                if age > ABANDONED_SECONDS:
                    self._records.forget(id, parts)
                else:
                    survey.size_bytes += sum(parts.values())
                continue
            ids.add(id)
            survey.size_bytes += sum(parts.values())
            if RESULT in parts:
                if BODY in parts:
                    self._records.drop_body(id)
                if CALLBACK in parts and TOLD not in parts:
                    survey.untold.append(id)
            elif age > self._settings.jobs_seconds + GRACE_SECONDS and self._expire(id, now, survey):
                if CALLBACK in parts:
                    survey.untold.append(id)
            else:
                survey.open.append(Open(id=id, has_begun=any(part.startswith(BEGUN) for part in parts)))
        self._sweep_keys(ids, now)
        return survey

    def _delete(self, id: str, parts: Iterable[str]) -> None:
        """The key first: it must not lead to a job that goes."""
        try:
            if key := self._records.job(id).idempotency:
                self._records.drop_key(key)
        except (NotThere, DamagedRecord):
            pass  # The sweep of keys finds it.
        self._records.forget(id, parts)

    def _expire(self, id: str, now: float, survey: Survey) -> bool:
        """End a job that nobody has begun, or ended, in time. False: its own time is not over."""
        try:
            job = self._records.job(id)
        except NotThere:
            return True
        except DamagedRecord as bad:
            telemetry.emit(Event.JOB_DAMAGED, level=logging.ERROR, job=id, reason=str(bad))
            return True  # Whoever asks for it is told that it cannot be read.
        if now < job.deadline + GRACE_SECONDS:
            return False
        outcome = replace(
            self._fail(job, WorkFailed(FailureCode.DEADLINE, EXPIRED)), finished=now, attempts=0
        )
        if commit(self._records, id, outcome):
            survey.expired.append((job, outcome))
        return True

    def _sweep_keys(self, ids: set[str], now: float) -> None:
        there = {}
        for name in self._records.every_key():
            id = self._keys.get(name) or self._leads(name)
            if id in ids or now - born(id) <= ABANDONED_SECONDS:
                there[name] = id
            else:
                self._records.drop_key(name)
        self._keys = there

    def _leads(self, name: str) -> str:
        try:
            return self._records.key(name).id
        except (NotThere, DamagedRecord):
            return _NOWHERE


_SETTLING_SECONDS = 5.0
"""From a job's acceptance until the engine knows it too."""
_NOWHERE = "0" * 40
_UNITS: dict[Kind, Callable[[str], Unit]] = {Kind.JOB: unit_of, Kind.WEBHOOK: webhook_of}
