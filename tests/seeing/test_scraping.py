"""The address of the metrics: what it answers, to whom, and how much of its time one may take."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from remote_worker import metrics
from remote_worker.metrics import Counter, Histogram, Load
from remote_worker.telemetry import Listening
from remote_worker.web import scrape
from remote_worker.web.listening import CannotListen
from remote_worker.web.scrape import MOST_HEAD_BYTES, MOST_SCRAPES, Exposed, Scrapes


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


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends."""


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (PROMETHEUS, b"application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text", b"application/openmetrics-text; version=1.0.0"),
        ("text/plain;version=0.0.4", b"text/plain; version=0.0.4"),
        ("*/*", b"text/plain; version=0.0.4"),
        # Versions that there are not, and one that would be a header.
        ("application/openmetrics-text;version=abc", b"text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1e5", b"text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=9.9.9", b"text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0\nX-Own: 1", b"text/plain; version=0.0.4"),
    ],
)
def test_metrics_come_in_a_form_that_there_is(
    address: tuple[str, int], accept: str, media_type: bytes
) -> None:
    head, _, page = told(address, get(more=f"Accept: {accept}\r\n")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: " + media_type)
    assert b"\nX-Own" not in head
    assert page.endswith(b"# EOF\n") is media_type.startswith(b"application/")


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


class Page:
    """Scrapes whose page is as large as that of a worker that has seen everything, without a listener."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        routes = tuple(f"/route/{number}" for number in range(45))
        seconds = Histogram("page_seconds", "Seconds.", route=routes)
        requests = Counter("page_requests", "Requests.", route=routes, status=metrics.STATUSES)
        metrics.EVERY[-2:] = []
        for number, route in enumerate(routes):
            seconds.observe(number / 10, route)
            for status in (200, 404, 503):
                requests.add(route, status, by=number)
        monkeypatch.setattr(metrics, "EVERY", [seconds, requests, *metrics.EVERY])
        self.scrapes = Scrapes(Listening("127.0.0.1", 0), Load, host_names=(), is_open=False)

    async def ask(self, accept: str) -> tuple[bytes, int]:
        """The page, and how often others had their turn while it was made."""
        task = asyncio.create_task(self.scrapes._answer_to(get(more=f"Accept: {accept}\r\n")))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return task.result().partition(b"\r\n\r\n")[2], turns


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_a_large_page_is_made_in_pieces_and_is_what_the_library_writes_in_one(
    monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    page = Page(monkeypatch)
    written, turns = asyncio.run(page.ask(accept))
    registry = CollectorRegistry()
    whole = {}
    for piece in Exposed(Load).collect():
        if piece.name in whole:
            whole[piece.name].samples += piece.samples
        else:
            whole[piece.name] = piece
    registry.register(type("Whole", (), {"collect": lambda _: list(whole.values())})())
    in_one = choose_encoder(accept)[0](registry).removesuffix(b"# EOF\n")

    assert written.count(b"\n") > 1000
    assert written.startswith(in_one)
    assert turns > written.count(b"\n") / 128
    assert [line.split(b"{")[0].split(b" ")[0][:8] for line in written[len(in_one) :].splitlines()].count(
        b"process_"
    ) == len(metrics.PROCESS)


def test_who_asks_and_takes_nothing_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much lies between both ends as the system allows; the rest of a page must not wait for ever."""

    async def ask() -> tuple[int, int]:
        page = Page(monkeypatch)
        monkeypatch.setattr(page.scrapes, "_page", too_much)
        async with page.scrapes:
            before = len(os.listdir("/proc/self/fd"))
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(False)
                await asyncio.get_running_loop().sock_connect(connection, page.scrapes.addresses[0])
                await asyncio.get_running_loop().sock_sendall(connection, get())
                async with asyncio.timeout(10):
                    while not asked:
                        await asyncio.sleep(0)
                    while page.scrapes._connections:
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(0)
                return before, len(os.listdir("/proc/self/fd")) - 1

    asked = []

    async def too_much(_: object) -> bytes:
        asked.append(1)
        return bytes(32 * 2**20)

    monkeypatch.setattr(scrape, "SECONDS", 0.2)
    before, after = asyncio.run(ask())

    assert after == before
