"""A job's answer is the one that its request gets directly, by the key and the limits as they are then."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from service.doors import Door, Page, Sight, picture
from web.keyrings import BEARER, OTHER_BEARER, one_key, write
from web.serving import BOUNDARY, Probe, SmallDecoder, form, small_uses
from web.small_links import small_links

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.links import PageFacts
from remote_worker.contract.messages import Output, Recipe
from remote_worker.jobs.job import Call, Caller, Job, Outcome
from remote_worker.service.presets import Preset
from remote_worker.web.app import App, create_app
from remote_worker.web.replay import WORDS_BYTES, Replay
from remote_worker.web.settings import WebSettings
from remote_worker.web.targets import PICKING

PAGE, PICTURE, NONE = (f"https://{name}.example.org/a" for name in ("www", "cdn", "none"))
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
PRESETS = {
    name: Preset(
        name=name, recipe=Recipe(outputs=tuple(Output(name=one, width=9, height=9) for one in outputs))
    )
    for name, outputs in {"card": ("small", "wide"), "one": ("only",)}.items()
}
UPLOADS = [form(b"some bytes"), form(b"fail:damaged"), form(b"fail:decoder_crashed"), form(b""), b"cut"]
BROKEN = [b"{", b"[]", b'{"text": 3}']


@dataclass
class World:
    """An application of its own, and what is behind it."""

    app: App
    decoder: SmallDecoder

    async def direct(self, call: Call, body: bytes, *, key: str = "") -> httpx.Response:
        """The answer to the request itself."""
        transport = httpx.ASGITransport(app=self.app)
        headers = {**call.headers, "x-request-id": "one"} | (
            {"authorization": f"Bearer {key}"} if key else {}
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            client.headers.clear()
            return await client.request(call.method, call.target, content=body, headers=headers)

    async def replayed(
        self, call: Call, body: bytes, *, limits: Limits | None = None, **caller: str
    ) -> Outcome:
        """The answer that is recorded."""
        return await Replay(self.app, self.app.gate, limits or Limits())(job(call, **caller), body)


def world(**settings: Any) -> World:
    door = Door({PAGE: Page(), PICTURE: picture(b"picture", etag='"v1"', cache_control="max-age=1200")})
    decoder = SmallDecoder()
    links = small_links(door, Sight({PAGE: PageFacts(title="A story")}))
    uses = small_uses(decoder, links=links, presets=PRESETS)
    return World(create_app(uses, Probe(), WebSettings(**settings), Limits()), decoder)


def job(call: Call, *, key: str = "", address: str = "192.0.2.7") -> Job:
    caller = Caller(key=key, address=address)
    return Job(id="ab" * 20, call=call, caller=caller, created=1.0, deadline=2.0, request_id="one")


def post(target: str, accept: str = "*/*", kind: str = MULTIPART, **headers: str) -> Call:
    told = {"accept": accept, "content-type": kind, **headers}
    return Call(method="POST", target=target, headers=told)


def get(target: str, accept: str = "*/*") -> Call:
    return Call(method="GET", target=target, headers={"accept": accept})


def without_times(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Without what two answers to the same request differ in."""
    boundary = headers.get("content-type", "").partition("boundary=")[2]
    if boundary:
        body = body.replace(boundary.encode(), b"boundary")
    return re.sub(rb'"(start|end|cost)": [0-9.]+', b'"time": 0', body)


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Without those that every answer has of its own."""
    own = {"content-length", "server-timing", "x-request-id", "cache-control", "x-content-type-options"}
    told = {name: value for name, value in headers.items() if name not in own}
    return told | {"content-type": told.get("content-type", "").partition("boundary=")[0]}


def both(call: Call, body: bytes = b"") -> tuple[httpx.Response, Outcome]:
    async def run() -> tuple[httpx.Response, Outcome]:
        return await world().direct(call, body), await world().replayed(call, body)

    return asyncio.run(run())


JSON = "application/json"
EVERY: dict[str, list[tuple[Call, bytes]]] = {
    "/images/prepare_jpeg": [(post("/images/prepare_jpeg"), body) for body in UPLOADS],
    "/images/fit/{box}": [
        *((post("/images/fit/80"), body) for body in UPLOADS),
        (post("/images/fit/80x60?format=webp&mode=pad", "image/*"), form(b"x")),
        (post("/images/fit/80?simple=1"), form(b"y" * 1_000_000)),
        (post("/images/fit/80?url=" + quote(PICTURE, safe="")), b""),
        (post("/images/fit/80?url=" + quote(NONE, safe=""), "application/problem+json"), b""),
        (post("/images/fit/0"), form(b"x")),
        (post("/images/fit/wide"), form(b"x")),
        (post("/images/fit/80", **{"remote-limits": "input_bytes=5"}), form(b"123456")),
        (post("/images/fit/80", **{"remote-limits": "input_bytes=6"}), form(b"123456")),
        (get("/images/fit/80"), b""),
    ],
    "/images/rescale_avatar": [(post("/images/rescale_avatar?animated=1"), body) for body in UPLOADS],
    "/images/resize_avatar": [(post("/images/resize_avatar"), UPLOADS[0])],
    "/images/info": [(post("/images/info?metadata=1"), body) for body in UPLOADS],
    "/images/preset/{name}": [
        *((post("/images/preset/card", accept), UPLOADS[0]) for accept in ("*/*", "multipart/mixed")),
        (post("/images/preset/one", "image/png"), UPLOADS[0]),
        (post("/images/preset/none"), UPLOADS[0]),
    ],
    "/images/facts": [(post("/images/facts?facts=phash"), UPLOADS[0]), (post("/images/facts?facts=x"), b"")],
    "/links/preview": [
        (get("/links/preview?explain=1&url=" + quote(PAGE, safe="")), b""),
        (get("/links/preview?url=" + quote(NONE, safe=""), "application/problem+json"), b""),
        (post("/links/preview", kind=JSON), json.dumps({"url": PAGE}).encode()),
        (post("/links/preview", kind=JSON), b'{"url": "http://127.0.0.1/"}'),
    ],
    "/links/previews": [
        (post("/links/previews", kind=JSON), json.dumps({"urls": [PAGE]}).encode()),
        (post("/links/previews", kind=JSON), json.dumps({"urls": [NONE]}).encode()),
        (post("/links/previews", kind="text/plain"), b"{}"),
    ],
    "/links/image": [
        (get("/links/image?url=" + quote(PICTURE, safe="")), b""),
        (get("/links/image?info=1&url=" + quote(PICTURE, safe="")), b""),
        (get("/links/image?url=" + quote(NONE, safe="")), b""),
    ],
    "/text/render_markdown": [
        (post("/text/render_markdown", kind=JSON), '{"text": "Grüße @you **x**"}'.encode()),
        (post("/text/render_markdown", kind=JSON), b'{"text": "fail:parse_limit"}'),
        *((post("/text/render_markdown", kind=JSON), body) for body in BROKEN),
    ],
}


def test_every_route_that_a_job_may_ask_for_is_compared_here() -> None:
    assert EVERY.keys() == PICKING.keys()


@pytest.mark.parametrize("path", EVERY)
def test_the_recorded_answer_is_the_direct_one(path: str) -> None:
    statuses = set()
    for call, body in EVERY[path]:
        direct, recorded = both(call, body)

        assert recorded.status == direct.status_code
        assert kept(recorded.headers) == kept(direct.headers)
        assert without_times(recorded.body, recorded.headers) == without_times(direct.content, direct.headers)
        refused = direct.json() if direct.status_code >= 400 else {}
        assert recorded.code == refused.get("code", "")
        statuses.add(direct.status_code)
    assert 200 in statuses


# Who asks.


def replayed(made: World, call: Call, body: bytes = form(b"x"), **caller: str) -> Outcome:
    return asyncio.run(made.replayed(call, body, **caller))


def refused(outcome: Outcome) -> tuple[int, str]:
    assert json.loads(outcome.body)["code"] == outcome.code
    return outcome.status, outcome.code


def test_the_work_counts_as_that_of_who_submitted_the_job(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys.toml", one_key("pixels = 1000"))
    open_to_all, with_keys = world(), world(keys_file=keys)

    replayed(open_to_all, post("/images/fit/8"), address="2001:db8::1")
    replayed(with_keys, post("/images/fit/8", **{"remote-limits": "frames=3"}), key="app")

    assert open_to_all.decoder.callers == ["2001:db8::/64"]
    (caller,) = with_keys.decoder.callers
    assert caller == "key:app"
    assert caller.ceilings.given() == {"pixels": 1000, "frames": 3}


def test_a_key_that_is_gone_since_is_unauthenticated(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys.toml", one_key())

    assert replayed(world(keys_file=keys), post("/images/fit/8"), key="app").status == 200
    assert refused(replayed(world(keys_file=keys), post("/images/fit/8"), key="other")) == (
        401,
        "unauthenticated",
    )
    assert refused(replayed(world(keys_file=keys), post("/images/fit/8"))) == (401, "unauthenticated")
    # And so where there are no keys at all any more.
    assert refused(replayed(world(), post("/images/fit/8"), key="app")) == (401, "unauthenticated")


def test_areas_count_as_they_are_when_it_is_answered(tmp_path: Path) -> None:
    text = one_key('may = ["images"]') + one_key('may = ["links", "presets"]', name="b", bearer=OTHER_BEARER)
    made = world(keys_file=write(tmp_path / "keys.toml", text))

    assert replayed(made, post("/images/fit/8"), key="app").status == 200
    assert refused(replayed(made, get(f"/links/image?url={PICTURE}"), b"", key="app")) == (403, "forbidden")
    assert refused(replayed(made, post("/images/fit/8"), key="b")) == (403, "only_presets")
    assert replayed(made, post("/images/preset/one"), key="b").status == 200


def test_a_certificate_alone_is_known_by_its_name_again(tmp_path: Path) -> None:
    made = world(tls_client_ca=str(tmp_path / "ca.pem"), tls_cert="x", tls_key="x")

    assert replayed(made, post("/images/fit/8"), key="0123456789abcdef").status == 200
    assert made.decoder.callers == ["key:0123456789abcdef"]


def test_a_quota_that_is_used_up_takes_nothing_from_what_was_accepted(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys.toml", one_key("requests_per_minute = 1", "burst = 1", "at_once = 1"))
    made = world(keys_file=keys)

    async def run() -> list[int]:
        call, body = post("/images/fit/8"), form(b"x")
        first = await made.direct(call, body, key=BEARER)
        second = await made.direct(call, body, key=BEARER)
        many = await asyncio.gather(*(made.replayed(call, body, key="app") for _ in range(3)))
        return [first.status_code, second.status_code, *(outcome.status for outcome in many)]

    assert asyncio.run(run()) == [200, 429, 200, 200, 200]


# What goes wrong.


def test_limits_that_cannot_be_read_any_more_are_the_answer() -> None:
    outcome = replayed(world(), post("/images/fit/8", **{"remote-limits": "pixels=x"}))

    assert refused(outcome) == (400, "bad_parameter")


def test_an_answer_up_to_the_bound_is_kept_and_none_beyond() -> None:
    call = post("/images/fit/8", "image/*")
    limits = Limits(output_bytes=3 * 1024)
    most = 4 * 1024 + WORDS_BYTES
    made = world()

    async def run(size: int) -> Outcome:
        return await made.replayed(call, form(f"large:{size}".encode()), limits=limits)

    assert len(asyncio.run(run(most)).body) == most
    assert refused(asyncio.run(run(most + 256))) == (422, "output_too_large")


def test_what_ends_in_the_middle_of_an_answer_is_a_failure_of_the_worker() -> None:
    async def torn(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ConnectionError

    outcome = asyncio.run(Replay(torn, world().app.gate, Limits())(job(post("/images/fit/8")), b""))

    assert refused(outcome) == (500, "internal")


def test_a_bug_is_the_answer_that_it_would_have_been() -> None:
    outcome = replayed(world(), post("/images/fit/8"), form(b"bug"))

    assert refused(outcome) == (500, "internal")


def test_work_that_is_taken_away_is_no_answer() -> None:
    made = world()

    async def run() -> None:
        working = asyncio.ensure_future(made.replayed(post("/images/fit/8"), form(b"hang")))
        await asyncio.to_thread(made.decoder.began.wait, 10)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(run())

    assert made.decoder.cancelled.is_set()


def test_a_job_that_is_never_begun_fails_in_the_form_that_was_asked_for() -> None:
    late = Replay.failed(job(post("/images/fit/8")), WorkFailed(FailureCode.DEADLINE))
    problem = Replay.failed(
        job(post("/images/fit/8", "application/problem+json")), WorkFailed(FailureCode.WORKER_KILLED)
    )

    assert (late.status, late.code, json.loads(late.body)["request_id"]) == (504, "deadline", "one")
    assert (problem.status, problem.headers["content-type"]) == (500, "application/problem+json")


def test_the_log_line_of_a_replay_names_its_job_and_that_of_a_request_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call, made = post("/images/fit/8"), world()
    with caplog.at_level(logging.INFO, "remote_worker"):
        asyncio.run(made.direct(call, form(b"x")))
        replayed(made, call)

    direct, replay = (record.__dict__["fields"] for record in caplog.records)
    assert (replay["job"], replay["request_id"]) == ("ab" * 20, "one")
    assert direct.keys() == replay.keys() - {"job"}
