"""Drives a server with the load driver of the shared folder, which prints one JSON line for each run."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .servers import Server

CHECKED_UNITS = 1
"""Done by the driver before each run, to look at the pictures; not in the figures."""


class UnitFailed(SystemExit):
    """A server did not answer a unit as it should; ends a benchmark that does not catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run measured. CPU is of the whole process tree, children that have ended among it."""

    units: int
    units_per_second: float
    cpu_seconds: float
    """For one unit."""
    p50_ms: float
    p99_ms: float
    picture_bytes: int
    """Of all pictures of one unit, as files."""
    others_percent: float
    """How busy other processes kept the server's cores: a number over a few makes the run doubtful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The load driver, pinned to a core of its own."""

    script: Path
    core: int

    def __post_init__(self) -> None:
        if not self.script.is_file():
            raise SystemExit(f"there is no load driver at {self.script}: name the folder with --shared")

    def run(
        self,
        server: Server,
        task: str,
        file: Path,
        *,
        connections: int = 4,
        seconds: float = 0,
        requests: int = 0,
        most_seconds: float = 60,
    ) -> Run:
        """Load for `seconds`, and on until there were `requests` or `most_seconds` are over.

        Raises UnitFailed.
        """
        command = ["taskset", "-c", str(self.core), sys.executable, str(self.script)]
        command += [
            "--base-url",
            server.address,
            "--pid",
            str(server.pid),
            "--task",
            task,
            "--input",
            str(file),
        ]
        command += ["--concurrency", str(connections), "--duration", str(seconds)]
        command += ["--min-units", str(requests), "--max-duration", str(most_seconds)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        line = json.loads(lines[-1]) if lines else {}
        if done.returncode or line.get("check") != "ok":
            reason = line.get("error") or line.get("first_error") or line.get("check") or done.stderr[-500:]
            raise UnitFailed(f"{server.name} failed at {task} of {file.name}: {reason}")
        return Run(
            units=line["n"],
            units_per_second=line["units_per_s"],
            cpu_seconds=line["cpu_s_per_unit"],
            p50_ms=line["p50_ms"],
            p99_ms=line["p99_ms"],
            picture_bytes=line["picture_bytes"],
            others_percent=line["others_on_core_pct"],
        )
