"""One child as the host sees it: a socket, a pidfd, and the rules of a single exchange."""

import array
import asyncio
import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from .. import metrics
from ..contract import wire
from ..contract.control import LIMITS_FOLLOW
from ..contract.document import Document
from ..contract.limits import NO_CEILINGS, Ceilings
from ..contract.messages import Task, encode_task

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
LINGER_SECONDS = 1.0
"""How long a child may live on after its reply."""
_COPIED_BYTES = 128 * 1024
"""A longer body is read where it lies: copying 4 MB takes 0.6 ms, and 64 MiB would hold up the event loop."""
_DEATH_SECONDS = 5.0
"""A killed process is gone in milliseconds; one that is not after this long is the kernel's trouble."""


LOOK_SECONDS = 0.1
"""How often a child at work is looked at; the quick are done before the first look."""

CRASHES = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTRAP,
    }
)
"""Signals by which a process ends over what it did itself."""


class Kill(StrEnum):
    """Why the host killed a child."""

    DEADLINE = "deadline"
    TALK = "too many bytes"
    LINGER = "alive after its reply"
    STOPPED = "stopped"
    """Somebody stopped it (SIGSTOP): it would hold its place until the deadline."""
    CPU = "too much processor time"
    LIE = "a reply that lies"


class Debtor(Protocol):
    """The child's template, which owes the word of its end."""

    async def wait_for(self, answer: asyncio.Future[Any], seconds: float) -> None:
        """Wait until the answer is there, the time is over or the template will never give it."""
        ...


class ChildLost(Exception):
    """The child ended without a well-formed reply.

    `status` is None when its template went too, `killed` says why we killed it if we did, and `is_mute` that
    it had not said a word.
    """

    def __init__(self, status: int | None, *, killed: Kill | None, is_mute: bool) -> None:
        super().__init__(status, killed, is_mute)
        self.status = status
        self.killed = killed
        self.is_mute = is_mute

    @property
    def by_deadline(self) -> bool:
        """Time killed it."""
        return self.killed is Kill.DEADLINE

    @property
    def signal(self) -> int:
        """The signal that ended it, 0 when none did."""
        return os.WTERMSIG(self.status) if self.status is not None and os.WIFSIGNALED(self.status) else 0

    @property
    def is_from_outside(self) -> bool:
        """It is no fault of its input: somebody stopped or killed the child or its template.

        A sealed child cannot signal itself, and one that spoke badly before its end is not believed.
        """
        if self.killed is not None or not self.is_mute:
            return self.killed is Kill.STOPPED
        return self.status is None or (self.signal > 0 and self.signal not in CRASHES | {signal.SIGXCPU})


