"""The options that all benchmarks share, and what they make of them."""

import argparse
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from .load import Driver
from .servers import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Who runs where. Ports are counted up from `port`."""

    server_cores: tuple[int, ...]
    load_core: int
    port: int
    shared: Path

    @property
    def driver(self) -> Driver:
        """The load driver on its core. Raises SystemExit when it is not there."""
        return Driver(script=self.shared / "tools" / "load.py", core=self.load_core)


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--shared",
        type=Path,
        default=PROJECT.parent / "shared",
        help="folder with the load driver, the inputs and the peers (default: beside the project)",
    )
    made.add_argument("--load-core", type=int, help="the load driver's core (default: the first)")
    made.add_argument(
        "--server-cores", type=_cores, help="the servers' cores, like 2,3 (default: the last ones)"
    )
    made.add_argument("--port", type=int, default=6100, help="first of the ports used (default: 6100)")
    return made


def machine(options: argparse.Namespace, *, server_cores: int = 1) -> Machine:
    """Choose so many cores for the servers, and leave them. Raises SystemExit when there are too few.

    From now on SIGTERM ends this process in an orderly way: it stops what it has started.
    """
    if shutil.which("taskset") is None:
        raise SystemExit("taskset is not installed; it comes with util-linux")
    available = sorted(os.sched_getaffinity(0))
    load = available[0] if options.load_core is None else options.load_core
    servers = options.server_cores or tuple(available[-server_cores:])
    rest = set(available) - set(servers)
    if len(servers) < server_cores or load in servers or not rest:
        raise SystemExit(f"too few cores: {server_cores} for the servers and another for the load")
    os.sched_setaffinity(0, rest)
    # Leave through the blocks that stop the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return Machine(server_cores=servers, load_core=load, port=options.port, shared=options.shared.resolve())


def _cores(text: str) -> tuple[int, ...]:
    return tuple(int(core) for core in text.split(","))
