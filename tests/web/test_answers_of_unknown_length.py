"""Answers whose length nobody knows beforehand: in chunks, or up to the end of the connection."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from web.linking import request
from web.serving import Reader

from remote_worker.web.server import Server
from remote_worker.web.settings import WebSettings

Messages = list[dict[str, Any]]


@contextmanager
def answering(messages: Messages) -> Iterator[tuple[str, int]]:
    """The server over an application that sends these, and fails where one is no message."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        for message in messages:
            if not message:
                raise ZeroDivisionError
            await send(dict(message))

    app.admits = lambda scope: None
    listening = threading.Event()
    addresses: list[Any] = []

    def note(address: Any) -> None:
        addresses.append(address)
        listening.set()

    server = Server(app, WebSettings(port=0), note)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert listening.wait(10)
        yield addresses[0]
    finally:
        server.servers[0].get_loop().call_soon_threadsafe(server.stop)
        thread.join(30)


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def raw(messages: Messages, sent: bytes) -> tuple[bytes, bytes]:
    """The head, and all that comes behind it until the connection ends."""
    import socket

    with answering(messages) as address, socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)
        head, _, rest = Reader(connection).rest().partition(b"\r\n\r\n")
    return head, rest


CLOSING = request("GET", "/", "Connection: close")


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ([part(b"hello "), part(b"world", more=False)], b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"),
        ([part(b"hello"), part(b"", more=False)], b"5\r\nhello\r\n0\r\n\r\n"),
        # An empty part must not end the body.
        ([part(b""), part(b"x", more=False)], b"1\r\nx\r\n0\r\n\r\n"),
        ([part(b"", more=False)], b"0\r\n\r\n"),
        ([part(b"x" * 100_000, more=False)], b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n"),
    ],
)
def test_a_body_goes_out_in_chunks(parts: Messages, body: bytes) -> None:
    head, rest = raw([start(), *parts], CLOSING)

    assert b"\r\ntransfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert rest == body


def test_to_http_1_0_it_goes_out_as_it_is_and_the_connection_ends() -> None:
    head, rest = raw(
        [start(), part(b"hello "), part(b"world", more=False)],
        request("GET", "/", "Connection: keep-alive", version="1.0"),
    )

    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert rest == b"hello world"


def test_a_body_that_breaks_off_has_no_last_chunk() -> None:
    _, rest = raw([start(), part(b"hello"), {}], CLOSING)

    assert rest == b"5\r\nhello\r\n"


def test_a_known_length_is_told_and_not_chunked() -> None:
    head, rest = raw([start(200, (b"content-length", b"5")), part(b"hello", more=False)], CLOSING)

    assert b"transfer-encoding" not in head
    assert rest == b"hello"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_neither(status: int) -> None:
    head, rest = raw([start(status), part(b"", more=False)], CLOSING)

    assert b"transfer-encoding" not in head
    assert rest == b""


def test_a_head_of_it_has_no_body() -> None:
    head, rest = raw([start(), part(b"hello", more=False)], request("HEAD", "/", "Connection: close"))

    assert b" 200 " in head
    assert rest == b""
