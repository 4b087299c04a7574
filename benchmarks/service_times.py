"""How long one item of a bulk job takes a child, and how that holds for a whole job: `service_times.json`.

`python -m benchmarks.service_times` measures each kind of picture alone, one after another in one child, and
runs a small job with 1, 2 and 4 children. `benchmarks.scale` works with what it writes.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from remote_worker import wiring
from remote_worker.contract.document import Document
from remote_worker.contract.messages import Fit
from remote_worker.service.images import Images
from remote_worker.settings import read

from .servers import PROJECT

INPUTS = PROJECT.parent / "shared" / "inputs"
RECIPE = "/images/fit/800?format=webp"
MIX = {
    "2mp.jpg": 60,
    "200px.jpg": 10,
    "12mp.jpg": 12,
    "1024.png": 8,
    "1080p.webp": 8,
    "2mp.avif": 2,
}
"""Of a hundred items: photographs of telephones and of forums, most of them JPEG."""
TIMES = 11
SMALL_JOB = 2
"""Hundreds of items."""
SHARD_ITEMS = 25
CHILDREN = (1, 2, 4)
ROUNDS = 2
"""Of runs. The fastest counts: others on the machine only make it slower."""
KEPT = PROJECT / "benchmarks" / "service_times.json"


def main() -> None:
    """Measure both, and keep them."""
    inputs = Path(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    passes, jobs = [asyncio.run(_alone(inputs))], []
    for _ in range(ROUNDS):
        jobs += [_job(inputs, children) for children in CHILDREN]
        passes.append(asyncio.run(_alone(inputs)))
    runs = [min((job for job in jobs if job["children"] == count), key=_seconds) for count in CHILDREN]
    kinds = {name: sorted(took for one in passes for took in one[name].milliseconds) for name in MIX}
    told = {
        "made_by": "python -m benchmarks.service_times",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "recipe": RECIPE,
        "kinds": [
            {
                "name": name,
                "of_100": share,
                "input_bytes": passes[0][name].input_bytes,
                "output_bytes": passes[0][name].output_bytes,
                "milliseconds": kinds[name],
            }
            for name, share in MIX.items()
        ],
        "runs": runs,
    }
    KEPT.write_text(json.dumps(told, indent=1) + "\n")
    mean = sum(share * statistics.fmean(kinds[name]) for name, share in MIX.items()) / 100
    print(f"{mean:.1f} ms for an item of the mix", *runs, sep="\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """A kind of picture."""

    milliseconds: list[float]
    input_bytes: int
    output_bytes: int


def _seconds(job: Mapping[str, float]) -> float:
    return job["seconds"]


async def _alone(inputs: Path) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    async with wiring.open_pool(read({"REMOTE_CHILDREN": "1"})) as pool:
        images = Images(pool)
        for name in MIX:
            data = (inputs / name).read_bytes()
            took, size = [], 0
            for _ in range(TIMES):
                began = time.perf_counter()
                with Document.of(data) as document:
                    made = await images.fit(
                        document,
                        Fit(width=800, height=800, format="webp"),
                        deadline=time.monotonic() + 60,
                    )
                took.append(round(1000 * (time.perf_counter() - began), 2))
                size = len(made.picture.body)
            # The first of a pool finds nothing warm.
            found[name] = Measured(took[1:], len(data), size)
    return found


def _job(inputs: Path, children: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch, "source"), Path(scratch, "out")
        source.mkdir()
        names = [name for name, share in MIX.items() for _ in range(SMALL_JOB * share)]
        for at in range(len(names)):
            # Mixed, and the same each time: 7 and the number of items have no common factor.
            name = names[at * 7 % len(names)]
            (source / f"{at:05d}{Path(name).suffix}").hardlink_to(_here(inputs / name, Path(scratch)))
        planned = _bulk("plan", str(source), str(out), "--recipe", RECIPE, "--shard-items", str(SHARD_ITEMS))
        began, busy, own = time.perf_counter(), _busy_seconds(), _own_seconds()
        _bulk("run", planned.strip(), children=children)
        seconds = time.perf_counter() - began
        own = _own_seconds() - own
        others = max(0.0, _busy_seconds() - busy - own) / seconds
        began = time.perf_counter()
        _bulk("run", planned.strip(), children=children)
        # With nothing to do: what a start and an end take.
        start = time.perf_counter() - began
    return {
        "children": children,
        "items": len(names),
        "seconds": round(seconds, 2),
        "start_seconds": round(start, 2),
        "cpu_seconds": round(own, 2),
        "others_cores": round(others, 2),
    }


def _busy_seconds() -> float:
    """Of all processors, by whomever."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Of programs that were started here and have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _here(path: Path, scratch: Path) -> Path:
    """A copy in the same file system, of which there can be links."""
    copy = scratch / path.name
    if not copy.exists():
        copy.write_bytes(path.read_bytes())
    return copy


def _bulk(*arguments: str, children: int = 1) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "remote_worker", "bulk", *arguments],
        env={**os.environ, "REMOTE_CHILDREN": str(children)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


if __name__ == "__main__":
    main()
