"""`python -m hold.bulk_worker JOB [SHARD]` does a job as `bulk run` does it, and some items badly.

A picture that ends in CRASH ends its decoder; with one that ends in POISON, this whole process is killed.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from remote_worker import wiring
from remote_worker.bulk.folder import opened
from remote_worker.bulk.running import run_local, run_one
from remote_worker.bulk.shard import Bench, Job
from remote_worker.contract.document import Document
from remote_worker.contract.messages import Reply, Task
from remote_worker.pool.pool import Pool
from remote_worker.service.images import Images
from remote_worker.settings import Settings, read
from remote_worker.stores.opening import open_store

SETTINGS = read({"REMOTE_FORMATS": "png,jpeg,webp"})
CRASH, POISON = b"CRASH", b"POISON"

_CRASHING = """
import ctypes, sys
from remote_worker.contract.messages import Fit
from remote_worker.decoder import job, template

usual = job.HANDLERS[Fit]

def crashing(task, document):
    if bytes(document.data[-5:]) == b"CRASH":
        ctypes.string_at(0)
    return usual(task, document)

job.HANDLERS[Fit] = crashing
template.main(int(sys.argv[-1]))
"""


class Poisonable(Pool):
    """A pool whose children crash over the one kind of picture, and its process dies over the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.pool, settings.limits, entry=["-c", _CRASHING])

    async def decode(self, task: Task, document: Document, **named: Any) -> Reply:
        """The pool's reply."""
        end = max(0, document.size_bytes - len(POISON))
        if os.pread(document.fileno(), len(POISON), end) == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().decode(task, document, **named)


async def _work(address: str, *shard: str) -> None:
    async with Poisonable(SETTINGS) as pool:
        with wiring.bench(Images(pool), SETTINGS) as bench:
            await _work_with(bench, address, *shard)


async def _work_with(bench: Bench, address: str, *shard: str) -> None:
    job = Job.opened(opened(address, open_store), open_store)
    stop = asyncio.Event()
    if shard:
        await run_one(job, int(shard[0]), bench, stop=stop)
    else:
        await run_local(job, bench, stop=stop)


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
