"""Webhooks through the real process that fetches, to a receiver on loopback that is opened for them alone."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from fetch.names import Names
from fetch.origin import Exchange, Origin, Request, answer, canaries, dripped, endless, redirect, sit

from remote_worker import __version__
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.engines.engine import Again, Kind, Unit
from remote_worker.fetch.door import Door
from remote_worker.fetch.settings import FetchSettings, Opening
from remote_worker.jobs import signature
from remote_worker.jobs.job import Call, Caller, Job, Outcome
from remote_worker.jobs.records import Records, new_id
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.webhook import Teller, pause_seconds
from remote_worker.settings import BadSettings, read
from remote_worker.stores.opening import open_store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""That of the tests of the specification's own libraries, as are these."""
VECTOR = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CREATED, FINISHED = 1767225600.0, 1767225601.25  # 2026-01-01T00:00:00Z, and a little later.
OK, FAILING = answer(b"ok"), answer(b"no", status="500 Oops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease, as an engine gives it."""

    attempt: int = 1
    is_beyond: bool = False
    waited_seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class World:
    """A receiver, its name server, the door, and a store of jobs."""

    origin: Origin
    names: Names
    door: Door
    records: Records
    runner: asyncio.Runner
    teller: Callable[..., Teller]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def job(self, callback: str = "", **outcome: Any) -> str:
        """The ID of one that has ended."""
        id = new_id(CREATED)
        job = Job(
            id=id,
            call=Call(method="POST", target="/images/fit/8", headers={}),
            caller=Caller(),
            created=CREATED,
            deadline=CREATED + 60,
            request_id="r",
            callback=callback or self.url("/"),
        )
        self.records.write_job(job)
        self.records.commit(
            id, Outcome(**{"status": 200, "body": b"PICTURE", "finished": FINISHED, **outcome})
        )
        return id

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.origin.port}{path}"

    def on(self, behaviour: Any) -> str:
        """The URL of a new path that behaves so."""
        return self.url(self.origin.on(f"/{next(self.numbers)}", behaviour))

    def asked(self, url: str) -> list[Request]:
        """The requests for it."""
        return [
            request for request in self.origin.requests if url.endswith(f"{self.origin.port}{request.path}")
        ]

    def tell(self, id: str, teller: Teller | None = None, *, held: Held | None = None) -> None:
        """One attempt."""
        unit = Unit(id="any.webhook", kind=Kind.WEBHOOK, body=id.encode())
        self.runner.run((teller or self.teller()).tell(unit, held or Held()))

    def pauses(self, id: str, teller: Teller | None = None) -> list[float]:
        """Attempt after attempt, as an engine hands the unit out; what they ask to wait for between them."""
        pauses: list[float] = []
        for attempt in range(1, 100):
            try:
                self.tell(id, teller, held=Held(attempt=attempt))
            except Again as again:
                pauses.append(again.seconds)
            else:
                break
        return pauses

    def told(self, id: str) -> dict[str, Any]:
        return dict(self.records.told(id) or {})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all: each test has paths and jobs of its own."""
    store = open_store(str(tmp_path_factory.mktemp("jobs")))
    names = Names()
    with asyncio.Runner() as runner, Origin({"/": OK}) as origin:
        runner.run(names.__aenter__())
        opened = Opening(ip_network("127.0.0.1/32"), origin.port)
        door = Door(
            FetchSettings(
                webhook_allow=(opened,),
                nameservers=(names.nameserver,),
                first_byte_seconds=0.5,
                site_in_flight=1000,
            )
        )
        runner.run(door.__aenter__())

        def teller(*keys: str, attempts: int = 8, **others: Any) -> Teller:
            settings = JobSettings(webhook_keys=keys or (SECRET,), webhook_attempts=attempts)
            return Teller(door, store, settings, **{"draw": lambda: 0.0, **others})

        yield World(
            origin=origin, names=names, door=door, records=Records(store), runner=runner, teller=teller
        )
        runner.run(door.__aexit__())
        runner.run(names.__aexit__())


def verified(secret: str, request: Request) -> dict[str, Any]:
    """The message, if one of its signatures is by this secret: as the specification has it, by itself."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = b".".join([id.encode(), timestamp.encode(), request.body])
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert ("v1", digest) in [
        tuple(one.split(",")) for one in request.headers["webhook-signature"].split(" ")
    ]
    return dict(json.loads(request.body))


