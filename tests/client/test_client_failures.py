"""A worker that is busy, silent or gone: how often the client asks, how long it waits, what it raises."""

import io
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_worker.client import AsyncClient, Busy, Client, Refused, Retries, Unanswered, WorkerError

from .scripted import Call, answer, failure, in_json, no_sleep, picture, reset, scripted


def test_a_busy_worker_is_asked_again_no_sooner_than_it_said(call: Call) -> None:
    waits: list[float] = []
    busy = failure("busy", 503, "Retry-After: 2")
    with scripted(busy, busy, picture()) as server:
        made = call(server.url, "fit", 100, b"upload", sleep=waits.append)

    assert made.body == b"pixels"
    assert len(waits) == 2
    assert all(2 <= seconds <= 2.5 for seconds in waits)


def test_a_date_in_retry_after_is_waited_for_too(call: Call) -> None:
    waits: list[float] = []
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    with scripted(failure("quota_exceeded", 429, f"Retry-After: {date}"), picture()) as server:
        call(server.url, "fit", 100, b"upload", sleep=waits.append)

    assert len(waits) == 1
    assert 17 < waits[0] <= 25


def test_without_a_word_from_the_worker_waits_double_up_to_their_longest(call: Call) -> None:
    waits: list[float] = []
    retries = Retries(most=5, first_seconds=1, longest_seconds=4)
    with scripted(*[answer(b"", status=503)] * 5) as server, pytest.raises(Busy):
        call(server.url, "ip", retries=retries, sleep=waits.append, clock=lambda: 0.0)

    assert len(waits) == 4
    # Half to the whole of 1, 2, 4 and 4.
    for seconds, most in zip(waits, (1, 2, 4, 4), strict=True):
        assert most / 2 <= seconds <= most


def test_the_last_try_tells_what_the_worker_said(call: Call) -> None:
    busy = failure("busy", 503, "Retry-After: 3")
    with scripted(busy, busy) as server, pytest.raises(Busy) as caught:
        call(server.url, "hello", retries=Retries(most=2), sleep=lambda _: None)

    failed = caught.value
    assert (failed.code, failed.status, failed.request_id, failed.retry_after) == ("busy", 503, "r1", 3.0)
    assert len(server.requests) == 2


@pytest.mark.parametrize(("seconds", "tries"), [(30.0, 1), (40.0, 2)])
def test_no_wait_goes_past_the_time_of_the_call(call: Call, seconds: float, tries: int) -> None:
    busy = failure("busy", 503, "Retry-After: 30")
    with scripted(busy, picture()) as server:
        try:
            call(server.url, "fit", 9, b"x", seconds=seconds, sleep=lambda _: None, clock=lambda: 0.0)
        except Busy:
            assert tries == 1

    assert len(server.requests) == tries


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("damaged", 422, Refused),
        ("unauthenticated", 401, Refused),
        ("internal", 500, WorkerError),
        ("http_5xx", 502, WorkerError),
        ("deadline", 504, WorkerError),
    ],
)
def test_what_would_fail_again_is_asked_once(
    call: Call, code: str, status: int, kind: type[WorkerError]
) -> None:
    with scripted(failure(code, status)) as server, pytest.raises(WorkerError) as caught:
        call(server.url, "fit", 100, b"upload", sleep=no_sleep)

    assert (type(caught.value), caught.value.code, caught.value.status) == (kind, code, status)


def sources(folder: Path, kind: str, data: bytes) -> Any:
    """The data as a path, bytes, a file that stands in its middle, or a pipe."""
    if kind == "bytes":
        return data
    if kind == "pipe":
        reading, writing = os.pipe()
        threading.Thread(target=lambda: _fill(writing, data)).start()
        return open(reading, "rb", buffering=0)
    path = folder / "upload"
    path.write_bytes(data if kind == "path" else b"skipped" + data)
    if kind == "path":
        return path
    file = path.open("rb")
    file.seek(len(b"skipped"))
    return file


def _fill(fd: int, data: bytes) -> None:
    with open(fd, "wb") as pipe:
        pipe.write(data)


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "pipe"])
def test_an_upload_is_sent_again_from_its_start(call: Call, tmp_path: Path, kind: str) -> None:
    data = bytes(range(256)) * 1000
    source = sources(tmp_path, kind, data)
    with scripted(failure("busy", 503), lambda connection: reset(connection), picture()) as server:
        call(server.url, "fit", 100, source, sleep=lambda _: None)

    first, second, third = (request.body for request in server.requests)
    assert first == second == third
    assert data in first
    assert b"skipped" not in first
    if kind in ("file", "pipe"):
        source.close()


