"""One child as the host sees it: a socket, a pidfd, and the rules of a single exchange."""

import array
import asyncio
import contextlib
import fcntl
import mmap
import os
import signal
import socket
import time
from collections.abc import Iterator

from ..contract import wire
from ..contract.document import Document
from ..contract.messages import Task, encode_task

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_LINGER_SECONDS = 1.0
"""How long a child may live on after its reply."""
_COPIED_BYTES = 128 * 1024
"""A longer body is read where it lies: copying 4 MB takes 0.6 ms, and 64 MiB would hold up the event loop."""
_DEATH_SECONDS = 5.0
"""A killed process is gone in milliseconds; one that is not after this long is the kernel's trouble."""


class ChildLost(Exception):
    """The child ended without a well-formed reply. `status` is None when its template went too."""

    def __init__(self, status: int | None, *, by_deadline: bool) -> None:
        super().__init__(status, by_deadline)
        self.status = status
        self.by_deadline = by_deadline

    @property
    def signal(self) -> int:
        """The signal that ended it, 0 when none did."""
        return os.WTERMSIG(self.status) if self.status is not None and os.WIFSIGNALED(self.status) else 0


class Child:
    """Owns the host's end of a child. It does one task; `close` kills whatever is left of it."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._channel = channel
        self._status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def reaped(self, status: int | None) -> None:
        """The template says how it ended; None when the template is gone as well."""
        if not self._status.done():
            self._status.set_result(status)

    @property
    def is_gone(self) -> bool:
        """It has ended already, so it must not be lent."""
        return self._status.done()

    async def work(
        self, task: Task, document: Document, *, output_bytes: int, until: float
    ) -> tuple[wire.Record, memoryview]:
        """Hand over the task, wait for the end of the child, and give its reply and body.

        `until` is a `time.monotonic` value; at that moment the child is killed. Raises ChildLost.
        """
        try:
            with _output(output_bytes) as output_fd:
                self._send(task, document, output_fd)
                message, by_deadline = await self._reply(until)
                try:
                    record = wire.read_record(message, most_body_bytes=output_bytes)
                except wire.BadReply as broken:
                    raise ChildLost(await self._wait_status(), by_deadline=by_deadline) from broken
                # Nobody can write to it any more: the child is dead, and it had no way to pass the memory on.
                return record, read_body(output_fd, record.body_bytes, output_bytes)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it and let go of its descriptors; safe to call again."""
        if self._pidfd >= 0:
            self._kill()
            os.close(self._pidfd)
            self._pidfd = -1
            self._channel.close()

    async def _wait_status(self) -> int | None:
        try:
            return await asyncio.wait_for(asyncio.shield(self._status), _DEATH_SECONDS)
        except TimeoutError:
            return None

    def _send(self, task: Task, document: Document, output_fd: int) -> None:
        input_fd = document.read_only_fd()
        rights = array.array("i", [input_fd, output_fd])
        try:
            with contextlib.suppress(OSError):  # It may have died while it waited; the empty reply tells.
                self._channel.sendmsg([encode_task(task)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(input_fd)

    async def _reply(self, until: float) -> tuple[bytes, bool]:
        """What it wrote until it was dead (at most one byte too many), and whether time killed it."""
        loop = asyncio.get_running_loop()
        # By number: for what it does not watch yet asyncio words an error with its repr, 10 us for a socket.
        channel_fd = self._channel.fileno()
        ended: asyncio.Future[None] = loop.create_future()
        received = bytearray()
        late = False
        is_heard = True

        def on_death() -> None:
            if not ended.done():
                ended.set_result(None)

        def hush() -> None:
            nonlocal is_heard
            if is_heard:
                is_heard = False
                loop.remove_reader(channel_fd)

        def on_words() -> None:
            try:
                chunk = self._channel.recv(wire.RECORD.size + 1)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            received.extend(chunk)
            if len(received) > wire.RECORD.size:
                self._kill()
            if not chunk or len(received) > wire.RECORD.size:
                hush()
            elif len(received) == wire.RECORD.size:
                timers.append(loop.call_later(_LINGER_SECONDS, self._kill))

        def on_deadline() -> None:
            nonlocal late
            late = True
            self._kill()

        timers = [loop.call_later(max(0.0, until - time.monotonic()), on_deadline)]
        loop.add_reader(self._pidfd, on_death)
        loop.add_reader(channel_fd, on_words)
        try:
            await ended
            on_words()
            return bytes(received), late
        finally:
            for timer in timers:
                timer.cancel()
            loop.remove_reader(self._pidfd)
            hush()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


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