def vector() -> Request:
    id, timestamp, body = VECTOR
    headers = {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": SIGNED}
    return Request(method="POST", path="/", headers=headers, head=b"", body=body)


def test_the_signature_is_the_published_one() -> None:
    assert dict(signature.headers([signature.key_of(SECRET)], *VECTOR)) == vector().headers
    assert verified(SECRET, vector()) == {"test": 2432232314}


def test_an_id_with_a_full_stop_is_not_signed() -> None:
    with pytest.raises(ValueError, match="full stop"):
        signature.headers([b"x" * 24], "a.1", 1, b"")


def coded(count: int) -> str:
    return "whsec_" + base64.b64encode(b"\xff" * count).decode()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a" * 23, None),
        ("a" * 24, b"a" * 24),
        ("a" * 64, b"a" * 64),
        ("a" * 65, None),
        (coded(23), None),
        (coded(24), b"\xff" * 24),
        (coded(64), b"\xff" * 64),
        (coded(65), None),
        ("whsec_" + "*" * 40, None),
        ("whsec_" + "A" * 33, None),
        ("", None),
    ],
)
def test_a_key_has_24_to_64_bytes_as_they_are_or_in_base64(text: str, key: bytes | None) -> None:
    if key is not None:
        assert signature.key_of(text) == key
        return
    with pytest.raises(ValueError, match="24 to 64 bytes") as refused:
        signature.key_of(text)
    assert not text or text not in str(refused.value)


def test_who_submitted_is_told_once_by_a_signed_post(world: World) -> None:
    url = world.on(answer(b"", status="204 No Content", media_type=None))
    id = world.job(url, attempts=2)
    teller = world.teller(public_url="https://img.example.org/", clock=lambda: 1767225700.9)

    world.tell(id, teller)
    world.tell(id, teller)

    (request,) = world.asked(url)
    assert verified(SECRET, request) == {
        "type": "job.done",
        "timestamp": "2026-01-01T00:00:01.250Z",
        "data": {
            "id": id,
            "state": "done",
            "status": 200,
            "code": None,
            "created": CREATED,
            "finished": FINISHED,
            "attempts": 2,
            "result": f"https://img.example.org/jobs/{id}/result",
        },
    }
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert (request.headers["webhook-id"], request.headers["webhook-timestamp"]) == (id, "1767225700")
    assert world.told(id) == {
        "delivered": True,
        "attempts": 1,
        "status": 204,
        "code": "",
        "at": 1767225700.9,
    }


def test_a_failed_job_is_told_with_its_code_and_a_path(world: World) -> None:
    url = world.on(OK)
    id = world.job(url, status=422, code="damaged")

    world.tell(id)

    told = verified(SECRET, world.asked(url)[0])
    assert told["type"] == "job.failed"
    assert {name: told["data"][name] for name in ("state", "status", "code", "result")} == {
        "state": "failed",
        "status": 422,
        "code": "damaged",
        "result": f"/jobs/{id}/result",
    }


def test_a_webhook_says_no_more_of_us_than_any_fetch(world: World) -> None:
    url = world.on(OK)
    world.tell(world.job(url))
    (request,) = world.asked(url)

    assert request.headers.keys() == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "via",
        "connection",
        "content-type",
        "content-length",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert request.headers["user-agent"] == f"RemoteWorker/{__version__} (webhook)"
    assert b"PICTURE" not in request.body


