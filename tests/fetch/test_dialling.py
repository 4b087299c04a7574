"""Dialling judged addresses: which of them, how soon the next, and through a proxy."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from fetch.certificates import Authority
from fetch.origin import Origin, answer, page
from fetch.standins import PUBLIC, PUBLIC_V6, World

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.fetch.process.dialer import MOST_DIALLED, MOST_PROXY_BYTES, Dialer, by_turns
from remote_worker.fetch.process.line import Due


@contextlib.contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """Where a connection is neither accepted nor refused: a listener whose line is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


@contextlib.contextmanager
def closed_port() -> Iterator[tuple[str, int]]:
    """Where connections are refused: a socket that does not listen."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield silent.getsockname()


@pytest.mark.parametrize("dead", [1, 2])
def test_a_dead_address_does_not_keep_a_live_one_from_answering(dead: int) -> None:
    """Row 56: within less than the second that the whole fetch has."""
    holes = [PUBLIC_V6, "2606:2800:220:1::2"][:dead]
    with black_hole() as hole, Origin({"/": answer(page())}) as origin:
        world = World(
            {"h.test": origin},
            answers={"h.test": [[*holes, PUBLIC]]},
            dial_map={(address, 80): hole for address in holes},
            fetch_seconds=0.99,
        )

        fetched, _ = world.read("http://h.test/")

        assert fetched.hops[0].dialled == f"{PUBLIC}:80"
        assert [verdict.address for verdict in fetched.hops[0].verdicts] == [*holes, PUBLIC]


def test_an_address_that_refuses_is_followed_by_the_next_at_once() -> None:
    with closed_port() as closed, Origin({"/": answer(page())}) as origin:
        refusing = [f"198.41.0.{at}" for at in range(1, MOST_DIALLED)]
        world = World(
            {"h.test": origin},
            answers={"h.test": [[*refusing, PUBLIC]]},
            dial_map={(address, 80): closed for address in refusing},
            # Less than all the pauses between attempts would take.
            fetch_seconds=0.9,
        )

        assert world.read("http://h.test/")[0].hops[0].dialled == f"{PUBLIC}:80"


@pytest.mark.parametrize(("dead", "is_tried"), [(MOST_DIALLED - 1, True), (MOST_DIALLED, False)])
def test_so_many_addresses_are_tried_and_not_one_more(dead: int, is_tried: bool) -> None:
    with closed_port() as closed, Origin({"/": answer(page())}) as origin:
        refusing = [f"198.41.0.{at}" for at in range(1, dead + 1)]
        world = World(
            {"h.test": origin},
            answers={"h.test": [[*refusing, PUBLIC]]},
            dial_map={(address, 80): closed for address in refusing},
        )
        if is_tried:
            assert world.read("http://h.test/")[0].status == 200
            assert world.gate.reached == [ip_address(PUBLIC)]
        else:
            assert world.failure("http://h.test/").code is FailureCode.CONNECT_FAILED
            assert world.gate.reached == []


def test_families_take_turns() -> None:
    addresses = [ip_address(text) for text in ("2001:4860::1", "2001:4860::2", "2001:4860::3", "8.8.8.8")]

    assert [str(address) for address in by_turns(addresses)] == [
        "2001:4860::1",
        "8.8.8.8",
        "2001:4860::2",
        "2001:4860::3",
    ]
    assert by_turns([]) == []


def test_nobody_at_home_is_told() -> None:
    with closed_port() as closed, Origin() as origin:
        world = World({"h.test": origin}, dial_map={(PUBLIC, 80): closed})

        failed = world.failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.CONNECT_FAILED, "refused")
        assert failed.hops[0].verdicts[0].address == PUBLIC
        assert world.gate.told_of == [("h.test", 0, None)]


def test_a_connection_that_does_not_come_about_in_time_is_told() -> None:
    """Row 77."""
    with black_hole() as hole, Origin() as origin:
        world = World({"h.test": origin}, dial_map={(PUBLIC, 80): hole}, connect_seconds=0.3)

        failed = world.failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, "connect")


def test_one_refused_address_refuses_all() -> None:
    """Row 49."""
    with Origin({"/": answer(page())}) as origin:
        for answers in ([PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC]):
            failed = World({"h.test": origin}, answers={"h.test": [answers]}).failure("http://h.test/")

            assert (failed.code, failed.detail) == (FailureCode.BLOCKED_ADDRESS, "mixed")
            assert [verdict.allowed for verdict in failed.hops[0].verdicts].count(False) == 1
        assert origin.accepted == 0


def test_a_connection_over_ipv6_is_one_like_any_other() -> None:
    with Origin({"/": answer(page())}, host="::1") as origin:
        world = World(
            {"h.test": origin},
            answers={"h.test": [[PUBLIC_V6]]},
            dial_map={(PUBLIC_V6, 80): ("::1", origin.port)},
        )

        assert world.read("http://h.test/")[0].hops[0].dialled == f"[{PUBLIC_V6}]:80"


def test_whoever_answers_in_anothers_place_is_refused() -> None:
    """On Linux a connection to the unspecified address comes to the loopback one."""
    with Origin() as origin:

        async def dial() -> None:
            loop = asyncio.get_running_loop()
            await Dialer().dial([ip_address("0.0.0.0")], origin.port, Due(loop.time() + 5, "connect"))

        with pytest.raises(WorkFailed) as refused:
            asyncio.run(dial())
        assert (refused.value.code, refused.value.detail) == (FailureCode.BLOCKED_ADDRESS, "peer")
        assert origin.wait_closed()


class Proxy:
    """Takes CONNECT and connects to where the table says; an entry of bytes is answered instead."""

    def __init__(self, table: dict[str, tuple[str, int] | bytes]) -> None:
        self.table = table
        self.heads: list[bytes] = []
        self.established = b"HTTP/1.1 200 Connection established\r\n\r\n"

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Its address, while it runs in a thread of its own."""
        started = threading.Event()
        ports: list[int] = []
        stop: list[Callable[[], None]] = []

        async def serve() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            ports.append(server.sockets[0].getsockname()[1])
            stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
            started.set()
            await stopped.wait()
            server.close()

        thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        thread.start()
        assert started.wait(10)
        try:
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            stop[0]()
            thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connect(reader, writers)
        finally:
            for one in writers:
                one.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        found = self.table[head.split(b" ")[1].decode()]
        if isinstance(found, bytes):
            writers[0].write(found)
            await reader.read()
            return
        upstream, downstream = await asyncio.open_connection(*found)
        writers.append(downstream)
        writers[0].write(self.established)
        await asyncio.gather(pipe(reader, downstream), pipe(upstream, writers[0]))


