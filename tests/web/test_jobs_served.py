"""Jobs over HTTP: submitted, looked at, answered, forgotten, and what is refused."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from service.doors import picture
from web.jobs_served import FORM, Jobbing, serving_jobs, submission, told
from web.keyrings import BEARER, OTHER_BEARER, digest_of, one_key, write
from web.linking import request
from web.serving import BOUNDARY, Reader, form, serving, until

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import MIB, Limits
from remote_worker.web.targets import Targets

URL = "https://cdn.example.org/a.png"
KEY, OTHER_KEY = f"Authorization: Bearer {BEARER}", f"Authorization: Bearer {OTHER_BEARER}"
NOBODYS = f"/jobs/{'ab' * 20}"


def check(url: str) -> None:
    """As the door would, by its form alone."""
    if not url.startswith("https://"):
        raise WorkFailed(FailureCode.BAD_SCHEME)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobbing]:
    jobs = {"webhook_keys": ("whsec_a2V5",)}
    with serving_jobs(tmp_path_factory.mktemp("jobs"), check_callback=check, jobs=jobs) as made:
        yield made


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobbing]:
    """Nobody works here."""
    folder = tmp_path_factory.mktemp("jobs")
    with serving_jobs(folder, is_working=False, check_callback=check) as made:
        yield made


def test_a_request_is_submitted_done_and_answered(here: Jobbing) -> None:
    submitted = here.submit("/images/fit/80?format=webp", "Accept: image/*", "X-Request-ID: mine")
    job = here.done(submitted)
    answer = here.ask("GET", job["result"], "X-Request-ID: other")

    assert (submitted.status, submitted.json["state"]) == (202, "queued")
    assert submitted.headers["location"] == f"/jobs/{submitted.json['id']}"
    assert (job["state"], job["code"], job["attempts"], job["result_status"]) == ("done", None, 1, 200)
    assert job["request"] == {"method": "POST", "target": "/images/fit/80?format=webp"}
    assert job["created"] <= job["finished"] <= job["deadline"]
    assert (answer.status, answer.body) == (200, b"some bytes")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-job-id"] == job["id"]
    assert (job["request_id"], answer.headers["x-request-id"]) == ("mine", "other")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == (
        "no-store",
        "nosniff",
    )


def test_a_failure_is_an_answer_too(here: Jobbing) -> None:
    job = here.done(here.submit("/images/fit/80", "X-Request-ID: mine", body=form(b"fail:damaged")))
    answer = here.ask("GET", job["result"])

    assert (job["state"], job["code"], job["result_status"]) == ("failed", "damaged", 422)
    assert told(answer) == (422, "damaged")
    assert answer.json["request_id"] == "mine"
    assert answer.headers["x-job-id"] == job["id"]


def test_a_picture_by_its_url_keeps_what_makes_it_safe_to_show(here: Jobbing) -> None:
    here.door.answers[URL] = picture(b"picture", etag='"v1"', cache_control="max-age=1200")
    job = here.done(here.ask("POST", submission(f"/links/image?url={quote(URL, safe='')}")))
    answer = here.ask("GET", job["result"])

    assert (answer.status, answer.body) == (200, b"picture")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["content-disposition"] == "inline"
    # It is the caller's alone, whoever else may keep the picture itself.
    assert answer.headers["cache-control"] == "no-store"


def test_json_is_submitted_as_it_is(here: Jobbing) -> None:
    body = json.dumps({"text": "Hello **you**"}).encode()
    submitted = here.ask(
        "POST", submission("/text/render_markdown"), "Content-Type: application/json", body=body
    )

    answer = here.ask("GET", here.done(submitted)["result"])

    assert answer.json["output"] == "<p>Hello <strong>you</strong></p>\n"


def test_a_large_answer_comes_whole(here: Jobbing) -> None:
    job = here.done(here.submit("/images/fit/80", "Accept: image/*", body=form(b"large:5000192")))

    answer = here.ask("GET", job["result"])

    assert answer.body == bytes(range(256)) * (5_000_192 // 256)


# Looking.


def test_a_job_that_waits_has_no_answer_yet(idle: Jobbing) -> None:
    place = idle.submit("/images/fit/80").headers["location"]
    job, result = idle.ask("GET", place), idle.ask("GET", f"{place}/result")

    assert (job.status, job.json["state"], job.json["result"], job.json["attempts"]) == (
        200,
        "queued",
        None,
        0,
    )
    assert job.headers["retry-after"] == "1"
    assert job.headers["cache-control"] == "no-store"
    assert told(result) == (409, "not_ready")
    assert result.headers["retry-after"] == "1"


def test_a_job_that_is_done_has_no_retry_after(here: Jobbing) -> None:
    place = here.submit("/images/fit/80").headers["location"]
    here.ask("GET", f"{place}?wait=30")

    assert "retry-after" not in here.ask("GET", place).headers


def test_whoever_waits_hears_of_the_end_as_it_comes(here: Jobbing) -> None:
    here.service.decoder.release.clear()
    place = here.submit("/images/fit/80", body=form(b"pause")).headers["location"]
    with here.service.connect() as connection:
        connection.sendall(request("GET", f"{place}?wait=59.5"))
        assert here.service.decoder.began.wait(10)
        until(lambda: here.ask("GET", place).json["state"] == "running")
        here.service.decoder.release.set()

        assert Reader(connection).answer().json["state"] == "done"


@pytest.mark.parametrize(("wait", "status"), [("0", 200), ("60", 200), ("0.25", 200), ("60.000000", 200)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_wait_is_a_number_of_seconds(method: str, wait: str, status: int, here: Jobbing) -> None:
    place = here.submit("/images/fit/80").headers["location"]
    here.ask("GET", f"{place}?wait=30")

    assert here.ask(method, f"{place}?wait={wait}").status == status


@pytest.mark.parametrize("wait", ["60.000001", "61", "-1", "x", "", "1e1", "nan", "٣"])
def test_any_other_wait_is_refused(wait: str, idle: Jobbing) -> None:
    place = idle.submit("/images/fit/80").headers["location"]

    assert told(idle.ask("GET", f"{place}?wait={quote(wait)}")) == (400, "bad_parameter")


def test_a_wait_that_is_over_tells_how_far_the_job_is(idle: Jobbing) -> None:
    place = idle.submit("/images/fit/80").headers["location"]

    answer = idle.ask("GET", f"{place}?wait=0.05")

    assert (answer.status, answer.json["state"]) == (200, "queued")


def test_a_wait_ends_with_its_client(idle: Jobbing, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "remote_worker")
    place = idle.submit("/images/fit/80").headers["location"]
    with idle.service.connect() as connection:
        connection.sendall(request("GET", f"{place}?wait=60", "X-Request-ID: gone"))
        idle.ask("GET", place)

    def codes() -> list[str]:
        fields = (record.__dict__.get("fields", {}) for record in caplog.records)
        return [told["code"] for told in fields if told.get("request_id") == "gone"]

    until(lambda: codes() == ["client_gone"])


@pytest.mark.parametrize("drain_seconds", [0.0, 10.0])
def test_a_wait_ends_with_the_worker(tmp_path: Path, drain_seconds: float) -> None:
    with serving_jobs(tmp_path, is_working=False, drain_seconds=drain_seconds) as made:
        place = made.submit("/images/fit/80").headers["location"]
        with made.service.connect() as connection:
            connection.sendall(request("GET", f"{place}?wait=60"))
            made.ask("GET", place)
            made.service.stop()

            answer = Reader(connection).answer()

        assert (answer.status, answer.json["state"]) == (200, "queued")
        assert answer.headers["connection"] == "close"
        made.service.stop()


# Who sees what.


@pytest.mark.parametrize("path", [NOBODYS, "/jobs/x", "/jobs/..%2F..%2Fkeys", f"{NOBODYS}0", "/jobs/%00"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_no_job_is_not_found(method: str, path: str, here: Jobbing) -> None:
    assert told(here.ask(method, path)) == (404, "not_found")


def test_only_who_submitted_a_job_sees_it(tmp_path: Path) -> None:
    text = one_key() + one_key(name="other", bearer=OTHER_BEARER)
    keys = write(tmp_path / "keys.toml", text)
    with serving_jobs(tmp_path / "jobs", keys_file=keys) as made:
        submitted = made.submit("/images/fit/80", KEY)
        place = submitted.headers["location"]
        made.done(submitted, KEY)
        others = [
            made.ask(method, path, OTHER_KEY)
            for method, path in (("GET", place), ("GET", f"{place}/result"), ("DELETE", place))
        ]
        nobodys = made.ask("GET", NOBODYS, OTHER_KEY)

        assert [told(answer) for answer in others] == [(404, "not_found")] * 3
        assert {**others[0].json, "request_id": ""} == {**nobodys.json, "request_id": ""}
        assert told(made.ask("GET", place)) == (401, "unauthenticated")
        assert made.ask("GET", f"{place}/result", KEY).status == 200
        assert made.service.decoder.callers == ["key:app"]


def test_a_job_that_is_forgotten_is_gone(here: Jobbing) -> None:
    place = here.submit("/images/fit/80").headers["location"]
    here.ask("GET", f"{place}?wait=30")

    assert here.ask("DELETE", place).json["forgotten"] is True
    assert told(here.ask("GET", place)) == (404, "not_found")
    assert told(here.ask("GET", f"{place}/result")) == (404, "not_found")
    assert told(here.ask("DELETE", place)) == (404, "not_found")


# What may be submitted.


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("", 400, "bad_parameter"),
        ("images/fit/80", 400, "bad_parameter"),
        ("//images/fit/80", 400, "bad_parameter"),
        ("http://localhost/images/fit/80", 400, "bad_parameter"),
        ("/images/fit/80#x", 400, "bad_parameter"),
        ("/images/fit/8 0", 400, "bad_parameter"),
        ("/images/fit/80\r\nX: y", 400, "bad_parameter"),
        ("/images/fit/80é", 400, "bad_parameter"),
        ("/jobs", 400, "bad_parameter"),
        ("/jobs?request=/jobs", 400, "bad_parameter"),
        ("/jobs?request=/images/fit/80?format=webp&enlarge=1", 400, "bad_parameter"),
        ("/jobs?request=/images/fit/80&request=/images/fit/81", 400, "bad_parameter"),
        ("/jobs?request=/images/fit/80&wait=30", 400, "bad_parameter"),
        (NOBODYS, 400, "bad_parameter"),
        ("/%6Aobs", 400, "bad_parameter"),
        ("/stats", 400, "bad_parameter"),
        ("/", 400, "bad_parameter"),
        ("/dns/resolve?domain=example.com", 400, "bad_parameter"),
        ("/images/preset", 400, "bad_parameter"),
        (f"/camo/{'a' * 40}/00", 400, "bad_parameter"),
        (f"/{'a' * 40}/00", 400, "bad_parameter"),
        (f"/links/proxy/{'a' * 64}/1/original/aa", 400, "bad_parameter"),
        ("/images/none", 404, "not_found"),
        ("/images/fit/80/", 404, "not_found"),
        ("/jobsearch", 404, "not_found"),
    ],
)
def test_what_no_job_may_ask_for_is_refused_at_once(
    target: str, status: int, code: str, idle: Jobbing
) -> None:
    assert told(idle.submit(target)) == (status, code)


@pytest.mark.parametrize(("size", "code"), [(8192, "not_found"), (8193, "uri_too_long")])
def test_a_request_has_so_many_characters_and_not_one_more(size: int, code: str) -> None:
    with pytest.raises(WorkFailed) as refused:
        Targets([]).find("/" + "a" * (size - 1), None)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("target", "more", "told_as"),
    [
        ("/images/fit/80", "&method=DELETE", (405, "method_not_allowed")),
        ("/links/image?url=x", "&method=POST", (405, "method_not_allowed")),
        ("/images/fit/80", "&method=post", (405, "method_not_allowed")),
        ("/images/fit/80", "&method=HEAD", (400, "bad_parameter")),
        ("/links/preview?url=x", "&method=DELETE", (400, "bad_parameter")),
    ],
)
def test_a_method_is_one_that_the_path_takes(
    target: str, more: str, told_as: tuple[int, str], idle: Jobbing
) -> None:
    refused = idle.submit(target, more=more)

    assert told(refused) == told_as
    assert ("allow" in refused.headers) is (refused.status == 405)


@pytest.mark.parametrize(
    ("target", "more", "method"),
    [
        ("/images/fit/80", "", "POST"),
        ("/images/fit/80", "&method=GET", "GET"),
        ("/links/image?url=x", "", "GET"),
        ("/links/preview?url=x", "", "POST"),
        ("/%69mages/fit/80", "", "POST"),
    ],
)
def test_without_a_word_it_is_posted_where_that_can_be(
    target: str, more: str, method: str, idle: Jobbing
) -> None:
    assert idle.submit(target, more=more).json["request"] == {"method": method, "target": target}


def test_the_area_of_what_is_asked_for_counts(tmp_path: Path) -> None:
    text = one_key('may = ["links"]') + one_key('may = ["presets"]', name="other", bearer=OTHER_BEARER)
    with serving_jobs(
        tmp_path / "jobs", is_working=False, keys_file=write(tmp_path / "keys.toml", text)
    ) as made:
        assert told(made.submit("/images/fit/80", KEY)) == (403, "forbidden")
        assert made.submit("/links/preview?url=x", KEY).status == 202
        assert told(made.submit("/links/preview?url=x", OTHER_KEY)) == (403, "forbidden")
        assert told(made.submit("/images/fit/80", OTHER_KEY)) == (403, "only_presets")
        assert made.submit("/images/preset/card", OTHER_KEY).status == 202
        assert told(made.submit("/images/fit/80")) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/images/fit/80", 403),
        ("/images/rescale_avatar?animated=1", 403),
        ("/images/rescale_avatar?animated=0", 202),
        ("/links/image?url=x&fit=80", 403),
        ("/links/image?url=x&avatar=73", 202),
        ("/images/info", 202),
    ],
)
def test_where_there_are_only_presets_nobody_picks_by_a_job(
    target: str, status: int, only_presets: Jobbing
) -> None:
    refused = only_presets.submit(target)

    assert refused.status == status
    assert status == 202 or told(refused) == (403, "only_presets")


@pytest.fixture(scope="module")
def only_presets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobbing]:
    folder = tmp_path_factory.mktemp("jobs")
    with serving_jobs(folder, is_working=False, only_presets=True) as made:
        yield made


# Submitting.


def test_one_key_makes_one_job(here: Jobbing) -> None:
    first = here.submit("/images/fit/80", 'Idempotency-Key: "8e03978e"')
    here.done(first)
    again = here.submit("/images/fit/80", "Idempotency-Key: 8e03978e")
    another = here.submit("/images/fit/80", "Idempotency-Key: 8e03978f")

    assert (again.status, again.headers["location"]) == (202, first.headers["location"])
    assert again.json["state"] == "done"
    assert another.headers["location"] != first.headers["location"]


def test_a_key_leads_to_the_same_job_though_clients_draw_another_boundary_each_time(here: Jobbing) -> None:
    first = here.submit("/images/fit/80", "Idempotency-Key: boundary")
    body = form(b"some bytes").replace(BOUNDARY.encode(), b"another")
    sent = ("Content-Type: multipart/form-data; boundary=another", "Idempotency-Key: boundary")
    again = here.ask("POST", submission("/images/fit/80"), *sent, body=body)

    assert (again.status, again.headers["location"]) == (202, first.headers["location"])


@pytest.mark.parametrize("difference", ["target", "body", "accept", "callback"])
def test_a_key_that_comes_with_another_request_is_refused(difference: str, here: Jobbing) -> None:
    key = f"Idempotency-Key: {difference}"
    here.submit("/images/fit/80", key)
    other = {
        "target": lambda: here.submit("/images/fit/81", key),
        "body": lambda: here.submit("/images/fit/80", key, body=form(b"other bytes")),
        "accept": lambda: here.submit("/images/fit/80", key, "Accept: image/*"),
        "callback": lambda: here.submit("/images/fit/80", key, more="&callback=https://example.org/"),
    }[difference]

    assert told(other()) == (422, "key_reused")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("k" * 255, 202),
        ("k" * 256, 400),
        (f'"{"q" * 255}"', 202),
        (f'"{"q" * 256}"', 400),
        ('""', 400),
        ("é", 400),
    ],
)
def test_a_key_has_up_to_255_characters(value: str, status: int, idle: Jobbing) -> None:
    with idle.service.connect() as connection:
        head = request("POST", submission("/images/info"), f"Idempotency-Key: {value}")
        connection.sendall(head)

        assert Reader(connection).answer().status == status


def test_two_keys_are_none(idle: Jobbing) -> None:
    refused = idle.submit("/images/info", "Idempotency-Key: a", "Idempotency-Key: a")

    assert told(refused) == (400, "bad_parameter")


def test_a_callback_is_one_that_may_be_called(here: Jobbing, idle: Jobbing) -> None:
    taken = here.submit("/images/info", more="&callback=https%3A%2F%2Fexample.org%2Fdone")

    assert taken.json["callback"] == "https://example.org/done"
    assert told(here.submit("/images/info", more="&callback=ftp://example.org/")) == (400, "bad_scheme")
    # Nobody signs here.
    assert told(idle.submit("/images/info", more="&callback=https://example.org/")) == (404, "not_configured")


def test_a_body_must_be_the_one_of_its_digest(idle: Jobbing) -> None:
    body = form(b"some bytes")

    assert told(idle.submit("/images/info", f"Content-Digest: {digest_of(body + b'x')}")) == (
        400,
        "bad_digest",
    )
    assert idle.submit("/images/info", f"Content-Digest: {digest_of(body)}").status == 202


def test_limits_are_read_at_once_and_kept(here: Jobbing) -> None:
    job = here.done(here.submit("/images/fit/80", "Remote-Limits: input_bytes=3"))

    assert told(here.submit("/images/fit/80", "Remote-Limits: x=3")) == (400, "bad_parameter")
    assert job["code"] == "too_large"


@pytest.mark.parametrize(("size", "status"), [(MIB + 1000, 202), (MIB + 1001, 413)])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_may_be_as_large_as_an_upload(framing: str, size: int, status: int, tmp_path: Path) -> None:
    with (
        serving_jobs(tmp_path, is_working=False, limits=Limits(input_bytes=1000)) as made,
        made.service.connect() as connection,
    ):
        head = f"POST {submission('/images/info')} HTTP/1.1\r\nHost: localhost\r\n{FORM}\r\n"
        if framing == "length":
            connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + bytes(size))
        else:
            chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)

        assert Reader(connection).answer().status == status


def test_bodies_and_answers_count_as_memory(tmp_path: Path) -> None:
    with serving_jobs(tmp_path, bodies_bytes=100_000) as made:
        job = made.done(made.submit("/images/fit/80", "Accept: image/*", body=form(b"large:99840")))
        large = made.done(made.submit("/images/fit/80", "Accept: image/*", body=form(b"large:99840")))
        with made.service.connect() as connection:
            connection.sendall(request("POST", submission("/images/info"), FORM, body=bytes(60_000))[:-1_000])
            until(lambda: made.ask("GET", large["result"]).status == 503)

        assert told(made.submit("/images/info", body=bytes(100_001))) == (503, "busy")
        until(lambda: made.ask("GET", job["result"]).status == 200)


def test_a_full_queue_is_busy(tmp_path: Path) -> None:
    with serving_jobs(tmp_path, is_working=False, jobs={"jobs_queue": 2}) as made:
        assert [made.submit("/images/info").status for _ in range(2)] == [202, 202]
        refused = made.submit("/images/info")

    assert told(refused) == (503, "busy")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_large_body_is_not_asked_for_where_the_queue_is_full(tmp_path: Path) -> None:
    with serving_jobs(tmp_path, is_working=False, jobs={"jobs_queue": 1}) as made:
        place = made.submit("/images/info", "Idempotency-Key: a").headers["location"]
        head = f"POST {submission('/images/info')} HTTP/1.1\r\nHost: localhost\r\n{FORM}\r\n"
        with made.service.connect() as connection:
            connection.sendall(f"{head}Content-Length: {MIB + 1}\r\nExpect: 100-continue\r\n\r\n".encode())
            refused = Reader(connection).answer()
        again = made.submit("/images/info", "Idempotency-Key: a")

    assert told(refused) == (503, "busy")
    # What was accepted before is known all the same.
    assert (again.status, again.headers["location"]) == (202, place)


# Beside the work.


def test_how_it_is_used_is_told_and_which_methods_there_are(idle: Jobbing) -> None:
    assert "Idempotency-Key" in idle.ask("GET", "/jobs").json["usage"]
    assert idle.ask("HEAD", "/jobs").status == 200
    assert idle.ask("OPTIONS", "/jobs").headers["allow"] == "HEAD, OPTIONS, GET, POST"
    assert "DELETE" in idle.ask("OPTIONS", NOBODYS).headers["allow"]
    assert told(idle.ask("PUT", "/jobs")) == (405, "method_not_allowed")
    assert told(idle.ask("DELETE", f"{NOBODYS}/result")) == (405, "method_not_allowed")


def test_the_head_of_a_result_is_that_of_the_result(here: Jobbing) -> None:
    job = here.done(here.submit("/images/fit/80", "Accept: image/*"))

    head = here.ask("HEAD", job["result"])

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")
    assert head.headers["content-type"] == "image/png"


def test_where_jobs_are_off_there_is_nothing_but_the_usage() -> None:
    with serving() as service:
        made = Jobbing(service, door=None)  # type: ignore[arg-type]  # it is not asked
        operation = made.ask("GET", "/capabilities").json["operations"]["job"]

        assert told(made.submit("/images/info")) == (404, "not_configured")
        assert told(made.ask("GET", NOBODYS)) == (404, "not_configured")
        assert told(made.ask("DELETE", NOBODYS)) == (404, "not_configured")
        assert told(made.ask("GET", f"{NOBODYS}/result")) == (404, "not_configured")
        assert made.ask("GET", "/jobs").status == 200
        assert operation["available"] is False


def test_capabilities_tell_the_bounds_of_jobs(here: Jobbing, idle: Jobbing) -> None:
    here_told, idle_told = (made.ask("GET", "/capabilities").json for made in (here, idle))

    operation = here_told["operations"]["job"]
    assert (operation["path"], operation["available"]) == ("/jobs", True)
    assert operation["switches"] == {"method": ["POST", "GET"], "callback": True}
    assert idle_told["operations"]["job"]["switches"]["callback"] is False
    assert {
        name: here_told["limits"][name] for name in ("jobs_queue", "jobs_seconds", "jobs_wait_seconds")
    } == {
        "jobs_queue": 1000,
        "jobs_seconds": 3600.0,
        "jobs_wait_seconds": 60.0,
    }
