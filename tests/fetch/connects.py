"""Who sends what to which address: a command and all its children, seen by strace."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60
_CALLS = "execve,connect,bind,listen,accept,accept4,sendto,sendmsg,sendmmsg"
_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
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