async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """All that comes, until either side ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_asked_for_judged_addresses_and_never_for_names(
    scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = Authority()
    context = authority.server("h.test") if scheme == "https" else None
    ca_file = authority.write(tmp_path_factory.mktemp("proxy") / "ca.pem")
    spot = f"{PUBLIC}:{443 if scheme == 'https' else 80}"
    with Origin({"/": answer(page())}, tls=context) as origin:
        proxy = Proxy({spot: ("127.0.0.1", origin.port)})
        with proxy.running() as address:
            world = World({"h.test": origin}, egress_proxy=address, egress_ca_file=ca_file)

            fetched, _ = world.read(f"{scheme}://h.test/")

            assert proxy.heads == [f"CONNECT {spot} HTTP/1.1\r\nHost: {spot}\r\n\r\n".encode()]
            assert fetched.hops[0].dialled == spot


def test_behind_a_proxy_addresses_are_judged_as_ever() -> None:
    proxy = Proxy({})
    with Origin() as origin, proxy.running() as address:
        world = World({"h.test": origin}, answers={"h.test": [["10.0.0.1"]]}, egress_proxy=address)

        assert world.failure("http://h.test/").code is FailureCode.BLOCKED_ADDRESS
        assert proxy.heads == []


def test_behind_a_proxy_the_next_address_is_asked_for_too() -> None:
    with Origin({"/": answer(page())}) as origin:
        proxy = Proxy(
            {
                f"[{PUBLIC_V6}]:80": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
                f"{PUBLIC}:80": ("127.0.0.1", origin.port),
            }
        )
        with proxy.running() as address:
            answers = {"h.test": [[PUBLIC_V6, PUBLIC]]}
            fetched, _ = World({"h.test": origin}, answers=answers, egress_proxy=address).read(
                "http://h.test/"
            )

            assert fetched.hops[0].dialled == f"{PUBLIC}:80"
            assert len(proxy.heads) == 2


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", FailureCode.CONNECT_FAILED),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", FailureCode.CONNECT_FAILED),
        (b"SSH-2.0-x\r\n\r\n", FailureCode.CONNECT_FAILED),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 3000, FailureCode.CONNECT_FAILED),
        (b"HTTP/1.1 200 OK\r\n", FailureCode.TIMEOUT),
    ],
)
def test_a_proxy_that_does_not_connect_is_told(said: bytes, code: FailureCode) -> None:
    proxy = Proxy({f"{PUBLIC}:80": said})
    with Origin() as origin, proxy.running() as address:
        world = World({"h.test": origin}, egress_proxy=address, connect_seconds=0.4)

        failed = world.failure("http://h.test/")

        assert failed.code is code
        # What the operator's own proxy does is no site's fault.
        assert (world.gate.told_of == []) is (failed.detail == "proxy")


@pytest.mark.parametrize(("size", "is_taken"), [(MOST_PROXY_BYTES, True), (MOST_PROXY_BYTES + 1, False)])
def test_the_answer_of_a_proxy_is_bounded(size: int, is_taken: bool) -> None:
    with Origin({"/": answer(page())}) as origin:
        proxy = Proxy({f"{PUBLIC}:80": ("127.0.0.1", origin.port)})
        start, end = b"HTTP/1.1 200 OK\r\na: ", b"\r\n\r\n"
        proxy.established = start.ljust(size - len(end), b"b") + end
        with proxy.running() as address:
            world = World({"h.test": origin}, egress_proxy=address)
            if is_taken:
                assert world.read("http://h.test/")[0].status == 200
            else:
                assert world.failure("http://h.test/").code is FailureCode.CONNECT_FAILED


def test_a_proxy_that_is_not_there_is_told() -> None:
    with closed_port() as (host, port), Origin() as origin:
        failed = World({"h.test": origin}, egress_proxy=f"http://{host}:{port}").failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.CONNECT_FAILED, "refused")


def test_sockets_of_a_lost_race_are_closed() -> None:
    with Origin({"/": answer(page())}) as origin:
        second = "93.184.216.99"

        async def dial() -> int:
            spot = ("127.0.0.1", origin.port)
            dialer = Dialer("", {(PUBLIC, 80): spot, (second, 80): ("::1", 1)})
            line, _ = await dialer.dial(
                [ip_address(PUBLIC), ip_address(second)], 80, Due(time.monotonic() + 5, "connect")
            )
            line.close()
            return 0

        asyncio.run(dial())
        assert origin.wait_closed()
