"""Clients that break off, stall or lie, at every step: each is answered or ended, and nothing of it stays."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from web.serving import BOUNDARY, Reader, Service, ask, form, part, post, serving, until

from remote_worker.contract.limits import Limits

LIMIT = 200_000
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
BODY = form(b"x" * 100_000)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Memory for one largest upload: it finds room only when all is given back."""
    with serving(
        Limits(input_bytes=LIMIT),
        bodies_bytes=LIMIT,
        head_seconds=0.4,
        body_idle_seconds=0.3,
        body_seconds=0.6,
        write_idle_seconds=0.4,
        keep_alive_seconds=0.4,
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_stays(service: Service) -> Iterator[None]:
    """As many descriptors and tasks as before, and a largest upload passes."""
    before = held(service)
    yield
    until(lambda: held(service) == before)
    assert ask(service, post("/images/info", form(bytes(LIMIT)))).status == 200
    until(lambda: held(service) == before)


def held(service: Service) -> tuple[int, int, int]:
    tasks = len(asyncio.all_tasks(service.server.servers[0].get_loop()))
    return len(os.listdir("/proc/self/fd")), tasks, service.connections


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


PHASES = {
    "before the head": b"",
    "in the head": post("/images/info", b"")[:30],
    "behind the head": post("/images/info", b"", length=len(BODY)),
    "in a part's head": post("/images/info", BODY[:40], length=len(BODY)),
    "in the file": post("/images/info", BODY[:50_000], length=len(BODY)),
    "in a chunk's size": CHUNKED + chunk(BODY[:500]) + b"3",
    "in a chunk's extension": CHUNKED + chunk(BODY[:500]) + b"3;a=",
    "in a chunk": CHUNKED + chunk(BODY[:500])[:-100],
    "in the trailers": CHUNKED + chunk(BODY) + b"0\r\nTrailer: x\r\n",
    "in the next head": PING + PING[:10],
    "behind a form that is refused": post("/images/info", b"--x", length=len(BODY)),
    "behind what is too long": post("/images/info", b"", length=10_000_000),
}
AT_WORK = {
    "while its upload is decoded": post("/images/info", form(b"hang")),
    "while others wait behind it": post("/images/info", form(b"hang")) + PING * 3,
    "while another's body comes": post("/images/info", form(b"hang")) + post("/images/info", b"x", length=9),
}


def close(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    Reader(connection).rest()


def stall(connection: socket.socket) -> None:
    """Ended by the server, within its time."""
    Reader(connection).rest()


@pytest.mark.parametrize("end", [close, reset, half_close, stall])
@pytest.mark.parametrize("sent", PHASES.values(), ids=PHASES)
def test_nothing_stays_of_a_client_that_ends(
    service: Service, sent: bytes, end: Callable[[socket.socket], None]
) -> None:
    before = service.connections
    with service.connect() as connection:
        connection.sendall(sent)
        until(lambda: service.connections > before)
        end(connection)


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("sent", AT_WORK.values(), ids=AT_WORK)
def test_nothing_stays_of_a_client_that_ends_at_work(
    service: Service, sent: bytes, end: Callable[[socket.socket], None]
) -> None:
    service.decoder.began.clear()
    with service.connect() as connection:
        connection.sendall(sent)
        assert service.decoder.began.wait(10)
        end(connection)


@pytest.mark.parametrize("end", [close, reset])
def test_nothing_stays_of_a_client_that_ends_in_its_answer(
    service: Service, end: Callable[[socket.socket], None]
) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/fit/1", form(b"large:120000")))
        assert connection.recv(1)
        end(connection)


def test_of_50_requests_at_once_the_first_are_answered(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", form(b"x")) * 50)
        reader = Reader(connection)

        assert [reader.answer().status for _ in range(9)] == [200] * 9
        assert reader.rest() == b""


@pytest.mark.parametrize("sent", [b"1\r\nx\r\n", b"1;" + b"a" * 100 + b"\r\nx\r\n"])
def test_chunks_that_drip_end_with_408(service: Service, sent: bytes) -> None:
    with service.connect() as connection:
        connection.sendall(CHUNKED + chunk(part(b"")[:-2]))
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            connection.sendall(sent)
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue

        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("length", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_chunks_end_at_the_limit(service: Service, length: int, status: int) -> None:
    body = form(bytes(length))
    chunks = b"".join(chunk(body[at : at + 1000]) for at in range(0, len(body), 1000))

    assert ask(service, CHUNKED + chunks + b"0\r\n\r\n").status == status


def test_chunks_without_end_are_refused(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(CHUNKED + chunk(part(b"")[:-2]))
        connection.settimeout(0)
        answer = b""
        while not answer:
            with contextlib.suppress(OSError):  # Full, or ended behind the answer.
                connection.send(chunk(b"x" * 10_000))
            with contextlib.suppress(BlockingIOError):
                answer = connection.recv(65536)

        assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("extension", "status"), [(50_000, 200), (3_000_000, 400)])
def test_an_extension_of_a_chunk_is_bounded(service: Service, extension: int, status: int) -> None:
    chunks = chunk(form(b"x"), b";a=" + b"b" * extension)

    with service.connect() as connection:
        try:
            connection.sendall(CHUNKED + chunks + b"0\r\n\r\n")
        except OSError:
            assert status == 400
        assert Reader(connection).answer().status == status


def test_many_chunks_with_extensions_are_one_body(service: Service) -> None:
    chunks = b"".join(chunk(BODY[at : at + 1], b";a=bcd") for at in range(len(BODY)))

    assert ask(service, CHUNKED + chunks + b"0\r\n\r\n").json["binary_size"] == 100_000


def test_ten_thousand_parts_are_refused(service: Service) -> None:
    assert ask(service, post("/images/info", part(b"", head='form-data; name="a"') * 10_000)).status in (
        400,
        413,
    )


def test_a_boundary_of_64_kib_is_refused(service: Service) -> None:
    request = post("/images/info", form(b"x")).replace(b"boundary=", b"boundary=" + b"b" * 65_536, 1)

    assert ask(service, request).status == 431


def test_a_length_that_is_too_short_ends_the_form_and_the_connection(service: Service) -> None:
    body = form(b"x")
    with service.connect() as connection:
        connection.sendall(post("/images/info", body, length=len(body) - 10))
        reader = Reader(connection)

        assert reader.answer().status == 400
        assert reader.rest() == b""


def test_a_length_that_is_too_long_ends_with_408(service: Service) -> None:
    body = form(b"x")

    assert ask(service, post("/images/info", body, length=len(body) + 10)).status == 408


def test_a_body_that_was_asked_for_and_does_not_come_ends_with_408(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post("/images/info", b"", "Expect: 100-continue", length=1000))
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.recv(len(expected)) == expected

        assert Reader(connection).answer().status == 408


HELLO = bytes.fromhex("160301020001 0001fc0303".replace(" ", "")) + bytes(500)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000012040000000000")


@pytest.mark.parametrize("sent", [HELLO, PREFACE, b"SSH-2.0-OpenSSH_9.9\r\n", bytes(100), b"\xff" * 70_000])
def test_another_protocol_gets_a_400(service: Service, sent: bytes) -> None:
    assert ask(service, sent).status == 400


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (b"X-a!#$%&'*+.^_`|~9", 200),  # every token of RFC 9110
        (b"X(a)", 400),
        (b"X\xe9", 400),
        (b"X\x00", 400),
        (b"X a", 400),
        (b"", 400),
        (b"\x7f", 400),
        (b'"X"', 400),
    ],
)
def test_a_headers_name_is_a_token(service: Service, name: bytes, status: int) -> None:
    assert ask(service, PING[:-2] + name + b": a\r\n\r\n").status == status


@pytest.mark.parametrize(
    ("head", "status"),
    [('X: \xe9\r\nContent-Disposition: form-data; name="\xff"', 200), ("X-\xe9: a", 400)],
)
def test_a_parts_header_has_a_token_for_its_name_and_any_value(
    service: Service, head: str, status: int
) -> None:
    odd = f"--{BOUNDARY}\r\n{head}\r\n\r\nx\r\n".encode("latin-1")

    assert ask(service, post("/images/info", odd + form(b"x"))).status == status
