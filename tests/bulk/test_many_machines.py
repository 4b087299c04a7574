"""Bulk work by workers on several machines that die, are cut off, and lose their broker."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_bulk_run import PNG, ROOT, codes, objects, parts, planned, put

from hold.bulk_worker import CRASH, POISON
from hold.namespaces import Namespaces
from hold.nats import Listing
from hold.nats_server import NatsServer
from hold.shard_worker import policies
from remote_worker.bulk.folder import Folder
from remote_worker.bulk.running import run_with_engine
from remote_worker.engines.nats import NatsEngine

pytestmark = pytest.mark.needs_nats
PATIENCE_SECONDS = 60.0


@dataclass
class Workers:
    """Processes that do shards; `inside` says where each runs."""

    url: str
    lease_seconds: float
    out: Path
    all: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "hold.shard_worker",
            self.url,
            str(self.lease_seconds),
            str(self.out),
        ]
        started = subprocess.Popen([*inside, *command], cwd=ROOT, stdout=subprocess.PIPE)
        self.all.append(started)
        return started

    def wait_until_working(self) -> None:
        for worker in self.all:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"working\n"

    def end(self) -> None:
        for worker in self.all:
            worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()


@contextmanager
def workers(url: str, lease_seconds: float, out: Path) -> Iterator[Workers]:
    started = Workers(url, lease_seconds, out)
    try:
        yield started
    finally:
        started.end()


async def handed_over(folder: Folder, url: str, lease_seconds: float, disturb: Callable[[], None]) -> None:
    """`bulk run --engine`, and what happens meanwhile."""

    async def nothing() -> None:
        """Nobody looks on."""

    async with asyncio.timeout(PATIENCE_SECONDS), NatsEngine(url, policies(lease_seconds)) as engine:
        upset = asyncio.create_task(asyncio.to_thread(disturb))
        await run_with_engine(folder, engine, stop=asyncio.Event(), tell=nothing, look_seconds=0.2)
        await upset


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.needs_namespaces
def test_over_a_killed_worker_one_that_is_cut_off_and_a_restart_of_the_broker_all_is_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    lease_seconds = 1.5
    files = {f"{number:03d}_png": PNG + bytes(number) for number in range(240)}
    source = put(tmp_path / "in", **files, crash_png=PNG + CRASH, bad_png=PNG[:100])
    whole = planned(source, tmp_path / "whole", shard_items=6)
    folder = planned(source, tmp_path / "out", shard_items=6)

    with (
        Namespaces(4) as machines,
        NatsServer(tmp_path / "jetstream", host=machines.addresses[0], namespace=machines.names[0]) as server,
        workers(server.url, lease_seconds, tmp_path) as crew,
    ):
        killed, _, _ = [crew.start(machines.inside(number)) for number in (1, 2, 3)]
        crew.wait_until_working()
        machines.run(0, handed_over(whole, server.url, lease_seconds, lambda: None))
        committed_at: list[int] = []

        def disturb() -> None:
            until(lambda: len(folder.committed()) >= 3)
            killed.kill()
            machines.cut_off(2)
            cut_at = time.monotonic()
            committed_at.append(len(folder.committed()))
            until(lambda: len(folder.committed()) >= 6)
            server.restart()
            until(lambda: time.monotonic() > cut_at + 2 * lease_seconds)
            machines.let_back(2)

        with Listing(folder) as watching:
            machines.run(0, handed_over(folder, server.url, lease_seconds, disturb))

    assert 3 <= committed_at[0] < 30
    assert len(folder.committed()) == folder.shards() == 41
    assert set(watching.written().values()) == {1}
    assert objects(tmp_path / "out") == objects(tmp_path / "whole")
    assert parts(folder, tmp_path / "out") == parts(whole, tmp_path / "whole")
    assert {code for code in codes(folder).values() if code} == {"decoder_crashed", "damaged"}


def test_a_picture_that_kills_every_worker_costs_only_itself_while_other_shards_are_done(
    tmp_path: Path,
) -> None:
    lease_seconds = 0.5
    source = put(tmp_path / "in", **{f"{number}_png": PNG + bytes(number) for number in range(9)})
    (source / "1.png").write_bytes(PNG + POISON)
    folder = planned(source, tmp_path / "out")
    deaths = 0
    before_poison: set[int] = set()

    with (
        NatsServer(tmp_path / "jetstream") as server,
        workers(server.url, lease_seconds, tmp_path) as crew,
    ):
        crew.start()

        def raise_the_dead() -> None:
            nonlocal deaths, before_poison
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(committed := folder.committed()) < 3 and time.monotonic() < deadline:
                if 0 not in committed:
                    before_poison = committed
                if crew.all[-1].poll() is not None:
                    deaths += 1
                    crew.start()
                time.sleep(0.01)

        asyncio.run(handed_over(folder, server.url, lease_seconds, raise_the_dead))

    assert codes(folder) == {**{f"{number}.png": "" for number in range(9)}, "1.png": "worker_killed"}
    assert 2 <= deaths <= 3  # one goes in unawares, then two over it
    assert before_poison == {1, 2}
    assert folder.begun() == set()
