"""kill -9 at every step of submitting and working: an accepted job ends in its answer, once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs.killed import CALLBACK, KEY
from jobs.office import ALICE, LEASE_SECONDS, Office, office, shout, until

from remote_worker.engines.engine import Kind
from remote_worker.jobs.job import State
from remote_worker.jobs.settings import MOST_ATTEMPTS


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """One of the programs beside this file."""
    return subprocess.run(
        [sys.executable, "-m", f"jobs.{module}", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_process_that_is_killed_at_any_step_loses_no_job_and_makes_none_twice(tmp_path: Path) -> None:
    ran = run("killed", str(tmp_path))
    ends = [line.split() for line in ran.stdout.decode().splitlines()]
    for number, (_, *accepted) in enumerate(ends):
        asyncio.run(_make_up_for(tmp_path / str(number), accepted))

    statuses = [int(status) for status, *_ in ends]
    assert statuses == [-signal.SIGKILL] * (len(ends) - 1) + [0], ran.stderr.decode()
    assert len(ends) > 12
    assert any(accepted for _, *accepted in ends[:-1])


async def _make_up_for(folder: Path, accepted: list[str]) -> None:
    """Whoever comes after the one that was killed; the client asks again as well, as nobody answered it."""
    async with office(folder) as place:
        place.clock.now = time.time() + 60  # A lease is over.
        await place.keeper().look()
        again = await place.submit(b"abc", idempotency_key=KEY, callback=CALLBACK)
        await _all_done(place)
        seen = await place.jobs.look(again.job.id, ALICE)
        outcome = await place.jobs.outcome(again.job.id, ALICE)
        webhooks = await place.engine.depth(Kind.WEBHOOK)
        ids = {key.split("/")[1] for key in place.kept() if key.startswith("jobs/")}

    assert accepted in ([], [again.job.id])
    assert (seen.state, outcome.body) == (State.DONE, b"ABC")
    assert ids == {again.job.id}
    assert webhooks.pending + webhooks.leased == 1


async def _all_done(place: Office) -> None:
    async with place.working(shout):
        await until(lambda: place.is_idle(Kind.JOB), seconds=10 * LEASE_SECONDS)


def test_a_job_that_kills_every_worker_costs_none_of_those_beside_it(tmp_path: Path) -> None:
    async def submit() -> list[str]:
        async with office(tmp_path) as place:
            place.clock.now = time.time()
            bodies = (b"one", b"two", b"die", b"three", b"four")
            return [(await place.submit(body)).job.id for body in bodies]

    async def ends(ids: list[str]) -> list[tuple[str, bytes]]:
        async with office(tmp_path) as place:
            found = [await place.jobs.outcome(id, ALICE) for id in ids]
            return [(outcome.code, outcome.body) for outcome in found]

    ids = asyncio.run(submit())
    deaths = 0
    while run("dying", str(tmp_path)).returncode == -signal.SIGKILL:
        deaths += 1

    assert deaths == MOST_ATTEMPTS
    assert asyncio.run(ends(ids)) == [
        ("", b"ONE"),
        ("", b"TWO"),
        ("worker_killed", b"worker_killed"),
        ("", b"THREE"),
        ("", b"FOUR"),
    ]
