"""Doing all shards of a job: in this process, or by workers that an engine hands the shards to."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .. import telemetry
from ..engines.engine import Again, Engine, EngineFailed, Full, Handler, Kind, Lease, Unit
from ..stores.store import Store, StoreFailed
from ..telemetry import Event
from .checked import is_count
from .folder import Folder, NoSuchJob
from .shard import Bench, Job, Tell, run_shard
from .status import all_shards
from .task import BadTask

SHARDS_AT_ONCE = 2
"""The next has begun when one comes to its end, so that no child is idle then."""
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""After a store has failed, before a shard is tried once more."""
MOST_QUEUED = 1000
"""Shards of a job that are with the engine at once."""
LOOK_SECONDS = 5.0
"""Between two looks at what is committed."""
GIVE_UP_SECONDS = 600.0
"""So long nothing may go through, to a store or an engine."""
MOST_ROUNDS = 20
"""How often a shard is handed over again while none is committed: no worker takes it, then."""
LONGEST_AGAIN_SECONDS = 60.0


class Stopped(Exception):
    """It has not come to its end, and may be run again; the text says why."""


async def run_local(job: Job, bench: Bench, *, stop: asyncio.Event, tell: Tell = lambda _: None) -> None:
    """Do every shard that is not committed, until there is none. `tell` hears of each row.

    Raises Stopped: `stop` was set, or a store failed again and again. What was in hand is let go of then.
    """
    await _until(stop, _run_all(job, bench, tell))


async def _run_all(job: Job, bench: Bench, tell: Tell) -> None:
    # Those of a retry may be added while others are done.
    while missing := await asyncio.to_thread(_missing, job.folder):
        waiting = deque(missing)

        async def next_ones(waiting: deque[int] = waiting) -> None:
            while waiting:
                await _patiently(job, waiting.popleft(), bench, tell)

        async with asyncio.TaskGroup() as group:
            for _ in range(SHARDS_AT_ONCE):
                group.create_task(next_ones())


async def run_one(
    job: Job, shard: int, bench: Bench, *, stop: asyncio.Event, tell: Tell = lambda _: None
) -> None:
    """Do this shard alone. Raises Stopped as `run_local` does."""
    await _until(stop, _patiently(job, shard, bench, tell))


async def _patiently(job: Job, shard: int, bench: Bench, tell: Tell) -> None:
    for pause in PAUSES_SECONDS:
        try:
            await run_shard(job, shard, bench, tell)
            return
        except (StoreFailed, OSError) as failed:
            telemetry.emit(Event.SHARD_FAILED, level=logging.WARNING, shard=shard, reason=str(failed))
        await asyncio.sleep(pause)
    await run_shard(job, shard, bench, tell)


async def _until(stop: asyncio.Event, work: Any) -> None:
    """Do it unless stop is set before. Raises Stopped."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Stopped("it was told to stop")
        try:
            await working
        except* (StoreFailed, OSError) as failed:
            raise Stopped(f"a store failed: {_first(failed)}") from failed
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _first(failed: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def run_with_engine(
    folder: Folder,
    engine: Engine,
    *,
    stop: asyncio.Event,
    tell: Callable[[], Awaitable[None]],
    say: Callable[[str], None] = lambda _: None,
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Hand every shard without a part to workers, until all have one. `tell` is called at each look.

    What is missing is found in the store, so that this is how a job is resumed, how lost messages are made
    good, and what the progress is. `say` gets sentences for people. Raises Stopped.
    """
    await _until(stop, _Handing(folder, engine, tell, say, look_seconds).run())


