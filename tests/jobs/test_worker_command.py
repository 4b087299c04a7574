"""`remote-worker worker`, as it is started: it does what another process submitted, and stops in order."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.job import Call, Caller
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.jobs.temporary import QUEUE
from remote_worker.stores.opening import open_store

TEXT = b'{"text": "*later*"}'
CALL = Call(method="POST", target="/text/render_markdown", headers={"content-type": "application/json"})


def start(**told: str) -> subprocess.Popen[str]:
    """The command with these settings."""
    return subprocess.Popen(
        [sys.executable, "-m", "remote_worker", "worker"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **told},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_answers_the_jobs_of_another_process_and_stops_in_order(tmp_path: Path) -> None:
    own = JobSettings()

    async def act() -> tuple[int, bytes]:
        async with LocalEngine(tmp_path / QUEUE, own.policies) as engine:
            jobs = Jobs(open_store(str(tmp_path)), engine, own)
            id = (await jobs.submit(CALL, TEXT, Caller())).job.id
            await jobs.look(id, Caller(), wait_seconds=60)
            outcome = await jobs.outcome(id, Caller())
            return outcome.status, outcome.body

    worker = start(REMOTE_JOBS=str(tmp_path), REMOTE_CHILDREN="1", REMOTE_READY="1")
    try:
        status, body = asyncio.run(act())
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=60)
    finally:
        worker.kill()

    assert status == 200
    assert b"<em>later</em>" in body
    assert worker.returncode == 0
    assert [line.split()[2] for line in log.splitlines()][-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize(
    "told", [{}, {"REMOTE_JOBS": "off"}, {"STATE_DIRECTORY": "/nowhere"}, {"REMOTE_BULK_STORES": "/pictures"}]
)
def test_a_worker_that_nobody_can_bring_jobs_does_not_start(told: dict[str, str]) -> None:
    worker = start(**told)
    _, log = worker.communicate(timeout=60)

    assert worker.returncode == 78
    assert "REMOTE_JOBS" in log


@pytest.mark.parametrize("stores", ["s3://b", "/pictures,http://pictures"])
def test_stores_that_are_none_are_named_before_anything_starts(stores: str) -> None:
    worker = start(REMOTE_BULK_STORES=stores, REMOTE_ENGINE="nats://127.0.0.1:1")
    _, log = worker.communicate(timeout=60)

    assert worker.returncode == 78
    assert log.startswith("remote-worker: REMOTE_BULK_STORES: ")


def test_an_engine_that_is_away_ends_the_start_so_that_it_is_tried_again(tmp_path: Path) -> None:
    worker = start(REMOTE_JOBS=str(tmp_path), REMOTE_ENGINE="nats://worker:secret@127.0.0.1:1")
    _, log = worker.communicate(timeout=60)

    assert worker.returncode == 1
    assert "REMOTE_ENGINE" in log
    assert "secret" not in log
