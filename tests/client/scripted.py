"""A server on loopback that answers as it is told, and both clients behind one call."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from remote_worker.client import AsyncClient, Client

Step = bytes | Callable[[socket.socket], object]
"""What is answered to a request, or what is done with its connection."""


@dataclass
class Told:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """The server: each request takes the next step."""

    steps: list[Step]
    address: tuple[str, int]
    requests: list[Told] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address[0]}:{self.address[1]}"


@contextmanager
def scripted(*steps: Step) -> Iterator[Scripted]:
    """Until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(list(steps), listener.getsockname())
        thread = threading.Thread(target=_serve, args=(listener, server))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def _serve(listener: socket.socket, server: Scripted) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(10)
            with connection, suppress(OSError, EOFError):
                _converse(connection, server)


def _converse(connection: socket.socket, server: Scripted) -> None:
    with connection.makefile("rb") as stream:
        first = stream.readline().decode().split()
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if not first:
            raise EOFError
        body = stream.read(int(headers.get("content-length", 0)))
        server.requests.append(Told(first[0], first[1], headers, body))
        step = server.steps.pop(0)
        if isinstance(step, bytes):
            connection.sendall(step)
        else:
            step(connection)


def answer(body: bytes, *headers: str, status: int = 200, kind: str = "application/json") -> bytes:
    """A whole answer, behind which the connection ends."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


def in_json(members: Any, *headers: str, status: int = 200) -> bytes:
    """An answer in JSON."""
    return answer(json.dumps(members).encode(), *headers, status=status)


def failure(code: str, status: int, *headers: str) -> bytes:
    """A failure as the worker tells it."""
    members = {"code": code, "message": "It failed", "request_id": "r1", "status": "error", "success": False}
    return in_json(members, *headers, status=status)


def picture(body: bytes = b"pixels") -> bytes:
    """A picture's own bytes."""
    return answer(body, kind="image/png")


def reset(connection: socket.socket) -> None:
    """End the connection by an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Call = Callable[..., Any]
"""`call(url, "fit", 100, b"...", seconds=1.0)`: the method of a client; options of the client by name."""

OPTIONS = ("key", "signer", "retries", "seconds", "clock", "sleep", "http")


def by_blocking(url: str, method: str, /, *arguments: Any, **given: Any) -> Any:
    """By `Client`."""
    options, given = _sorted(given)
    with Client(url, **options) as client:
        result = getattr(client, method)(*arguments, **given)
        return list(result) if method == "previews" else result


def by_asynchronous(url: str, method: str, /, *arguments: Any, **given: Any) -> Any:
    """By `AsyncClient`."""
    options, given = _sorted(given)
    if note := options.pop("sleep", None):

        async def sleep(seconds: float) -> None:
            note(seconds)

        options["sleep"] = sleep

    async def run() -> Any:
        async with AsyncClient(url, **options) as client:
            result = getattr(client, method)(*arguments, **given)
            return [line async for line in result] if method == "previews" else await result

    return asyncio.run(run())


def _sorted(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    options = {name: value for name, value in given.items() if name in OPTIONS}
    return options, {name: value for name, value in given.items() if name not in OPTIONS}


def no_sleep(seconds: float) -> None:
    """Fails the test: nothing is to be waited for."""
    pytest.fail(f"a wait of {seconds} s")


CALLS: Sequence[Any] = (
    pytest.param(by_blocking, id="blocking"),
    pytest.param(by_asynchronous, id="asynchronous"),
)
