"""An interpreter in a process group of its own, and the socket to it: its start, its cause of death, end."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

_END_SECONDS = 1.0
"""From hanging up to the end, which an interpreter that fails takes for its last words."""


class Interpreter:
    """Owns the process and `control`, our end of a SOCK_SEQPACKET socket to it; `end` ends both."""

    def __init__(self, entry: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run `python -I -B` with `entry` and the number of its descriptor. Raises OSError."""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  our own interpreter, no stranger's word in it
                    [sys.executable, "-I", "-B", *entry, str(theirs.fileno())],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,
                    cwd="/",
                )
            except BaseException:
                self.control.close()
                raise
        self.control.setblocking(False)
        self.pid = self._process.pid

    @property
    def status(self) -> int | None:
        """None before it was reaped; below 0 it is a signal."""
        return self._process.returncode

    async def cause(self) -> str:
        """What ended the process, which has hung up, in words that go on a sentence."""
        try:
            status = await asyncio.to_thread(self._process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        if status == -signal.SIGSYS:
            return (
                ": a filter around this service killed it by SIGSYS; let it allow the calls seccomp and "
                "landlock_* (systemd: SystemCallFilter=@sandbox)"
            )
        return f" by {signal.Signals(-status).name}" if status < 0 else f" with status {status}"

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it: it will not answer any more."""
        with contextlib.suppress(ChildProcessError):  # It is dead, as its socket will tell.
            told = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
            return told is not None and told.si_code == os.CLD_STOPPED
        return False

    def end(self) -> None:
        """Kill its whole process group, reap it, then hang up: what hears of that first may end by itself."""
        if self.status is None:
            # While it is not reaped, nobody else has its number; what it left behind goes as well.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            # To the first process of a container fall the children that it has left behind, dead.
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-self.pid, 0)
        if self.control.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.control)
            loop.remove_writer(self.control)
            self.control.close()
