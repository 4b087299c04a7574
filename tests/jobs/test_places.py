"""Where jobs are kept when nobody says, and what settings of jobs do not go together."""

import asyncio
import fcntl
import os
import stat
import tempfile
from pathlib import Path

import pytest
from jobs.office import ALICE, CALL, fail, policies, shout

from remote_worker import settings
from remote_worker.engines.engine import Kind, Unit
from remote_worker.fetch.door import Door
from remote_worker.jobs.job import State
from remote_worker.jobs.settings import GRACE_SECONDS, JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.jobs.temporary import PREFIX, TemporaryEngine, TemporaryStore, clear_up
from remote_worker.jobs.working import Worker
from remote_worker.settings import BadSettings
from remote_worker.wiring_jobs import JobParts


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_of_its_own_is_made_with_the_first_job_and_goes_with_the_worker(folders: Path) -> None:
    own = JobSettings()

    async def act() -> None:
        store = TemporaryStore()
        async with TemporaryEngine(store, policies(own)) as engine:
            stop = asyncio.Event()
            jobs = Jobs(store, engine, own)
            worker = Worker(store, engine, shout, own, fail=fail, heard=jobs.hear)
            working = asyncio.create_task(worker.run(stop, slots=1))
            before = list(folders.iterdir())
            id = (await jobs.submit(CALL, b"abc", ALICE)).job.id
            (made,) = folders.iterdir()
            seen = await jobs.look(id, ALICE, wait_seconds=20)
            stop.set()
            await working

            assert before == []
            assert stat.S_IMODE(made.stat().st_mode) == 0o700
            assert seen.state is State.DONE

    asyncio.run(act())

    assert list(folders.iterdir()) == []


def test_a_worker_without_a_job_makes_no_folder_and_stops(folders: Path) -> None:
    async def handle(_: Unit, __: object) -> None:
        raise AssertionError("there is nothing to do")

    async def act() -> None:
        stop = asyncio.Event()
        async with TemporaryEngine(TemporaryStore(), policies(JobSettings())) as engine:
            working = asyncio.create_task(engine.work(Kind.JOB, handle, slots=1, stop=stop))
            assert (await engine.depth(Kind.JOB)).pending == 0
            stop.set()
            await working

    asyncio.run(act())

    assert list(folders.iterdir()) == []


def test_what_a_killed_worker_left_goes_when_another_starts_and_what_one_uses_stays(folders: Path) -> None:
    for name in ("left", "used"):
        (folders / f"{PREFIX}{name}").mkdir()
        (folders / f"{PREFIX}{name}" / "lock").touch()
    used = os.open(folders / f"{PREFIX}used" / "lock", os.O_RDWR)
    fcntl.flock(used, fcntl.LOCK_EX)

    async def start() -> set[str]:
        async with TemporaryEngine(TemporaryStore(), policies(JobSettings())):
            return {path.name for path in folders.iterdir()}

    there = asyncio.run(start())
    os.close(used)

    assert there == {f"{PREFIX}used"}


def test_a_folder_that_another_took_for_left_behind_is_made_anew(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, locked = fcntl.flock, list[int]()

    def late(descriptor: int, how: int) -> None:
        """Between the making of the first lock and its taking, another worker clears up."""
        locked.append(descriptor)
        if len(locked) == 1:
            clear_up()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    store = TemporaryStore()
    store.put("jobs/x/body", b"picture")
    (made,) = folders.iterdir()
    is_locked = (made / "lock").exists()
    store.close()

    assert is_locked
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"REMOTE_ENGINE": "nats://127.0.0.1:4222"}, "REMOTE_JOBS"),
        ({"REMOTE_ENGINE": "nats://127.0.0.1:4222", "REMOTE_JOBS": "off"}, "REMOTE_JOBS"),
        ({"REMOTE_ENGINE": "redis://127.0.0.1", "REMOTE_JOBS": "/jobs"}, "nats://host:port"),
        ({"REMOTE_JOBS": "s3://bucket/jobs"}, "REMOTE_ENGINE"),
        ({"REMOTE_JOBS_SECONDS": "1000", "REMOTE_JOBS_KEEP_SECONDS": "1119"}, "REMOTE_JOBS_KEEP_SECONDS"),
        ({"REMOTE_WEBHOOK_KEYS": "too short"}, "REMOTE_WEBHOOK_KEYS"),
        ({"REMOTE_JOBS_QUEUE": "0"}, "REMOTE_JOBS_QUEUE"),
    ],
)
def test_settings_that_cannot_hold_jobs_end_the_start(told: dict[str, str], word: str) -> None:
    with pytest.raises(BadSettings) as bad:
        settings.read(told)

    assert word in str(bad.value)
    assert "too short" not in str(bad.value)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"REMOTE_JOBS": "off"},
        {"REMOTE_JOBS": "/shared/jobs", "REMOTE_ENGINE": "nats://worker:password@127.0.0.1:4222"},
        {"REMOTE_JOBS": "s3://bucket/jobs", "REMOTE_ENGINE": "tls://127.0.0.1:4222"},
        {"REMOTE_BULK_STORES": "/pictures", "REMOTE_ENGINE": "nats://127.0.0.1:4222"},
        {"REMOTE_JOBS_SECONDS": "1000", "REMOTE_JOBS_KEEP_SECONDS": f"{1000 + GRACE_SECONDS:g}"},
        {"REMOTE_WEBHOOK_KEYS": "k" * 24},
    ],
)
def test_settings_that_hold_jobs_do_and_secrets_are_masked(told: dict[str, str]) -> None:
    shown = "\n".join(value for _, value in settings.effective(settings.read(told)))

    assert "password" not in shown
    assert "k" * 24 not in shown


def test_where_systemd_keeps_state_is_known() -> None:
    read = settings.read({"STATE_DIRECTORY": "/var/lib/remote-worker:/var/lib/other"})

    assert read.outside.state_directory == "/var/lib/remote-worker"


def test_folders_made_for_jobs_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    told = settings.read({"REMOTE_JOBS": f"{tmp_path}/state/of/jobs"})
    former = os.umask(0)
    try:
        JobParts(told, Door(told.fetch))
    finally:
        os.umask(former)

    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in made} == {
        "state": 0o700,
        "of": 0o700,
        "jobs": 0o700,
    }