class Child:
    """Owns the host's end of a child. `work` has it do one task; `close` kills whatever is left of it."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket, template: Debtor) -> None:
        self.pid = pid
        self.channel = channel
        self.template = template
        self._pidfd = pidfd
        self._status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def reaped(self, status: int | None) -> None:
        """The template says how it ended; None when the template is gone as well."""
        if not self._status.done():
            self._status.set_result(status)

    @property
    def is_gone(self) -> bool:
        """It has ended already, so it must not be lent."""
        if self._status.done():
            return True
        # The template tells it later, and not at all while it is stopped itself.
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def is_stopped(self) -> bool:
        """Somebody has stopped it; False as well when that cannot be seen."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[:1] == [b"T"]

    async def work(
        self,
        task: Task,
        document: Document,
        *,
        output_bytes: int,
        until: float,
        ceilings: Ceilings = NO_CEILINGS,
    ) -> tuple[wire.Record, memoryview]:
        """Hand over the task, wait for the end of the child, and give its reply and body.

        `until` is a `time.monotonic` value; at that moment the child is killed. `ceilings` lower the limits
        that it holds. Raises ChildLost, or OSError when descriptors or memory are short.
        """
        try:
            with _output(output_bytes) as output_fd:
                message = encode_task(task)
                if bounds := ceilings.of_limits():
                    message += LIMITS_FOLLOW + json.dumps(bounds).encode()
                self._send(message, document, output_fd)
                exchange = _Exchange(self, self._pidfd, self.channel)
                message = await exchange.reply(until)
                try:
                    record = wire.read_record(message, most_body_bytes=output_bytes)
                except wire.BadReply as broken:
                    status = await self.wait_status()
                    raise ChildLost(status, killed=exchange.killed, is_mute=not message) from broken
                # Nobody can write to it any more: the child is dead, and it had no way to pass the memory on.
                return record, read_body(output_fd, record.body_bytes, output_bytes)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it and let go of its descriptors; safe to call again."""
        if self._pidfd >= 0:
            self.kill()
            os.close(self._pidfd)
            self._pidfd = -1
            self.channel.close()

    def kill(self) -> None:
        """End it, and learn by `wait_status` how it ended."""
        if self._pidfd >= 0:
            _kill(self._pidfd)

    async def wait_status(self, seconds: float = _DEATH_SECONDS) -> int | None:
        """How it ended, as the template says; None when it does not."""
        await self.template.wait_for(self._status, seconds)
        return self._status.result() if self._status.done() else None

    def _send(self, message: bytes, document: Document, output_fd: int) -> None:
        input_fd = document.read_only_fd()
        rights = array.array("i", [input_fd, output_fd])
        try:
            # It may have died while it waited; the empty reply tells.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(input_fd)


class _Exchange:
    """What happens between the task and the child's death; `killed` says why we killed it if we did."""

    def __init__(self, child: Child, pidfd: int, channel: socket.socket) -> None:
        self.killed: Kill | None = None
        self._child = child
        self._pidfd = pidfd
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._received = bytearray()
        # By number: for what it does not watch yet asyncio words an error with its repr, 10 us for a socket.
        self._heard_fd = channel.fileno()
        self._was_stopped = False

    async def reply(self, until: float) -> bytes:
        """What it wrote until it was dead, at most one byte too many."""
        self._linger: asyncio.TimerHandle | None = None
        self._look = self._loop.call_later(LOOK_SECONDS, self._on_look)
        deadline = self._loop.call_later(max(0.0, until - time.monotonic()), self._on_kill, Kill.DEADLINE)
        self._loop.add_reader(self._pidfd, self._on_death)
        self._loop.add_reader(self._heard_fd, self._on_words)
        try:
            await self._ended
            self._on_words()
            return bytes(self._received)
        finally:
            for timer in (deadline, self._look, self._linger):
                if timer is not None:
                    timer.cancel()
            self._loop.remove_reader(self._pidfd)
            self._hush()

    def _on_death(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _on_words(self) -> None:
        try:
            chunk = self._channel.recv(wire.RECORD.size + 1)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._received.extend(chunk)
        if len(self._received) > wire.RECORD.size:
            self._on_kill(Kill.TALK)
            self._hush()
        elif not chunk:
            self._hush()
        elif len(self._received) == wire.RECORD.size:
            self._linger = self._loop.call_later(LINGER_SECONDS, self._on_kill, Kill.LINGER)

    def _on_look(self) -> None:
        """Two looks in a row: somebody who traces a process stops it for a moment."""
        is_stopped = self._child.is_stopped
        if is_stopped and self._was_stopped:
            self._on_kill(Kill.STOPPED)
        self._was_stopped = is_stopped
        self._look = self._loop.call_later(LOOK_SECONDS, self._on_look)

    def _on_kill(self, why: Kill) -> None:
        if self.killed is None:
            self.killed = why
            metrics.SANDBOX_KILLS.add(why.name.lower())
        _kill(self._pidfd)

    def _hush(self) -> None:
        if self._heard_fd >= 0:
            self._loop.remove_reader(self._heard_fd)
            self._heard_fd = -1


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


@contextlib.contextmanager
def _output(size_bytes: int) -> Iterator[int]:
    """Fresh memory of a size that nobody can change, as a descriptor."""
    fd = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        yield fd
    finally:
        os.close(fd)


def read_body(fd: int, length: int, memory_bytes: int) -> memoryview:
    """The first bytes of the output; what a child wrote behind them is given back."""
    if length <= _COPIED_BYTES:
        body = os.pread(fd, length, 0)
        if len(body) != length:
            raise OSError(f"{len(body)} of {length} output bytes read")
        return memoryview(body)
    memory = mmap.mmap(fd, memory_bytes)
    behind = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
    if behind < memory_bytes:
        memory.madvise(mmap.MADV_REMOVE, behind)
    return memoryview(memory)[:length].toreadonly()
