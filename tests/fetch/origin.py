"""Servers that are fetched from: real sockets on loopback, in threads of their own, as bad as asked for."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

SECONDS = 10.0
"""How long a test waits for what must come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked for. Names of headers are in lower case; a repeated one is joined with commas."""

    method: str
    path: str
    headers: Mapping[str, str]
    head: bytes
    body: bytes


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One connection, after its request has been read."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, and wait while the client does not take it. Raises ConnectionError when it is gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while await self.reader.read(65536):
                pass


Behaviour = bytes | Callable[[Exchange], Awaitable[None]]
"""What is answered: bytes, after which the connection closes, or anything."""


def answer(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    media_type: str | None = "text/html",
    headers: Mapping[str, str] | None = None,
    has_length: bool = True,
) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if media_type is not None:
        lines.append(f"Content-Type: {media_type}")
    if has_length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body


def redirect(location: str, *, status: str = "302 Found", headers: Mapping[str, str] | None = None) -> bytes:
    """An answer that points elsewhere."""
    return answer(status=status, media_type=None, headers={"Location": location, **(headers or {})})


def page(title: str = "A page", *, head: str = "", body: str = "<p>Text") -> bytes:
    """A small page."""
    return f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</html>".encode()


@dataclass(slots=True)
class _Counts:
    accepted: int = 0
    open: int = 0
    requests: list[Request] = field(default_factory=list)


class Origin:
    """A server with a behaviour for each path, as a context manager.

    A path is looked up with its query, then without; others get 404. `accepted` counts TCP connections, also
    those that never say anything.
    """

    def __init__(
        self,
        behaviours: Mapping[str, Behaviour] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        is_mute: bool = False,
        greeting: bytes = b"",
    ) -> None:
        self.behaviours = dict(behaviours or {})
        self.host = host
        self._tls = tls
        self._is_mute = is_mute
        """Accepts, and never answers: no TLS either."""
        self._greeting = greeting
        """Said to whoever connects, before anything is heard."""
        self._counts = _Counts()
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"origin-{self.port}", daemon=True)

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return self._counts.accepted

    @property
    def requests(self) -> list[Request]:
        """Requests so far."""
        return list(self._counts.requests)

    @property
    def paths(self) -> list[str]:
        """Of the requests so far."""
        return [request.path for request in self._counts.requests]

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Behave so from now on; returns the path."""
        self.behaviours[path] = behaviour
        return path

    def wait_until(self, claim: Callable[["Origin"], bool], seconds: float = SECONDS) -> bool:
        """Wait until this is true of the server; False when it has not become so."""
        with self._changed:
            return self._changed.wait_for(lambda: claim(self), seconds)

    def wait_closed(self, seconds: float = SECONDS) -> bool:
        """Wait until no connection is open."""
        return self.wait_until(lambda origin: origin._counts.open == 0, seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self._listener.close()

    def _run(self) -> None:
        with contextlib.closing(self._loop) as loop:
            loop.add_reader(self._listener, self._accept)
            loop.run_forever()
            loop.remove_reader(self._listener)
            loop.run_until_complete(self._end())
            loop.run_until_complete(loop.shutdown_asyncgens())

    def _accept(self) -> None:
        # Not by a task: what it has just accepted would be lost when it is cancelled.
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(connection)
            self._count(accepted=1, opened=1)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled before it began has not closed its own.
        for connection in self._connections:
            connection.close()

    def _count(self, *, accepted: int = 0, opened: int = 0, request: Request | None = None) -> None:
        with self._changed:
            self._counts.accepted += accepted
            self._counts.open += opened
            if request is not None:
                self._counts.requests.append(request)
            self._changed.notify_all()

    async def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._is_mute or self._greeting:
                    with contextlib.suppress(OSError):
                        await self._loop.sock_sendall(connection, self._greeting)
                        while await self._loop.sock_recv(connection, 65536):
                            pass
                    return
                with contextlib.suppress(OSError, EOFError):
                    await self._talk(connection)
        finally:
            self._connections.discard(connection)
            self._count(opened=-1)

    async def _talk(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        transport, protocol = await self._loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader), connection, ssl=self._tls
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        try:
            request = await _read(reader)
            self._count(request=request)
            found = self.behaviours.get(request.path)
            if found is None:
                found = self.behaviours.get(request.path.partition("?")[0], answer(status="404 Not Found"))
            exchange = Exchange(request=request, reader=reader, writer=writer)
            if isinstance(found, bytes):
                await exchange.send(found)
            else:
                await found(exchange)
            writer.close()
            await writer.wait_closed()
        finally:
            transport.abort()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    method, path, _ = first.decode("latin-1").split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, head=head, body=body)


@contextlib.contextmanager
def canaries() -> Iterator[tuple[Origin, ...]]:
    """Servers on both loopback addresses that nobody may connect to, on one port where that is possible."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(Origin())]
        with contextlib.suppress(OSError):
            found.append(stack.enter_context(Origin(host="::1", port=found[0].port)))
        yield tuple(found)

        assert [canary.accepted for canary in found] == [0] * len(found)


async def sit(exchange: Exchange) -> None:
    """Say nothing until the client goes."""
    await exchange.gone()


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """This head, then the piece again and again until the client goes."""

    async def send(exchange: Exchange) -> None:
        await exchange.send(head)
        while not exchange.reader.at_eof():
            await exchange.send(piece)
            await asyncio.sleep(pause)

    return send


def dripped(data: bytes, pause: float, size: int = 1) -> Behaviour:
    """This in small pieces, with a pause behind each."""

    async def send(exchange: Exchange) -> None:
        for at in range(0, len(data), size):
            await exchange.send(data[at : at + size])
            await asyncio.sleep(pause)

    return send


def then_sit(data: bytes) -> Behaviour:
    """This, and then nothing until the client goes."""

    async def send(exchange: Exchange) -> None:
        await exchange.send(data)
        await exchange.gone()

    return send
