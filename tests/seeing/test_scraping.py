"""The address of the metrics: what it answers, to whom, and how much of its time one may take."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from remote_worker.metrics import Load
from remote_worker.telemetry import Listening
from remote_worker.web import scrape
from remote_worker.web.listening import CannotListen
from remote_worker.web.scrape import MOST_HEAD_BYTES, MOST_SCRAPES, Scrapes


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where they are, for the module."""
    loop = asyncio.new_event_loop()
    scrapes = Scrapes(Listening("127.0.0.1", 0), Load, host_names=("Metrics.Example",), is_open=False)
    loop.run_until_complete(scrapes.__aenter__())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield scrapes.addresses[0]
    asyncio.run_coroutine_threadsafe(scrapes.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def told(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(address, timeout=10) as connection:
        try:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def get(
    host: str = "127.0.0.1:9464", *, method: str = "GET", path: str = "/metrics", more: str = ""
) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(), b"200"),
        (get(path="/metrics?name[]=up"), b"200"),
        (get(method="HEAD"), b"200"),
        (get(method="POST"), b"405"),
        (get(path="/"), b"404"),
        (get(path="/stats"), b"404"),
        (get("localhost"), b"200"),
        (get("[::1]:9464"), b"200"),
        (get("metrics.example:9464"), b"200"),
        (get("metrics.example.evil.test"), b"403"),
        (get("rebound.test:9464"), b"403"),
        (get("127.0.0.1.rebound.test"), b"403"),
        (b"nonsense\r\n\r\n", b"404"),
    ],
)
def test_who_asks_for_what_gets_which_status(
    address: tuple[str, int], request_: bytes, status: bytes
) -> None:
    answer = told(address, request_)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close\r\n" in answer
    assert (b"remote_worker_requests_in_progress 0.0" in answer) is (
        status == b"200" and not request_.startswith(b"HEAD")
    )


def test_a_head_is_bounded(address: tuple[str, int]) -> None:
    spare = MOST_HEAD_BYTES - len(get(more="x: \r\n"))

    assert told(address, get(more=f"x: {'y' * (spare - 4)}\r\n")).startswith(b"HTTP/1.1 200")
    assert told(address, get(more=f"x: {'y' * (spare + 64)}\r\n")) == b""


def test_so_many_may_read_at_once_and_not_one_more(address: tuple[str, int]) -> None:
    with ExitStack() as opened:
        waiting = [
            opened.enter_context(socket.create_connection(address, timeout=10)) for _ in range(MOST_SCRAPES)
        ]
        for connection in waiting:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")

        assert told(address, get()) == b""
        waiting[-1].sendall(b"Host: localhost\r\n\r\n")
        assert waiting[-1].recv(64).startswith(b"HTTP/1.1 200")


def test_who_never_asks_is_left(monkeypatch: pytest.MonkeyPatch, address: tuple[str, int]) -> None:
    monkeypatch.setattr(scrape, "SECONDS", 0.05)

    assert told(address, b"GET /met") == b""


def test_an_address_that_is_taken_stops_the_start_and_is_named() -> None:
    async def listen(port: int) -> None:
        async with Scrapes(Listening("127.0.0.1", port), Load, host_names=(), is_open=False):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"REMOTE_METRICS=127.0.0.1:{port}"):
            asyncio.run(listen(port))
