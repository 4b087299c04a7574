"""Bulk work: killed half way and resumed, it ends as if nothing had been; and its time beside the pool's."""

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import bulk as benchmark
from benchmarks.servers import PROJECT
from remote_worker.bulk.folder import Folder
from remote_worker.bulk.plan import Wanted, freeze, listed
from remote_worker.contract.messages import Fit
from remote_worker.stores.opening import open_store

from .bulk_worker import CRASH
from .point import Given, Row

IMAGES = 5000
EVERY_BROKEN, EVERY_CRASHING = 100, 250
"""One in so many is broken, and one in so many crashes its decoder."""
SHARD_ITEMS = 100
ROUNDS = 9
LONGEST_RUN_SECONDS = 600.0


def measure(given: Given) -> Sequence[Row]:
    """5,000 pictures, some broken and some crashing: once in peace, once with a kill -9 half way.

    Bars: the same outputs byte for byte, the same rows, one for each picture, each error once; and at most
    5 % more time for each item than the bare pool takes for the same pictures in the same run.
    """
    with tempfile.TemporaryDirectory(prefix="hold-bulk-") as name:
        rows = _resumed(Path(name), given.shared / "inputs" / "200px.jpg")
    compared = asyncio.run(benchmark.measure(given.shared, ROUNDS))
    return [*rows, *map(_overhead, compared)]


def _resumed(folder: Path, picture: Path) -> Sequence[Row]:
    source = folder / "in"
    source.mkdir()
    data = picture.read_bytes()
    for number in range(IMAGES):
        (source / f"{number:05d}.jpg").write_bytes(_image(data, number))
    whole, out = _planned(source, folder / "whole"), _planned(source, folder / "out")
    _run(whole)
    at_kill = _killed(out, whole.shards() // 2)
    _run(out)
    expected, rows = _rows(whole), _rows(out)
    codes = Counter(row.get("code", "") for row in rows)
    wanted = _outputs(whole)
    made = _outputs(out)
    same = sum(made.get(key) == body for key, body in wanted.items())
    broken = len(range(0, IMAGES, EVERY_BROKEN))
    crashing = len([n for n in range(0, IMAGES, EVERY_CRASHING) if n % EVERY_BROKEN])
    return [
        Row(
            case=f"{IMAGES} pictures, kill -9 with {at_kill} of {whole.shards()} shards committed, resumed",
            bar="a row for each, none twice",
            measured=f"{len(rows)} rows, {len({row['key'] for row in rows})} keys",
            holds=len(rows) == len({row["key"] for row in rows}) == IMAGES and 0 < at_kill < whole.shards(),
        ),
        Row(
            case="its outputs beside those of a run that nothing disturbed",
            bar="the same, byte for byte",
            measured=f"{same} of {len(wanted)} the same, {len(made.keys() - wanted.keys())} more",
            holds=made == wanted and len(wanted) == IMAGES - broken - crashing,
        ),
        Row(
            case="its rows beside those",
            bar="the same but for times",
            measured="the same" if rows == expected else "others",
            holds=rows == expected,
        ),
        Row(
            case=f"errors: {broken} broken, {crashing} crashing",
            bar="each recorded once",
            measured=", ".join(f"{count} {code}" for code, count in sorted(codes.items()) if code),
            holds=codes == Counter({"": len(wanted), "damaged": broken, "decoder_crashed": crashing}),
        ),
    ]


def _image(data: bytes, number: int) -> bytes:
    """A picture of its own; some are cut off, some crash the decoder of this point."""
    if number % EVERY_BROKEN == 0:
        return data[:200]
    return data + str(number).encode() + (CRASH if number % EVERY_CRASHING == 0 else b"")


def _planned(source: Path, out: Path) -> Folder:
    stores = open_store(str(source)), open_store(str(out))
    task = Fit(width=128, height=128, format="webp")
    return freeze(*stores, Wanted(recipe="", task=task, shard_items=SHARD_ITEMS), listed(*stores))


def _worker(folder: Folder) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hold.bulk_worker", folder.url]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL)


def _run(folder: Folder) -> None:
    if _worker(folder).wait(LONGEST_RUN_SECONDS) != 0:
        raise SystemExit("a run of the bulk job failed")


def _killed(folder: Folder, shards: int) -> int:
    """Run until so many shards are committed, then kill it; how many there are."""
    worker = _worker(folder)
    try:
        end = time.monotonic() + LONGEST_RUN_SECONDS
        while worker.poll() is None and len(folder.committed()) < shards and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait()
    return len(folder.committed())


def _rows(folder: Folder) -> Sequence[Mapping[str, Any]]:
    found = []
    for key, _ in folder.store.list(f"jobs/{folder.id}/parts/"):
        lines = gzip.decompress(folder.store.get(key, 1 << 24).data).splitlines()
        found += [{**json.loads(line), "milliseconds": None} for line in lines]
    return found


def _outputs(folder: Folder) -> Mapping[str, bytes]:
    return {key: folder.store.get(key, 1 << 24).data for key, _ in folder.store.list("objects/")}


def _overhead(one: benchmark.Compared) -> Row:
    return Row(
        case=f"{one.kind.name}: time beside the bare pool",
        bar=f"at most {benchmark.ALLOWED} of it",
        measured=f"{one.ratio:.3f}",
        holds=one.ratio <= benchmark.ALLOWED,
    )
