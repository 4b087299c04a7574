"""A process that submits one job and works it off, and is killed just before its n-th step.

python -m jobs.killed FOLDER N WHERE
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.office import ALICE, CALL, fail, policies, shout, until

from remote_worker.engines.engine import Kind, Unit
from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.job import Job, Outcome
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.jobs.working import Worker
from remote_worker.stores.opening import open_store
from remote_worker.stores.store import Found, Meta, Store

CALLBACK = "https://example.com/"
KEY = "k"
ACCEPTED = "accepted"
"""A file with the ID of the job that the process was told it has submitted."""


class Steps:
    """Counts what is written."""

    def __init__(self, last: int) -> None:
        self._left = last

    def take(self) -> None:
        """One more, or the end."""
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Stepping:
    """A store whose writes are steps."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    @property
    def url(self) -> str:
        """Fill the protocol."""
        return self._store.url

    def get(self, key: str, most_bytes: int) -> Found:
        """Fill the protocol."""
        return self._store.get(key, most_bytes)

    def head(self, key: str) -> Meta | None:
        """Fill the protocol."""
        return self._store.head(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """A step."""
        self._steps.take()
        return self._store.put(key, data, if_absent=if_absent)

    def put_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """A step for each."""
        for key, data in objects:
            self.put(key, data)

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        """Fill the protocol."""
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        """A step."""
        self._steps.take()
        self._store.delete(key)

    def settle(self) -> None:
        """Fill the protocol."""
        self._store.settle()


class SteppingEngine(LocalEngine):
    """The real one, to which submitting is a step."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(path, policies(JobSettings()))
        self._steps = steps

    async def submit(self, units: Sequence[Unit]) -> int:
        """A step before, and one after."""
        self._steps.take()
        taken = await super().submit(units)
        self._steps.take()
        return taken


async def live(folder: Path, steps: Steps) -> None:
    """Submit, and work off."""
    settings = JobSettings()
    store = Stepping(open_store(str(folder)), steps)

    async def perform(job: Job, body: bytes) -> Outcome:
        steps.take()
        return await shout(job, body)

    async with SteppingEngine(folder / "queue" / "units.sqlite", steps) as engine:
        jobs = Jobs(store, engine, settings)
        accepted = await jobs.submit(CALL, b"abc", ALICE, idempotency_key=KEY, callback=CALLBACK)
        (folder / ACCEPTED).write_text(accepted.job.id)
        stop = asyncio.Event()
        working = asyncio.create_task(Worker(store, engine, perform, settings, fail=fail).run(stop, slots=1))

        async def is_idle() -> bool:
            depth = await engine.depth(Kind.JOB)
            return depth.pending + depth.leased == 0

        await until(is_idle)
        stop.set()
        await working


def main(folder: Path) -> None:
    """Prints for each process how it ended, and the ID that it was told."""
    for number in itertools.count():
        own = folder / str(number)
        own.mkdir()
        child = os.fork()
        if not child:
            asyncio.run(live(own, Steps(number)))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, *(accepted.read_text() for accepted in own.glob(ACCEPTED)), flush=True)
        if status != -signal.SIGKILL:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
