"""How far the service is from the same work in-process, where the time goes, how long its loop is busy."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from remote_worker.cli.progress import followed

from . import options, processes, servers, tables
from .cells import CELLS, UPRIGHT, Cell, chosen, inputs
from .in_process import STAGES
from .load import CHECKED_UNITS, Driver
from .options import Machine
from .servers import PROJECT, Server

MOST_OVER_FLOOR = {"avatars 12mp.jpg": 1.25, "avatars 200px.jpg": 2.5}
"""The service's CPU against the floor's."""
LARGE = ("avatars 12mp.jpg", "fit 12mp.jpg", "prepare 12mp.jpg")
"""Uploads of 4 MB, of whose CPU the front may take this part."""
MOST_FRONT_PART = 0.10
TINY = "avatars 200px.jpg"
MOST_FRONT_MS = 1.0
"""Of the front's CPU for a tiny request."""
MOST_TURN_MS = 5.0

LOOP_LOADS = (
    ("prepare upright: 4 MB up, 5 MB down", "prepare_jpeg", UPRIGHT),
    ("avatars 12mp.jpg: 4 MB up", "avatar6", "12mp.jpg"),
    ("avatars 200px.jpg", "avatar6", "200px.jpg"),
)
LOOP_CONNECTIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """CPU milliseconds of one unit."""

    front: float
    """The host process: HTTP, lending children, checking their replies."""
    template: float
    """Forking and reaping."""
    children: float
    floor: float
    stages: dict[str, float]
    """The floor's parts."""

    @property
    def service(self) -> float:
        """All of the tree."""
        return self.front + self.template + self.children

    @property
    def over_floor(self) -> float:
        """The service's CPU against the floor's."""
        return self.service / self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The event loop's turns under one load, in milliseconds, sorted."""

    name: str
    cpu: list[float]
    wall: list[float]


def main() -> None:
    """Measure the chosen cells and the event loop; print, and keep when all cells were measured."""
    parser = options.parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3, help="of floor and service in turn (default: 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default: 3)")
    parser.add_argument("--cells", nargs="*", default=[], help="words of the cells' names (default: all)")
    given = parser.parse_args()
    cells = chosen(given.cells)
    machine = options.machine(given)
    splits: dict[str, Split] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = inputs(machine.shared / "inputs", Path(scratch))
        for cell in followed(cells, "floor", lambda cell: cell.name):
            split = _split(cell, machine, files[cell.input], given.rounds, given.seconds)
            splits[cell.name] = split
            print(f"{cell.name}: {tables.times(split.over_floor)} of its floor", flush=True)
        turns = [
            _turns(name, machine, task, files[file], Path(scratch) / "turns.json", given.seconds)
            for name, task, file in LOOP_LOADS
        ]
    head = tables.head(
        "The service against its floor",
        "python -m benchmarks.floor",
        f"service and floor on core {machine.server_cores[0]}, load on core {machine.load_core}",
    )
    text = f"{head}\n{_report(splits, turns, given.rounds, given.seconds)}"
    print("\n" + text)
    if len(cells) == len(CELLS):
        tables.keep("floor", text)


def _split(cell: Cell, machine: Machine, file: Path, rounds: int, seconds: float) -> Split:
    core, driver = machine.server_cores[0], machine.driver
    floors, services = [], []
    with servers.worker(machine.port, {core}) as server:
        driver.run(server, cell.task, file, seconds=1)
        for _ in range(rounds):
            floors.append(_floor(core, cell.task, file, seconds))
            services.append(_service(server, driver, cell.task, file, seconds))
    front, template, children = (
        statistics.median(service[part] for service in services) for part in range(3)
    )
    return Split(
        front=front,
        template=template,
        children=children,
        floor=statistics.median(floor["unit"] for floor in floors),
        stages={stage: statistics.median(floor[stage] for floor in floors) for stage in STAGES},
    )


