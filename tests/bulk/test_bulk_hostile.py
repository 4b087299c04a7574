"""What stands in a job's folder may have been written by anybody: it is told as damaged, and costs little."""

import asyncio
import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from bulk.written import Written, failed, made

from hold.bulk_worker import SETTINGS
from remote_worker import wiring
from remote_worker.bulk.folder import Folder, NoSuchJob
from remote_worker.bulk.running import handler
from remote_worker.bulk.status import Watch
from remote_worker.engines.engine import Kind, Unit
from remote_worker.engines.nats import NatsLease
from remote_worker.pool.pool import Pool
from remote_worker.service.images import Images
from remote_worker.stores.directory import Directory
from remote_worker.stores.opening import open_within
from remote_worker.stores.store import StoreFailed

DEEP = b"[" * 200_000
ITEM = {"key": "a", "version": "v1", "size_bytes": 1000}


@pytest.fixture
def job(tmp_path: Path) -> Written:
    return Written(tmp_path, [["a"]])


def folder(tmp_path: Path) -> Folder:
    return Folder(Directory(tmp_path), "job1")


def lines(*told: object) -> bytes:
    return gzip.compress("".join(json.dumps(line) + "\n" for line in told).encode())


def broken(packed: bytes) -> bytes:
    """With its head and its end, and something else between."""
    return packed[:10] + b"\xff" * (len(packed) - 18) + packed[-8:]


READS: Mapping[str, Callable[[Folder], Any]] = {
    "plan.json": Folder.plan,
    "retries/1.json": Folder.retries,
    "shards/00000.jsonl.gz": lambda job: job.items(0),
    "parts/00000.jsonl.gz": lambda job: job.part(0),
    "doubts/00000.json": lambda job: job.doubts(0),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("shape", ["deep", "list", "number", "unknown member", "cut", "broken"])
def test_what_is_no_file_of_ours_is_told(tmp_path: Path, job: Written, name: str, shape: str) -> None:
    told = {
        "deep": DEEP,
        "list": b"[1]",
        "number": b"3",
        "unknown member": b'{"bogus": 3}',
        "cut": b'{"key": ',
        "broken": b"\xff",
    }[shape]
    if name.endswith(".gz"):
        packed = gzip.compress(told + b"\n")
        told = {"cut": packed[:-9], "broken": broken(lines(ITEM))}.get(shape, packed)
    (job.root / name).write_bytes(told)

    with pytest.raises((NoSuchJob, StoreFailed)):
        READS[name](folder(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"shards": 10_000_001},
        {"shards": -1},
        {"shards": 1.5},
        {"shards": True},
        {"source": 3},
        {"task": "fit"},
        {"items": float("nan")},
        {"created": float("inf")},
        {"created": "now"},
    ],
)
def test_a_plan_with_other_kinds_of_members_is_none(
    tmp_path: Path, job: Written, change: Mapping[str, object]
) -> None:
    plan = json.loads((job.root / "plan.json").read_bytes())
    (job.root / "plan.json").write_text(json.dumps({**plan, **change}))

    with pytest.raises(NoSuchJob):
        folder(tmp_path).plan()

    (job.root / "plan.json").write_text(json.dumps({**plan, "shards": 10_000_000}))
    assert folder(tmp_path).plan().shards == 10_000_000


@pytest.mark.parametrize("size", [-1, float("nan"), "9", None, True])
def test_an_item_of_no_size_is_none(tmp_path: Path, job: Written, size: object) -> None:
    (job.root / "shards/00000.jsonl.gz").write_bytes(lines({**ITEM, "size_bytes": size}))

    with pytest.raises(StoreFailed, match="no Item"):
        folder(tmp_path).items(0)


def test_a_shard_has_at_most_ten_thousand_items(tmp_path: Path, job: Written) -> None:
    (job.root / "shards/00000.jsonl.gz").write_bytes(lines(*[ITEM] * 10_001))
    (job.root / "shards/00001.jsonl.gz").write_bytes(lines(*[ITEM] * 10_000))

    with pytest.raises(StoreFailed, match="more than 10000"):
        folder(tmp_path).items(0)
    assert len(folder(tmp_path).items(1)) == 10_000


def test_a_row_with_other_kinds_of_members_is_none_and_its_neighbours_are_read(
    tmp_path: Path, job: Written
) -> None:
    outputs = made("a")["outputs"]
    for row in (
        {**made("a"), "outputs": 3},
        {**made("a"), "outputs": [{**outputs[0], "size_bytes": "many"}]},
        {**made("a"), "milliseconds": "soon"},
        {**made("a"), "facts": []},
        {**failed("a", "busy"), "code": 3},
    ):
        (job.root / "parts/00000.jsonl.gz").write_bytes(lines(row))
        with pytest.raises(StoreFailed, match="damaged"):
            Watch(folder(tmp_path)).look()
    job.commit(0, [made("a"), failed("b", "busy")], 1)

    assert Watch(folder(tmp_path)).look().made == 1


@pytest.mark.parametrize("replaces", [[], [{"busy": -1}], [{"busy": "x"}], 3])
def test_a_retry_that_does_not_say_what_it_replaces_is_none(
    tmp_path: Path, job: Written, replaces: object
) -> None:
    retry = {"first": 1, "shards": 1, "items": 1, "created": 1.0, "codes": ["busy"], "replaces": replaces}
    (job.root / "retries/1.json").write_text(json.dumps(retry))

    with pytest.raises(NoSuchJob):
        folder(tmp_path).retries()

    (job.root / "retries/1.json").write_text(json.dumps({**retry, "replaces": [{"busy": 1}]}))
    assert [one.items for one in folder(tmp_path).retries()] == [1]


@pytest.mark.parametrize(
    "body",
    [
        DEEP[:8192],
        b"3",
        b'{"store": "STORE", "job": "job1", "shard": Infinity}',
        b'{"store": "STORE", "job": "job1", "shard": "0"}',
        b'{"store": "STORE", "job": "../job1", "shard": 0}',
        b'{"store": "nothing://", "job": "job1", "shard": 0}',
        b'{"store": "STORE\\u0000", "job": "job1", "shard": 0}',
    ],
)
def test_a_message_that_names_no_shard_is_dropped(tmp_path: Path, job: Written, body: bytes) -> None:
    unit = Unit(id="u", kind=Kind.SHARD, body=body.replace(b"STORE", str(tmp_path).encode()))

    async def handle() -> None:
        with wiring.bench(Images(Pool(SETTINGS.pool, SETTINGS.limits)), SETTINGS) as bench:
            lease = NatsLease(attempt=1, is_beyond=False, waited_seconds=0)
            await handler([str(tmp_path)], open_within, bench)(unit, lease)

    asyncio.run(handle())

    assert list((job.root / "parts").iterdir()) == []
    assert list((job.root / "doubts").iterdir()) == []
