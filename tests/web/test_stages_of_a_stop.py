"""What becomes of every request while the server stops, on the real server with a decoder that can wait."""

import socket
import threading
from collections.abc import Callable

import pytest
from web.serving import Reader, Service, ask, form, part, post, serving, until

from remote_worker.web.listening import refuse_handshakes

INFO = "/images/info"
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def get(path: str) -> bytes:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def begin(service: Service, connection: socket.socket, word: bytes = b"pause") -> Reader:
    """An upload that the decoder holds on to; its answer comes later."""
    connection.sendall(post(INFO, form(word)))
    assert service.decoder.began.wait(10)
    return Reader(connection)


def refuses(service: Service) -> bool:
    """The stop has come to where new work is refused."""
    return ask(service, get("/ping")).status == 503


def stop_until_it_refuses(service: Service) -> None:
    """The stop goes on with what is in hand."""
    service.stop()
    until(lambda: refuses(service))


def is_gone(service: Service) -> bool:
    """Nobody listens."""
    try:
        service.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("path", ["/readyz", "/health"])
def test_ready_turns_503_at_once_and_says_why(path: str) -> None:
    with serving(drain_seconds=30) as service:
        before = ask(service, get(path))
        service.stop()
        after = ask(service, get(path))
        service.stop()

        assert service.ended()
    assert before.status == 200
    assert (after.status, after.json["code"], after.json["reason"]) == (503, "busy", "the worker is stopping")
    assert int(after.headers["retry-after"]) >= 1


def test_while_draining_everything_is_served_and_every_answer_closes_its_connection() -> None:
    with serving(drain_seconds=30) as service, service.connect() as open_before:
        open_before.sendall(get("/ping"))
        reader = Reader(open_before)
        kept = reader.answer()
        service.stop()
        open_before.sendall(post(INFO, form(b"x")))
        closed = reader.answer()

        assert (kept.status, kept.headers.get("connection")) == (200, None)
        assert (closed.status, closed.headers["connection"]) == (200, "close")
        assert reader.rest() == b""
        for request in (LIVE, get("/ping"), post(INFO, form(b"y"))):
            answer = ask(service, request)
            assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_what_a_client_sends_before_it_heard_of_the_end_resets_nothing() -> None:
    with serving(drain_seconds=30) as service, service.connect() as connection:
        service.stop()
        connection.sendall(get("/ping"))
        reader = Reader(connection)

        assert reader.answer().headers["connection"] == "close"
        assert reader.rest() == b""
        # A reset by the first would fail the second.
        connection.sendall(get("/ping"))
        connection.sendall(get("/ping"))


def test_a_second_stop_ends_the_draining() -> None:
    with serving(drain_seconds=3600) as service:
        service.stop()
        assert ask(service, get("/ping")).status == 200
        service.stop()

        assert service.ended()


def test_what_is_in_hand_is_finished_and_what_is_new_refused() -> None:
    with serving() as service, service.connect() as connection:
        reader = begin(service, connection)
        stop_until_it_refuses(service)
        refused = ask(service, post(INFO, form(b"x")))
        service.decoder.release.set()
        finished = reader.answer()
        connection.close()

        assert service.ended()
    assert (refused.status, refused.json["code"]) == (503, "busy")
    assert refused.json["message"] == "The worker is stopping"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["connection"] == "close"
    assert (finished.status, finished.headers["connection"]) == (200, "close")
    assert len(service.decoder.uploads) == 1


def test_new_work_is_refused_before_its_body_is_read() -> None:
    with serving() as service, service.connect() as holding:
        begin(service, holding)
        stop_until_it_refuses(service)

        answer = ask(service, post(INFO, b"", length=1_000_000))

        assert (answer.status, answer.headers["connection"]) == (503, "close")


def test_probes_are_answered_to_the_end() -> None:
    with serving() as service, service.connect() as holding:
        begin(service, holding)
        stop_until_it_refuses(service)

        assert ask(service, LIVE).status == 200
        assert ask(service, get("/readyz")).status == 503


def test_an_upload_whose_body_still_arrives_is_in_hand() -> None:
    body = form(b"x" * 1000)
    with serving() as service, service.connect() as connection:
        connection.sendall(post(INFO, body)[:-500])
        until(lambda: bool(service.server.server_state.tasks))
        stop_until_it_refuses(service)
        connection.sendall(body[-500:])
        finished = Reader(connection).answer()
        connection.close()

        assert service.ended()
    assert (finished.status, finished.json["binary_size"]) == (200, 1000)


def test_requests_that_wait_behind_another_are_in_hand() -> None:
    with serving() as service, service.connect() as connection:
        connection.sendall(post(INFO, form(b"pause")) + post(INFO, form(b"xy")) + get("/ping"))
        assert service.decoder.began.wait(10)
        stop_until_it_refuses(service)
        service.decoder.release.set()
        reader = Reader(connection)
        answers = [reader.answer() for _ in range(3)]
        connection.close()

        assert service.ended()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer.headers.get("connection") for answer in answers] == [None, None, "close"]


