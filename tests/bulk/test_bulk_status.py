"""How far a job is: counted from parts that are written by hand."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bulk.written import PLANNED, Written, failed, made

from remote_worker.bulk.folder import Folder
from remote_worker.bulk.status import Watch
from remote_worker.cli import main
from remote_worker.stores.directory import Directory
from remote_worker.stores.store import Found, Meta


class Counted:
    """A store that lists and reads, and counts it."""

    def __init__(self, store: Directory) -> None:
        self._store = store
        self.read: list[str] = []
        self.lists = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def get(self, key: str, most_bytes: int) -> Found:
        self.read.append(key.rpartition("/")[2])
        return self._store.get(key, most_bytes)

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        self.lists += 1
        return self._store.list(prefix)


def watch(store: Path, after: float, **more: int) -> Watch:
    return Watch(Folder(Directory(store), "job1"), clock=lambda: PLANNED + after, **more)


@pytest.fixture
def job(tmp_path: Path) -> Written:
    return Written(tmp_path, [["a", "b"], ["c", "d"], ["e", "f"], ["g"]])


def test_what_was_made_and_what_failed_is_counted(tmp_path: Path, job: Written) -> None:
    job.commit(0, [made("a", outputs=(10, 20)), failed("b", "damaged")], 10)
    job.commit(2, [failed("e", "busy"), failed("f", "damaged")], 20)
    job.begin(1)
    job.begin(2)

    now = watch(tmp_path, 30).look()

    assert (now.shards, now.committed, now.items, now.rows) == (4, 2, 7, 4)
    assert (now.made, now.failed, now.codes) == (1, 3, {"damaged": 2, "busy": 1})
    assert list(now.codes) == ["damaged", "busy"]
    assert (now.outputs, now.bytes_in, now.bytes_out) == (2, 1000, 30)
    assert (now.open, now.in_hand, now.is_done, now.exit_status) == ([1, 3], [1], False, 3)


def test_the_rate_is_that_of_the_parts_since_the_first_of_the_last(tmp_path: Path, job: Written) -> None:
    job.commit(0, [made("a"), made("b")], 100)
    one = watch(tmp_path, 110).look()
    job.commit(1, [made("c"), made("d")], 104)
    job.commit(2, [made("e"), made("f")], 108)

    now = watch(tmp_path, 110).look()
    later = watch(tmp_path, 140).look()

    assert (one.rate, one.seconds_left) == (None, None)
    # Four rows came in the ten seconds after the first part; one is left.
    assert now.rate == pytest.approx(0.4)
    assert now.seconds_left == pytest.approx(2.5)
    assert later.rate == pytest.approx(0.1)


def test_what_is_long_ago_does_not_count_for_the_rate(tmp_path: Path) -> None:
    job = Written(tmp_path, [[str(shard)] for shard in range(40)])
    for shard in range(20):
        job.commit(shard, [made("x")], shard)
    for shard in range(20, 35):
        job.commit(shard, [made("x")], 10_000 + 10 * (shard - 20))

    # 14 of the 15 late ones are after the first of them, and 140 seconds are.
    assert watch(tmp_path, 10_140).look().rate == pytest.approx(14 / 140)


def test_a_part_is_read_once_and_each_look_lists(tmp_path: Path, job: Written) -> None:
    store = Counted(Directory(tmp_path))
    watching = Watch(Folder(store, "job1"))
    job.commit(0, [made("a"), made("b")], 1)
    watching.look()
    job.commit(1, [made("c"), failed("d", "busy")], 2)
    before = store.lists
    watching.look()
    first = store.lists - before
    now = watching.look()

    assert (now.made, now.failed) == (3, 1)
    assert [name for name in store.read if name.endswith(".gz")] == ["00000.jsonl.gz", "00001.jsonl.gz"]
    assert store.lists - before == 2 * first
    assert first <= 3


def test_of_many_parts_the_newest_are_read_first_and_the_rest_in_later_looks(
    tmp_path: Path, job: Written
) -> None:
    job.commit(0, [failed("a", "busy"), made("b")], 1)
    job.commit(1, [made("c"), made("d")], 2)
    job.commit(2, [made("e"), made("f")], 3)
    watching = watch(tmp_path, 10, parts_a_look=2)

    first, second = watching.look(), watching.look()

    # What is not read yet is taken to be as the others.
    assert (first.parts_read, first.committed, first.made, first.failed, first.rows) == (2, 3, 4, 0, 6)
    assert (second.parts_read, second.made, second.failed, second.rows) == (3, 5, 1, 6)


def test_a_finished_job_is_read_whole_in_one_look(tmp_path: Path, job: Written) -> None:
    job.commit_all({"a": failed("a", "busy")})

    now = watch(tmp_path, 10, parts_a_look=1).look()

    assert (now.parts_read, now.failed, now.exit_status, now.rate) == (4, 1, 1, None)


@pytest.mark.parametrize(
    ("rows", "last", "status"),
    [({}, True, 0), ({"g": failed("g", "damaged")}, True, 1), ({}, False, 3)],
)
def test_the_exit_status_tells(
    job: Written,
    capsys: pytest.CaptureFixture[str],
    rows: dict[str, dict[str, object]],
    last: bool,
    status: int,
) -> None:
    job.commit_all(rows)
    if not last:
        (job.root / "parts" / "00003.jsonl.gz").unlink()

    assert main(["bulk", "status", job.address]) == status
    assert ("100.0% done" in capsys.readouterr().out) is last


def test_status_as_json_is_one_object(job: Written, capsys: pytest.CaptureFixture[str]) -> None:
    job.commit_all({"g": failed("g", "damaged")})

    main(["bulk", "status", job.address, "--json"])
    told = json.loads(capsys.readouterr().out)

    assert (told["made"], told["failed"], told["codes"], told["is_done"]) == (6, 1, {"damaged": 1}, True)


def test_watching_ends_with_the_job_and_without_a_terminal_prints_lines(
    job: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    job.commit_all({"g": failed("g", "damaged")})

    assert main(["bulk", "status", job.address, "--watch"]) == 1
    assert capsys.readouterr().out == "100.0% done, 7 of 7 items, 1 failed\n"


def test_a_code_from_a_part_does_not_reach_the_terminal_as_it_is(
    job: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    job.commit_all({"g": failed("g", "\x1b[31mred")})

    main(["bulk", "status", job.address])
    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown


def test_in_a_terminal_the_bar_has_a_line_of_its_own(job: Written) -> None:
    job.commit_all({"g": failed("g", "\x1b[31mred")})
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    command = [sys.executable, "-m", "remote_worker", "bulk", "status", job.address, "--watch"]

    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as watching:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in shown.split("\r\n")]

    assert watching.returncode == 1
    assert lines[0] == "job1: /images/fit/800"
    assert set(lines[1]) == {"━"}
    assert lines[2] == "100.0% done, 7 of 7 items, 1 failed"
    assert "\x1b[31m" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # Nobody has its other end open any more.


@pytest.mark.parametrize("address", ["nowhere", "{store}/jobs/other", "{store}/jobs/../x", "ftp://x/jobs/a"])
def test_an_address_without_a_job_is_told(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bulk", "status", address.format(store=tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("remote-worker: ")


def test_an_empty_job_is_done(tmp_path: Path) -> None:
    Written(tmp_path, [])

    now = watch(tmp_path, 1).look()

    assert (now.is_done, now.exit_status) == (True, 0)
