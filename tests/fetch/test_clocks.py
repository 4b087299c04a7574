"""Servers that are slow in every phase: each ends in a timeout that names the phase, in time."""

import asyncio
import socket
import time

import pytest
from fetch.origin import Behaviour, Exchange, Origin, answer, dripped, page, redirect, sit, then_sit
from fetch.standins import PUBLIC, World

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.fetch.process.line import Due, Line

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n"
TEXT = b"no page that would end early "
QUICK = {
    "connect_seconds": 0.4,
    "tls_seconds": 0.4,
    "first_byte_seconds": 0.4,
    "fetch_idle_seconds": 0.4,
    "fetch_seconds": 4.0,
}


async def slowly_then_whole(exchange: Exchange) -> None:
    """Each pause is shorter than any clock."""
    data = answer(page())
    for at in range(0, len(data), 40):
        await exchange.send(data[at : at + 40])
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        pytest.param(sit, "ttfb", id="77-never-answers"),
        pytest.param(dripped(HEAD, 0.1), "ttfb", id="75-head-dripped"),
        pytest.param(then_sit(HEAD[:-1]), "ttfb", id="75-head-without-end"),
        pytest.param(then_sit(HEAD), "idle", id="76-no-body"),
        pytest.param(then_sit(HEAD + TEXT), "idle", id="76-body-stops"),
    ],
)
def test_a_phase_that_takes_too_long_is_named(behaviour: Behaviour, detail: str) -> None:
    with Origin({"/": behaviour}) as origin:
        failed = World({"h.test": origin}, **QUICK).failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, detail)
        assert failed.hops[-1].code == "timeout"
        assert origin.wait_closed()


def test_a_server_that_takes_its_time_in_every_phase_is_heard_out() -> None:
    with Origin({"/": slowly_then_whole}) as origin:
        assert World({"h.test": origin}, **QUICK).read("http://h.test/")[1].endswith(b"</head>")


def test_a_server_that_never_shakes_hands_is_left() -> None:
    """Row 77."""
    with Origin(is_mute=True) as origin:
        failed = World({"h.test": origin}, **QUICK).failure("https://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, "tls")
        assert origin.wait_closed()


def test_bodies_that_come_too_slowly_are_left_after_two_seconds() -> None:
    """Row 76: ten bytes a second, and one byte just before the idle clock runs out."""
    slow = {
        "/10": dripped(HEAD + TEXT * 1000, 0.1, len(HEAD)),
        "/drip": dripped(HEAD + TEXT * 1000, 0.3, 1),
    }

    async def drip(exchange: Exchange) -> None:
        await exchange.send(HEAD)
        for _ in range(100):
            await exchange.send(b"x")
            await asyncio.sleep(0.3)

    async def enough(exchange: Exchange) -> None:
        # Twice the least rate, for longer than the time from which on it counts.
        await exchange.send(HEAD.replace(b"100000", b"4600"))
        for _ in range(23):
            await exchange.send(b"y" * 200)
            await asyncio.sleep(0.1)

    slow["/10"] = slow["/drip"] = drip
    with Origin({**slow, "/enough": enough}) as origin:
        world = World({"h.test": origin}, fetch_idle_seconds=0.5)

        async def all_at_once() -> list[object]:
            until = time.monotonic() + 8
            wants = [Want(url=f"http://h.test{path}", purpose=Purpose.PAGE) for path in origin.behaviours]
            fetches = [world.fetcher.fetch(want, until=until) for want in wants]
            return list(await asyncio.gather(*fetches, return_exceptions=True))

        *failed, fetched = asyncio.run(all_at_once())

        assert [error.detail for error in failed if isinstance(error, FetchFailed)] == ["rate", "rate"]
        assert not isinstance(fetched, BaseException)
        with fetched:
            assert fetched.body.size_bytes == 4600


@pytest.mark.parametrize("by", ["setting", "deadline"])
def test_all_hops_together_have_one_clock(by: str) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.15)
        at = int(exchange.request.path[1:])
        await exchange.send(redirect(f"/{at + 1}"))

    with Origin({f"/{at}": slow for at in range(6)}) as origin:
        seconds = {"setting": 10.0, "deadline": 0.4}[by]
        total = {"setting": 0.4, "deadline": 10.0}[by]
        world = World({"h.test": origin}, fetch_seconds=total)

        failed = world.failure("http://h.test/0", seconds=seconds)

        assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, "total")
        assert 2 <= len(failed.hops) <= 3


@pytest.mark.parametrize(
    ("by", "told_of"), [("setting", [("h.test", 0, None)]), ("deadline", [])], ids=["setting", "deadline"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_caller_without_time_closes_no_server(by: str, told_of: list[object], scheme: str) -> None:
    """A page that took its time leaves little of it for a picture, which somebody else may serve."""
    with Origin({"/": then_sit(b"")}, is_mute=scheme == "https") as origin:
        seconds = {"setting": 10.0, "deadline": 0.3}[by]
        total = {"setting": 0.3, "deadline": 10.0}[by]
        world = World({"h.test": origin}, fetch_seconds=total)

        assert world.failure(f"{scheme}://h.test/", seconds=seconds).detail == "total"
        assert world.gate.told_of == told_of


def test_a_server_that_never_pauses_is_on_the_clock_too() -> None:
    async def flood(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n")
        while True:
            await exchange.send(bytes(1 << 18))

    with Origin({"/": flood}) as origin:
        world = World({"h.test": origin}, fetch_seconds=0.3, fetched_image_bytes=1 << 34)
        failed = world.failure("http://h.test/", Purpose.IMAGE)

        assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, "total")


def test_what_is_there_to_be_read_does_not_help_past_the_deadline() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.send(b"there")

    async def receive(seconds: float) -> bytes:
        with Line(near.dup()) as line:
            return await line.receive(Due(asyncio.get_running_loop().time() + seconds, "idle"))

    with near, far:
        with pytest.raises(WorkFailed) as late:
            asyncio.run(receive(-0.001))
        assert (late.value.code, late.value.detail) == (FailureCode.TIMEOUT, "idle")
        assert asyncio.run(receive(10.0)) == b"there"


def test_a_deadline_that_has_passed_dials_nobody() -> None:
    with Origin({"/": answer(page())}) as origin:
        world = World({"h.test": origin})
        for url in ("http://h.test/", f"http://{PUBLIC}/"):
            failed = world.failure(url, seconds=-1)

            assert (failed.code, failed.detail) == (FailureCode.TIMEOUT, "total")
        assert origin.accepted == 0


def test_waiting_for_a_turn_does_not_cost_the_fetch_its_time() -> None:
    import contextlib
    from collections.abc import AsyncIterator, Callable

    class SlowGate:
        @contextlib.asynccontextmanager
        async def admit(self, *_: object, until: float) -> AsyncIterator[Callable[[object], None]]:
            await asyncio.sleep(0.6)
            yield lambda address: None

        def told(self, *_: object) -> None:
            pass

    with Origin({"/": answer(page())}) as origin:
        world = World({"h.test": origin}, fetch_seconds=0.5)
        world.fetcher.gate = SlowGate()

        assert world.read("http://h.test/")[0].status == 200