def test_a_request_behind_one_in_hand_that_comes_later_is_refused() -> None:
    with serving() as service, service.connect() as connection:
        reader = begin(service, connection)
        stop_until_it_refuses(service)
        connection.sendall(get("/ping"))
        until(lambda: any(c._queue for c in service.server._connections()))
        service.decoder.release.set()

        assert [reader.answer().status, reader.answer().status] == [200, 503]


def test_work_that_takes_longer_than_the_stop_waits_is_ended_with_an_answer() -> None:
    with serving(shutdown_seconds=0.1) as service, service.connect() as connection:
        reader = begin(service, connection, b"hang")
        connection.sendall(get("/ping"))
        until(lambda: any(c._queue for c in service.server._connections()))
        service.stop()
        cut, waiting = reader.answer(), reader.answer()
        connection.close()

        assert service.ended()
    assert (cut.status, cut.json["code"], cut.json["message"]) == (503, "busy", "The worker is stopping")
    assert (waiting.status, waiting.headers["connection"]) == (503, "close")
    assert service.decoder.cancelled.is_set()


def test_a_second_stop_waits_for_no_work() -> None:
    with serving(shutdown_seconds=3600) as service, service.connect() as connection:
        reader = begin(service, connection, b"hang")
        stop_until_it_refuses(service)
        service.stop()
        cut = reader.answer()
        connection.close()

        assert service.ended()
    assert (cut.status, cut.json["code"]) == (503, "busy")


def test_a_body_that_never_ends_does_not_hold_the_stop() -> None:
    with serving(shutdown_seconds=0.1) as service, service.connect() as connection:
        connection.sendall(post(INFO, part(b"x"), length=100_000))
        until(lambda: bool(service.server.server_state.tasks))
        service.stop()
        answer = Reader(connection).answer()

        assert service.ended()
    assert (answer.status, answer.json["code"]) == (503, "busy")


def test_an_answer_that_is_never_read_does_not_hold_the_stop() -> None:
    with serving(shutdown_seconds=0.1) as service, service.connect() as connection:
        connection.sendall(post("/images/prepare_jpeg", form(b"large:33554432")))
        assert connection.recv(1) == b"H"
        service.stop()

        assert service.ended()


@pytest.mark.parametrize(("size", "is_in_hand"), [(4 * 2**20, refuses), (384 * 2**10, is_gone)])
def test_an_answer_that_is_read_slowly_leaves_whole(size: int, is_in_hand: Callable[[Service], bool]) -> None:
    """The first is still being made, the second waits for its client alone: then nobody listens any more."""
    with serving() as service, service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(post("/images/prepare_jpeg", form(b"large:%d" % size), "Accept: image/*"))
        first = connection.recv(1)
        service.stop()
        until(lambda: is_in_hand(service))
        with connection.makefile("rb") as rest:
            head, _, body = (first + rest.read()).partition(b"\r\n\r\n")
        connection.close()

        assert service.ended()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == size


def test_a_second_stop_waits_for_no_slow_reader() -> None:
    with serving(shutdown_seconds=3600, write_idle_seconds=3600) as service, service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(post("/images/prepare_jpeg", form(b"large:393216"), "Accept: image/*"))
        assert connection.recv(1) == b"H"
        service.stop()
        until(lambda: is_gone(service))
        service.stop()

        assert service.ended()


def test_a_head_that_has_only_begun_is_answered_and_does_not_hold_the_stop() -> None:
    with serving(head_seconds=3600) as service, service.connect() as connection:
        connection.sendall(LIVE + b"GET /ping HT")
        reader = Reader(connection)
        reader.answer()
        service.stop()
        refused = reader.answer()
        connection.close()

        assert service.ended()
    assert (refused.status, refused.json["code"], refused.headers["connection"]) == (503, "busy", "close")


def test_an_idle_connection_is_closed_and_nobody_listens_any_more() -> None:
    with serving() as service, service.connect() as idle:
        idle.sendall(LIVE)
        reader = Reader(idle)
        reader.answer()
        service.stop()

        assert reader.rest() == b""
        assert service.ended()
        assert is_gone(service)


def test_connections_that_nobody_has_accepted_yet_are_answered() -> None:
    gate = threading.Event()
    with serving() as service:
        service.in_loop(lambda: gate.wait(10))
        connections = [service.connect() for _ in range(50)]
        for connection in connections:
            connection.sendall(LIVE)
        service.stop()
        service.stop()
        gate.set()
        statuses = [Reader(connection).answer().status for connection in connections]
        for connection in connections:
            connection.close()

        assert service.ended()
    assert statuses == [200] * 50


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listener_that_refuses_handshakes_keeps_the_connections_it_has(
    family: socket.AddressFamily, host: str
) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    address = listener.getsockname()[:2]
    with listener, socket.create_connection(address) as before, socket.socket(family) as after:
        refuse_handshakes(listener)
        after.settimeout(0.2)
        # Which of the two depends on what the kernel lets our user do.
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            after.connect(address)
        taken, _ = listener.accept()
        listener.setblocking(False)
        with taken:
            before.sendall(b"question")
            assert taken.recv(100) == b"question"
            taken.sendall(b"answer")
            assert before.recv(100) == b"answer"
            with pytest.raises(BlockingIOError):
                listener.accept()