class Watched(io.BytesIO):
    """A file that notes how much is read at once."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked.append(size)
        return super().read(size)


def test_a_file_is_read_piece_by_piece_while_it_is_sent(call: Call) -> None:
    file = Watched(bytes(1_000_000))
    with scripted(picture()) as server:
        call(server.url, "fit", 100, file)

    assert len(file.asked) > 10
    assert all(size is not None and 0 < size <= 65536 for size in file.asked)
    assert int(server.requests[0].headers["content-length"]) > 1_000_000


def test_an_answer_that_is_cut_is_no_answer_and_not_asked_for_again(call: Call) -> None:
    with (
        scripted(picture(bytes(1000))[:-1], picture()) as server,
        pytest.raises(Unanswered) as caught,
    ):
        call(server.url, "fit", 100, b"upload", sleep=no_sleep)

    assert caught.value.code == "cut"
    assert len(server.requests) == 1


def test_nobody_there_is_told_after_all_tries(call: Call) -> None:
    waits: list[float] = []
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # And does not listen.
        port = unheard.getsockname()[1]
        with pytest.raises(Unanswered) as caught:
            call(f"http://127.0.0.1:{port}", "ip", sleep=waits.append, retries=Retries(most=3))

    assert (caught.value.code, caught.value.status) == ("unreachable", 0)
    assert len(waits) == 2


def test_a_worker_that_says_nothing_is_left_when_the_time_is_over(call: Call) -> None:
    is_over = threading.Event()
    with scripted(lambda _: is_over.wait(10)) as server:
        with pytest.raises(Unanswered) as caught:
            call(server.url, "ip", seconds=0.1, sleep=no_sleep)
        is_over.set()

    assert caught.value.code == "timed_out"


def test_an_answer_that_still_comes_when_the_time_is_over_is_left(call: Call) -> None:
    # A clock on which each look takes a second: at the first piece the time is over, though all of it came.
    ticks = iter(range(1000))
    with scripted(picture(bytes(100))) as server, pytest.raises(Unanswered) as caught:
        call(server.url, "fit", 9, b"x", seconds=1.5, clock=lambda: float(next(ticks)), sleep=no_sleep)

    assert caught.value.code == "timed_out"


def test_a_proxy_in_front_that_answers_in_html_is_told_by_its_status(call: Call) -> None:
    page = answer(b"<h1>503 Service Unavailable</h1>", status=503, kind="text/html")
    with scripted(page) as server, pytest.raises(Busy) as caught:
        call(server.url, "ip", retries=Retries(most=1))

    assert (caught.value.code, caught.value.status) == ("no_code", 503)


def test_problem_details_are_read_like_the_workers_own_form(call: Call) -> None:
    members = {
        "code": "blocked_address",
        "title": "Blocked address",
        "detail": "The address may not be fetched from (private)",
        "reason": "private",
        "status": 400,
        "request_id": "r2",
    }
    with scripted(in_json(members, status=400)) as server, pytest.raises(Refused) as caught:
        call(server.url, "preview", "http://10.0.0.1/")

    assert (caught.value.code, caught.value.detail) == ("blocked_address", "private")
    assert caught.value.message == "The address may not be fetched from (private)"


@pytest.mark.parametrize(
    ("method", "given", "answered"),
    [
        ("fit", (100, b"x"), in_json({"status": "ok"})),
        ("info", (b"x",), in_json({"width": 1})),
        ("hello", (), answer(b"<html>", kind="text/html")),
        ("hello", (), in_json([])),
        ("preset", ("card", b"x"), picture()),
        ("avatars", (b"x",), in_json({"avatar24": {"body": "%%%"}, "uploaded": {"mime": "image/png"}})),
    ],
)
def test_an_answer_of_another_shape_is_told_as_such(
    call: Call, method: str, given: tuple[Any, ...], answered: bytes
) -> None:
    with scripted(answered) as server, pytest.raises(Unanswered) as caught:
        call(server.url, method, *given, sleep=no_sleep)

    assert caught.value.code == "bad_answer"


def test_a_redirect_is_not_followed_with_the_key(call: Call) -> None:
    with (
        scripted(answer(b"", "Location: http://127.0.0.1:9/", status=302)) as server,
        pytest.raises(WorkerError) as caught,
    ):
        call(server.url, "ip", key="rw_secret", sleep=no_sleep)

    assert caught.value.status == 302


@pytest.mark.parametrize("given", [{}, {"picture": b"x", "url": "https://a.example/"}])
def test_a_picture_or_its_url_is_given_and_never_both(call: Call, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a picture or the url of one"):
        call("http://127.0.0.1:9", "info", **given)


@pytest.mark.parametrize("given", [{"most": 0}, {"first_seconds": 6.0}, {"first_seconds": -1.0}])
def test_retries_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"first_seconds|one try"):
        Retries(**given)


def test_a_given_http_client_is_used_and_left_open(call: Call) -> None:
    blocking = call.__name__ == "by_blocking"
    http: Any = httpx.Client if blocking else httpx.AsyncClient
    own = http(headers={"x-own": "yes"})
    with scripted(in_json({"ip": None, "ipv4": None, "ipv6": None})) as server:
        call(server.url, "ip", http=own)

    assert server.requests[0].headers["x-own"] == "yes"
    assert not own.is_closed
    if blocking:
        own.close()


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_cannot_be_unpacked_is_a_failure_of_the_call(call: Call, status: int) -> None:
    garbage = answer(b"garbage", "Content-Encoding: gzip", status=status)
    with scripted(garbage) as server, pytest.raises(WorkerError) as caught:
        call(server.url, "hello")

    assert (caught.value.status, caught.value.code) == (
        (0, "bad_answer") if status == 200 else (500, "no_code")
    )


def test_redirects_without_an_end_are_a_failure_of_the_call() -> None:
    round_and_round = answer(b"", "Location: /hello", status=302)
    with (
        scripted(*[round_and_round] * 3) as server,
        httpx.Client(follow_redirects=True, max_redirects=2) as http,
        pytest.raises(Unanswered, match="redirects"),
    ):
        Client(server.url, http=http).hello()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:5000",
        "localhost:5000",
        "ftp://x",
        "http://",
        "http://[::1",
        "http://h:abc",
        "http://h/?x=1",
    ],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_what_is_no_address_of_a_worker_is_said_at_once(url: str, client: Any) -> None:
    with pytest.raises(ValueError, match="URL"):
        client(url)


@pytest.mark.parametrize("key", ["", "rw_x\n", "rw x", "rw_é"])
def test_what_is_no_key_is_said_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Client("http://127.0.0.1:5000/below/", key=key)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_picture_is_any_bytes(call: Call, kind: Callable[[bytes], Any]) -> None:
    with scripted(picture()) as server:
        call(server.url, "fit", 100, kind(b"upload"))

    assert b"\r\n\r\nupload\r\n--" in server.requests[0].body
