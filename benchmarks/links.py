"""Previews and Markdown a second on one core: pages from an origin on another core, without TLS."""

import json
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remote_worker.cli.progress import followed

from . import options, servers, tables
from .options import Machine
from .origin import TITLE, origin
from .processes import children, cpu, tree
from .requests import CACHED, CACHED_URLS, COLD, MARKDOWN, Load, Seen, driven

HOST, FETCH, JAIL = "host", "fetch", "jail"
PROCESSES = (HOST, FETCH, JAIL)
"""The parts of the service that the table tells apart; of the jail only the text template works here."""
CONNECTIONS = 64
WARM_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is asked for, and how many of it a second there should be."""

    name: str
    load: str
    least: float
    aim: float


KINDS = (
    Kind(name="previews, each URL once", load=COLD, least=700, aim=750),
    Kind(name="previews, cached", load=CACHED, least=4000, aim=5000),
    Kind(name="Markdown posts of 1.3 kB", load=MARKDOWN, least=3000, aim=5000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run. CPU is in seconds, by part of the service."""

    seen: Seen
    cpu: Mapping[str, float]
    others_percent: float

    @property
    def per_second(self) -> float:
        """Answers with status 200."""
        return len(self.seen.seconds) / self.seen.took


def main() -> None:
    """Measure, print the table and keep it."""
    parser = options.parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind (default: 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round (default: 4)")
    given = parser.parse_args()
    machine = options.machine(given)
    measured = _measured(machine, given.rounds, given.seconds)
    core = machine.server_cores[0]
    head = tables.head(
        "Links",
        "python -m benchmarks.links",
        f"service on core {core}, load on core {machine.load_core}, origin on core {_origin_core(machine)}",
    )
    text = f"{head}\n{report(measured, given.rounds, given.seconds)}"
    print(text)
    tables.keep("links", text)


def _measured(machine: Machine, rounds: int, seconds: float) -> dict[str, list[Round]]:
    port, core = machine.port + 1, machine.server_cores[0]
    limits_lifted = {
        "REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{port}",
        "REMOTE_SITE_PER_SECOND": "1000000",
        "REMOTE_SITE_BURST": "1000000",
        "REMOTE_SITE_IN_FLIGHT": "10000",
    }
    measured: dict[str, list[Round]] = {kind.name: [] for kind in KINDS}
    with (
        origin(port, _origin_core(machine)),
        servers.worker(machine.port, {core}, **limits_lifted) as server,
    ):
        first = 0
        for kind in followed(KINDS, "links", lambda kind: kind.name):
            for number in range(rounds + 1):
                load = Load(
                    port=machine.port,
                    kind=kind.load,
                    connections=CONNECTIONS,
                    seconds=seconds if number else WARM_SECONDS,
                    origin=f"http://127.0.0.1:{port}",
                    first=first if kind.load == COLD else 0,
                )
                done = _round(load, server.pid, core, machine.load_core)
                first = max(first, done.seen.last) if kind.load == COLD else first
                if number:  # The first was to warm up.
                    measured[kind.name].append(done)
                    print(_line(kind, done), flush=True)
    return measured


def _round(load: Load, pid: int, core: int, load_core: int) -> Round:
    before, busy = cpu_by_part(pid), busy_seconds(core)
    seen = driven(load, load_core)
    spent = {part: max(0.0, after - before[part]) for part, after in cpu_by_part(pid).items()}
    check(load, seen)
    others = busy_seconds(core) - busy - sum(spent.values())
    return Round(seen=seen, cpu=spent, others_percent=max(0.0, 100 * others / seen.took))


def check(load: Load, seen: Seen) -> None:
    """Look at the first answer, and that all were right. Raises SystemExit."""
    if seen.others or not seen.seconds:
        raise SystemExit(f"{load.kind}: not all answers were right: {seen.others}; {seen.sample[:500]}")
    told = json.loads(seen.sample)
    is_right = "<h1>" in told["output"] if load.kind == MARKDOWN else told["title"] == TITLE
    if not is_right:
        raise SystemExit(f"{load.kind}: this is not the answer: {seen.sample[:500]}")


def cpu_by_part(pid: int) -> dict[str, float]:
    """Seconds of CPU so far of each part of the service, with the children that a part has reaped."""
    spent = dict.fromkeys(PROCESSES, 0.0)
    spent[HOST] = cpu(pid).own
    for child in children(pid):
        try:
            part = part_of(Path(f"/proc/{child}/cmdline").read_bytes())
            for member in tree(child):
                used = cpu(member)
                spent[part] += used.own + used.reaped
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile; what it took is its parent's by the next look.
    return spent


def part_of(command_line: bytes) -> str:
    """The part of the service that a process of the host belongs to, by its command line."""
    words = command_line.split(b"\0")
    return FETCH if any(word.startswith(b"remote_worker.fetch") for word in words) else JAIL


def busy_seconds(core: int) -> float:
    """How long a core has worked since the machine started; proc(5) numbers the columns."""
    line = next(
        line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} ")
    )
    user, nice, system, _, _, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq) / 100


def report(measured: Mapping[str, list[Round]], rounds: int, seconds: float) -> str:
    """The table."""
    return "\n".join(
        [
            f"{CONNECTIONS} kept connections, {rounds} rounds of {seconds:g} s each, medians. A page has "
            f"30 kB, its head 6 kB, and comes as gzip; cached are {CACHED_URLS} URLs. CPU is of one unit, by "
            "part of the service. `others` is the most that other processes took of its core, in percent.",
            "",
            tables.table(
                _TITLES, [_row(kind, measured[kind.name]) for kind in KINDS if kind.name in measured]
            ),
        ]
    )


_TITLES = (
    "what", "at least", "aim", "a second", "lowest..highest", "reached", "p50 ms", "p99 ms",
    *(f"CPU ms, {part}" for part in PROCESSES), "CPU ms", "others",
)  # fmt: skip


def _row(kind: Kind, rounds: list[Round]) -> tables.Row:
    speeds = [one.per_second for one in rounds]
    speed = statistics.median(speeds)
    by_part = [statistics.median(_milliseconds(one, part) for one in rounds) for part in PROCESSES]
    return (
        kind.name,
        f"{kind.least:g}",
        f"{kind.aim:g}",
        f"{speed:.0f}",
        f"{min(speeds):.0f}..{max(speeds):.0f}",
        tables.verdict(speed, kind.least, kind.aim),
        *(f"{statistics.median(_percentile(one, share) for one in rounds):.1f}" for share in (50, 99)),
        *(f"{milliseconds:.2f}" for milliseconds in by_part),
        f"{sum(by_part):.2f}",
        f"{max(one.others_percent for one in rounds):.0f}",
    )


def _milliseconds(one: Round, part: str) -> float:
    return 1000 * one.cpu[part] / len(one.seen.seconds)


def _percentile(one: Round, share: int) -> float:
    ordered = sorted(one.seen.seconds)
    return 1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def _line(kind: Kind, done: Round) -> str:
    total = sum(_milliseconds(done, part) for part in PROCESSES)
    verdict = tables.verdict(done.per_second, kind.least, kind.aim)
    return (
        f"{kind.name}: {done.per_second:.0f} a second: {verdict}; {total:.2f} ms of CPU; "
        f"others on the core {done.others_percent:.0f} %"
    )


def _origin_core(machine: Machine) -> int:
    """A core of its own where there are three, else that of the load."""
    # The service's cores are no longer ours.
    return min(os.sched_getaffinity(0) - {machine.load_core}, default=machine.load_core)


if __name__ == "__main__":
    main()
