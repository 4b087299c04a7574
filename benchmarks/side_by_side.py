"""The worker beside a node server with sharp, both on one core, driven in turn from another."""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remote_worker.cli.progress import followed

from . import options, servers, tables
from .cells import CELLS, CHAIN, MOST_AVATAR_KILOBYTES, MOST_FIT_BYTES, Cell, chosen, inputs
from .load import Driver, Run, UnitFailed
from .options import Machine
from .processes import sampled_memory
from .servers import Server

WARM_SECONDS = 1.5
"""Of load before the first round, in which memory is sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One server's rounds of a cell."""

    rounds: tuple[Run, ...]
    peak_bytes: int | None
    """PSS of the tree; None where it could not be read."""

    def all(self, figure: Callable[[Run], float]) -> list[float]:
        """One figure of every round."""
        return [figure(run) for run in self.rounds]

    def median(self, figure: Callable[[Run], float]) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(self.all(figure))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A cell with both sides."""

    cell: Cell
    ours: Side
    theirs: Side

    def ratio(self, figure: Callable[[Run], float]) -> float | None:
        """Ours to theirs, the median over the rounds."""
        return tables.ratio(self.ours.all(figure), self.theirs.all(figure))

    @property
    def speed(self) -> float:
        """Units per second against the peer."""
        return self.ratio(lambda run: run.units_per_second) or 0.0

    @property
    def size(self) -> float:
        """Bytes of the pictures against the peer's."""
        return self.ratio(lambda run: run.picture_bytes) or 0.0

    @property
    def others_percent(self) -> float:
        """The worst that other processes took from the servers' core."""
        return max(run.others_percent for side in (self.ours, self.theirs) for run in side.rounds)


def main() -> None:
    """Measure the chosen cells, print the tables, and keep them when all cells were measured.

    A cell that fails leaves the others as they are, but the exit status is 1.
    """
    parser = options.parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3, help="of each server in each cell (default: 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round (default: 4)")
    parser.add_argument("--cells", nargs="*", default=[], help="words of the cells' names (default: all)")
    given = parser.parse_args()
    cells = chosen(given.cells)
    machine = options.machine(given)
    peer_folder = servers.install_sharp(machine.shared / "peers" / "sharp")
    measured: list[Measured] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        files = inputs(machine.shared / "inputs", Path(scratch))
        for cell in followed(cells, "side by side", lambda cell: cell.name):
            try:
                one = _measure(cell, machine, peer_folder, files[cell.input], given.rounds, given.seconds)
            except UnitFailed as failure:
                failed.append(f"{cell.name} was not measured: {failure}")
                print(failed[-1], flush=True)
            else:
                measured.append(one)
                print(_line(one), flush=True)
    head = tables.head(
        "Side by side with sharp",
        "python -m benchmarks.side_by_side",
        f"servers on core {machine.server_cores[0]}, load on core {machine.load_core}",
        servers.peer_versions(peer_folder),
    )
    text = f"{head}\n{_report(measured, given.rounds, given.seconds)}"
    print("\n" + text)
    if failed:
        raise SystemExit("\n".join(failed))
    if len(cells) == len(CELLS):
        tables.keep("side_by_side", text)


def _measure(
    cell: Cell, machine: Machine, peer_folder: Path, file: Path, rounds: int, seconds: float
) -> Measured:
    """With new servers, so that memory kept from the last cell counts for neither."""
    core, driver = {machine.server_cores[0]}, machine.driver
    with (
        servers.worker(machine.port, core) as ours,
        servers.sharp(machine.port + 1, core, peer_folder, chain=cell.peer == CHAIN) as theirs,
    ):
        peaks = [_peak_bytes(server, driver, cell.task, file) for server in (ours, theirs)]
        pairs = [
            [driver.run(server, cell.task, file, seconds=seconds) for server in (ours, theirs)]
            for _ in range(rounds)
        ]
    our_rounds, their_rounds = zip(*pairs, strict=True)
    return Measured(
        cell=cell,
        ours=Side(rounds=our_rounds, peak_bytes=peaks[0]),
        theirs=Side(rounds=their_rounds, peak_bytes=peaks[1]),
    )


def _peak_bytes(server: Server, driver: Driver, task: str, file: Path) -> int | None:
    with sampled_memory(server.pid) as samples:
        driver.run(server, task, file, seconds=WARM_SECONDS)
    return max(samples, default=None)