def test_what_fails_is_told_again_the_same_but_for_its_time_until_it_is_taken(world: World) -> None:
    left = [FAILING, answer(status="404 Not Found"), b"", OK]

    async def better_and_better(exchange: Exchange) -> None:
        await exchange.send(left.pop(0))

    url = world.on(better_and_better)
    id = world.job(url)
    ticks = itertools.count(1_000_000)

    pauses = world.pauses(id, world.teller(clock=lambda: next(ticks)))

    requests = world.asked(url)
    assert pauses == [5, 30, 120]
    assert len({request.headers["webhook-timestamp"] for request in requests}) == 4
    assert [(request.headers["webhook-id"], request.body) for request in requests] == [
        (id, requests[0].body)
    ] * 4
    for request in requests:
        verified(SECRET, request)
    told = world.told(id)
    assert (told["delivered"], told["attempts"], told["status"]) == (True, 4, 200)


@pytest.mark.parametrize("attempts", [1, 3])
def test_attempts_are_bounded(world: World, attempts: int, caplog: pytest.LogCaptureFixture) -> None:
    url = world.on(FAILING) + "?token=s3cret"
    id = world.job(url)

    with caplog.at_level(logging.WARNING):
        pauses = world.pauses(id, world.teller(attempts=attempts))

    assert len(pauses) == attempts - 1
    assert len(world.asked(url)) == attempts
    told = world.told(id)
    assert (told["delivered"], told["attempts"], told["status"], told["code"]) == (
        False,
        attempts,
        500,
        "http_5xx",
    )
    # The operator hears of it, and of no secret in the URL.
    fields = [getattr(record, "fields", {}) for record in caplog.records if record.msg == "webhook_given_up"]
    assert fields == [{"job": id, "code": "http_5xx", "status": 500, "attempts": attempts}]


def test_while_keys_are_exchanged_each_of_them_verifies(world: World) -> None:
    url = world.on(OK)
    world.tell(world.job(url), world.teller(OTHER, SECRET))
    world.tell(world.job(url), world.teller(OTHER))

    both, new = world.asked(url)
    assert verified(SECRET, both) == verified(OTHER, both)
    verified(OTHER, new)
    with pytest.raises(AssertionError):
        verified(SECRET, new)


@pytest.mark.parametrize(("status", "attempts"), [("410 Gone", 1), ("404 Not Found", 8), ("409 No", 8)])
def test_who_says_gone_is_not_asked_again(world: World, status: str, attempts: int) -> None:
    url = world.on(answer(status=status))
    id = world.job(url)

    world.pauses(id)

    assert len(world.asked(url)) == attempts
    told = world.told(id)
    assert (told["delivered"], told["status"], told["code"]) == (False, int(status[:3]), "http_4xx")


def test_a_redirect_is_a_failure_and_leads_nowhere(world: World) -> None:
    with canaries() as (canary, *_):
        inside = world.on(redirect(f"http://127.0.0.1:{canary.port}/"))
        beside = world.on(redirect(world.url("/"), status="307 Temporary Redirect"))
        before = len(world.asked(world.url("/")))
        ids = [world.job(inside), world.job(beside)]
        for id in ids:
            world.pauses(id, world.teller(attempts=2))

        assert [len(world.asked(url)) for url in (inside, beside)] == [2, 2]
        assert len(world.asked(world.url("/"))) == before
        assert [(world.told(id)["status"], world.told(id)["code"]) for id in ids] == [
            (302, "http_status"),
            (307, "http_status"),
        ]


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), ""),
        (endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.01), ""),
        (answer(b"\0\xff{", status="202 Accepted", media_type="image/svg+xml"), ""),
        (answer(b"no gzip", headers={"Content-Encoding": "gzip"}), ""),
        (dripped(OK, 0.2), "timeout"),
        (sit, "timeout"),
        (b"", "bad_http"),
        (b"220 smtp.example.org\r\n", "bad_http"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "bad_http"),
    ],
)
def test_only_the_head_of_the_answer_counts(world: World, behaviour: Any, code: str) -> None:
    id = world.job(world.on(behaviour))

    world.pauses(id, world.teller(attempts=1))

    told = world.told(id)
    assert (told["delivered"], told["code"]) == (not code, code)
    assert world.origin.wait_closed()


