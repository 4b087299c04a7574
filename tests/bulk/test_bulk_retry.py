"""Items that failed are done again in shards of their own, and the last row of each counts."""

import json
from pathlib import Path

import pytest
from bulk.written import Written, failed, made

from remote_worker.bulk.folder import Folder
from remote_worker.bulk.latest import last_rows
from remote_worker.bulk.retry import NoRetry, add_retry
from remote_worker.bulk.status import Watch
from remote_worker.cli import main
from remote_worker.stores.directory import Directory

KEYS = [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]
ROWS = {
    "b": failed("b", "busy"),
    "c": failed("c", "damaged"),
    "d": failed("d", "deadline"),
    "e": failed("e", "worker_killed"),
    "g": failed("g", "jail_unavailable"),
    "h": failed("h", "check_failed"),
}


@pytest.fixture
def job(tmp_path: Path) -> Written:
    job = Written(tmp_path, KEYS)
    job.commit_all(ROWS)
    return job


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(Directory(tmp_path), "job1")


def latest(folder: Folder) -> dict[str, str]:
    rows = [one.row for one in last_rows(folder, folder.committed(), folder.retries())]
    found = {row.key: row.code for row in rows}
    assert len(found) == len(rows)
    return found


def test_what_may_go_better_another_time_is_taken_in_its_order(job: Written, folder: Folder) -> None:
    retry = add_retry(folder, clock=lambda: 5.0)

    assert (retry.first, retry.shards, retry.items, retry.created) == (3, 2, 5, 5.0)
    assert [job.shard(3), job.shard(4)] == [["b", "d", "e"], ["g", "h"]]
    kept = json.loads((job.root / "retries" / "1.json").read_text())
    assert kept["replaces"] == [
        {"busy": 1, "deadline": 1, "worker_killed": 1},
        {"check_failed": 1, "jail_unavailable": 1},
    ]


def test_a_code_that_is_named_is_the_only_one(job: Written, folder: Folder) -> None:
    retry = add_retry(folder, ["damaged"])

    assert (retry.items, job.shard(3)) == (1, ["c"])


def test_an_item_is_retried_as_it_was_planned(job: Written, folder: Folder) -> None:
    add_retry(folder, ["damaged"])

    # The row says 7 bytes, which is what had been read when it failed.
    assert [(item.version, item.size_bytes) for item in folder.items(3)] == [("v1", 1000)]


def test_each_item_counts_once_while_a_retry_runs_and_after_it(job: Written, folder: Folder) -> None:
    watching = Watch(folder)
    before = watching.look()
    add_retry(folder)
    added = watching.look()
    job.commit(4, [made("g"), failed("h", "damaged")], 100)
    half = watching.look()
    half_latest = latest(folder)
    job.commit(3, [made("b"), failed("d", "deadline"), made("e")], 110)
    after = watching.look()

    assert (before.failed, before.exit_status) == (6, 1)
    assert (added.work, added.rows, added.failed, added.exit_status) == (13, 8, 6, 3)
    assert (half.made, half.codes) == (3, {"damaged": 2, "busy": 1, "deadline": 1, "worker_killed": 1})
    assert half_latest["b"] == "busy"
    assert half_latest["h"] == "damaged"
    assert (after.made, after.codes, after.exit_status) == (5, {"damaged": 2, "deadline": 1}, 1)
    assert latest(folder) == {**dict.fromkeys("abefg", ""), "c": "damaged", "d": "deadline", "h": "damaged"}


def test_a_second_retry_takes_what_failed_again_and_what_the_first_left(job: Written, folder: Folder) -> None:
    add_retry(folder)
    job.commit(3, [made("b"), failed("d", "deadline"), failed("e", "damaged")], 100)
    job.commit(4, [made("g"), made("h")], 100)
    second = add_retry(folder, ["damaged", "deadline"])
    job.commit(5, [made("c"), made("d"), failed("e", "busy")], 200)
    now = Watch(folder).look()

    assert (second.first, second.items, job.shard(5)) == (5, 3, ["c", "d", "e"])
    assert (now.made, now.codes) == (7, {"busy": 1})
    assert latest(folder) == {**dict.fromkeys("abcdfgh", ""), "e": "busy"}


def test_a_key_that_was_planned_twice_is_two_items(tmp_path: Path, folder: Folder) -> None:
    job = Written(tmp_path, [["a", "a", "a"]])
    job.commit(0, [failed("a", "damaged"), failed("a", "busy"), made("a")], 1)
    add_retry(folder)
    job.commit(1, [made("a")], 2)

    rows = [one.row.code for one in last_rows(folder, folder.committed(), folder.retries())]

    assert rows == ["damaged", "", ""]


def test_a_job_that_goes_on_is_not_retried(job: Written, folder: Folder) -> None:
    (job.root / "parts" / "00001.jsonl.gz").unlink()

    with pytest.raises(NoRetry, match="1 shards are not done"):
        add_retry(folder)
    assert not list((job.root / "retries").iterdir())


def test_a_retry_that_was_broken_off_is_begun_again_with_its_codes(job: Written, folder: Folder) -> None:
    add_retry(folder)
    (job.root / "retries" / "1.json").unlink()

    with pytest.raises(NoRetry, match="other codes"):
        add_retry(folder, ["damaged"])
    assert add_retry(folder).items == 5


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([], 0, "5 items in 2 shards were added"),
        (["--code", "damaged", "busy"], 0, "2 items in 1 shards were added"),
        (["--all"], 0, "6 items in 2 shards were added"),
        (["--code", "too_large"], 3, "no item failed with too_large"),
        (["--code", "bad\x1b"], 3, "there is no code"),
    ],
)
def test_the_command_says_what_it_added(
    job: Written, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, told: str
) -> None:
    assert main(["bulk", "retry", job.address, *arguments]) == status
    printed = capsys.readouterr()
    assert told in printed.out + printed.err
    assert "\x1b" not in printed.err