class _Handing:
    """The window of shards that are with an engine."""

    def __init__(
        self,
        folder: Folder,
        engine: Engine,
        tell: Callable[[], Awaitable[None]],
        say: Callable[[str], None],
        look_seconds: float,
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._tell = tell
        self._say = say
        self._look_seconds = look_seconds
        self._rounds: dict[int, int] = {}
        """Of each shard that is with the engine, how often it was handed over before; the oldest first."""
        self._fewer = 0
        self._fruitless = 0

    async def run(self) -> None:
        went_through = time.monotonic()
        while True:
            try:
                if await self._look():
                    return
                went_through = time.monotonic()
            except (StoreFailed, EngineFailed) as failed:
                if time.monotonic() - went_through > GIVE_UP_SECONDS:
                    raise Stopped(str(failed)) from failed
                self._say(str(failed))
            await asyncio.sleep(self._look_seconds)

    async def _look(self) -> bool:
        """Hand over what there is room for. True: all is committed."""
        # The engine before the store: what is done in between is then no message that was lost.
        depth = await self._engine.depth(Kind.SHARD)
        missing = await asyncio.to_thread(_missing, self._folder)
        for shard in self._rounds.keys() - set(missing):
            del self._rounds[shard]
            self._fruitless = 0
        await self._tell()
        if not missing:
            return True
        lost = len(self._rounds) - (depth.pending + depth.leased)
        # One look may come between a worker's end and the engine's knowing of it.
        self._fewer = self._fewer + 1 if lost > 0 else 0
        if self._fewer > 1:
            await self._again(lost)
        await self._hand_over([shard for shard in missing if shard not in self._rounds])
        return False

    async def _again(self, lost: int) -> None:
        self._fewer = 0
        self._fruitless += 1
        if self._fruitless == 2:
            self._say(
                "shards come back undone: is there a worker, whose REMOTE_BULK_STORES has "
                f"{self._folder.store.url} and the source in it?"
            )
        if self._fruitless > MOST_ROUNDS:
            raise Stopped("no worker does any of the shards")
        for shard in list(self._rounds)[:lost]:
            # Behind the others: it is the youngest now.
            self._rounds[shard] = self._rounds.pop(shard) + 1
            await self._submit([shard])

    async def _hand_over(self, shards: Sequence[int]) -> None:
        for shard in shards[: max(0, MOST_QUEUED - len(self._rounds))]:
            if not await self._submit([shard]):
                return
            self._rounds[shard] = self._rounds.get(shard, 0)

    async def _submit(self, shards: Sequence[int]) -> bool:
        """False: there is no room now."""
        try:
            await self._engine.submit([self._unit(shard) for shard in shards])
        except Full:
            return False
        return True

    def _unit(self, shard: int) -> Unit:
        told = {"store": self._folder.store.url, "job": self._folder.id, "shard": shard}
        # With another number it is another unit, which an engine does not take for one it knows.
        id = f"{self._folder.id}.{shard}.{self._rounds.get(shard, 0)}"
        return Unit(id=id, kind=Kind.SHARD, body=json.dumps(told).encode())


OpenWithin = Callable[[str, Sequence[str]], Store]
"""Opens a store that is among others, or lies below one of them; raises ValueError for any other."""


def handler(allowed: Sequence[str], open_within: OpenWithin, bench: Bench) -> Handler:
    """Does the shards that an engine hands out, in these stores and in what lies below them.

    A unit that names another store, or no job, is logged and dropped: `run` finds its shard undone.
    Raises what opening a store does.
    """
    return _Doing(allowed, open_within, bench).do


class _Doing:
    def __init__(self, allowed: Sequence[str], open_within: OpenWithin, bench: Bench) -> None:
        for url in allowed:
            open_within(url, allowed)  # One that is none is told at once, and not with the first shard.
        self._allowed = allowed
        self._open_within = open_within
        self._bench = bench
        self._jobs: dict[tuple[str, str], Job] = {}

    async def do(self, unit: Unit, lease: Lease) -> None:
        if lease.is_beyond:
            # Its marks stay in the job's folder. When it is handed over again, it goes on from them.
            self._refuse(unit, "its attempts are used up")
            return
        try:
            told = json.loads(unit.body)
            store, id, shard = told["store"], told["job"], told["shard"]
            if not is_count(shard):
                raise ValueError("a shard is a whole number")
            job = await asyncio.to_thread(self._job, str(store), str(id))
            is_first = await run_shard(job, shard, self._bench)
            telemetry.emit(Event.SHARD_FINISHED, job=str(id), shard=shard, is_first=is_first)
        except (StoreFailed, OSError) as failed:
            telemetry.emit(Event.SHARD_FAILED, level=logging.WARNING, shard=unit.id, reason=str(failed))
            raise Again(min(LONGEST_AGAIN_SECONDS, 2.0**lease.attempt)) from failed
        except (ValueError, KeyError, TypeError, RecursionError, NoSuchJob, BadTask) as bad:
            self._refuse(unit, str(bad))

    def _job(self, store: str, id: str) -> Job:
        if (store, id) not in self._jobs:
            folder = Folder(self._open(store), id)
            self._jobs.clear()  # There is seldom more than one at a time.
            self._jobs[store, id] = Job.opened(folder, self._open)
        return self._jobs[store, id]

    def _open(self, url: str) -> Store:
        """The store. Raises NoSuchJob for one that is not allowed."""
        try:
            return self._open_within(url, self._allowed)
        except ValueError as bad:
            raise NoSuchJob(f"{url} is not in REMOTE_BULK_STORES: {bad}") from bad

    def _refuse(self, unit: Unit, reason: str) -> None:
        telemetry.emit(Event.SHARD_REFUSED, level=logging.ERROR, shard=unit.id, reason=reason)


def _missing(folder: Folder) -> list[int]:
    committed = folder.committed()
    return [shard for shard in _shards(folder) if shard not in committed]


def _shards(folder: Folder) -> Sequence[int]:
    return all_shards(folder.plan(), folder.retries())
