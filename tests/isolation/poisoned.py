"""Every output once with plain memory and again with poisoned memory: no byte of it may differ.

`python poisoned.py {"folders": [...], "most_files": 100}` prints one JSON object (`Compared`). Each file is
given whole, and cut: a decoder that goes on without the missing part could show what lay there before.

What is poisoned (`hijacked.py`): each block that glibc's malloc gives or takes back, once with A5/5A and
once with 3C/C3. Python's own objects come from it in these runs, Pillow's pictures always do, and so does
what the C and Rust libraries allocate. The pages that our own decoders draw into are filled too. Not
poisoned are the stack, registers, and blocks that a library keeps and uses again for the same document.
"""

import asyncio
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from isolation import hijacked

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import MIB, Limits
from remote_worker.contract.messages import (
    FACTS,
    OUTPUT_FORMATS,
    Avatars,
    Fit,
    Info,
    Output,
    Picture,
    Prepare,
    Recipe,
    Reply,
    Task,
)
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.template import ENTRY

BYTES = (0xA5, 0x3C)
"""malloc's fresh memory has their complements."""
LIMITS = Limits(decode_seconds=20, cpu_seconds=20, memory_bytes=2048 * MIB, pixels=16_000_000)
"""Poisoning takes time and Python's objects more memory, which is not what is compared here."""
LATE = str(FailureCode.DEADLINE)
CHILDREN = 3
BOX = 300
RECIPE = Recipe(
    outputs=(
        Output(name="cover", width=100, height=60, mode="cover", gravity="attention", enlarge=True),
        Output(name="pad", width=211, height=97, mode="pad", background="20406080", format="png"),
        Output(name="clear", width=97, height=211, mode="pad", format="webp"),
        Output(name="crop", width=33, height=17, mode="crop", gravity="southeast"),
    ),
    facts=FACTS,
)
LEAST_SHARE, MOST_SHARE = 0.3, 0.99
"""How much of a file is left of it when it is cut."""
MADE_AT = re.compile(rb"(mvhd|tkhd|mdhd)\x01(...).{16}", re.DOTALL)
"""ISO/IEC 14496-12, 8.2.2: the boxes of a film say when it was made, to the second."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A task on so much of a file."""

    path: Path
    kept_bytes: int
    task: Task


@dataclass(kw_only=True)
class Compared:
    """How many answers were compared in each poisoned run, and those that differ."""

    documents: int
    jobs: int
    pictures: int = 0
    """Answers that hold a picture; the others are facts or failures, which are compared too."""
    comparisons: int = 0
    late: int = 0
    """Pairs that were not compared, because one of the two did not end in time."""
    differences: list[str] = field(default_factory=list)


def jobs_of(path: Path, every: bool, cuts: int) -> list[Job]:
    """What is done to a file: everything, or all decoders and one encoder that its name chooses."""
    decoded: list[Task] = [Fit(width=BOX, height=BOX, animated=True), Avatars()]
    targets: list[Task] = [Fit(width=BOX, height=BOX, format=target) for target in OUTPUT_FORMATS] + [RECIPE]
    prepared: list[Task] = [Prepare(), Prepare(keep_metadata=True)] if path.suffix == ".jpg" else []
    chosen = random.Random(path.name)
    size = path.stat().st_size
    whole = [
        Info(),
        *decoded,
        *prepared,
        *([Avatars(animated=True), *targets] if every else [chosen.choice(targets)]),
    ]
    kept = [max(1, int(size * chosen.uniform(LEAST_SHARE, MOST_SHARE))) for _ in range(cuts)]
    return [
        *(Job(path=path, kept_bytes=size, task=task) for task in whole),
        *(Job(path=path, kept_bytes=part, task=task) for part in kept for task in [decoded[0], *prepared]),
    ]


async def answers(jobs: Sequence[Job], entry: Sequence[str]) -> list[str]:
    """One word for each job: the failure's code, or a digest of everything that came out."""
    found = [""] * len(jobs)
    waiting = iter(range(len(jobs)))
    settings = PoolSettings(children=CHILDREN, ready=CHILDREN, crash_burst=10_000)

    async def work(pool: Pool) -> None:
        for index in waiting:
            job = jobs[index]
            with Document.of(job.path.read_bytes()[: job.kept_bytes]) as document:
                try:
                    reply = await pool.decode(job.task, document, deadline=time.monotonic() + 120)
                    found[index] = digest(reply)
                except WorkFailed as failed:
                    found[index] = str(failed.code)

    async with Pool(settings, LIMITS, entry=entry) as pool, asyncio.TaskGroup() as group:
        for _ in range(CHILDREN):
            group.create_task(work(pool))
    return found


def digest(reply: Reply) -> str:
    """Of all that a reply says and holds."""
    facts = [
        (name, each.format, each.width, each.height, each.frames, picture_digest(each))
        for name, each in sorted(reply.pictures.items())
    ]
    return json.dumps([reply.format, reply.mime, sorted(reply.info.items()), facts])


def picture_digest(picture: Picture) -> str:
    """Of its bytes, but for the time at which a film in AVIF was made."""
    body = bytes(picture.body)
    return hashlib.sha256(MADE_AT.sub(rb"\1\2", body) if picture.format == "avif" else body).hexdigest()


def run(
    folders: Sequence[str],
    words: Sequence[str] = (),
    most_files: int | None = None,
    every: bool = False,
    cuts: int = 1,
) -> Compared:
    """Compare; `words` are more of the template's, `most_files` of a folder are chosen by a fixed seed."""
    files = [path for folder in folders for path in some_files(Path(folder), most_files)]
    jobs = [job for path in files for job in jobs_of(path, every, cuts)]
    compared = Compared(documents=len(files), jobs=len(jobs))
    # What is served, as it is, unless the template is to have a fault.
    plain = asyncio.run(answers(jobs, hijacked.entry(*words) if words else ENTRY))
    compared.pictures = sum('"output"' in answer or '"avatar' in answer for answer in plain)
    for byte in BYTES:
        poisoned = asyncio.run(answers(jobs, hijacked.entry(f"poison={byte}", *words)))
        for job, was, now in zip(jobs, plain, poisoned, strict=True):
            if LATE in (was, now):
                compared.late += 1
                continue
            compared.comparisons += 1
            if was != now:
                where = f"{job.path.name} ({job.kept_bytes} bytes) {job.task}"
                compared.differences.append(f"{where}: {was[:300]} is {now[:300]} with {byte:x}")
    return compared


def some_files(folder: Path, most: int | None) -> Iterator[Path]:
    """The pictures of a folder and its folders, or so many of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in NO_PICTURES)
    yield from files if most is None or most >= len(files) else sorted(random.Random(4).sample(files, most))


NO_PICTURES = {".csv", ".md", ".py", ".pyc"}

if __name__ == "__main__":
    print(json.dumps(asdict(run(**json.loads(sys.argv[1])))))