def test_a_name_that_comes_to_lead_inside_is_told_no_more(world: World) -> None:
    url = world.on(FAILING).replace("127.0.0.1", "hook.test")
    world.names.rebinds("hook.test", ["127.0.0.1"], ["127.0.0.1", "10.0.0.1"])
    id = world.job(url)

    pauses = world.pauses(id)

    assert (pauses, len(world.asked(url))) == ([5], 1)
    told = world.told(id)
    assert (told["delivered"], told["attempts"], told["status"], told["code"]) == (
        False,
        2,
        0,
        "blocked_address",
    )


def test_an_address_of_an_own_network_is_refused_at_once(world: World) -> None:
    with canaries() as (canary, *_):
        id = world.job(f"http://127.0.0.1:{canary.port}/")

        assert world.pauses(id) == []
        assert world.told(id)["code"] == "blocked_address"


@pytest.mark.parametrize(
    ("asked", "pauses"),
    [("4", [5, 30]), ("60", [60, 60]), ("3600", [3600, 3600]), ("3601", [3600, 3600]), ("soon", [5, 30])],
)
def test_a_receiver_puts_the_next_attempt_off_but_by_an_hour_at_most(
    world: World, asked: str, pauses: list[float]
) -> None:
    url = world.on(answer(status="503 Busy", headers={"Retry-After": asked}))

    assert world.pauses(world.job(url), world.teller(attempts=3)) == pauses


def test_pauses_grow_to_five_hours_and_are_not_in_step() -> None:
    assert [pause_seconds(attempt) for attempt in range(1, 10)] == [
        5,
        30,
        120,
        600,
        1800,
        7200,
        18000,
        18000,
        18000,
    ]
    assert [pause_seconds(2, draw=draw) for draw in (0, 0.5, 1)] == [30, 33, 36]
    assert pause_seconds(1, asked_seconds=2.0**53) == 3600


def test_a_job_that_is_gone_ends_quietly(world: World) -> None:
    url = world.on(OK)
    forgotten, unfinished, stranger = world.job(url), new_id(CREATED), "../../etc"
    world.records.forget(forgotten)

    for id in (forgotten, unfinished, stranger):
        world.tell(id)

    assert world.asked(url) == []


def test_nothing_is_left_of_a_job_that_is_deleted_while_it_is_told_of(world: World) -> None:
    async def deletes(exchange: Exchange) -> None:
        await asyncio.to_thread(world.records.forget, id)
        await exchange.send(OK)

    id = world.job(world.on(deletes))

    world.tell(id)

    assert world.records.parts(id) == {}


def test_who_is_past_the_attempts_writes_that_down_and_asks_nobody(world: World) -> None:
    url = world.on(OK)
    id = world.job(url)

    world.tell(id, held=Held(attempt=9, is_beyond=True))

    assert world.asked(url) == []
    told = world.told(id)
    assert (told["delivered"], told["attempts"], told["code"]) == (False, 8, "worker_killed")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://hooks.example.org/a?b=c", ""),
        ("http://hooks.example.org/", ""),
        ("http://93.184.216.34/", ""),
        ("ftp://hooks.example.org/", "bad_scheme"),
        ("/jobs", "bad_url"),
        ("https://user:word@hooks.example.org/", "userinfo"),
        ("https://hooks.example.org:8443/", "bad_port"),
        ("https://hooks.example.org:25/", "bad_port"),
        ("http://10.0.0.1/", "blocked_address"),
        ("http://169.254.169.254/latest/", "blocked_address"),
        ("http://[::1]/", "blocked_address"),
        ("http://2130706433/", "blocked_address"),
        ("http://localhost/", "blocked_name"),
        ("http://metadata.google.internal/", "blocked_name"),
        ("https://hooks.example.org/" + "a" * 2048, "too_long"),
    ],
)
def test_what_could_never_be_told_is_refused_when_it_is_submitted(world: World, url: str, code: str) -> None:
    found: str = ""
    try:
        world.teller().check(url)
    except WorkFailed as refused:
        found = refused.code

    assert found == code


