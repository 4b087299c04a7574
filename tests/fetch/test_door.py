"""The door as the host uses it: a real process, real servers on loopback, real names."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Any

import pytest
from fetch.certificates import Authority
from fetch.names import Names
from fetch.origin import Exchange, Origin, answer, page, redirect

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, FetchFailed, Purpose, Resolved, Want
from remote_worker.fetch.door import Door, DoorFailed, next_pause
from remote_worker.fetch.messages import Hello
from remote_worker.fetch.policy import Listener
from remote_worker.fetch.settings import FetchSettings, Nameserver, Opening

ADDRESS = "93.184.216.34"


def through(
    origin: Origin, test: Callable[[Door, Names], Awaitable[None]], *, port: int = 80, **settings: Any
) -> None:
    """With a door, to which everything at ADDRESS is this origin, and `a.test` lies there."""

    async def run() -> None:
        async with Names() as names:
            names.has("a.test", ADDRESS)
            asked = FetchSettings(nameservers=(names.nameserver,), **settings)
            before = bodies()
            async with Door(asked, dial_map={(ADDRESS, port): ("127.0.0.1", origin.port)}) as door:
                await test(door, names)
            # Bodies alone: the origin has its sockets here too.
            assert bodies() == before

    asyncio.run(run())


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def bodies() -> int:
    """The documents that this process holds."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # It was the listing's own, or somebody else's.
            count += "memfd:document" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
    return count


def want(path: str = "/", **members: Any) -> Want:
    return Want(url=f"http://a.test{path}", **{"purpose": Purpose.PAGE, **members})


async def get(door: Door, wanted: Want, seconds: float = 10) -> Fetched:
    return await door.fetch(wanted, deadline=time.monotonic() + seconds)


async def failure(door: Door, wanted: Want, seconds: float = 10) -> FetchFailed:
    with pytest.raises(FetchFailed) as failed:
        await get(door, wanted, seconds)
    return failed.value


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(0.01)


