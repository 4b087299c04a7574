"""Through deploy/haproxy.cfg to three workers, one of them slow and one killed half way, against one alone.

Each worker has a core. The slow one shares its core with busy loops, as on a crowded host. The callers and
the proxy share the load's core; each caller honours Retry-After.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import servers
from benchmarks.servers import PROJECT, free_port

from . import flood
from .flood import Flood, Seen
from .overload import ms, percentile
from .point import Given, Row

INPUT = "2mp.jpg"
CALLERS = 16
"""As many as one worker may hold without refusing: a place in work, and those of its queue."""
SECONDS = 20.0
NEIGHBOURS = 1
"""Busy loops beside the slow worker, which is left with less than half of its speed."""
HELD = 2
"""Twice the one child that each worker has."""
LEAST_GOODPUT = 1.1
"""Of one alone. One whole worker and the slow one are left in the second half."""


def measure(given: Given) -> Sequence[Row]:
    """One worker alone, then three behind the proxy. Raises SystemExit without HAProxy or four cores."""
    program = shutil.which("haproxy")
    cores = sorted(os.sched_getaffinity(0) - {given.load_core})
    if program is None or len(cores) < 3:
        raise SystemExit("front needs HAProxy and four cores")
    file = given.shared / "inputs" / INPUT
    port = free_port()
    with servers.worker(port, {cores[0]}):
        alone = _flood(port, file, given.load_core)
    ports = [free_port() for _ in range(3)]
    with ExitStack() as opened:
        workers = [
            opened.enter_context(
                servers.worker(port, {core}, REMOTE_TRUSTED_PROXIES="127.0.0.1", REMOTE_DRAIN_SECONDS="3")
            )
            for port, core in zip(ports, cores, strict=False)
        ]
        opened.enter_context(_busy(cores[1]))
        front = opened.enter_context(_proxy(program, ports, given.load_core))
        killing = threading.Timer(SECONDS / 2, os.kill, (workers[2].pid, signal.SIGKILL))
        killing.start()
        try:
            through = _flood(front, file, given.load_core)
        finally:
            killing.cancel()
    return _rows(alone, through)


def _rows(alone: Seen, through: Seen) -> Sequence[Row]:
    goodput, least = through.accepted_within / SECONDS, alone.accepted_within / SECONDS
    p99, most = percentile(through.accepted, 99), percentile(alone.accepted, 99)
    odd = sum(through.others.values()) + through.unanswered + through.without_retry
    told = f"{len(through.refused)} refused with Retry-After, {odd} anything else {through.others or ''}"
    return [
        Row(
            case=f"one worker alone, {CALLERS} callers",
            bar="-",
            measured=f"{least:.1f} a second, p50 {ms(percentile(alone.accepted, 50))}, p99 {ms(most)}",
            holds=True,
        ),
        Row(
            case="three behind HAProxy, one slow, one killed: goodput",
            bar=f"{LEAST_GOODPUT:.1f} times that",
            measured=f"{goodput:.1f} a second, {goodput / least:.2f} times",
            holds=goodput >= LEAST_GOODPUT * least,
        ),
        Row(
            case="accepted, p99, with what the slow one was given",
            bar="-",
            measured=f"{ms(p99)} (p50 {ms(percentile(through.accepted, 50))}) of {len(through.accepted)}, "
            f"{p99 / most:.2f} times that of one alone",
            holds=True,
        ),
        Row(
            case="neither right nor refused honestly",
            bar=f"at most {2 * HELD}: what the killed worker held, and took while it went",
            measured=told.strip(),
            holds=odd <= 2 * HELD,
        ),
    ]


def _flood(port: int, file: Path, core: int) -> Seen:
    crowd = Flood(port=port, callers=CALLERS, seconds=SECONDS, file=str(file))
    with flood.started(crowd, core) as process:
        return flood.result(process)


@contextmanager
def _busy(core: int) -> Iterator[None]:
    """Neighbours that take what they get of a core."""
    command = ["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"]
    neighbours = [subprocess.Popen(command) for _ in range(NEIGHBOURS)]
    try:
        yield
    finally:
        for one in neighbours:
            one.kill()
            one.wait()


@contextmanager
def _proxy(program: str, ports: Sequence[int], core: int) -> Iterator[int]:
    """The proxy in front of these ports, and its own."""
    own = free_port()
    text = (PROJECT / "deploy" / "haproxy.cfg").read_text()
    text = text.replace("bind :8080", f"bind 127.0.0.1:{own}").replace(
        "127.0.0.1:8404", f"127.0.0.1:{free_port()}"
    )
    for number, port in enumerate(ports):
        text = text.replace(f"127.0.0.1:{5001 + number}", f"127.0.0.1:{port}")
    text = re.sub(r"default-server maxconn \d$", f"default-server maxconn {HELD}", text, flags=re.M)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(text)
        process = subprocess.Popen(
            ["taskset", "-c", str(core), program, "-db", "-f", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            servers.ready(process, f"http://127.0.0.1:{own}/livez")
            yield own
        finally:
            process.kill()
            process.wait()