def _line(measured: Measured) -> str:
    cell = measured.cell
    verdict = tables.verdict(measured.speed, cell.least, cell.aim)
    by_cpu = tables.times(measured.ratio(lambda run: 1 / run.cpu_seconds))
    return (
        f"{cell.name}: {measured.speed:.2f}x of {cell.peer} (at least {cell.least:g}x, aim {cell.aim:g}x): "
        f"{verdict}; units per CPU second {by_cpu}; others on the core {measured.others_percent:.0f} %"
    )


def _report(measured: list[Measured], rounds: int, seconds: float) -> str:
    parts = [
        f"Four connections, {rounds} rounds of {seconds:g} s for each server in turn; the ratios are ours to "
        "the peer's, medians over the rounds. More units/s are better, of all else less is. Memory is "
        "sampled in a round of its own, over the whole process tree. `others` is the most that other "
        "processes took of the servers' core in any round, in percent of it.",
        "",
        "## Ratios",
        "",
        tables.table(_RATIO_TITLES, map(_ratio_row, measured)),
        _size_lines(measured),
        "## Medians",
        "",
        "Ours / the peer's.",
        "",
        tables.table(_MEDIAN_TITLES, map(_median_row, measured)),
    ]
    return "\n".join(parts)


_RATIO_TITLES = (
    "cell", "against", "at least", "aim", "units/s", "lowest..highest", "reached",
    "CPU", "p50", "p99", "bytes", "peak PSS", "others",
)  # fmt: skip
_MEDIAN_TITLES = ("cell", "units/s", "CPU ms/unit", "p50 ms", "p99 ms", "bytes", "peak PSS MB")


def _ratio_row(measured: Measured) -> tables.Row:
    cell, ours, theirs = measured.cell, measured.ours, measured.theirs
    speeds = [
        a.units_per_second / b.units_per_second for a, b in zip(ours.rounds, theirs.rounds, strict=True)
    ]
    memory = ours.peak_bytes / theirs.peak_bytes if ours.peak_bytes and theirs.peak_bytes else None
    return (
        cell.name,
        cell.peer,
        f"{cell.least:g}x",
        f"{cell.aim:g}x",
        tables.times(measured.speed),
        f"{min(speeds):.2f}..{max(speeds):.2f}",
        tables.verdict(measured.speed, cell.least, cell.aim),
        tables.times(measured.ratio(lambda run: run.cpu_seconds)),
        tables.times(measured.ratio(lambda run: run.p50_ms)),
        tables.times(measured.ratio(lambda run: run.p99_ms)),
        tables.times(measured.size),
        tables.times(memory),
        f"{measured.others_percent:.0f}",
    )


def _median_row(measured: Measured) -> tables.Row:
    def both(figure: Callable[[Run], float], style: str) -> str:
        return f"{measured.ours.median(figure):{style}} / {measured.theirs.median(figure):{style}}"

    return (
        measured.cell.name,
        both(lambda run: run.units_per_second, ".1f"),
        both(lambda run: 1000 * run.cpu_seconds, ".1f"),
        both(lambda run: run.p50_ms, ".1f"),
        both(lambda run: run.p99_ms, ".1f"),
        both(lambda run: run.picture_bytes, ",.0f"),
        f"{_megabytes(measured.ours.peak_bytes)} / {_megabytes(measured.theirs.peak_bytes)}",
    )


def _megabytes(size: int | None) -> str:
    return "not readable" if size is None else f"{size / 1e6:.0f}"


def _size_lines(measured: list[Measured]) -> str:
    """The bars that are about bytes."""
    rows = []
    for one in measured:
        if one.cell.name == "avatars 12mp.jpg":
            kilobytes = one.ours.median(lambda run: run.picture_bytes) / 1000
            reached = tables.yes(kilobytes <= MOST_AVATAR_KILOBYTES)
            rows.append(
                ("six avatars of 12mp.jpg", f"{MOST_AVATAR_KILOBYTES} kB", f"{kilobytes:.0f} kB", reached)
            )
        if one.cell.name.startswith("fit"):
            reached = tables.yes(one.size <= MOST_FIT_BYTES)
            rows.append((one.cell.name, f"{MOST_FIT_BYTES:g}x", tables.times(one.size), reached))
    return tables.table(("bytes", "at most", "measured", "reached"), rows) if rows else ""


if __name__ == "__main__":
    main()
