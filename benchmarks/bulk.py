"""What bulk work takes beside the bare pool: the same pictures in turn through both, in one process."""

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from remote_worker import wiring
from remote_worker.bulk.folder import Folder
from remote_worker.bulk.plan import Wanted, freeze, listed
from remote_worker.bulk.running import run_local
from remote_worker.bulk.shard import Job
from remote_worker.cli.pictures import load, write
from remote_worker.contract.document import Document
from remote_worker.contract.formats import SUFFIXES
from remote_worker.contract.messages import Fit
from remote_worker.service.images import Images
from remote_worker.settings import Settings, read
from remote_worker.stores.opening import open_store

from . import tables
from .servers import PROJECT

ALLOWED = 1.05
"""Of the bare pool's time."""
SHARD_ITEMS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Which pictures, how many of them in a round, and what is made of each."""

    name: str
    files: Sequence[str]
    count: int
    side: int


# As many as take some seconds: what a job takes to begin and to end is not taken for each item.
KINDS = (
    Kind(name="JPEG of 200 px to WebP of 128", files=("200px.jpg",), count=1500, side=128),
    Kind(name="JPEG of 2 megapixels to WebP of 800", files=("2mp.jpg",), count=150, side=800),
    Kind(
        name="one of each of five kinds to WebP of 800",
        files=("200px.jpg", "2mp.jpg", "1080p.webp", "1024.png", "2mp.avif"),
        count=150,
        side=800,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Milliseconds of one item: on the clock, and of this process' CPU."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One kind, round by round."""

    kind: Kind
    bare: Sequence[Round]
    bulk: Sequence[Round]
    adopted: Sequence[Round]
    planned: Sequence[Round]

    @property
    def ratio(self) -> float:
        """Of the clock's time, the median of the rounds."""
        return tables.ratio([one.wall for one in self.bulk], [one.wall for one in self.bare]) or 0.0


def main() -> None:
    """Measure, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--shared", type=Path, default=PROJECT.parent / "shared", help="folder with inputs")
    parser.add_argument("--rounds", type=int, default=7, help="of each kind (default: 7)")
    given = parser.parse_args()
    measured = asyncio.run(measure(given.shared, given.rounds))
    cores = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    head = tables.head("Bulk", "python -m benchmarks.bulk", f"everything on {cores}")
    text = f"{head}\n{report(measured, given.rounds)}"
    print(text)
    (PROJECT / "benchmarks" / "bulk.md").write_text(text)


async def measure(shared: Path, rounds: int, kinds: Sequence[Kind] = KINDS) -> Sequence[Compared]:
    """All kinds, one after the other, each with a pool of its own."""
    settings = read({})
    measured = []
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="bulk-") as folder:
            async with wiring.open_images(settings) as images:
                measured.append(await _compared(kind, shared, Path(folder), images, settings, rounds))
    return measured


async def _compared(
    kind: Kind, shared: Path, folder: Path, images: Images, settings: Settings, rounds: int
) -> Compared:
    source = folder / "in"
    source.mkdir()
    for number in range(kind.count):
        file = shared / "inputs" / kind.files[number % len(kind.files)]
        shutil.copyfile(file, source / f"{number:05d}-{file.name}")
    await _bare(kind, source, folder / "warm", images, settings)
    bare, bulk, adopted, planned = [], [], [], []
    for number in range(rounds):
        by_pool, by_bulk = folder / f"bare{number}", folder / f"bulk{number}"

        # Whoever is first in a round gains or loses by it, so they take turns.
        for out in (by_pool, by_bulk) if number % 2 else (by_bulk, by_pool):
            if out is by_pool:
                bare.append(await _timed(kind, _bare(kind, source, out, images, settings)))
            else:
                job, took = await _planned(kind, source, out)
                planned.append(took)
                bulk.append(await _timed(kind, _bulk(job, images, settings)))
        again, _ = await _planned(kind, source, by_bulk)
        adopted.append(await _timed(kind, _bulk(again, images, settings)))
    return Compared(kind=kind, bare=bare, bulk=bulk, adopted=adopted, planned=planned)


async def _bulk(job: Job, images: Images, settings: Settings) -> None:
    with wiring.bench(images, settings) as bench:
        await run_local(job, bench, stop=asyncio.Event())


async def _planned(kind: Kind, source: Path, out: Path) -> tuple[Job, Round]:
    task = Fit(width=kind.side, height=kind.side, format="webp")
    wanted = Wanted(recipe="", task=task, shard_items=SHARD_ITEMS)
    stores = open_store(str(source)), open_store(str(out))
    folders: list[Folder] = []

    async def plan() -> None:
        folders.append(freeze(*stores, wanted, listed(*stores)))

    took = await _timed(kind, plan())
    return Job.opened(folders[0], open_store), took


async def _bare(kind: Kind, source: Path, out: Path, images: Images, settings: Settings) -> None:
    """What `remote-worker run fit` does with a folder."""
    out.mkdir()
    task = Fit(width=kind.side, height=kind.side, format="webp")
    waiting = iter(sorted(source.iterdir()))

    async def next_ones() -> None:
        for path in waiting:
            with Document() as document:
                await asyncio.to_thread(load, document, path, settings.limits.input_bytes)
                deadline = time.monotonic() + settings.limits.decode_seconds
                picture = (await images.fit(document, task, deadline=deadline)).picture
                write(out / (path.name + SUFFIXES[picture.format]), picture)

    async with asyncio.TaskGroup() as group:
        for _ in range(settings.pool.children):
            group.create_task(next_ones())


async def _timed(kind: Kind, work: Awaitable[None]) -> Round:
    # Whoever flushes would pay for what the one before has written. For the same reason nothing is deleted
    # between rounds: for seconds, ext4 takes longer to find a free inode then.
    os.sync()
    began, cpu = time.perf_counter(), time.process_time()
    await work
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Round(wall=wall * 1000 / kind.count, cpu=cpu * 1000 / kind.count)


def report(measured: Sequence[Compared], rounds: int) -> str:
    """What the figures are, and the table."""
    about = (
        f"{rounds} rounds of each kind, medians, in milliseconds for each item. Bare is what "
        "`remote-worker run fit` does with a folder: read, decode and make, write. Bulk is a planned job in "
        f"shards of {SHARD_ITEMS}, from and to folders, with everything that makes it resumable: a version "
        "for each source, outputs on the disk before their names, a part for each shard. CPU is of the host "
        "process. Before each, all is flushed that the one before has written. Adopted is a second job with "
        "the same recipe, planned is a job's plan.\n\n"
    )
    titles = (
        "pictures",
        "bare",
        "bulk",
        "ratio",
        f"at most {ALLOWED}",
        "bare CPU",
        "bulk CPU",
        "adopted",
        "planned",
    )
    return about + tables.table(titles, map(_row, measured))


def _row(one: Compared) -> tables.Row:
    return (
        one.kind.name,
        f"{_median(one.bare):.2f}",
        f"{_median(one.bulk):.2f}",
        f"{one.ratio:.3f}",
        "yes" if one.ratio <= ALLOWED else "**no**",
        f"{statistics.median(taken.cpu for taken in one.bare):.2f}",
        f"{statistics.median(taken.cpu for taken in one.bulk):.2f}",
        f"{_median(one.adopted):.3f}",
        f"{_median(one.planned):.3f}",
    )


def _median(rounds: Sequence[Round]) -> float:
    return statistics.median(one.wall for one in rounds)


if __name__ == "__main__":
    main()
