"""Opens what jobs need, and sets to work who works them off."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from . import metrics, telemetry
from .bulk.running import SHARDS_AT_ONCE
from .engines.engine import Engine, EngineFailed, Handler, Kind, Lease, Unit
from .engines.local import LocalEngine
from .fetch.door import Door
from .jobs.job import Perform
from .jobs.submitting import Jobs
from .jobs.sweeping import EVERY_SECONDS, Keeper
from .jobs.temporary import QUEUE, TemporaryEngine, TemporaryStore
from .jobs.webhook import Teller
from .jobs.working import Worker
from .settings import BadSettings, Settings
from .stores.opening import BadStore, open_store
from .stores.store import Store
from .telemetry import Event
from .web.jobs import JobUses
from .web.replay import Replay

WEBHOOKS_AT_ONCE = 8
DEPTH_SECONDS = 5.0
"""From one look at how much waits to the next."""
WORKER_KEEPS_SECONDS = 600.0
"""From one look after jobs to the next of `worker`: those who take jobs do it more often."""
_PAUSE_SECONDS = 5.0


class JobParts:
    """All about jobs, an async context manager. Making it raises BadSettings, entering it EngineFailed."""

    def __init__(self, settings: Settings, door: Door) -> None:
        self._settings = own = settings.jobs
        self._slots = settings.jobs.jobs_slots
        self._children = settings.pool.children
        self._patience_seconds = settings.web.shutdown_seconds
        self._drain_seconds = settings.web.drain_seconds
        self.store, self.engine = _opened(settings)
        self._jobs = Jobs(self.store, self.engine if self.store else None, own)
        self._teller = (
            Teller(door, self.store, own, public_url=settings.links.public_url) if self.store else None
        )
        self.uses = (
            JobUses(jobs=self._jobs, settings=own, check_callback=self._teller.check)
            if self._teller
            else JobUses()
        )
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self.engine is not None:
            await self._opened.enter_async_context(self.engine)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    @property
    def worker_slots(self) -> int:
        """Jobs at once of `worker`."""
        return self._slots or self._children

    @contextlib.asynccontextmanager
    async def served(self, perform: Perform) -> AsyncIterator["Crew"]:
        """What `serve` does for jobs while the block runs: it takes them, and works them off where it may."""
        slots = self._slots or (0 if self._settings.engine else max(1, self._children // 2))
        async with self._crew() as crew:
            self._hire(crew, perform, slots, EVERY_SECONDS)
            yield crew

    @contextlib.asynccontextmanager
    async def worked_off(self, perform: Perform, shards: Handler | None) -> AsyncIterator["Crew"]:
        """What `worker` does."""
        async with self._crew() as crew:
            self._hire(crew, perform, self.worker_slots, WORKER_KEEPS_SECONDS)
            if self.engine is not None and shards is not None:
                crew.consume(self.engine, Kind.SHARD, shards, SHARDS_AT_ONCE)
            yield crew

    @contextlib.asynccontextmanager
    async def _crew(self) -> AsyncIterator["Crew"]:
        crew = Crew(self._drain_seconds + self._patience_seconds)
        try:
            yield crew
        finally:
            await crew.end()

    def _hire(self, crew: "Crew", perform: Perform, slots: int, keeps_seconds: float) -> None:
        engine = self.engine
        if engine is None:
            return
        crew.assist(lambda: _watch_depths(engine))
        if self.store is None or self._teller is None:
            return
        keeper = Keeper(
            self.store,
            engine,
            self._settings,
            fail=Replay.failed,
            jobs=self._jobs,
            every_seconds=keeps_seconds,
        )
        crew.assist(keeper.run)
        if slots:
            worker = Worker(
                self.store, engine, perform, self._settings, fail=Replay.failed, heard=self._jobs.hear
            )
            crew.staff(lambda: worker.run(crew.stopping, slots))
            crew.consume(engine, Kind.WEBHOOK, self._teller.tell, WEBHOOKS_AT_ONCE)


class Crew:
    """Those who work: told to stop, they end what they have in hand."""

    def __init__(self, patience_seconds: float) -> None:
        self.stopping = asyncio.Event()
        self._patience_seconds = patience_seconds
        self._until: float | None = None
        self._working: list[asyncio.Task[None]] = []
        self._assisting: list[asyncio.Task[None]] = []

    def stop(self) -> None:
        """Take nothing any more. The second time, let go of what is in hand."""
        if self.stopping.is_set():
            self._until = 0
            for task in self._working:
                task.cancel()
            return
        self._until = asyncio.get_running_loop().time() + self._patience_seconds
        self.stopping.set()

    def staff(self, run: Callable[[], Awaitable[None]]) -> None:
        """Have it run until it has stopped by itself."""
        self._working.append(asyncio.create_task(self._staying(run)))

    def assist(self, run: Callable[[], Awaitable[None]]) -> None:
        """Have it run until all others have stopped."""
        self._assisting.append(asyncio.create_task(self._staying(run)))

    def consume(self, engine: Engine, kind: Kind, handler: Handler, slots: int) -> None:
        """Have units of this kind handled."""

        async def handle(unit: Unit, lease: Lease) -> None:
            if lease.attempt == 1:
                metrics.JOB_WAIT.observe(lease.waited_seconds, kind)
            await handler(unit, lease)

        self.staff(lambda: engine.work(kind, handle, slots=slots, stop=self.stopping))

    async def ended(self) -> None:
        """When all have stopped, or their time is over."""
        await self.stopping.wait()
        left = (self._until or 0) - asyncio.get_running_loop().time()
        if self._working:
            await asyncio.wait(self._working, timeout=max(0.0, left))

    async def end(self) -> None:
        """Wait for those who were told to stop; let go of everything else."""
        if self.stopping.is_set():
            await self.ended()
        self.stopping.set()
        tasks = [*self._working, *self._assisting]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _staying(self, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
                return
            except EngineFailed as failed:
                telemetry.emit(Event.ENGINE_FAILED, level=logging.ERROR, reason=str(failed))
            except Exception as bug:  # noqa: BLE001 - one that ends for ever would be missed too late
                telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=bug)
            if self.stopping.is_set():
                return
            await asyncio.sleep(_PAUSE_SECONDS)


async def _watch_depths(engine: Engine) -> None:
    while True:
        for kind in Kind:
            try:
                depth = await engine.depth(kind)
            except EngineFailed:
                continue  # Whoever works says so.
            metrics.UNITS_THERE.values[kind, "pending"] = depth.pending
            metrics.UNITS_THERE.values[kind, "leased"] = depth.leased
            metrics.UNITS_OLDEST.values[(kind,)] = depth.oldest_seconds
        await asyncio.sleep(DEPTH_SECONDS)


def open_engine(url: str, settings: Settings) -> Engine:
    """What hands out units among machines. Raises BadSettings; entering it raises EngineFailed."""
    try:
        # Only whoever names a server has the package.
        from .engines.nats import NatsEngine  # noqa: PLC0415

        return NatsEngine(url, settings.jobs.policies)
    except ImportError as missing:
        raise BadSettings(["nats:// needs the package nats-py: install remote-worker[nats]"]) from missing
    except ValueError as bad:
        raise BadSettings([f"the address of NATS servers: {bad}"]) from bad


def _opened(settings: Settings) -> tuple[Store | None, Engine | None]:
    """Where jobs are kept, and what hands units out. Raises BadSettings."""
    own = settings.jobs
    state = settings.outside.state_directory
    kept = own.jobs or (str(Path(state) / "jobs") if state else "")
    if not own.is_on:
        return None, open_engine(own.engine, settings) if own.engine else None
    if not kept:
        store = TemporaryStore()
        return store, TemporaryEngine(store, own.policies)
    try:
        found = open_store(kept)
    except BadStore as bad:
        raise BadSettings([f"REMOTE_JOBS: {bad}"]) from bad
    if own.engine and own.jobs:
        return found, open_engine(own.engine, settings)
    folder = Path(unquote(urlsplit(kept).path) if kept.startswith("file:") else kept)
    try:
        # With `parents` they would be as the umask has it: others could put a folder of theirs in its place.
        for made in (*reversed(folder.absolute().parents), folder):
            made.mkdir(mode=0o700, exist_ok=True)
    except OSError as failed:
        raise BadSettings([f"REMOTE_JOBS={kept} must be a folder: {failed.strerror}"]) from failed
    return found, LocalEngine(folder / QUEUE, own.policies)
