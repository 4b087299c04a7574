"""Who sends what to which address: a command and all its children, seen by strace."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60
_CALLS = "execve,connect,bind,listen,accept,accept4,sendto,sendmsg,sendmmsg"
_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
_SERVING = re.compile(r"serving url=\"?http://[^ ]*:(\d+)")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Sent:
    """One call with an Internet address, and whether it came from a process that fetches."""

    by_fetcher: bool
    call: str
    address: str
    port: int


def watch(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[Sent]:
    """Run the command to its end, which must be a good one."""
    strace = shutil.which("strace")
    assert strace
    trace = folder / "trace"
    done = subprocess.run(
        [strace, "-f", "-s", "256", "-e", f"trace={_CALLS}", "-o", str(trace), *command],
        env=dict(environment),
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    return told(trace.read_text(errors="replace"))


@contextmanager
def watched(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator["Watched"]:
    """Run a server until the block ends; its trace is there behind it."""
    strace = shutil.which("strace")
    assert strace
    trace = folder / "trace"
    with (folder / "log").open("wb") as log:
        tracing = subprocess.Popen(
            [strace, "-f", "-s", "256", "-e", f"trace={_CALLS}", "-o", str(trace), *command],
            env=dict(environment),
            stdout=log,
            stderr=log,
        )
    found = Watched(folder / "log")
    try:
        yield found
    finally:
        # What strace starts is its only child; it ends when that does.
        children = Path(f"/proc/{tracing.pid}/task/{tracing.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        try:
            found.status = tracing.wait(SECONDS)
        except subprocess.TimeoutExpired:
            tracing.kill()
            raise
    found.sent = told(trace.read_text(errors="replace"))


@dataclass(slots=True)
class Watched:
    """A server that is watched."""

    log: Path
    status: int = -1
    sent: list[Sent] = field(default_factory=list)

    def port(self) -> int:
        """Where it listens, once it does."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if serving := _SERVING.search(self.log.read_text(errors="replace")):
                return int(serving[1])
            time.sleep(0.02)
        raise AssertionError(self.log.read_text(errors="replace"))


def told(trace: str) -> list[Sent]:
    """The calls of a trace that have an address of IPv4 or IPv6."""
    fetchers: set[str] = set()
    sent: list[Sent] = []
    for line in trace.splitlines():
        parts = _LINE.match(line)
        if parts is None:
            continue
        pid, call, rest = parts.groups()
        if call == "execve" and '"remote_worker.fetch.process.main"' in rest:
            fetchers.add(pid)
        port, address = _PORT.search(rest), _ADDRESS.search(rest)
        if port and address:
            sent.append(Sent(pid in fetchers, call, address[1] or address[2], int(port[1])))
    return sent
