"""Processes that take and work off jobs, and what is done to them: killed, told to stop, started again."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import PROJECT

START_SECONDS = 60.0
STOP_SECONDS = 45.0
ENTRY = ("-m", "remote_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """When a process was ended, in Unix seconds, and how."""

    who: str
    at: float
    is_killed: bool
    works: bool
    """It worked off jobs."""


class Worker:
    """One process, `serve` on its port or `worker`. Its log goes on over restarts."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        *,
        cores: frozenset[int],
        port: int = 0,
        works: bool = True,
        entry: Sequence[str] = ENTRY,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self.bad_ends: list[str] = []
        """Ends that nobody asked for, and stops that did not go well."""
        self.ends: list[End] = []
        self._works = works
        self._command = ["taskset", "-c", ",".join(map(str, sorted(cores)))]
        self._command += [sys.executable, *entry]
        self._command += ["serve", "--port", str(port)] if port else ["worker"]
        own = {name: value for name, value in os.environ.items() if not name.startswith("REMOTE_")}
        self._environment = {**own, "PYTHONPATH": str(PROJECT / "src"), **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._told = 0

    def start(self) -> None:
        """Start it. It need not be ready for what comes next."""
        self._told = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        """Raises SystemExit when it does not come up."""
        last = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if time.monotonic() > last or self._process is None or self._process.poll() is not None:
                raise SystemExit(f"{self.name} did not come up: {self.log.read_text()[-1000:]}")
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        """End it so, and wait for that."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is not None:
            self.bad_ends.append(f"{self.name} had ended by itself with {process.returncode}")
            return
        is_killed = number is signal.SIGKILL
        self.ends.append(End(who=self.name, at=time.time(), is_killed=is_killed, works=self._works))
        process.send_signal(number)
        try:
            status = process.wait(STOP_SECONDS)
            if not is_killed and status:
                self.bad_ends.append(f"{self.name} stopped with {status}")
        except subprocess.TimeoutExpired:
            self.bad_ends.append(f"{self.name} did not stop for {STOP_SECONDS:g} s")
            process.kill()
            process.wait()

    def restart(self, number: signal.Signals) -> None:
        """End it so, and start it again."""
        self.end(number)
        self.start()

    def _is_ready(self) -> bool:
        if not self.port:
            with self.log.open("rb") as log:
                log.seek(self._told)
                return b" working " in log.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=20):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def working(workers: Sequence[Worker]) -> Iterator[None]:
    """They are ready, and stopped at the end of the block."""
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_until_ready()
        yield
    finally:
        for worker in workers:
            worker.end(signal.SIGTERM)
