"""A worker in whose process a job that says `die` is the end of it: python -m jobs.dying FOLDER"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from jobs.office import fail, policies, shout, until

from remote_worker.engines.engine import Kind
from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.job import Job, Outcome
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.working import Worker
from remote_worker.stores.opening import open_store


async def perform(job: Job, body: bytes) -> Outcome:
    """Shout, or die while others are in hand."""
    await asyncio.sleep(0.05)
    if body == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.1)
    return await shout(job, body)


async def work(folder: Path) -> None:
    """Until nothing is left."""
    settings = JobSettings()
    async with LocalEngine(folder / "queue" / "units.sqlite", policies(settings)) as engine:
        stop = asyncio.Event()
        worker = Worker(open_store(str(folder)), engine, perform, settings, fail=fail)
        working = asyncio.create_task(worker.run(stop, slots=4))

        async def is_idle() -> bool:
            depth = await engine.depth(Kind.JOB)
            return depth.pending + depth.leased == 0

        await until(is_idle)
        stop.set()
        await working


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
