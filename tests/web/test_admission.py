"""Uploads that find no room are refused when their head is there, and cost neither side a body."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from web.serving import (
    BOUNDARY,
    Answer,
    Probe,
    Reader,
    Service,
    SmallDecoder,
    ask,
    form,
    post,
    serving,
    small_uses,
    until,
)

from remote_worker.contract.limits import MIB, Limits
from remote_worker.web.app import create_app
from remote_worker.web.settings import WebSettings

PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOADS = ["fit/100", "fit/100x50", "prepare_jpeg", "info", "rescale_avatar", "resize_avatar"]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.fixture
def full(service: Service) -> Service:
    service.decoder.has_room = False
    return service


def is_busy(answer: Answer) -> bool:
    return (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "busy", "7")


@pytest.mark.parametrize("path", UPLOADS)
def test_an_upload_without_room_is_refused_before_its_body(full: Service, path: str) -> None:
    assert is_busy(ask(full, post(f"/images/{path}", b"", length=350_000)))
    assert full.decoder.tasks == []


def test_an_upload_with_room_is_not_refused(service: Service) -> None:
    assert ask(service, post("/images/fit/1", form(b"x"))).status == 200


def test_the_caller_is_who_has_no_room(full: Service) -> None:
    with socket.create_connection(full.address, 10, source_address=("127.0.0.2", 0)) as connection:
        connection.sendall(post("/images/info", b"", length=1))
        assert is_busy(Reader(connection).answer())

    assert full.decoder.asked == ["127.0.0.2"]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /images/info HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"HEAD /images/info HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS /images/info HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_needs_no_room_is_answered(full: Service, request_: bytes) -> None:
    assert ask(full, request_).status == 200


def test_what_there_is_not_is_told_without_room_too(full: Service) -> None:
    assert ask(full, post("/images/fits/1", form(b"x"))).status == 404


def test_a_refusal_is_an_answer_like_any_other(full: Service, caplog: pytest.LogCaptureFixture) -> None:
    headers = ("X-Request-Id: mine", "Accept: application/problem+json")
    with caplog.at_level(logging.INFO, "remote_worker"):
        answer = ask(full, post("/images/fit/9", form(b"x"), *headers))

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json["request_id"] == "mine"
    assert answer.headers["cache-control"] == "no-store"
    logged: dict[str, Any] = caplog.records[-1].__dict__["fields"]
    assert (logged["request_id"], logged["method"], logged["route"]) == ("mine", "POST", "/images/fit/{box}")
    assert (logged["status"], logged["code"]) == (503, "busy")


@pytest.mark.parametrize("foreign", ["Host: rebound.example", "Origin: http://evil.example"])
@pytest.mark.parametrize("limit", ["of the queue", "of connections"])
def test_another_site_does_not_learn_that_the_worker_is_busy(foreign: str, limit: str) -> None:
    request = post("/images/info", form(b"x"))
    if foreign.startswith("Host"):
        request = request.replace(b"Host: localhost", foreign.encode())
    else:
        request = post("/images/info", form(b"x"), foreign)
    with serving(connections=1) as service, ExitStack() as stack:
        service.decoder.has_room = limit != "of the queue"
        if limit == "of connections":
            stack.enter_context(service.connect("127.0.0.2")).sendall(b"G")
            until(lambda: service.connections == 1)
        answer = ask(service, request)

        assert (answer.status, answer.json["code"]) == (403, "foreign_origin")


def test_the_second_refusal_in_one_read_ends_the_connection(full: Service) -> None:
    with full.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post("/images/info", form(b"x")) * 50)
        first, second = reader.answer(), reader.answer()

        assert is_busy(first)
        assert is_busy(second)
        assert [answer.headers.get("connection") for answer in (first, second)] == [None, "close"]
        assert reader.rest() == b""


def test_refusals_that_nobody_takes_end_the_connection() -> None:
    waiting = 0
    with serving(write_idle_seconds=0.2) as service, socket.socket() as connection:
        service.decoder.has_room = False
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(service.address)
        state = service.server.server_state
        until(lambda: service.connections == 1)
        with suppress(OSError):
            for number in range(1, 2000):
                connection.sendall(post("/images/info", b"x"))
                until(lambda: state.total_requests >= number or not state.connections)  # noqa: B023 - called before the next round
                left = [held.transport.get_write_buffer_size() for held in service.server._connections()]
                waiting = max([waiting, *left])
        assert state.connections == set()

    assert 0 < waiting < 100_000


@pytest.mark.parametrize("length", [0, 1, 60_000, 350_000, MIB])
def test_the_connection_goes_on_behind_the_rest_of_a_short_body(full: Service, length: int) -> None:
    request = post("/images/info", bytes(length))
    with full.connect() as connection:
        reader = Reader(connection)
        for _ in range(3):
            connection.sendall(request + PING)

            assert is_busy(reader.answer())
            assert reader.answer().json["message"] == "pong"


@pytest.mark.parametrize(
    "request_",
    [
        post("/images/info", b"", length=MIB + 100_000),  # more than one read beyond what is read on
        post("/images/info", b"x", "Connection: close"),
        post("/images/info", b"", length=0, version="1.0"),
        post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
        post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        + b"broken\r\n",
        post("/images/info", b"", "Expect: 100-continue", length=1),
    ],
)
def test_the_connection_ends_where_the_rest_is_long_or_may_not_come(full: Service, request_: bytes) -> None:
    with full.connect() as connection:
        reader = Reader(connection)
        connection.sendall(request_)
        answer = reader.answer()

        assert is_busy(answer)
        assert answer.headers["connection"] == "close"
        assert reader.rest() == b""


@pytest.mark.parametrize("length", [1000, 50_000_000])
def test_a_connection_whose_rest_does_not_come_ends(full: Service, length: int) -> None:
    with full.connect() as connection:
        connection.sendall(post("/images/info", b"x" * 999, length=length))
        reader = Reader(connection)

        assert is_busy(reader.answer())
        assert reader.rest() == b""
    until(lambda: full.connections == 0)


def test_nothing_is_answered_behind_a_refusal_that_ends_the_connection(full: Service) -> None:
    with full.connect() as connection:
        connection.sendall(post("/images/info", b"x", "Connection: close") + PING)
        reader = Reader(connection)

        assert is_busy(reader.answer())
        assert reader.rest() == b""


def test_the_next_head_has_its_deadline_behind_a_refusal_too() -> None:
    with serving(head_seconds=0.2, keep_alive_seconds=30) as service, service.connect() as connection:
        service.decoder.has_room = False
        reader = Reader(connection)
        connection.sendall(post("/images/info", b"x") + PING[:9])

        assert is_busy(reader.answer())
        assert reader.answer().status == 408


def test_a_request_that_waits_behind_another_is_refused_in_its_turn(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/fit/1", form(b"pause")) + post("/images/info", form(b"x")) + PING)
        assert service.decoder.began.wait(10)
        service.decoder.has_room = False
        service.decoder.release.set()
        reader = Reader(connection)

        assert reader.answer().status == 200
        assert is_busy(reader.answer())
        assert reader.answer().json["message"] == "pong"


def test_another_server_is_told_without_a_look_at_the_body() -> None:
    decoder, sent = SmallDecoder(), []
    decoder.has_room = False
    app = create_app(small_uses(decoder), Probe(), WebSettings(), Limits())
    kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/images/info",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind)],
        "client": ("192.0.2.1", 1234),
    }

    async def receive() -> Any:
        pytest.fail("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))

    assert sent[0]["status"] == 503
    assert decoder.asked == ["192.0.2.1"]
