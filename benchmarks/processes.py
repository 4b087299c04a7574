"""What /proc says of a process tree: its members, the memory that they hold together, and their CPU time."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.02


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    members, waiting = [], [pid]
    while waiting:
        member = waiting.pop()
        try:
            waiting += children(member)
        except (FileNotFoundError, ProcessLookupError):
            continue
        members.append(member)
    return members


def state(pid: int) -> str:
    """The letter of proc(5), `Z` for a zombie; `gone` when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def pss_bytes(pid: int) -> int:
    """The proportional set size of the tree: a page that processes share counts once.

    Raises PermissionError.
    """
    total = 0
    for member in tree(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


@contextmanager
def sampled_memory(pid: int) -> Iterator[list[int]]:
    """Collects the PSS bytes of the tree, at even distances, until the block ends.

    Reading holds up the process that is read, so it does not belong beside a measurement of time. The
    list stays empty where the system does not let us read: jailed processes show their memory to root only.
    """
    samples: list[int] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            try:
                samples.append(pss_bytes(pid))
            except PermissionError:
                return

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Seconds of CPU, user and system, that a process and the children that it has reaped took."""

    own: float
    reaped: float


def cpu(pid: int) -> Cpu:
    """What the process took until now; proc(5) numbers the fields."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    user, system, reaped_user, reaped_system = (int(field) / _TICKS for field in fields[11:15])
    return Cpu(own=user + system, reaped=reaped_user + reaped_system)


_TICKS = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Those that the process has started and not yet reaped."""
    return [
        int(child)
        for thread in os.listdir(f"/proc/{pid}/task")
        for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
    ]
