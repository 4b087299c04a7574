"""Clients that are slow, huge, malformed or gone, over raw sockets."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from web.serving import Answer, Reader, Service, ask, form, post, serving, until

from remote_worker.contract.limits import MIB, Limits

HEAD = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n"
PING = HEAD + b"\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def is_error(answer: Answer, status: int, code: str) -> bool:
    is_json = answer.headers["content-type"] == "application/json;charset=utf-8"
    ends = answer.headers["connection"] == "close"
    return is_json and ends and (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    "request_",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /ping HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        HEAD + b"Host: localhost\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        HEAD + b"X : a\r\n\r\n",
        HEAD + b"X: a\r\n folded\r\n\r\n",
        b"GET /p\xffng HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_a_json_400(service: Service, request_: bytes) -> None:
    assert is_error(ask(service, request_), 400, "bad_request")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Content-Length: 4\r\nContent-Length: 4",
        b"Content-Length: 4, 4",
        b"Content-Length: +4",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding : chunked",
    ],
)
def test_a_length_that_proxies_may_read_otherwise_is_refused(service: Service, framing: bytes) -> None:
    request = b"POST /images/info HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n0\r\n\r\n" + PING
    with service.connect() as connection:
        connection.sendall(request)
        reader = Reader(connection)

        assert is_error(reader.answer(), 400, "bad_request")
        assert reader.rest() == b""


def test_chunks_over_http_1_0_are_refused(service: Service) -> None:
    request = b"POST /images/info HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    assert is_error(ask(service, request), 400, "bad_request")


def test_a_broken_chunk_ends_the_request_with_400(service: Service) -> None:
    request = post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    assert is_error(ask(service, request + b"5\r\nhello\r\n-1\r\n"), 400, "bad_request")


def test_an_address_is_bounded(service: Service) -> None:
    def request(length: int) -> bytes:
        return b"GET /ping?" + b"a" * (length - len("/ping?")) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert ask(service, request(8192)).status == 200
    assert is_error(ask(service, request(8193)), 414, "uri_too_long")
    assert is_error(ask(service, request(1_000_000)), 414, "uri_too_long")


def test_the_number_of_headers_is_bounded(service: Service) -> None:
    assert ask(service, HEAD + b"X: y\r\n" * 99 + b"\r\n").status == 200
    assert is_error(ask(service, HEAD + b"X: y\r\n" * 100 + b"\r\n"), 431, "headers_too_large")


def test_the_size_of_a_head_is_bounded(service: Service) -> None:
    room = 32 * 1024 - len("/ping") - len("Host: localhost\r\n") - len("X: \r\n")

    assert ask(service, HEAD + b"X: " + b"y" * room + b"\r\n\r\n").status == 200
    assert is_error(ask(service, HEAD + b"X: " + b"y" * (room + 1) + b"\r\n\r\n"), 431, "headers_too_large")
    assert is_error(ask(service, HEAD + b"X: " + b"y" * 500_000), 431, "headers_too_large")


@pytest.mark.parametrize("begun", [b"", b"GET /pi", HEAD, b"\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(begun: bytes) -> None:
    with serving(head_seconds=0.2) as service, service.connect() as connection:
        connection.sendall(begun)
        answer = Reader(connection).rest()

        assert (answer == b"") if not begun else answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("answered", [0, 1])
def test_a_head_that_drips_does_not_get_longer(answered: int) -> None:
    with serving(head_seconds=0.3) as service, service.connect() as connection:
        connection.sendall(PING * answered)
        for _ in range(answered):
            assert Reader(connection).answer().status == 200
        connection.settimeout(0.02)
        answer = b""
        while not answer:
            connection.sendall(b"\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue

        assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_next_head_has_a_deadline_from_its_first_byte() -> None:
    with serving(head_seconds=0.2, keep_alive_seconds=30) as service, service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(PING)
        assert reader.answer().status == 200
        connection.sendall(b"GET")

        assert is_error(reader.answer(), 408, "body_timeout")


def test_an_idle_connection_ends() -> None:
    with serving(keep_alive_seconds=0.2) as service, service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(PING)

        assert reader.answer().status == 200
        assert reader.rest() == b""


def test_requests_that_follow_each_other_at_once_are_answered_in_order(service: Service) -> None:
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post("/images/info", form(b"x")) + PING + post("/images/fit/1", form(b"y")) + HEAD)

        assert "binary_size" in reader.answer().json
        assert reader.answer().json["message"] == "pong"
        assert reader.answer().json["output"] == "eQ=="
        connection.sendall(b"\r\n")
        assert reader.answer().json["message"] == "pong"


def test_only_so_many_requests_are_taken_ahead(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(PING * 20)
        reader = Reader(connection)
        answers = [reader.answer() for _ in range(9)]

        assert {answer.status for answer in answers} == {200}
        assert answers[-1].headers["connection"] == "close"
        assert reader.rest() == b""


def test_what_is_broken_behind_a_good_request_does_not_harm_its_answer(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", form(b"x")) + b"broken\r\n\r\n")
        reader = Reader(connection)

        assert reader.answer().status == 200
        assert reader.rest() == b""


def test_nothing_is_taken_behind_the_last_request(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n" + PING)
        reader = Reader(connection)

        assert reader.answer().headers["connection"] == "close"
        assert reader.rest() == b""


def test_http_1_0_is_answered_and_ended(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", form(b"x"), version="1.0"))
        reader = Reader(connection)

        assert reader.answer().status == 200
        assert reader.rest() == b""


def test_an_upgrade_is_ignored_and_the_body_read(service: Service) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post("/images/fit/1", form(b"body"), *upgrade) + PING)

        assert reader.answer().json["output"] == "Ym9keQ=="
        assert reader.answer().json["message"] == "pong"


def test_a_body_is_asked_for_when_it_will_be_read(service: Service) -> None:
    body = form(b"x")
    with service.connect() as connection:
        connection.sendall(post("/images/info", b"", "Expect: 100-continue", length=len(body)))
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.recv(len(expected)) == expected
        connection.sendall(body)

        assert Reader(connection).answer().status == 200


@pytest.mark.parametrize("length", [32 * 1024 * 1024, 2**60])
def test_a_body_that_is_too_long_is_not_asked_for(service: Service, length: int) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", b"", "Expect: 100-continue", length=length))

        assert is_error(Reader(connection).answer(), 413, "too_large")


def test_an_early_answer_is_read_by_a_client_that_goes_on_sending(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", b"", length=40_000_000))
        reader = Reader(connection)
        answer = reader.answer()
        connection.sendall(b"x" * 500_000)

        assert is_error(answer, 413, "too_large")
        assert reader.rest() == b""


@pytest.mark.parametrize(("size", "is_heard"), [(48 * MIB, True), (96 * MIB, False)])
def test_who_sends_all_of_an_upload_before_it_reads_hears_why_it_was_refused(
    service: Service, size: int, is_heard: bool
) -> None:
    piece = bytes(MIB)
    with socket.create_connection(service.address, timeout=10) as connection:
        connection.sendall(post("/images/info", b"", length=size))
        try:
            for _ in range(size // MIB):
                connection.sendall(piece)
        except ConnectionError:
            assert not is_heard
        else:
            assert is_heard
            assert is_error(Reader(connection).answer(), 413, "too_large")


def test_after_an_early_answer_the_connection_ends_on_its_own(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", b"", length=40_000_000))
        assert Reader(connection).rest().startswith(b"HTTP/1.1 413 ")
        end = time.monotonic() + 10
        while service.server.server_state.connections:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_client_that_goes_has_its_work_cancelled(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", form(b"hang")))
        assert service.decoder.began.wait(10)

    assert service.decoder.cancelled.wait(10)


def test_work_that_overruns_its_deadline_is_cancelled_with_504() -> None:
    with serving(work_seconds=0.1) as service:
        answer = ask(service, post("/images/info", form(b"hang")))

        assert (answer.status, answer.json["code"]) == (504, "deadline")
        assert service.decoder.cancelled.wait(10)


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    with serving(Limits(), write_idle_seconds=0.4) as service, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(service.address)
        connection.sendall(post("/images/fit/1", form(b"large:40000000")))
        end = time.monotonic() + 10
        # Reading would be progress, so the server is asked whether the client is still connected.
        while not service.decoder.tasks or service.server.server_state.connections:
            assert time.monotonic() < end
            time.sleep(0.05)

        with pytest.raises((OSError, EOFError)):
            Reader(connection).answer()


def test_an_answer_that_no_buffer_holds_reaches_a_slow_reader_whole(service: Service) -> None:
    size = 12_000_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        connection.settimeout(10)
        connection.connect(service.address)
        connection.sendall(post("/images/fit/1", form(b"large:%d" % size), "Connection: close"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    output = json.loads(answer.partition(b"\r\n\r\n")[2])["output"]
    assert base64.b64decode(output) == bytes(range(256)) * (size // 256)


@pytest.mark.parametrize("size", [251, 65_000, 1_000_000])
def test_what_follows_a_body_in_the_same_read_is_the_next_request(service: Service, size: int) -> None:
    data = bytes(range(251)) * (size // 251)
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall((post("/images/info", form(data)) + PING) * 2)

        assert reader.answer().json["binary_size"] == len(data)
        assert reader.answer().json["message"] == "pong"
        assert reader.answer().json["binary_size"] == len(data)
        assert reader.answer().json["message"] == "pong"
        assert service.decoder.uploads[-1] == data


def test_a_body_in_chunks_of_one_byte_arrives_whole(service: Service) -> None:
    body = form(bytes(range(256)) * 400)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    assert ask(service, head + chunks).json["binary_size"] == 256 * 400
    assert service.decoder.uploads[-1] == bytes(range(256)) * 400


def test_what_follows_a_long_body_is_held_to_the_rules_of_heads(service: Service) -> None:
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post("/images/info", form(bytes(1_000_000))) + b"broken\r\n\r\n")

        assert reader.answer().status == 200
        assert reader.rest() == b""


def test_a_body_that_is_cut_is_not_decoded() -> None:
    with serving() as service:
        with service.connect() as connection:
            connection.sendall(post("/images/info", form(bytes(1_000_000)), length=2_000_000))
        assert ask(service, post("/images/info", form(b"x"))).status == 200
        assert service.decoder.uploads == [b"x"]


def test_stopping_finishes_what_is_under_way() -> None:
    with serving() as service, service.connect() as connection:
        connection.sendall(post("/images/fit/1", form(b"pause")))
        assert service.decoder.began.wait(10)
        service.server.should_exit = True
        service.decoder.release.set()

        assert Reader(connection).answer().status == 200


def test_requests_that_wait_behind_a_body_are_answered_wherever_a_read_ends(service: Service) -> None:
    first = post("/images/fit/1", form(b"1" * 200_000))
    second = post("/images/fit/1", form(b"2" * 150_000))
    third = post("/images/fit/1", form(b"3"))
    gate = threading.Event()

    with service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        connection.sendall(first[:-1])
        assert ask(service, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200
        # The server is held until so much waits that one read ends in the head of the third.
        service.server.servers[0].get_loop().call_soon_threadsafe(gate.wait, 10)
        connection.sendall(first[-1:] + second + third[:60])
        gate.set()
        connection.sendall(third[60:])
        reader = Reader(connection)

        assert [reader.answer().status for _ in range(3)] == [200, 200, 200]


def test_a_rush_of_connections_waits_to_be_accepted(service: Service) -> None:
    gate = threading.Event()
    service.server.servers[0].get_loop().call_soon_threadsafe(gate.wait, 10)
    with ExitStack() as stack:
        stack.callback(gate.set)
        connections = [stack.enter_context(service.connect()) for _ in range(100)]
        for connection in connections:
            connection.sendall(PING)
        gate.set()

        assert {Reader(connection).answer().status for connection in connections} == {200}


@pytest.mark.parametrize(("length", "is_all_read"), [(30_000, True), (200_000, False)])
def test_bodies_of_requests_that_wait_for_their_turn_are_read_up_to_a_bound(
    length: int, is_all_read: bool
) -> None:
    request = post("/images/info", form(bytes(length)))
    with serving() as service, service.connect() as connection:
        sending = threading.Thread(target=connection.sendall, args=(request * 7,))
        connection.sendall(post("/images/info", form(b"pause")))
        assert service.decoder.began.wait(10)
        (held,) = service.server._connections()
        sending.start()
        until(lambda: held.flow.read_paused or (len(held._queue) == 7 and not held.cycle.more_body))

        assert held.flow.read_paused is not is_all_read
        assert sum(cycle.waiting_bytes for cycle in held._queue) < 600_000
        service.decoder.release.set()
        reader = Reader(connection)
        assert [reader.answer().status for _ in range(8)] == [200] * 8
        sending.join()


def test_a_body_that_nobody_took_is_dropped_with_its_answer() -> None:
    with serving() as service, service.connect() as connection:
        connection.sendall(post("/images/info", form(b"pause")) + post("/images/info", form(bytes(30_000))))
        assert service.decoder.began.wait(10)
        (held,) = service.server._connections()
        until(lambda: bool(held._queue) and not held.cycle.more_body)
        service.decoder.has_room = False
        service.decoder.release.set()
        reader = Reader(connection)

        assert [reader.answer().status for _ in range(2)] == [200, 503]
        until(lambda: held._active is None)
        assert held.cycle.chunks == []
