"""Memory of the whole process tree under many connections, and whether it grows with the requests."""

import statistics
import tempfile
from pathlib import Path

from . import options, servers, tables
from .cells import inputs
from .load import Driver
from .processes import sampled_memory
from .servers import Server

INPUT = "12mp.jpg"
CONNECTIONS = 16
SERVER_CORES = 2
MOST_MEGABYTES = 400
MOST_GROWTH = 1.05
"""The last tenth's median against the second's; in the first, what is kept is still being filled."""
PEER_REQUESTS = 200


def main() -> None:
    """Load the worker, and the peer for less long, with avatars; print and keep the table."""
    parser = options.parser(__doc__ or "")
    parser.add_argument("--requests", type=int, default=500, help="to the worker (default: 500)")
    given = parser.parse_args()
    if given.requests < 100:
        raise SystemExit("fewer than 100 requests say nothing about growth")
    machine = options.machine(given, server_cores=SERVER_CORES)
    driver, cores = machine.driver, set(machine.server_cores)
    peer_folder = servers.install_sharp(machine.shared / "peers" / "sharp")
    with tempfile.TemporaryDirectory() as scratch:
        file = inputs(machine.shared / "inputs", Path(scratch))[INPUT]
        with servers.worker(machine.port, cores) as worker:
            ours = _sizes(worker, driver, file, given.requests)
        with servers.sharp(machine.port, cores, peer_folder, chain=True) as peer:
            theirs = _sizes(peer, driver, file, PEER_REQUESTS)
    names = ", ".join(map(str, sorted(cores)))
    head = tables.head(
        "Memory",
        f"python -m benchmarks.memory --requests {given.requests}",
        f"servers on cores {names}, load on core {machine.load_core}",
        servers.peer_versions(peer_folder),
    )
    text = f"{head}\n{_report(ours, theirs, given.requests)}"
    print(text)
    tables.keep("memory", text)


def _sizes(server: Server, driver: Driver, file: Path, requests: int) -> list[float]:
    """Megabytes of the tree while so many requests are answered. Raises SystemExit when not readable."""
    with sampled_memory(server.pid) as samples:
        # A second a request is far more than it takes; the driver wants some bound.
        driver.run(
            server, "avatar6", file, connections=CONNECTIONS, requests=requests, most_seconds=float(requests)
        )
    if not samples:
        raise SystemExit("only root can read the memory of jailed processes")
    return [size / 1e6 for size in samples]


def _report(ours: list[float], theirs: list[float], requests: int) -> str:
    tenths = [ours[len(ours) * at // 10 : len(ours) * (at + 1) // 10] for at in range(10)]
    medians = [statistics.median(tenth) for tenth in tenths]
    growth = medians[-1] / medians[1]
    verdicts = [
        ("peak", f"{MOST_MEGABYTES} MB", f"{max(ours):.0f} MB", max(ours) <= MOST_MEGABYTES),
        ("last tenth to the second", f"{MOST_GROWTH:g}x", tables.times(growth), growth <= MOST_GROWTH),
    ]
    rows = [
        (f"{requests * (at + 1) // 10}", f"{median:.0f}", f"{max(tenth):.0f}")
        for at, (tenth, median) in enumerate(zip(tenths, medians, strict=True))
    ]
    return "\n".join(
        [
            f"PSS of the process tree at {CONNECTIONS} connections of avatars of {INPUT} on {SERVER_CORES} "
            f"cores: {requests} requests to the worker, {PEER_REQUESTS} to sharp chain, whose peak was "
            f"{max(theirs):.0f} MB. An upload that waits lies in an anonymous file, which PSS leaves out "
            "until a child maps it: up to the sum of the uploads under way is to be added.",
            "",
            tables.table(
                ("worker", "at most", "measured", "reached"),
                [(*told, tables.yes(is_reached)) for *told, is_reached in verdicts],
            ),
            tables.table(("requests until then", "median MB", "peak MB"), rows),
        ]
    )


if __name__ == "__main__":
    main()