class Hanging:
    """Never answers, and knows who has gone."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.gone()
        self.gone.append(exchange.request.path)


def test_a_page_comes_through_with_all_that_led_to_it() -> None:
    html = page("Here")
    with Origin({"/": redirect("/there"), "/there": answer(html)}) as origin:

        async def test(door: Door, names: Names) -> None:
            with await get(door, want()) as fetched:
                assert (fetched.url, fetched.status, fetched.media_type) == (
                    "http://a.test/there",
                    200,
                    "text/html",
                )
                assert fetched.body.prefix().startswith(b"<!doctype html><html><head><title>Here</title>")
            assert [(hop.url, hop.status, hop.dialled) for hop in fetched.hops] == [
                ("http://a.test/", 302, f"{ADDRESS}:80"),
                ("http://a.test/there", 200, f"{ADDRESS}:80"),
            ]
            assert [
                (verdict.address, verdict.allowed, verdict.rule) for verdict in fetched.hops[0].verdicts
            ] == [(ADDRESS, True, "public")]
            assert names.lookups["a.test"] == 2
            assert door.via
            assert door.via in origin.requests[0].headers["via"]

        through(origin, test)


def test_certificates_are_those_of_the_name_and_of_the_operator(tmp_path: Path) -> None:
    authority = Authority()
    file = authority.write(tmp_path / "authority.pem")
    with Origin({"/": answer(page("Safe"))}, tls=authority.server("a.test")) as origin:

        async def test(door: Door, names: Names) -> None:
            names.has("b.test", ADDRESS)
            with await get(door, Want(url="https://a.test/", purpose=Purpose.PAGE)) as fetched:
                assert fetched.status == 200
            failed = await failure(door, Want(url="https://b.test/", purpose=Purpose.PAGE))
            assert (failed.code, failed.detail) == (FailureCode.TLS_FAILED, "name")

        through(origin, test, port=443, egress_ca_file=str(file))


def test_two_hundred_who_want_the_same_cost_one_request() -> None:
    with Origin({"/": answer(page("Shared"))}) as origin:

        async def test(door: Door, names: Names) -> None:
            fetched = await asyncio.gather(*[get(door, want()) for _ in range(200)])
            for one in fetched:
                with one:
                    assert b"Shared" in one.body.prefix()
            assert origin.paths == ["/"]
            (await get(door, want())).body.close()
            assert origin.paths == ["/", "/"]

        through(origin, test)


def test_different_wants_are_not_shared() -> None:
    with Origin({"/": answer(page())}) as origin:

        async def test(door: Door, names: Names) -> None:
            for one in await asyncio.gather(
                get(door, want()), get(door, want(language="de")), get(door, want(site_of="http://b.test/"))
            ):
                one.body.close()
            assert len(origin.paths) == 3

        through(origin, test, site_in_flight=3)


def test_a_failure_is_shared_too_and_everyone_has_its_own() -> None:
    with Origin({"/": answer(status="404 Not Found")}) as origin:

        async def test(door: Door, names: Names) -> None:
            failed = await asyncio.gather(*[failure(door, want()) for _ in range(5)])
            assert {one.code for one in failed} == {FailureCode.HTTP_4XX}
            assert {one.status for one in failed} == {404}
            assert len(set(map(id, failed))) == 5
            assert len(origin.paths) == 1

        through(origin, test)


def test_a_fetch_ends_when_the_last_who_waits_is_gone_and_not_before() -> None:
    hanging = Hanging()
    with Origin({"/": hanging}) as origin:

        async def test(door: Door, names: Names) -> None:
            waiting = [asyncio.create_task(get(door, want())) for _ in range(3)]
            await until(lambda: len(origin.paths) == 1)
            for task in waiting[:2]:
                task.cancel()
            await asyncio.wait(waiting[:2])
            origin.on("/other", answer(page()))
            (await get(door, want("/other"))).body.close()
            assert hanging.gone == []
            waiting[2].cancel()
            assert await asyncio.to_thread(origin.wait_closed, 1.0)
            assert hanging.gone == ["/"]
            await asyncio.wait(waiting)
            origin.on("/", answer(page()))
            (await get(door, want())).body.close()

        through(origin, test)


def test_who_has_more_time_than_the_first_gets_all_of_it() -> None:
    async def slow(exchange: Exchange) -> None:
        if len(origin.paths) > 1:
            await exchange.send(answer(page("Late")))
        else:
            await exchange.gone()

    with Origin({"/": slow}) as origin:

        async def test(door: Door, names: Names) -> None:
            hasty, patient = await asyncio.gather(
                get(door, want(), 0.4), get(door, want(), 10), return_exceptions=True
            )
            assert isinstance(hasty, FetchFailed)
            assert (hasty.code, hasty.detail) == (FailureCode.TIMEOUT, "total")
            assert isinstance(patient, Fetched)
            patient.body.close()
            assert len(origin.paths) == 2

        through(origin, test)


def test_past_so_many_fetches_the_next_is_refused() -> None:
    hanging = Hanging()
    with Origin({"/1": hanging, "/2": hanging}) as origin:

        async def test(door: Door, names: Names) -> None:
            waiting = [asyncio.create_task(get(door, want(path))) for path in ("/1", "/2", "/2")]
            await until(lambda: len(origin.paths) == 2)
            for refused in (await failure(door, want("/3")), await failure(door, want("/4"))):
                assert refused.code is FailureCode.BUSY
            with pytest.raises(FetchFailed) as failed:
                await door.resolve("a.test", "A", deadline=time.monotonic() + 5)
            assert failed.value.code is FailureCode.BUSY
            waiting[0].cancel()
            await until(lambda: hanging.gone == ["/1"])
            await until(lambda: door.owes == 1)
            assert (await failure(door, want("/3"))).code is FailureCode.HTTP_4XX
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

        through(origin, test, fetches=2)


def test_a_name_that_changes_its_mind_is_judged_by_what_is_dialled() -> None:
    with Origin({"/": answer(page()), "/back": redirect("http://b.test/")}) as origin, Origin() as canary:

        async def test(door: Door, names: Names) -> None:
            names.rebinds("a.test", [ADDRESS], ["127.0.0.1"])
            (await get(door, want())).body.close()
            assert names.lookups["a.test"] == 1
            names.rebinds("b.test", [ADDRESS], ["127.0.0.1"])
            failed = await failure(door, Want(url="http://b.test/back", purpose=Purpose.PAGE))
            assert (failed.code, failed.detail) == (FailureCode.BLOCKED_ADDRESS, "loopback")
            assert [hop.code for hop in failed.hops] == ["", "blocked_address"]
            assert canary.accepted == 0

        through(origin, test)


def test_a_site_has_its_pace_and_who_cannot_wait_is_told_when() -> None:
    with Origin({f"/{at}": answer(page()) for at in range(4)}) as origin:

        async def test(door: Door, names: Names) -> None:
            for at in range(3):
                (await get(door, want(f"/{at}"))).body.close()
            refused = await failure(door, want("/3"), 5)
            assert refused.code is FailureCode.RATE_LIMITED
            assert 60 < refused.retry_seconds <= 100
            (await get(door, want("/3", site_of="http://a.test/2"))).body.close()

        through(origin, test, site_burst=3, site_per_second=0.01)


def test_nobody_is_fetched_from_the_worker_itself() -> None:
    with Origin({"/": answer(page())}) as origin:

        async def test(door: Door, names: Names) -> None:
            url = f"http://127.0.0.1:{origin.port}/"
            (await get(door, Want(url=url, purpose=Purpose.PAGE))).body.close()
            door.listens("0.0.0.0", origin.port)
            for wanted in (url, url.replace("127.0.0.1", "127.9.9.9")):
                assert (await failure(door, Want(url=wanted, purpose=Purpose.PAGE))).code is FailureCode.SELF
            os.kill(door.pid, signal.SIGKILL)
            assert (await failure(door, Want(url=url, purpose=Purpose.PAGE))).code is FailureCode.SELF
            # A machine that is not this one may well have that port open.
            names.has("b.test", "93.184.216.35")
            failed = await failure(door, Want(url=f"http://b.test:{origin.port}/", purpose=Purpose.PAGE), 0.3)
            assert failed.code is not FailureCode.SELF

        through(origin, test, egress_allow=(Opening(ip_network("127.0.0.0/8"), 0),))


def test_a_process_that_somebody_killed_is_replaced_and_asked_again() -> None:
    async def killing(exchange: Exchange) -> None:
        if len(origin.paths) == 1:
            os.kill(pids[-1], signal.SIGKILL)
            await exchange.gone()
        else:
            await exchange.send(answer(page("Again")))

    pids: list[int] = []
    with Origin({"/": killing}) as origin:

        async def test(door: Door, names: Names) -> None:
            pids.append(door.pid)
            with await get(door, want()) as fetched:
                assert b"Again" in fetched.body.prefix()
            pids.append(door.pid)
            assert not Path(f"/proc/{pids[0]}").exists()
            os.kill(pids[1], signal.SIGKILL)
            await until(lambda: not door.pid)
            await until(lambda: door.pid)
            (await get(door, want("/?again"))).body.close()

        through(origin, test)


@pytest.mark.parametrize(
    ("former", "lived_seconds", "pause"),
    [
        (0.0, 1.0, 0.0),
        (0.0, 0.99, 0.1),
        (0.1, 0.5, 0.2),
        (3.2, 0.0, 6.4),
        (6.4, 0.0, 10.0),
        (10.0, 0.0, 10.0),
        (10.0, 1.0, 0.0),
    ],
)
def test_starts_are_put_off_while_processes_do_not_live_for_a_moment(
    former: float, lived_seconds: float, pause: float
) -> None:
    assert next_pause(former, lived_seconds) == pause


def pauses(caplog: pytest.LogCaptureFixture) -> list[tuple[str, float]]:
    """What the log says of losses and failed starts, with the pause after each."""
    found = [record for record in caplog.records if record.msg in ("fetcher_lost", "fetcher_failed")]
    return [(str(record.msg), record.__dict__["fields"]["pause"]) for record in found]


def test_a_process_that_has_worked_is_replaced_at_once_and_others_less_and_less_soon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]

    async def run() -> None:
        async with Door(FetchSettings(), clock=lambda: now[0]) as door:
            for lived in (0.5, 0.5, 1.0, 0.5):
                now[0] += lived
                os.kill(door.pid, signal.SIGKILL)
                await until(lambda: not door.pid)
                await until(lambda: bool(door.pid))

    asyncio.run(run())

    assert pauses(caplog) == [("fetcher_lost", pause) for pause in (0.1, 0.2, 0.0, 0.1)]


def test_a_process_that_does_not_come_up_is_started_again_less_and_less_soon(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    authorities = tmp_path / "authorities.pem"
    Authority().write(authorities)

    async def run() -> None:
        settings = FetchSettings(egress_ca_file=str(authorities))
        async with Door(settings, clock=lambda: 0.0) as door:
            authorities.rename(tmp_path / "away")
            os.kill(door.pid, signal.SIGKILL)
            await until(lambda: len(pauses(caplog)) >= 3)
            (tmp_path / "away").rename(authorities)
            await until(lambda: bool(door.pid))

    asyncio.run(run())

    assert pauses(caplog)[:3] == [("fetcher_lost", 0.1), ("fetcher_failed", 0.2), ("fetcher_failed", 0.4)]


def test_a_fresh_process_takes_over_and_the_former_finishes_what_it_has_in_hand() -> None:
    released = threading.Event()

    async def slow(exchange: Exchange) -> None:
        await asyncio.to_thread(released.wait)
        await exchange.send(answer(page("Late")))

    with Origin({"/slow": slow, "/quick": answer(page("Quick"))}) as origin:

        async def test(door: Door, names: Names) -> None:
            former = door.pid
            waiting = asyncio.create_task(get(door, want("/slow")))
            await until(lambda: origin.paths == ["/slow"])
            await door.renew()
            (await get(door, want("/quick"))).body.close()

            assert door.pid != former
            assert door.owes == 1
            assert Path(f"/proc/{former}").exists()
            released.set()
            with await waiting as late:
                assert b"Late" in late.body.prefix()
            assert origin.paths == ["/slow", "/quick"]
            await until(lambda: not Path(f"/proc/{former}").exists())
            assert door.owes == 0

        through(origin, test)


def test_a_former_process_that_is_lost_takes_nothing_with_it() -> None:
    async def once(exchange: Exchange) -> None:
        if len(origin.paths) == 1:
            await exchange.gone()
        else:
            await exchange.send(answer(page("Again")))

    with Origin({"/": once}) as origin:

        async def test(door: Door, names: Names) -> None:
            former = door.pid
            waiting = asyncio.create_task(get(door, want()))
            await until(lambda: origin.paths == ["/"])
            await door.renew()
            present = door.pid
            os.kill(former, signal.SIGKILL)

            with await waiting as fetched:
                assert b"Again" in fetched.body.prefix()
            assert door.pid == present

        through(origin, test)


def test_a_fresh_process_has_read_the_certificates_anew(tmp_path: Path) -> None:
    authority, other = Authority(), Authority()
    file = tmp_path / "authority.pem"
    other.write(file)
    with Origin({"/": answer(page("Safe"))}, tls=authority.server("a.test")) as origin:

        async def test(door: Door, names: Names) -> None:
            wanted = Want(url="https://a.test/", purpose=Purpose.PAGE)
            assert (await failure(door, wanted)).code is FailureCode.TLS_FAILED
            authority.write(file)
            await door.renew()
            (await get(door, wanted)).body.close()

        through(origin, test, port=443, egress_ca_file=str(file))


def test_a_fresh_process_that_does_not_come_up_leaves_the_former(tmp_path: Path) -> None:
    authority = Authority()
    file = tmp_path / "authority.pem"
    authority.write(file)
    with Origin({"/": answer(page("Safe"))}, tls=authority.server("a.test")) as origin:

        async def test(door: Door, names: Names) -> None:
            former = door.pid
            file.unlink()
            with pytest.raises(DoorFailed):
                await door.renew()

            assert door.pid == former
            (await get(door, Want(url="https://a.test/", purpose=Purpose.PAGE))).body.close()

        through(origin, test, port=443, egress_ca_file=str(file))


def test_a_check_finds_a_process_that_somebody_stopped() -> None:
    with Origin() as origin:

        async def test(door: Door, names: Names) -> None:
            assert await door.check() == ""
            os.kill(door.pid, signal.SIGSTOP)
            assert await door.check() == "fetch: its process was lost"
            assert await door.check() == "fetch: its process is being replaced"
            await until(lambda: door.pid)
            assert await door.check() == ""

        through(origin, test)


@pytest.mark.parametrize(("members", "requests"), [({}, 2), ({"purpose": Purpose.RPC, "body": b"{}"}, 1)])
def test_it_is_asked_again_once_and_never_with_a_body(members: dict[str, Any], requests: int) -> None:
    async def killing(exchange: Exchange) -> None:
        os.kill(doors[0].pid, signal.SIGKILL)
        await exchange.gone()

    doors: list[Door] = []
    with Origin({"/": killing}) as origin:

        async def test(door: Door, names: Names) -> None:
            doors.append(door)
            assert (await failure(door, want(**members))).code is FailureCode.FETCH_UNAVAILABLE
            assert len(origin.paths) == requests

        through(origin, test)


def test_many_who_come_and_go_leave_nothing_open() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionError):
            await exchange.send(answer(page()))

    with Origin({"/": slow}) as origin:

        async def test(door: Door, names: Names) -> None:
            pid = door.pid
            chance = random.Random(5)
            theirs = descriptors(pid)

            async def come_and_go(at: int) -> None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(chance.uniform(0, 0.3)):
                        (await get(door, want(f"/?{at % 90}"))).body.close()

            await asyncio.gather(*[come_and_go(at) for at in range(300)])
            await until(lambda: door.owes == 0)
            await until(lambda: descriptors(pid) == theirs)

        through(origin, test, site_burst=10_000, site_in_flight=50)


@pytest.mark.parametrize("opcode", range(1, 16))
def test_what_a_name_server_answers_needs_no_file(opcode: int, caplog: pytest.LogCaptureFixture) -> None:
    with Origin() as origin:

        async def test(door: Door, names: Names) -> None:
            names.sends("odd.test", lambda wire: wire[:2] + bytes([wire[2] | opcode << 3]) + wire[3:])
            with pytest.raises(FetchFailed) as failed:
                await door.resolve("odd.test", "A", deadline=time.monotonic() + 5)
            assert failed.value.code is FailureCode.DNS_FAILED
            assert "fetcher_error" not in caplog.text

        through(origin, test)


def test_records_are_resolved_by_the_process() -> None:
    with Origin() as origin:

        async def test(door: Door, names: Names) -> None:
            names.record("a.test", "MX", "10 mail.a.test.", ttl=60)
            deadline = time.monotonic() + 5
            assert await door.resolve("a.test", "MX", deadline=deadline) == Resolved(
                answers=("10 mail.a.test.",), ttl=60.0, servers=(str(names.nameserver),)
            )
            with pytest.raises(FetchFailed) as failed:
                await door.resolve("b.test", "MX", deadline=deadline)
            assert failed.value.code is FailureCode.DNS_NOT_FOUND

        through(origin, test)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a\x00.test/", FailureCode.BAD_URL),
        ("http://a.test/\ud800", None),
        ("gopher://a.test/" + 9000 * "a", None),
        ("http://a.test/" + 70_000 * "a", FailureCode.TOO_LONG),
    ],
)
def test_no_text_that_somebody_sends_harms_the_process(url: str, code: FailureCode | None) -> None:
    with Origin() as origin:

        async def test(door: Door, names: Names) -> None:
            pid = door.pid
            failed = await failure(door, Want(url=url, purpose=Purpose.PAGE))
            assert code is None or failed.code is code
            assert failed.code is not FailureCode.FETCH_UNAVAILABLE
            assert door.pid == pid

        through(origin, test)


def test_what_the_operator_only_has_reported_is_logged_by_the_host(caplog: pytest.LogCaptureFixture) -> None:
    with Origin({"/": answer(page())}) as origin:

        async def test(door: Door, names: Names) -> None:
            (await get(door, want())).body.close()

        denied = (Opening(ip_network("93.184.216.0/24"), 80),)
        through(origin, test, egress_deny=denied, egress_report=True)

    (told,) = [
        record.__dict__["fields"] for record in caplog.records if record.getMessage() == "egress_reported"
    ]
    assert (told["rule"], told["address"], told["url"]) == ("denied", ADDRESS, "http://a.test/")


def test_a_url_is_told_apart_without_asking_anybody() -> None:
    door = Door(FetchSettings())

    assert door.place("http://WWW.a.co.uk/x#y").site == "a.co.uk"
    assert door.place("../z", "http://b.test/x/y").url == "http://b.test/z"
    with pytest.raises(WorkFailed) as failed:
        door.place("file:///etc/passwd")
    assert failed.value.code is FailureCode.BAD_SCHEME


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://169.254.169.254/icon.png", FailureCode.BLOCKED_ADDRESS),
        ("http://169.253.169.254/icon.png", None),
        ("//[::ffff:127.0.0.1]/icon.png", FailureCode.BLOCKED_ADDRESS),
        ("http://localhost/icon.png", FailureCode.BLOCKED_NAME),
        ("http://localhost.a.test/icon.png", None),
        ("http://a.test:8081/icon.png", FailureCode.BAD_PORT),
        ("http://10.0.0.1:8080/icon.png", None),
        ("http://10.0.0.1/icon.png", FailureCode.BLOCKED_ADDRESS),
        ("http://93.184.216.34:443/icon.png", FailureCode.SELF),
        ("http://93.184.216.34/icon.png", None),
    ],
)
def test_what_nobody_would_fetch_is_no_place_to_show(url: str, refused: FailureCode | None) -> None:
    door = Door(FetchSettings(egress_allow=(Opening(ip_network("10.0.0.1/32"), 8080),)))
    door.listens("93.184.216.34", 443)

    if refused is None:
        assert door.place(url, "http://b.test/").url == url
    else:
        with pytest.raises(WorkFailed) as failed:
            door.place(url, "http://b.test/")
        assert failed.value.code is refused


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"egress_ca_file": "/none.pem"}, "start: REMOTE_EGRESS_CA_FILE must .*'/none.pem': .*No such file"),
        ({"egress_ca_file": __file__}, "start: REMOTE_EGRESS_CA_FILE must be a file of certificates in PEM"),
        (
            {"egress_proxy": "socks5://127.0.0.1:1080"},
            "start: REMOTE_EGRESS_PROXY must be http://address:port",
        ),
        ({"egress_proxy": "http://127.0.0.1"}, "start: REMOTE_EGRESS_PROXY must be http://address:port"),
        (
            {"egress_proxy": "http://127.0.0.1:65536"},
            "start: REMOTE_EGRESS_PROXY must be http://address:port",
        ),
        ({"egress_proxy": "http://proxy.lan:3128"}, "start: REMOTE_EGRESS_PROXY must be http://address:port"),
        ({"egress_proxy": "http://me:secret@127.0.0.1:3128"}, "start: REMOTE_EGRESS_PROXY [^@]*$"),
    ],
)
def test_a_door_that_cannot_be_put_up_says_why(settings: dict[str, str], reason: str) -> None:
    async def run() -> None:
        async with Door(FetchSettings(**settings)):
            pass

    with pytest.raises(DoorFailed, match=reason):
        asyncio.run(run())


def test_the_process_has_nothing_of_our_environment_and_dies_with_us(tmp_path: Path) -> None:
    program = tmp_path / "host.py"
    program.write_text(
        "import asyncio, sys\n"
        "from remote_worker.fetch.door import Door\n"
        "from remote_worker.fetch.settings import FetchSettings\n"
        "async def run():\n"
        "    async with Door(FetchSettings()) as door:\n"
        "        print(door.pid, flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(run())\n"
    )
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        "KEY": "ours",
        "SSL_CERT_DIR": "/etc",
    }
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=environment) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        if os.geteuid() == 0:
            assert Path(f"/proc/{pid}/environ").read_bytes() == b"SSL_CERT_DIR=/etc\0"
            assert {Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in (0, 1, 2)} == {Path("/dev/null")}
        host.kill()
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.01)
    pytest.fail("it lives on")


def test_what_the_process_is_told_arrives_as_it_was() -> None:
    hello = Hello(
        settings=FetchSettings(
            egress_allow=(Opening(ip_network("127.0.0.1/32"), 8000), Opening(ip_network("::1/128"), 0)),
            egress_deny=(Opening(ip_network("93.184.0.0/16"), 80),),
            egress_ports=(80, 8080),
            nameservers=(Nameserver("127.0.0.1", 5353), Nameserver("::1")),
            nat64=(IPv6Network("2001:db8::/96"),),
            contact="mailto:a@b.test",
            dns_seconds=1.5,
        ),
        via="token",
        own=(Listener("::", 8080),),
        dial_map={("93.184.216.34", 80): ("127.0.0.1", 8000)},
        is_sealed=False,
    )

    assert Hello.read(hello.write()) == hello
