"""A connected socket on which every wait has an end. Knows no HTTP, and not who may be connected to."""

import asyncio
import contextlib
import socket
import ssl
from types import TracebackType
from typing import NamedTuple, Self

from ...contract.failures import FailureCode, WorkFailed

READ_BYTES = 64 * 1024


class Due(NamedTuple):
    """When a step has to be over, on the clock of the loop, and the word for what was too slow.

    The smaller of two is the one that comes first.
    """

    at: float
    word: str

    def late(self) -> WorkFailed:
        """What is raised when it has come."""
        return WorkFailed(FailureCode.TIMEOUT, self.word)


class Line:
    """Owns a connected socket that does not block. Close it, or use it as a context manager."""

    def __init__(self, connected: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._waiter: asyncio.Future[None] | None = None
        self._is_read = False
        """The loop says when something has come."""

    async def begin_tls(self, context: ssl.SSLContext, name: str, due: Due) -> None:
        """Speak TLS from now on with a server that proves this name. Raises ssl.SSLError and OSError."""
        self._stop_reading()
        wrapped = context.wrap_socket(self._socket, server_hostname=name, do_handshake_on_connect=False)
        self._socket = wrapped
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                await self._ready(due)
            except ssl.SSLWantWriteError:
                await self._ready(due, is_writing=True)
            else:
                return

    async def send(self, data: bytes, due: Due) -> None:
        """Send all of it. Raises OSError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except ssl.SSLWantReadError:
                await self._ready(due)
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._ready(due, is_writing=True)

    async def receive(self, due: Due) -> bytes:
        """What comes next, nothing at the end. Raises OSError.

        It always waits for the loop: a server that never pauses would otherwise have it to itself.
        """
        while True:
            await self._ready(due)
            # It may be woken without any data: TLS has messages of its own.
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return self._socket.recv(READ_BYTES)

    def close(self) -> None:
        """Let go at once, whatever is under way."""
        self._stop_reading()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _ready(self, due: Due, *, is_writing: bool = False) -> None:
        if self._loop.time() >= due.at:
            raise due.late()
        if is_writing:
            # What comes meanwhile would wake the loop again and again.
            self._stop_reading()
            self._loop.add_writer(self._socket.fileno(), self._wake)
        elif not self._is_read:
            self._loop.add_reader(self._socket.fileno(), self._wake)
            self._is_read = True
        waiter = self._waiter = self._loop.create_future()
        clock = self._loop.call_at(due.at, _expire, waiter, due)
        try:
            await waiter
        finally:
            clock.cancel()
            self._waiter = None
            if is_writing:
                self._loop.remove_writer(self._socket.fileno())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_reading(self) -> None:
        if self._is_read:
            self._loop.remove_reader(self._socket.fileno())
            self._is_read = False


def _expire(waiter: "asyncio.Future[None]", due: Due) -> None:
    if not waiter.done():
        waiter.set_exception(due.late())
