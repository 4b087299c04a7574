"""Fuzzes every target, or those that are named, and prints a table: `scripts/fuzz SECONDS [target ...]`."""

import argparse
import os
import sys

from benchmarks import tables
from remote_worker.cli.progress import progress

from . import campaign
from .target import PROJECT
from .targets import TARGETS

TITLES = ("target", "executions", "exec/s", "features", "corpus", "found")


def main() -> int:
    """Fuzz; the exit status is 1 when an input broke a target."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="target", help="default: all")
    parser.add_argument("--side-by-side", type=int, default=min(2, len(os.sched_getaffinity(0))))
    options = parser.parse_intermixed_args()
    names = {target.name: target for target in TARGETS}
    unknown = [name for name in options.targets if name not in names]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(names)}")
    campaign.check_engine()
    chosen = [names[name] for name in options.targets or names]
    rows, broken = [], []
    with progress("fuzz", len(chosen)) as step:
        for run in campaign.run(chosen, options.seconds, side_by_side=options.side_by_side):
            rows.append(
                (
                    run.target,
                    str(run.executions),
                    f"{run.executions / run.seconds:.0f}",
                    str(run.features),
                    str(run.corpus),
                    " ".join(str(path.relative_to(PROJECT)) for path in run.found) or "none",
                )
            )
            print(*rows[-1], sep="\t", file=sys.stderr, flush=True)
            if run.end:
                broken.append(f"{run.target} ended early:\n{run.end}")
            step(run.target)
    print(tables.table(TITLES, rows))
    print(*broken, sep="\n\n", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
