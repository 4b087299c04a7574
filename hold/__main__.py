"""Measures every point, or those that are named, prints their tables, and keeps them in docs/hold.md."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import tables
from benchmarks.servers import PROJECT
from remote_worker.cli.progress import followed

from . import (
    bulk,
    fairness,
    faults,
    front,
    fuzzing,
    isolation,
    jobs,
    limits,
    links,
    mutation,
    nats,
    overload,
    seal,
    shutdown,
    soak,
    supply,
)
from .point import Given, Measure, Row

POINTS: Mapping[str, Measure] = {
    "fuzzing": fuzzing.measure,
    "mutation": mutation.measure,
    "faults": faults.measure,
    "overload": overload.measure,
    "fairness": fairness.measure,
    "links": links.measure,
    "front": front.measure,
    "shutdown": shutdown.measure,
    "jobs": jobs.measure,
    "soak": soak.measure,
    "isolation": isolation.measure,
    "limits": limits.measure,
    "seal": seal.measure,
    "supply": supply.measure,
    "bulk": bulk.measure,
    "nats": nats.measure,
}
"""Each point by its name, in the order of the page."""

PAGE = PROJECT / "docs" / "hold.md"
TITLES = ("case", "bar", "measured", "holds")
HEAD = """# What holds

<!-- Made by scripts/hold; measure again instead of editing. -->

The service under attack, faults and load. Each section says when, where and with what it was measured.
`scripts/hold` measures everything anew, `scripts/hold overload fairness` only these points.
"""


def main() -> int:
    """Measure; the exit status says whether every bar was reached."""
    parser = argparse.ArgumentParser(prog="scripts/hold", description=__doc__)
    parser.add_argument("points", nargs="*", metavar="point", help=f"of {', '.join(POINTS)} (default: all)")
    parser.add_argument(
        "--shared", type=Path, default=PROJECT.parent / "shared", help="folder with corpus and inputs"
    )
    parser.add_argument("--fuzz-seconds", type=float, default=60, help="for each fuzz target (default: 60)")
    parser.add_argument("--mutation-minutes", type=float, default=10, help="mutated files (default: 10)")
    parser.add_argument("--fault-minutes", type=float, default=5, help="faults under load (default: 5)")
    parser.add_argument("--soak-minutes", type=float, default=30, help="mixed load (default: 30)")
    parser.add_argument("--server-core", type=int, help="the service's core (default: the last)")
    parser.add_argument("--load-core", type=int, help="the load's core (default: the first)")
    options = parser.parse_args()
    unknown = [name for name in options.points if name not in POINTS]
    if unknown:
        parser.error(f"no such point: {', '.join(unknown)}; there are {', '.join(POINTS)}")
    # Leave through the blocks that stop the services.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = _given(options)
    holds = True
    for name in followed(list(options.points or POINTS), "hold"):
        rows = POINTS[name](given)
        section = _section(name, rows, given)
        print(section, flush=True)
        _keep(name, section)
        holds = holds and all(row.holds for row in rows)
    return 0 if holds else 1


def _given(options: argparse.Namespace) -> Given:
    cores = sorted(os.sched_getaffinity(0))
    return Given(
        shared=options.shared.resolve(),
        server_cores=(cores[-1] if options.server_core is None else options.server_core,),
        load_core=cores[0] if options.load_core is None else options.load_core,
        fuzz_seconds=options.fuzz_seconds,
        mutation_minutes=options.mutation_minutes,
        fault_minutes=options.fault_minutes,
        soak_minutes=options.soak_minutes,
    )


def _section(name: str, rows: Sequence[Row], given: Given) -> str:
    cores = f"service on {', '.join(map(str, given.server_cores))}, load on {given.load_core}"
    head = tables.head(name, f"scripts/hold {name}", cores).replace("# ", "## ", 1)
    lines = [(row.case, row.bar, row.measured, tables.yes(row.holds)) for row in rows]
    return f"{head}\n{tables.table(TITLES, lines)}"


def _keep(name: str, section: str) -> None:
    """Put the section in place of the former one of this point."""
    text = PAGE.read_text() if PAGE.exists() else HEAD
    kept = {part.partition("\n")[0]: f"## {part}" for part in re.split(r"^## ", text, flags=re.M)[1:]}
    kept[name] = section
    ordered = [kept[point].strip() for point in POINTS if point in kept]
    PAGE.write_text("\n\n".join([HEAD.strip(), *ordered]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
