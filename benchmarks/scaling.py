"""Throughput over cores, and CPU time over the size of the picture."""

import os
import tempfile
from pathlib import Path

from PIL import Image

from remote_worker.cli.progress import followed
from remote_worker.contract.limits import Limits

from . import options, servers, tables
from .cells import inputs
from .load import Run
from .options import Machine

CONNECTIONS = 4
"""For each core."""

OVER_CORES = (
    ("avatars 12mp.jpg", "avatar6", "12mp.jpg"),
    ("avatars 200px.jpg", "avatar6", "200px.jpg"),
    ("fit 1080p.webp", "fit800", "1080p.webp"),
)
MEGAPIXELS = (0.05, 0.5, 2, 6, 12, 24)
KINDS: dict[str, dict[str, int]] = {
    "jpeg": {"quality": 90},
    "png": {"compress_level": 6},
    "webp": {"quality": 85, "method": 2},
}
"""What Pillow writes the inputs with."""
OVER_PIXELS = (("avatars", "avatar6"), ("fit", "fit800"))

TOO_LARGE = "over the largest upload"


def main() -> None:
    """Measure both, print the tables and keep them."""
    parser = options.parser(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run (default: 4)")
    given = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    machine = options.machine(given)
    with tempfile.TemporaryDirectory() as scratch:
        files = inputs(machine.shared / "inputs", Path(scratch))
        over_cores = _over_cores(machine, available, files, given.seconds)
        over_pixels = _over_pixels(machine, files["12mp.jpg"], Path(scratch), given.seconds)
    head = tables.head(
        "Scaling",
        "python -m benchmarks.scaling",
        f"load on core {machine.load_core}; over pixels, the service on core {machine.server_cores[0]}",
    )
    text = "\n".join(
        [
            head,
            "## Over cores",
            "",
            f"Units/s at {CONNECTIONS} connections a core, and how many times that of one core. The service "
            f"has the last cores; with all {len(available)} it shares one with the load. `others` is what "
            "other processes took of its cores, in percent of one, the load among them at the last count.",
            "",
            over_cores,
            "## Over megapixels",
            "",
            "CPU milliseconds of one unit on one core at four connections, in brackets for each megapixel. "
            "The inputs are 12mp.jpg scaled by Pillow, without its EXIF: JPEG at quality 90, PNG at level 6, "
            "WebP at quality 85.",
            "",
            over_pixels,
        ]
    )
    print(text)
    tables.keep("scaling", text)


def _over_cores(machine: Machine, available: list[int], files: dict[str, Path], seconds: float) -> str:
    others = [core for core in available if core != machine.load_core]
    given = [others[-count:] for count in range(1, len(others) + 1)] + [available]
    runs: dict[str, list[Run]] = {name: [] for name, _, _ in OVER_CORES}
    for cores in followed(given, "over cores", lambda cores: f"{len(cores)} cores"):
        with servers.worker(machine.port, set(cores)) as server:
            for name, task, file in OVER_CORES:
                connections = CONNECTIONS * len(cores)
                machine.driver.run(server, task, files[file], connections=connections, seconds=1)
                runs[name].append(
                    machine.driver.run(server, task, files[file], connections=connections, seconds=seconds)
                )
    titles = ["cell", *(str(len(cores)) for cores in given[:-1]), f"{len(available)}, one shared"]
    return tables.table([*titles, "others"], [_cores_row(name, made) for name, made in runs.items()])


def _cores_row(name: str, runs: list[Run]) -> tables.Row:
    one = runs[0].units_per_second
    speeds = (f"{run.units_per_second:.1f} ({tables.times(run.units_per_second / one)})" for run in runs)
    return (name, *speeds, " / ".join(f"{run.others_percent:.0f}" for run in runs))


def _over_pixels(machine: Machine, photo: Path, scratch: Path, seconds: float) -> str:
    rows = []
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    with servers.worker(machine.port, {machine.server_cores[0]}) as server:
        for kind, written in followed(list(KINDS.items()), "over pixels", lambda pair: pair[0]):
            measured: dict[str, list[str]] = {name: [] for name, _ in OVER_PIXELS}
            for megapixels in MEGAPIXELS:
                file = scratch / f"{megapixels:g}mp.{kind}"
                scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
                size = round(picture.width * scale), round(picture.height * scale)
                picture.resize(size, Image.Resampling.LANCZOS).save(file, kind, **written)
                for name, task in OVER_PIXELS:
                    if file.stat().st_size > Limits().input_bytes:
                        measured[name].append(TOO_LARGE)
                        continue
                    run = machine.driver.run(server, task, file, seconds=seconds)
                    spent = 1000 * run.cpu_seconds
                    measured[name].append(f"{spent:.1f} ({spent / megapixels:.1f})")
            rows += [(f"{name} {kind}", *figures) for name, figures in measured.items()]
    return tables.table(("cell", *(f"{megapixels:g} MP" for megapixels in MEGAPIXELS)), rows)


if __name__ == "__main__":
    main()
