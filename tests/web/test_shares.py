"""One caller's flood leaves connections and memory for the others, and room for a look at the worker."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from web.serving import Answer, Reader, Service, ask, form, post, serving, until

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import MIB, Limits
from remote_worker.web.budget import Budget, Lease, Share
from remote_worker.web.callers import network

FLOOD, POLITE = "127.0.0.1", "127.0.0.2"
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = post("/images/info", form(b"x"))


@contextmanager
def holding(
    service: Service, count: int, *, begun: bytes = b"G", caller: str = FLOOD
) -> Iterator[list[Reader]]:
    """So many connections more, none of which is idle."""
    first = service.connections
    with ExitStack() as stack:
        held: list[Reader] = []
        for _ in range(count):
            before = service.connections
            connection = stack.enter_context(service.connect(caller))
            connection.sendall(begun)
            until(lambda before=before: service.connections > before)
            held.append(Reader(connection))
        yield held
    until(lambda: service.connections <= first)


def is_busy(answer: Answer) -> bool:
    code = (answer.status, answer.json["code"])
    return code == (503, "busy") and int(answer.headers["retry-after"]) >= 1 and ends(answer)


def ends(answer: Answer) -> bool:
    return answer.headers.get("connection") == "close"


def test_a_caller_holds_fewer_connections_than_twice_those_that_are_free() -> None:
    with serving(connections=6) as service:
        with holding(service, 3):
            assert not ends(ask(service, UPLOAD))
        with holding(service, 4):
            assert is_busy(ask(service, UPLOAD))
            # The next caller has a share of what is left.
            assert ask(service, UPLOAD, POLITE).status == 200


def test_the_places_of_those_who_went_are_free_again() -> None:
    with serving(connections=6) as service:
        for _ in range(3):
            with holding(service, 4), holding(service, 1, caller=POLITE):
                assert is_busy(ask(service, UPLOAD))

        assert ask(service, UPLOAD).status == 200


def test_a_trusted_proxy_may_hold_all_connections() -> None:
    with serving(connections=6, trusted_proxies=(network(FLOOD),)) as service:
        with holding(service, 5):
            assert not ends(ask(service, UPLOAD))
        with holding(service, 6):
            assert is_busy(ask(service, UPLOAD))


def test_the_connection_that_is_idle_for_longest_makes_room() -> None:
    with serving(connections=3) as service, ExitStack() as stack:
        idle = []
        for caller in ("127.0.0.3", "127.0.0.4", "127.0.0.5"):
            connection = stack.enter_context(service.connect(caller))
            connection.sendall(PING)
            assert Reader(connection).answer().status == 200
            idle.append(connection)
        idle[0].sendall(PING)  # Now the second is idle for longest.
        assert Reader(idle[0]).answer().status == 200

        assert ask(service, UPLOAD, POLITE).status == 200

        assert Reader(idle[1]).rest() == b""
        for connection in (idle[0], idle[2]):
            connection.sendall(PING)
            assert Reader(connection).answer().status == 200


def test_an_idle_connection_makes_no_room_for_who_has_a_share_already() -> None:
    with serving(connections=4) as service, holding(service, 3), service.connect(POLITE) as idle:
        idle.sendall(PING)
        assert Reader(idle).answer().status == 200

        assert is_busy(ask(service, UPLOAD))

        idle.sendall(PING)
        assert Reader(idle).answer().status == 200
        idle.close()


def test_a_connection_whose_answer_has_not_left_makes_no_room() -> None:
    with serving(connections=1, write_idle_seconds=2) as service, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(service.address)
        slow.sendall(post("/images/prepare_jpeg", form(b"large:393216"), "Accept: image/*"))
        until(lambda: service.server.server_state.total_requests == 1)

        assert is_busy(ask(service, UPLOAD, POLITE))

        assert len(Reader(slow).answer().body) == 393_216
        until(lambda: ask(service, UPLOAD, POLITE).status == 200)


@pytest.mark.parametrize("request_", [LIVE, LIVE.replace(b"GET", b"HEAD")])
def test_past_the_limit_a_connection_may_ask_whether_the_worker_lives(request_: bytes) -> None:
    with serving(connections=1) as service, holding(service, 1), service.connect(POLITE) as connection:
        connection.sendall(request_ + LIVE)
        reader = Reader(connection)
        answer = reader.answer(has_body=request_.startswith(b"GET"))

        assert answer.status == 200
        assert ends(answer)
        assert reader.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        UPLOAD,
        post("/images/info", b"", length=50_000_000),
        b"OPTIONS /ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        LIVE[:-2] + b"Content-Length: 1\r\n\r\nx",
        LIVE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_past_the_limit_everything_else_is_refused(request_: bytes) -> None:
    with serving(connections=1) as service, holding(service, 1), service.connect(POLITE) as connection:
        connection.sendall(request_)
        reader = Reader(connection)

        assert is_busy(reader.answer())
        assert reader.rest() == b""
        assert service.decoder.tasks == []


@pytest.mark.parametrize(("has_room", "seconds"), [(True, "15"), (False, "7")])
def test_past_the_limit_the_time_to_come_back_is_the_queues_where_it_is_full(
    has_room: bool, seconds: str
) -> None:
    with serving(connections=1) as service, holding(service, 1):
        service.decoder.has_room = has_room

        assert ask(service, UPLOAD, POLITE).headers["retry-after"] == seconds


def test_past_the_limit_a_head_has_a_second() -> None:
    with (
        serving(connections=1, head_seconds=60) as service,
        holding(service, 1, caller=POLITE),
        holding(service, 1) as guests,
    ):
        assert guests[0].answer().status == 408


def test_past_twice_the_limit_a_connection_ends_at_once() -> None:
    with (
        serving(connections=1) as service,
        holding(service, 1),
        holding(service, 1, caller=POLITE),
        service.connect("127.0.0.3") as connection,
    ):
        third = Reader(connection)

        assert is_busy(third.answer())
        assert third.rest() == b""


def is_given(lease: Lease, count: int) -> bool:
    try:
        lease.take(count)
    except WorkFailed as failed:
        if failed.code is not FailureCode.BUSY:
            raise
        return False
    return True


@contextmanager
def leases(share: Share, count: int) -> Iterator[list[Lease]]:
    with ExitStack() as stack:
        yield [stack.enter_context(share.lease()) for _ in range(count)]


def test_a_callers_only_request_may_hold_all_there_is() -> None:
    budget = Budget(300)
    with leases(budget.share("one"), 1) as (only,):
        assert all(is_given(only, 100) for _ in range(3))
        assert not is_given(only, 1)

    assert budget.free_bytes == 300


@pytest.mark.parametrize(("held", "has_share"), [(199, True), (200, False)])
def test_a_callers_requests_grow_while_they_hold_less_than_twice_what_is_free(
    held: int, has_share: bool
) -> None:
    budget = Budget(300)
    with leases(budget.share("one"), 3) as (first, second, third):
        assert is_given(first, 100)
        assert is_given(second, held - 100)

        assert is_given(third, 1) is has_share


def test_what_one_caller_leaves_another_may_take() -> None:
    budget = Budget(300)
    with leases(budget.share("flood"), 40) as flood:
        for lease in flood * 2:
            is_given(lease, 5)
        assert budget.free_bytes == 100
        with leases(budget.share("polite"), 1) as (polite,):
            assert is_given(polite, 100)

    assert budget.free_bytes == 300
    with leases(budget.share("flood"), 2) as (first, second):
        assert is_given(first, 150)
        assert is_given(second, 150)


def test_a_large_upload_gets_through_while_another_caller_holds_all_it_can() -> None:
    largest = 2 * MIB
    with serving(Limits(input_bytes=largest), bodies_bytes=4 * largest) as service, ExitStack() as stack:
        begun = post("/images/info", form(bytes(largest)))[:-10]
        refused = 0
        while not refused:
            connection = stack.enter_context(service.connect(FLOOD))
            connection.settimeout(0.2)
            try:
                connection.sendall(begun)
                refused += is_busy(Reader(connection).answer())
            except TimeoutError:
                continue

        assert ask(service, post("/images/info", form(bytes(largest))), POLITE).status == 200
        assert service.decoder.callers == [POLITE]


def test_a_crowd_past_the_limit_is_told_to_come_back_one_after_the_other() -> None:
    with serving(connections=1) as service, holding(service, 1):
        told = [int(ask(service, UPLOAD, POLITE).headers["retry-after"]) for _ in range(17)]

    assert told == [*range(15, 31), 15]
