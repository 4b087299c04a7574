"""A folder, an engine in it, and who takes and works off jobs there: as on one machine, without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Self

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.engines.engine import Depth, EngineFailed, Full, Handler, Kind, Policies, Unit
from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.job import Call, Caller, Job, Outcome, Perform
from remote_worker.jobs.records import Records
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Accepted, Jobs
from remote_worker.jobs.sweeping import Keeper
from remote_worker.jobs.working import Worker
from remote_worker.stores.opening import open_store
from remote_worker.stores.store import Store

CALL = Call(method="POST", target="/images/fit/800?format=webp", headers={"accept": "image/*"})
ALICE, BOB = Caller(key="alice", address="192.0.2.1"), Caller(key="bob", address="192.0.2.1")
LEASE_SECONDS = 1.0
STATUSES = {FailureCode.BUSY: 503, FailureCode.DEADLINE: 504}


def policies(settings: JobSettings) -> Policies:
    """As they are, but for a short lease: tests wait for it."""
    return {kind: replace(policy, lease_seconds=LEASE_SECONDS) for kind, policy in settings.policies.items()}


def fail(_: Job, failed: WorkFailed) -> Outcome:
    """A failure as an answer."""
    return Outcome(status=STATUSES.get(failed.code, 500), code=str(failed.code), body=failed.code.encode())


async def shout(job: Job, body: bytes) -> Outcome:
    """The answer to every call: what came, in capitals."""
    return Outcome(status=200, headers={"content-type": "text/plain"}, body=body.upper())


@dataclass
class Clock:
    """Time that tests set."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """As time.time()."""
        return self.now


@dataclass(kw_only=True)
class Office:
    """All parts on one folder."""

    folder: Path
    store: Store
    engine: LocalEngine
    settings: JobSettings
    clock: Clock
    jobs: Jobs
    records: Records
    performed: list[str] = field(default_factory=list)

    async def submit(self, body: bytes = b"picture", caller: Caller = ALICE, **more: str) -> Accepted:
        """A job of Alice's, or another's."""
        return await self.jobs.submit(CALL, body, caller, **more)

    def worker(self, perform: Perform = shout) -> Worker:
        """Who works off jobs, and notes which."""

        async def noting(job: Job, body: bytes) -> Outcome:
            self.performed.append(job.id)
            return await perform(job, body)

        return Worker(
            self.store,
            self.engine,
            noting,
            self.settings,
            fail=fail,
            heard=self.jobs.hear,
            clock=self.clock,
        )

    def keeper(self) -> Keeper:
        """Who looks after them."""
        return Keeper(self.store, self.engine, self.settings, fail=fail, jobs=self.jobs, clock=self.clock)

    @asynccontextmanager
    async def working(self, perform: Perform = shout, slots: int = 2) -> AsyncIterator[asyncio.Event]:
        """Somebody works until the block ends; the event tells them to stop earlier."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.worker(perform).run(stop, slots))
        try:
            yield stop
        finally:
            stop.set()
            await task

    async def work_off(self, perform: Perform = shout) -> None:
        """Until nothing waits and nothing is in hand."""
        async with self.working(perform):
            await until(lambda: self.is_idle(Kind.JOB))

    async def is_idle(self, kind: Kind) -> bool:
        """There are no units."""
        depth = await self.engine.depth(kind)
        return depth.pending + depth.leased == 0

    def kept(self) -> list[str]:
        """The keys of all objects."""
        return [key for key, _ in self.store.list() if not key.startswith("queue/")]


@asynccontextmanager
async def office(folder: Path, settings: JobSettings | None = None) -> AsyncIterator[Office]:
    """It is open until the block ends."""
    own = settings or JobSettings()
    store, clock = open_store(str(folder)), Clock()
    async with LocalEngine(folder / "queue" / "units.sqlite", policies(own)) as engine:
        yield Office(
            folder=folder,
            store=store,
            engine=engine,
            settings=own,
            clock=clock,
            jobs=Jobs(store, engine, own, clock=clock),
            records=Records(store),
        )


def in_a_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that awaits, as one that does not."""

    @wraps(test)
    def run(*arguments: object, **named: object) -> None:
        asyncio.run(test(*arguments, **named))

    return run


async def until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition, which may be a coroutine."""
    async with asyncio.timeout(seconds):
        while True:
            found = is_so()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


class Refusing:
    """An engine without places, or one that cannot be reached."""

    def __init__(self, refusal: Full | EngineFailed) -> None:
        self._refusal = refusal

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Fill the protocol."""

    async def submit(self, units: Sequence[Unit]) -> int:
        """Refuse."""
        raise self._refusal

    async def work(self, kind: Kind, handler: Handler, *, slots: int, stop: asyncio.Event) -> None:
        """There is nothing to do."""
        with suppress(asyncio.CancelledError):
            await stop.wait()

    async def depth(self, kind: Kind) -> Depth:
        """It was empty a moment ago."""
        return Depth(pending=0, leased=0)
