"""The service as a subprocess in surroundings that are not what it hopes for."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from benchmarks import processes
from benchmarks.servers import PROJECT, free_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PIPE_BYTES = 4096
"""Full after some twenty lines of log."""

SETTINGS = {
    "REMOTE_CHILDREN": "2",
    "REMOTE_READY": "2",
    "REMOTE_HEAD_SECONDS": "2",
    "REMOTE_BODY_SECONDS": "4",
    "REMOTE_BODY_IDLE_SECONDS": "2",
    "REMOTE_WRITE_IDLE_SECONDS": "2",
    "REMOTE_WORK_SECONDS": "8",
    "REMOTE_DECODE_SECONDS": "4",
    "REMOTE_TEXT_CHILDREN": "2",
    "REMOTE_PREVIEW_SECONDS": "4",
    "REMOTE_CACHE_BYTES": "1048576",
}
"""A small pool, and clocks so short that every one of them runs out during a test."""
WORK_SECONDS = 8.0

JUMPING_CLOCK = """
import random, sys, time
wall, monotonic, days = time.time, time.monotonic, random.Random(7)
offset, until = 0.0, 0.0
def jumped():
    global offset, until
    if monotonic() >= until:
        offset, until = days.uniform(-30, 30) * 86400, monotonic() + 0.2
    return offset
time.time = lambda: wall() + jumped()
time.time_ns = lambda: int(time.time() * 1e9)
from remote_worker.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line with a wall clock that is another one by days five times a second."""

READ_ONLY = """
set -e
mount --make-rprivate /
while read -r _ where kind _; do
  case $kind in proc | sysfs | devtmpfs | devpts | cgroup* | mqueue) ;;
  *) mount -o remount,bind,ro "$(printf %b "$where")" ;; esac
done < /proc/self/mounts
for folder in / /tmp /var/tmp /dev/shm "$HOME" "$PWD"; do
  if [ -d "$folder" ] && (: > "$folder/.chaos-$$") 2> /dev/null; then
    echo "can still write to $folder"
    exit 99
  fi
done
exec "$@"
"""
"""Runs a command where every file system can only be read."""


class Errors(StrEnum):
    """What standard error is, where the service writes its log."""

    FILE = "a file"
    FULL = "a full disk"
    UNREAD = "a pipe that nobody reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is wrong around the service from the start."""

    errors: Errors = Errors.FILE
    jumping_clock: bool = False
    read_only: bool = False
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    cores: frozenset[int] = frozenset()
    """Where it runs; everywhere when empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service that runs. `log` stays empty where standard error is no file, but perhaps a pipe."""

    process: subprocess.Popen[bytes]
    address: tuple[str, int]
    log: Path
    log_reader: BinaryIO | None

    @property
    def pid(self) -> int:
        """The host process."""
        return self.process.pid

    def templates(self) -> list[int]:
        """Templates in use, warming up, or retired."""
        return processes.children(self.pid)

    def children(self, template: int) -> list[int]:
        """Those of this template; none when it is gone."""
        try:
            return processes.children(template)
        except (FileNotFoundError, ProcessLookupError):
            return []

    def fetcher(self) -> int:
        """The process that fetches now, as the log has it."""
        lines = [line for line in self.log.read_text().splitlines() if " fetcher_ready " in line]
        return int(lines[-1].partition(" pid=")[2].split()[0])

    def template(self, kind: str) -> int:
        """The template of this kind that children come from now, as the log has it."""
        word = f"template={kind}"
        lines = [line.split() for line in self.log.read_text().splitlines() if " template_ready " in line]
        pids = [words for words in lines if word in words][-1]
        return next(int(word.removeprefix("pid=")) for word in pids if word.startswith("pid="))

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.address[1]}/readyz", timeout=20):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def all_but(core: int) -> frozenset[int]:
    """The cores that are left for the service beside the load's; all when there is only one."""
    cores = frozenset(os.sched_getaffinity(0))
    return cores - {core} or cores


def why_not_read_only() -> str:
    """Why no service can be started on read-only file systems here; empty when it can."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "unshare or mount is not installed"
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", "true"], cwd=PROJECT, capture_output=True, text=True
    )
    return (
        ""
        if tried.returncode == 0
        else f"file systems cannot be made read-only: {tried.stderr.strip()[-200:]}"
    )


@contextmanager
def started(
    folder: Path, surroundings: Surroundings, more: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """The service, with more settings, ready for work, its log in the folder; stopped and gone at the end."""
    port = free_port()
    log = folder / "log"
    # Coverage would write its data to a disk, and complain in the log where it cannot.
    left_out = ("REMOTE_", "COVERAGE_") if surroundings.read_only else ("REMOTE_",)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environment |= {"PYTHONPATH": str(PROJECT / "src"), **surroundings.settings, **(more or {})}
    python = ["-c", JUMPING_CLOCK] if surroundings.jumping_clock else ["-m", "remote_worker"]
    command = [sys.executable, *python, "serve", "--port", str(port)]
    if surroundings.read_only:
        command = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", *command]
    if surroundings.cores:
        command = ["taskset", "-c", ",".join(map(str, sorted(surroundings.cores))), *command]
    with _errors(surroundings.errors, log) as (errors, reader):
        process = subprocess.Popen(
            command, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        )
        service = Service(process=process, address=("127.0.0.1", port), log=log, log_reader=reader)
        try:
            _wait_until_ready(service)
            yield service
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _errors(kind: Errors, log: Path) -> Iterator[tuple[BinaryIO, BinaryIO | None]]:
    """Standard error as it should be, and the other end where it has one."""
    log.touch()
    if kind is Errors.UNREAD:
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb", buffering=0) as writer:
            yield writer, reader
    else:
        with Path("/dev/full" if kind is Errors.FULL else log).open("ab", buffering=0) as file:
            yield file, None


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        if service.is_ready():
            return
        time.sleep(0.05)
    status = service.process.poll()
    raise AssertionError(
        f"the service is not ready (exit status {status}): {service.log.read_text()[-2000:]}"
    )