def test_the_receiver_that_was_opened_may_be_a_callback(world: World) -> None:
    world.teller().check(world.url("/"))


def test_without_keys_nothing_is_promised(world: World) -> None:
    teller = Teller(world.door, open_store("/nowhere"), JobSettings())

    with pytest.raises(WorkFailed) as refused:
        teller.check("https://hooks.example.org/")

    assert refused.value.code is FailureCode.NOT_CONFIGURED


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.WEBHOOK])
def test_what_is_opened_for_webhooks_is_opened_for_nothing_else(world: World, purpose: Purpose) -> None:
    with pytest.raises(FetchFailed) as refused:
        world.runner.run(world.door.fetch(Want(url=world.url("/"), purpose=purpose), deadline=1e12))

    assert refused.value.code is FailureCode.BLOCKED_ADDRESS


PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def sample(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def in_python(secret: str, request: Request, now: float) -> bool:
    names: dict[str, Any] = {}
    exec(sample("python"), names)
    return bool(names["is_genuine"](secret, request.headers, request.body, now))


def in_javascript(secret: str, request: Request, now: float) -> bool:
    told = json.dumps([secret, dict(request.headers), request.body.decode(), now])
    script = sample("javascript") + (
        f"const [secret, headers, body, now] = {told};"
        "console.log(isGenuine(secret, headers, Buffer.from(body), now));"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-"], input=script, capture_output=True, text=True, check=True
    )
    return {"true": True, "false": False}[done.stdout.strip()]


@pytest.mark.parametrize(
    "is_genuine",
    [
        pytest.param(in_python, id="python"),
        pytest.param(in_javascript, marks=pytest.mark.needs_node, id="javascript"),
    ],
)
def test_the_samples_of_the_page_take_what_is_genuine_and_nothing_else(
    world: World, is_genuine: Callable[[str, Request, float], bool]
) -> None:
    url = world.on(OK)
    world.tell(world.job(url), world.teller(OTHER, SECRET, clock=lambda: 1000.0))
    (sent,) = world.asked(url)
    id, signed_at, _ = VECTOR

    assert is_genuine(SECRET, vector(), signed_at)
    assert is_genuine(SECRET, sent, 1300)
    assert is_genuine(OTHER, sent, 700)
    assert not is_genuine(SECRET, sent, 1301)
    assert not is_genuine(SECRET, replace(sent, body=sent.body.replace(b"200", b"201")), 1000)
    assert not is_genuine(SECRET, replace(sent, headers={**sent.headers, "webhook-id": id}), 1000)
    assert not is_genuine(coded(32), sent, 1000)


@pytest.mark.parametrize("keys", ["a" * 23, f"{'a' * 24},{'b' * 65}", coded(23)])
def test_a_key_that_is_none_stops_the_start_and_is_not_shown(keys: str) -> None:
    read({"REMOTE_WEBHOOK_KEYS": f"{'a' * 24},{'b' * 64},{coded(24)}"})

    with pytest.raises(BadSettings) as refused:
        read({"REMOTE_WEBHOOK_KEYS": keys})

    (problem,) = refused.value.problems
    assert problem.startswith("REMOTE_WEBHOOK_KEYS must be keys of 24 to 64 bytes")
    assert not any(key in problem for key in keys.split(","))