def _floor(core: int, task: str, file: Path, seconds: float) -> dict[str, float]:
    """Milliseconds of one unit in-process, and of each of its stages."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.in_process"]
    command += [task, str(file), str(seconds)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{task} of {file.name} failed in-process: {done.stderr[-500:]}")
    milliseconds: dict[str, float] = json.loads(done.stdout)
    return milliseconds


def _service(
    server: Server, driver: Driver, task: str, file: Path, seconds: float
) -> tuple[float, float, float]:
    """Milliseconds of one unit in the front, in the templates, and in their children."""
    templates = processes.children(server.pid)
    before = {pid: processes.cpu(pid) for pid in (server.pid, *templates)}
    units = driver.run(server, task, file, seconds=seconds).units + CHECKED_UNITS
    if processes.children(server.pid) != templates:
        raise SystemExit("a template was replaced while it was measured: measure again")
    after = {pid: processes.cpu(pid) for pid in before}
    front = after[server.pid].own - before[server.pid].own
    template = sum(after[pid].own - before[pid].own for pid in templates)
    children = sum(after[pid].reaped - before[pid].reaped for pid in templates)
    return 1000 * front / units, 1000 * template / units, 1000 * children / units


def _turns(name: str, machine: Machine, task: str, file: Path, result: Path, seconds: float) -> Turns:
    with servers.watched_worker(machine.port, machine.server_cores[0], result) as server:
        machine.driver.run(server, task, file, connections=LOOP_CONNECTIONS, seconds=1)
        began = time.monotonic()
        machine.driver.run(server, task, file, connections=LOOP_CONNECTIONS, seconds=2 * seconds)
        ended = time.monotonic()
    turns = [(cpu, wall) for at, cpu, wall in json.loads(result.read_text()) if began <= at <= ended]
    return Turns(
        name=name,
        cpu=sorted(1000 * cpu for cpu, _ in turns),
        wall=sorted(1000 * wall for _, wall in turns),
    )


def _report(splits: dict[str, Split], turns: list[Turns], rounds: int, seconds: float) -> str:
    return "\n".join(
        [
            f"CPU milliseconds of one unit, medians of {rounds} rounds of {seconds:g} s, service (four "
            "connections) and floor in turn. The floor is the decoder's job on the same bytes, over and over "
            "in one warm process, with no HTTP and no jail. The service is the front (the host process: "
            "HTTP, lending children, checking replies), the template (forking and reaping) and the children; "
            "`children - floor` is what it costs to do the work in a new sealed process. The last columns "
            "are the floor's stages: `resize` has colour and turning with it, `rest` is headers, JPEG "
            "segments and giving memory back.",
            "",
            tables.table(_TITLES, [_row(name, split) for name, split in splits.items()]),
            "## Bars",
            "",
            tables.table(("bar", "at most", "measured", "reached"), _bars(splits, turns)),
            "## The event loop's turns",
            "",
            f"A turn is what the loop does between two waits for events, {LOOP_CONNECTIONS} connections, "
            "milliseconds. The bar is on the CPU time, which other processes on the core do not stretch.",
            "",
            tables.table(
                ("load", "turns", "CPU p99", "CPU p99.9", "CPU longest", "wall p99.9", "wall longest"),
                [_turn_row(one) for one in turns],
            ),
        ]
    )


_TITLES = (
    "cell", "service", "floor", "service / floor", "front", "template", "children", "children - floor",
    *STAGES,
)  # fmt: skip


def _row(name: str, split: Split) -> tables.Row:
    figures = (split.front, split.template, split.children, split.children - split.floor)
    stages = (split.stages[stage] for stage in STAGES)
    return (
        name,
        f"{split.service:.2f}",
        f"{split.floor:.2f}",
        tables.times(split.over_floor),
        *(f"{figure:.2f}" for figure in (*figures, *stages)),
    )


def _bars(splits: dict[str, Split], turns: list[Turns]) -> list[tables.Row]:
    rows = []
    for name, most in MOST_OVER_FLOOR.items():
        if name in splits:
            measured = splits[name].over_floor
            rows.append((f"{name}: service / floor", f"{most:g}x", tables.times(measured), measured <= most))
    for name in LARGE:
        if name in splits:
            part = splits[name].front / splits[name].service
            rows.append(
                (f"{name}: front's part", f"{MOST_FRONT_PART:.0%}", f"{part:.1%}", part <= MOST_FRONT_PART)
            )
    if TINY in splits:
        front = splits[TINY].front
        rows.append((f"{TINY}: front", f"{MOST_FRONT_MS:g} ms", f"{front:.2f} ms", front <= MOST_FRONT_MS))
    for one in turns:
        longest = one.cpu[-1]
        rows.append(
            (
                f"longest turn, {one.name}",
                f"{MOST_TURN_MS:g} ms",
                f"{longest:.2f} ms",
                longest <= MOST_TURN_MS,
            )
        )
    return [(*words, tables.yes(is_reached)) for *words, is_reached in rows]


def _turn_row(turns: Turns) -> tables.Row:
    cpu, wall = turns.cpu, turns.wall
    figures = (_at(cpu, 0.99), _at(cpu, 0.999), cpu[-1], _at(wall, 0.999), wall[-1])
    return (turns.name, str(len(cpu)), *(f"{figure:.2f}" for figure in figures))


def _at(sorted_values: list[float], part: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * part))]


if __name__ == "__main__":
    main()
