"""Requests that are answered later, by both clients."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from remote_worker.client import Busy, Job, Refused, Retries, WorkerError

from .conftest import Working
from .scripted import Call, answer, failure, in_json, scripted

ID = "ab" * 20
TOLD: dict[str, Any] = {
    "id": ID,
    "state": "queued",
    "request": {"method": "POST", "target": "/images/info"},
    "request_id": "one",
    "attempts": 0,
    "created": 1.5,
    "deadline": 3601.5,
    "finished": None,
    "result": None,
    "result_status": None,
    "code": None,
    "callback": None,
    "webhook": None,
    "status": "ok",
    "success": True,
}
DONE = {**TOLD, "state": "failed", "code": "damaged", "finished": 2.5, "attempts": 1, "result_status": 422}


def without_times(body: bytes) -> bytes:
    return re.sub(rb'"(start|end|cost)": [0-9.]+', b"", body)


def accepted(told: dict[str, Any] = TOLD) -> bytes:
    return in_json(told, status=202)


def test_a_request_is_submitted_with_all_that_belongs_to_it(call: Call) -> None:
    with scripted(accepted()) as server:
        job = call(
            server.url,
            "submit",
            "/images/fit/80?format=webp",
            b"picture",
            method="POST",
            accept="image/*",
            callback="https://a.example/?b=c",
            idempotency_key="mine",
        )

    (sent,) = server.requests
    assert (sent.method, urlsplit(sent.target).path) == ("POST", "/jobs")
    assert parse_qs(urlsplit(sent.target).query) == {
        "request": ["/images/fit/80?format=webp"],
        "method": ["POST"],
        "callback": ["https://a.example/?b=c"],
    }
    assert (sent.headers["accept"], sent.headers["idempotency-key"]) == ("image/*", '"mine"')
    assert b"picture" in sent.body
    assert isinstance(job, Job)
    assert (job.id, job.state, job.is_over, job.deadline) == (ID, "queued", False, 3601.5)


def test_all_tries_of_a_submission_have_one_key_and_the_next_has_another(call: Call) -> None:
    with scripted(failure("busy", 503, "Retry-After: 1"), accepted(), accepted()) as server:
        call(server.url, "submit", "/links/image?url=x", sleep=lambda _: None)
        call(server.url, "submit", "/text/render_markdown", members={"text": "x"})

    first, again, other = (sent.headers["idempotency-key"] for sent in server.requests)
    assert first == again != other
    assert len(first) > 30
    assert [sent.body for sent in server.requests] == [b"", b"", b'{"text": "x"}']


def test_a_body_is_one_of_both(call: Call) -> None:
    with pytest.raises(ValueError, match="give a picture, its url, or members"):
        call("http://127.0.0.1:9", "submit", "/images/info", b"x", members={})


def test_a_job_is_looked_at_and_waited_for(call: Call) -> None:
    with scripted(in_json(DONE), in_json(TOLD)) as server:
        over = call(server.url, "job", ID, wait=0.5)
        call(server.url, "job", ID)

    assert [sent.target for sent in server.requests] == [f"/jobs/{ID}?wait=0.5", f"/jobs/{ID}"]
    assert (over.state, over.code, over.is_over, over.result_status) == ("failed", "damaged", True, 422)


def test_an_answer_comes_as_its_bytes(call: Call) -> None:
    with scripted(answer(b'{"a": 1}')) as server:
        result = call(server.url, "result", ID)

    assert server.requests[0].target == f"/jobs/{ID}/result"
    assert (result.body, result.media_type, result.json()) == (b'{"a": 1}', "application/json", {"a": 1})


def test_a_recorded_failure_is_not_asked_for_again(call: Call) -> None:
    recorded = failure("rate_limited", 429, "Retry-After: 1", f"X-Job-ID: {ID}")
    with scripted(recorded) as server, pytest.raises(Busy) as failed:
        call(server.url, "result", ID, retries=Retries(most=3))

    assert failed.value.code == "rate_limited"
    assert len(server.requests) == 1


def test_a_job_is_forgotten(call: Call) -> None:
    with scripted(in_json({"id": ID, "forgotten": True})) as server:
        assert call(server.url, "forget", ID) is None

    assert (server.requests[0].method, server.requests[0].target) == ("DELETE", f"/jobs/{ID}")


@pytest.mark.parametrize(
    ("target", "accept"),
    [
        ("/images/fit/80?format=webp", "image/*"),
        ("/images/prepare_jpeg", "image/*"),
        ("/images/info?metadata=1", "*/*"),
        ("/images/facts", "*/*"),
    ],
)
def test_a_worker_answers_a_job_as_it_answers_the_request(
    call: Call, working: Working, photo: Path, target: str, accept: str
) -> None:
    submitted = call(working.url, "submit", target, photo, accept=accept)
    over = call(working.url, "job", submitted.id, wait=30)
    later = call(working.url, "result", over.id)

    direct = httpx.post(
        working.url + target, files={"file": photo.read_bytes()}, headers={"accept": accept}, timeout=30
    )
    assert (over.state, later.media_type) == ("done", direct.headers["content-type"])
    assert without_times(later.body) == without_times(direct.content)


def test_what_a_worker_refuses_in_a_job_is_raised_at_its_result(call: Call, working: Working) -> None:
    submitted = call(working.url, "submit", "/images/fit/80", b"no picture")
    over = call(working.url, "job", submitted.id, wait=30)

    with pytest.raises(Refused) as refused:
        call(working.url, "result", over.id)
    assert (over.state, over.code) == ("failed", "unsupported_format")
    assert (refused.value.code, refused.value.status) == ("unsupported_format", 415)
    assert refused.value.request_id == over.request_id


def test_what_may_not_be_submitted_is_refused_at_once(call: Call, working: Working) -> None:
    with pytest.raises(WorkerError) as refused:
        call(working.url, "submit", "/stats")

    assert (refused.value.code, refused.value.status) == ("bad_parameter", 400)
