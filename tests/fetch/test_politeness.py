"""Whose turn it is, in time that jumps."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from fetch import virtual

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Purpose, Want
from remote_worker.fetch import url
from remote_worker.fetch.process import politeness
from remote_worker.fetch.process.politeness import Gate
from remote_worker.fetch.settings import FetchSettings
from remote_worker.fetch.url import Target

PUBLIC = ip_address("93.184.216.34")
START = 1000.0


class Asking:
    """A gate, and those who pass it."""

    def __init__(self, most_sites: int = politeness.MOST_SITES, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.gate = Gate(FetchSettings(**settings), clock=self.loop.time, most_sites=most_sites)
        self.passed: list[tuple[str, float]] = []

    async def visit(
        self,
        name: str,
        *addresses: IPv4Address | IPv6Address,
        seconds: float = 0.0,
        until: float = START + 100,
        want: Want | None = None,
        reached: IPv4Address | IPv6Address | None = None,
    ) -> None:
        """Pass, write down when, and stay inside for so long."""
        target = url.parse(f"http://{name}/")
        want = want or Want(url=target.href, purpose=Purpose.PAGE)
        async with self.gate.admit(target, want, addresses or (PUBLIC,), until=until) as there:
            if reached is not None:
                there(reached)
            self.passed.append((name, round(self.loop.time() - START, 3)))
            await asyncio.sleep(seconds)

    async def enter(self, target: Target, want: Want) -> None:
        """The same for any URL."""
        async with self.gate.admit(target, want, (PUBLIC,), until=START + 100):
            self.passed.append((target.host, round(self.loop.time() - START, 3)))

    @property
    def times(self) -> list[float]:
        return [when for _, when in self.passed]


def asking(test: Callable[[Asking], Awaitable[None]], **settings: Any) -> Asking:
    async def run() -> Asking:
        asked = Asking(**settings)
        await test(asked)
        return asked

    return virtual.run(run())


def test_a_burst_passes_at_once_and_then_one_a_second() -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(*[asked.visit("a.test") for _ in range(13)])

    assert asking(visits).times == [0.0] * 10 + [1.0, 2.0, 3.0]


def test_a_bucket_fills_up_again_and_no_further() -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(*[asked.visit("a.test") for _ in range(3)])
        await asyncio.sleep(1.0)
        await asyncio.gather(*[asked.visit("a.test") for _ in range(2)])
        await asyncio.sleep(60)
        await asyncio.gather(*[asked.visit("a.test") for _ in range(4)])

    assert asking(visits, site_burst=3).times == [0, 0, 0, 1.0, 2.0, 62.0, 62.0, 62.0, 63.0]


def test_sites_are_registrable_domains() -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(
            *[
                asked.visit(name)
                for name in ("a.x.co.uk", "b.x.co.uk", "y.co.uk", "a.github.io", "b.github.io")
            ]
        )

    asked = asking(visits, site_burst=1)

    assert dict(asked.passed) == {
        "a.x.co.uk": 0.0,
        "b.x.co.uk": 1.0,
        "y.co.uk": 0.0,
        "a.github.io": 0.0,
        "b.github.io": 0.0,
    }


def test_who_cannot_wait_for_its_turn_is_refused_at_once() -> None:
    async def visits(asked: Asking) -> None:
        for _ in range(10):
            await asked.visit("a.test")
        await asyncio.gather(asked.visit("a.test"), asked.visit("a.test"), return_exceptions=True)
        now = asked.loop.time()
        with pytest.raises(WorkFailed) as refused:
            await asked.visit("a.test", until=now + 0.9)
        assert asked.loop.time() == now
        assert (refused.value.code, refused.value.retry_seconds) == (FailureCode.RATE_LIMITED, 1)
        # It took no token: the next one has its turn.
        await asked.visit("a.test", until=now + 1.0)

    assert asking(visits).times[10:] == [1.0, 2.0, 3.0]


def test_who_stops_waiting_gives_its_turn_back() -> None:
    async def visits(asked: Asking) -> None:
        await asked.visit("a.test")
        leaving = asyncio.create_task(asked.visit("a.test"))
        await asyncio.sleep(0.5)
        leaving.cancel()
        await asyncio.wait([leaving])
        await asked.visit("a.test")

    assert asking(visits, site_burst=1).times == [0.0, 1.0]


@pytest.mark.parametrize(
    ("want", "times"),
    [
        (Want(url="http://a.test/", purpose=Purpose.PAGE), [0.0, 1.0]),
        (Want(url="http://a.test/", purpose=Purpose.IMAGE), [0.0, 1.0]),
        (Want(url="http://a.test/", purpose=Purpose.IMAGE, site_of="http://a.test/page"), [0.0, 0.0]),
        (Want(url="http://a.test/", purpose=Purpose.OEMBED), [0.0, 0.0]),
        (Want(url="http://a.test/", purpose=Purpose.RPC), [0.0, 0.0]),
    ],
)
def test_what_is_wanted_for_itself_costs_a_token(want: Want, times: list[float]) -> None:
    async def visits(asked: Asking) -> None:
        await asked.visit("a.test", want=want)
        await asked.visit("a.test", want=want)

    assert asking(visits, site_burst=1).times == times


def test_the_check_of_the_operator_waits_for_nobody_and_nobody_for_it() -> None:
    check = Want(url="http://a.test/", purpose=Purpose.CHECK)

    async def visits(asked: Asking) -> None:
        asked.gate.told(url.parse("http://a.test/"), 503, 50.0)
        await asyncio.gather(*[asked.visit("a.test", want=check, seconds=1) for _ in range(20)])
        await asked.visit("a.test")

    assert asking(visits, site_in_flight=1).times == [0.0] * 20 + [50.0]


def test_webhooks_pay_no_token_and_wait_for_no_preview_nor_previews_for_them() -> None:
    webhook = Want(url="http://a.test/", purpose=Purpose.WEBHOOK)

    async def visits(asked: Asking) -> None:
        asked.gate.told(url.parse("http://a.test/"), 503, 50.0)
        for _ in range(politeness.MOST_FAILURES + 1):
            asked.gate.told(url.parse("http://a.test/"), 0, None)
        await asyncio.gather(*[asked.visit("a.test", want=webhook, seconds=1) for _ in range(3)])
        await asked.visit("a.test")

    assert asking(visits, site_in_flight=10).times == [0.0] * 3 + [politeness.CIRCUIT_SECONDS]


def test_so_many_webhooks_are_with_a_site_at_once_and_the_others_wait() -> None:
    webhook = Want(url="http://a.test/", purpose=Purpose.WEBHOOK)
    preview = Want(url="http://a.test/", purpose=Purpose.OEMBED)

    async def visits(asked: Asking) -> None:
        waits = [asked.visit("a.test", want=webhook, seconds=1) for _ in range(5)]
        await asyncio.gather(*waits, asked.visit("a.test", want=preview), asked.visit("b.test", want=webhook))

    asked = asking(visits, site_in_flight=2)

    assert sorted(asked.passed) == [
        *[("a.test", at) for at in (0.0, 0.0, 0.0, 1.0, 1.0, 2.0)],
        ("b.test", 0.0),
    ]


def test_webhooks_and_previews_share_the_places_of_a_public_address() -> None:
    webhook = Want(url="http://a.test/", purpose=Purpose.WEBHOOK)

    async def visits(asked: Asking) -> None:
        first = asyncio.create_task(asked.visit("a.test", PUBLIC, want=webhook, seconds=3))
        await asyncio.sleep(0)
        await asked.visit("a.test", PUBLIC)
        await first

    assert asking(visits, address_in_flight=1).times == [0.0, 3.0]
    assert asking(visits, address_in_flight=2).times == [0.0, 0.0]


def test_a_preview_pays_each_site_of_its_redirects_once() -> None:
    async def visits(asked: Asking) -> None:
        want = Want(url="http://a.test/", purpose=Purpose.PAGE)
        with asked.gate.preview(want):
            for name in ("a.test", "www.a.test", "b.test", "a.test", "b.test"):
                await asked.visit(name, want=want)
        await asked.visit("b.test")
        with asked.gate.preview(want):
            await asked.visit("a.test", want=want)

    assert asking(visits, site_burst=1).times == [0.0] * 5 + [1.0, 1.0]


def test_so_many_are_at_a_site_at_once_and_the_others_come_in_order() -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(*[asked.visit("a.test", seconds=1 + at / 10) for at in range(5)])

    assert asking(visits).times == [0.0, 0.0, 1.0, 1.1, 2.2]


def test_so_many_are_at_a_public_address_at_once() -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(*[asked.visit(f"s{at}.test", seconds=1) for at in range(20)])

    assert asking(visits).times == [0.0] * 8 + [1.0] * 8 + [2.0] * 4


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "fd00::1"])
def test_an_address_that_the_operator_opened_has_no_bound(address: str) -> None:
    async def visits(asked: Asking) -> None:
        await asyncio.gather(
            *[asked.visit(f"s{at}.test", ip_address(address), seconds=1) for at in range(20)]
        )

    assert asking(visits).times == [0.0] * 20


def test_who_waits_for_one_address_holds_up_no_other() -> None:
    other = ip_address("93.184.216.35")

    async def visits(asked: Asking) -> None:
        await asyncio.gather(
            asked.visit("a.test", PUBLIC, seconds=5),
            asked.visit("b.test", PUBLIC, seconds=1),
            asked.visit("c.test", other, PUBLIC, seconds=1),
            asked.visit("d.test", other, seconds=1),
        )

    assert dict(asking(visits, address_in_flight=1).passed) == {
        "a.test": 0.0,
        "d.test": 0.0,
        "b.test": 5.0,
        "c.test": 6.0,
    }


def test_who_waits_too_long_for_a_place_is_refused_and_forgotten() -> None:
    async def visits(asked: Asking) -> None:
        staying = asyncio.create_task(asked.visit("a.test", seconds=10))
        await asyncio.sleep(0)
        with pytest.raises(WorkFailed) as refused:
            await asked.visit("a.test", until=START + 3)
        assert refused.value.code is FailureCode.RATE_LIMITED
        assert asked.loop.time() == START + 3
        leaving = asyncio.create_task(asked.visit("a.test"))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(staying, asked.visit("a.test"))

    assert asking(visits, site_in_flight=1).times == [0.0, 10.0]


@pytest.mark.parametrize(
    ("status", "asked_for", "opens"),
    [
        (429, 20.0, 20.0),
        (503, 5.0, 5.0),
        (429, 90_000.0, 3600.0),
        (429, None, 0.0),
        (200, 20.0, 0.0),
        (404, 9.0, 0.0),
    ],
)
def test_a_server_is_left_alone_as_long_as_it_asks(
    status: int, asked_for: float | None, opens: float
) -> None:
    async def visits(asked: Asking) -> None:
        asked.gate.told(url.parse("http://a.test/"), status, asked_for)
        if opens:
            with pytest.raises(WorkFailed) as refused:
                await asked.visit("www.a.test", until=START + opens - 0.5)
            assert refused.value.retry_seconds == opens
        await asked.visit("b.test")
        await asked.visit("www.a.test", until=START + opens)

    assert asking(visits).times == [0.0, opens]


def test_five_failures_in_a_row_close_a_site_for_a_minute() -> None:
    async def visits(asked: Asking) -> None:
        target = url.parse("http://a.test/")
        for status in (0, 0, 0, 0, 404, 0, 0, 0, 0):
            asked.gate.told(target, status, None)
        await asked.visit("a.test")
        asked.gate.told(target, 0, None)
        with pytest.raises(WorkFailed) as refused:
            await asked.visit("a.test", until=START + 59)
        assert refused.value.retry_seconds == 60
        await asked.visit("a.test", until=START + 60)

    assert asking(visits).times == [0.0, 60.0]


def test_only_the_address_that_was_reached_is_occupied() -> None:
    """A stranger's name may have anybody's addresses beside a slow one of its own."""
    other = ip_address("93.184.216.35")

    async def visits(asked: Asking) -> None:
        async with asyncio.TaskGroup() as slow:
            for at in range(2):
                slow.create_task(asked.visit(f"s{at}.test", other, PUBLIC, seconds=9, reached=other))
            await asyncio.sleep(0)
            await asked.visit("a.test", PUBLIC)
            slow.create_task(asked.visit("b.test", other))
        assert asked.gate.in_flight == 0

    assert asking(visits, address_in_flight=2).passed[2:] == [("a.test", 0.0), ("b.test", 9.0)]


@pytest.mark.parametrize("failing", ["https://a.test:80/", "http://a.test:443/", "https://b.a.test/"])
def test_what_fails_is_one_origin_and_no_other_of_its_site(failing: str) -> None:
    """Anybody may ask for TLS of a port that speaks none."""

    async def visits(asked: Asking) -> None:
        for _ in range(5):
            asked.gate.told(url.parse(failing), 0, None)
        want = Want(url=failing, purpose=Purpose.PAGE)
        with pytest.raises(WorkFailed):
            async with asked.gate.admit(url.parse(failing), want, (PUBLIC,), until=START + 59):
                pass
        async with asyncio.TaskGroup() as waiting:
            # Who waits for it holds up no others either.
            waiting.create_task(asked.enter(url.parse(failing), want))
            await asyncio.sleep(0)
            for _ in range(9):
                await asked.visit("a.test", until=START)

    assert asking(visits).times == [0.0] * 9 + [60.0]


def test_only_so_many_sites_are_remembered_and_those_in_use_are() -> None:
    async def visits(asked: Asking) -> None:
        staying = asyncio.create_task(asked.visit("a.test", seconds=10))
        await asyncio.sleep(0)
        for name in ("b.test", "c.test", "d.test", "c.test", "a.test", "b.test"):
            await asked.visit(name)
        await staying

    # By then only b was forgotten, which came again as if for the first time.
    assert asking(visits, site_burst=1, most_sites=3).passed == [
        ("a.test", 0.0),
        ("b.test", 0.0),
        ("c.test", 0.0),
        ("d.test", 0.0),
        ("c.test", 1.0),
        ("a.test", 1.0),
        ("b.test", 1.0),
    ]


def test_nothing_is_left_behind_by_any_of_them() -> None:
    async def visits(asked: Asking) -> None:
        leaving: list[Coroutine[Any, Any, None]] = [
            asked.visit(f"s{at % 7}.test", seconds=at % 3, until=START + at % 11) for at in range(200)
        ]
        tasks = [asyncio.create_task(visit) for visit in leaving]
        await asyncio.sleep(1.5)
        for task in tasks[::3]:
            task.cancel()
        await asyncio.wait(tasks)
        assert asked.gate.in_flight == 0
        await asyncio.gather(*[asked.visit(f"s{at}.test", until=START + 999) for at in range(7)])

    assert len(asking(visits).passed) > 50
