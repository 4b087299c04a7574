"""Draws docs/pictures/bulk-report.svg, of a job that never was: `scripts/plots` does it with the others.

The job is made up, always the same, and goes through the program's own report and picture.
"""

import random
import tempfile
from pathlib import Path

from remote_worker.bulk.folder import Folder
from remote_worker.bulk.picture import draw
from remote_worker.bulk.report import make_report
from remote_worker.bulk.rows import Item, Made, Plan, Row
from remote_worker.stores.directory import Directory

PLANNED = 1_800_000_000.0
SHARDS = 120
ITEMS = 40
CODES = (
    ("damaged", 0.012),
    ("unsupported_format", 0.006),
    ("too_many_pixels", 0.002),
    ("decoder_crashed", 0.0008),
    ("deadline", 0.0005),
)


def drawn() -> str:
    """The picture."""
    chance = random.Random(2026)
    with tempfile.TemporaryDirectory() as store:
        folder = Folder(Directory(Path(store)), "20270115-fit-webp")
        when = PLANNED + 4
        for shard in range(SHARDS):
            keys = [f"photos/{shard:05d}-{at:03d}.jpg" for at in range(ITEMS)]
            folder.write_items(shard, [Item(key=key, version="1", size_bytes=0) for key in keys])
            # Half way a second machine comes.
            when += chance.uniform(3, 5) / (1 if shard < 45 else 2)
            folder.commit(shard, [_row(key, chance) for key in keys], now=when)
        folder.write_plan(
            Plan(
                id=folder.id,
                source="s3://photos",
                recipe="/images/fit/800?format=webp",
                task={},
                objects="objects/0",
                shards=SHARDS,
                items=SHARDS * ITEMS,
                size_bytes=0,
                created=PLANNED,
                made_by="",
            )
        )
        return draw(make_report(folder))


def _row(key: str, chance: random.Random) -> Row:
    size = int(chance.lognormvariate(14.2, 0.9))
    took = round(6 + size / 45_000 * chance.lognormvariate(0, 0.35), 2)
    at = chance.random()
    for code, share in CODES:
        if at < share:
            return Row(key=key, version="1", code=code, source_bytes=size, milliseconds=took)
        at -= share
    output = Made(
        name="output", key=f"objects/0/{key}", size_bytes=int(min(size, chance.lognormvariate(11, 0.5)))
    )
    return Row(key=key, version="1", outputs=(output,), source_bytes=size, milliseconds=took)
