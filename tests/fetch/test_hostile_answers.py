"""Answers that are wrong, huge or lies, over real servers: each ends in its code, in bounds."""

import asyncio

import pytest
from fetch.origin import Behaviour, Exchange, Origin, answer, endless, page, then_sit
from fetch.standins import World

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import Purpose
from remote_worker.fetch.process.http import (
    LONGEST_FIELD_BYTES,
    MOST_FIELDS,
    MOST_FRAMING_BYTES,
    MOST_HEAD_BYTES,
    MOST_INTERIM,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PAGE = b"<title>a</title>" + b"x" * 600
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CHUNKED + b"5;" + b"e" * 1_000_000 + b"\r\nabcde\r\n0\r\n\r\n", id="74-extension-1-MB"),
        pytest.param(CHUNKED + b"1;eeeeeeeeeeeee\r\na\r\n" * 20_000 + b"0\r\n\r\n", id="74-extensions"),
        pytest.param(CHUNKED + b"0\r\n" + b"a: b\r\n" * 170_000 + b"\r\n", id="74-trailers-1-MB"),
        pytest.param(CHUNKED + b"zz\r\nab\r\n0\r\n\r\n", id="74-chunk-size"),
        pytest.param(CHUNKED + b"-1\r\nab\r\n0\r\n\r\n", id="74-negative-chunk"),
        pytest.param(CHUNKED + b"fffffffffffffffff\r\nab\r\n0\r\n\r\n", id="74-chunk-overflow"),
        pytest.param(CHUNKED + b"2\r\nabcd\r\n0\r\n\r\n", id="74-chunk-longer-than-said"),
        pytest.param(CHUNKED + b"5\r\nabcde\r\n", id="74-no-last-chunk"),
        pytest.param(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="74-CL-TE"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="74-TE-CL"),
        pytest.param(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", id="74-two-lengths"),
        pytest.param(OK + b"Content-Length: +5\r\n\r\nabcde", id="74-length-with-sign"),
        pytest.param(OK + b"Content-Length: 5, 5\r\n\r\nabcde", id="74-list-of-lengths"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="74-TE-gzip"),
        pytest.param(OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="74-TE-unknown"),
        pytest.param(OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="74-TE-not-last"),
        pytest.param(OK + b"a: b\r\n" * 100_000 + b"\r\n", id="78-100000-headers"),
        pytest.param(OK + b"A: " + b"b" * 1_000_000 + b"\r\n\r\n", id="78-header-1-MB"),
        pytest.param(b"HTTP/1.1 200 " + b"O" * 100_000, id="78-reason-100-KB"),
        pytest.param(OK + b"A: b\0c\r\n\r\n" + PAGE, id="78-NUL"),
        pytest.param(OK + b"A: b\rc\r\n\r\n" + PAGE, id="78-CR"),
        pytest.param(OK + b"A: b\r\n c\r\n\r\n" + PAGE, id="78-folding"),
        pytest.param(OK + b"A : b\r\n\r\n" + PAGE, id="78-blank-before-colon"),
        pytest.param(OK + b"nothing\r\n\r\n" + PAGE, id="78-no-colon"),
        pytest.param(OK.replace(b"\r\n", b"\n") + b"\n" + PAGE, id="78-LF"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", id="79-101"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="79-101-bare"),
        pytest.param(PAGE, id="79-HTTP-0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="79-preface"),
        pytest.param(b"\0\0\x12\4\0\0\0\0\0" + bytes(18), id="79-HTTP-2-settings"),
        pytest.param(OK.replace(b"1.1", b"2.0") + b"\r\n" + PAGE, id="79-version-2"),
        pytest.param(OK.replace(b"HTTP/1.1", b"ICY") + b"\r\n" + PAGE, id="79-ICY"),
        pytest.param(OK.replace(b"HTTP", b"RTSP") + b"\r\n" + PAGE, id="79-RTSP"),
        pytest.param(b"\r\n\r\n" + OK + b"\r\n" + PAGE, id="79-lines-before"),
        pytest.param(OK.replace(b"200", b"000") + b"\r\n" + PAGE, id="79-status-0"),
        pytest.param(OK.replace(b"200", b"2000") + b"\r\n" + PAGE, id="79-status-2000"),
        pytest.param(b"", id="77-nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConte", id="77-half-a-head"),
        pytest.param(OK + b"Content-Length: 5000\r\n\r\n" + PAGE, id="73-body-shorter-than-said"),
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    with Origin({"/": data}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert failed.code is FailureCode.BAD_HTTP
        assert failed.detail
        assert failed.hops[-1].code == "bad_http"
        assert origin.wait_closed()


@pytest.mark.parametrize("piece", [EARLY, b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["79-103", "79-100"])
def test_interim_answers_without_end_are_refused(piece: bytes) -> None:
    with Origin({"/": endless(b"", piece)}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.BAD_HTTP, "interim")


def field_of(size: int) -> bytes:
    return b"A: " + b"b" * (size - 1) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "is_taken"),
    [
        (EARLY * MOST_INTERIM + answer(page()), True),
        (EARLY * (MOST_INTERIM + 1) + answer(page()), False),
        (OK + b"a: b\r\n" * (MOST_FIELDS - 1) + b"\r\n" + page(), True),
        (OK + b"a: b\r\n" * MOST_FIELDS + b"\r\n" + page(), False),
        (OK + field_of(LONGEST_FIELD_BYTES) + b"\r\n" + page(), True),
        (OK + field_of(LONGEST_FIELD_BYTES + 1) + b"\r\n" + page(), False),
        (
            OK + field_of(MOST_HEAD_BYTES // 8) * 7 + field_of(MOST_HEAD_BYTES // 8 - 24) + b"\r\n" + page(),
            True,
        ),
        (OK + field_of(MOST_HEAD_BYTES // 8) * 8 + b"\r\n" + page(), False),
    ],
    ids=["interim", "interim+1", "fields", "fields+1", "field", "field+1", "head", "head+"],
)
def test_a_head_is_bounded(data: bytes, is_taken: bool) -> None:
    with Origin({"/": data}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            fetched, _ = world.read("http://h.test/")
            assert fetched.status == 200
        else:
            assert world.failure("http://h.test/").code is FailureCode.BAD_HTTP


@pytest.mark.parametrize(
    ("extension", "is_taken"), [(MOST_FRAMING_BYTES - 200, True), (MOST_FRAMING_BYTES, False)]
)
def test_what_frames_chunks_is_bounded(extension: int, is_taken: bool) -> None:
    data = CHUNKED + b"5;" + b"e" * extension + b"\r\nabcde\r\n0\r\n\r\n"
    with Origin({"/": data}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            # It is no page of which more is wanted, and so it is all read.
            assert world.read("http://h.test/")[1] == b"abcde"
        else:
            failed = world.failure("http://h.test/")
            assert (failed.code, failed.detail) == (FailureCode.BAD_HTTP, "framing")


def test_many_small_chunks_are_one_body() -> None:
    data = CHUNKED + b"a\r\n0123456789\r\n" * 20_000 + b"0\r\nTrailer: x\r\n\r\n"
    with Origin({"/": data}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert body == b"0123456789" * 20_000
        assert not fetched.is_cut


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OK + b"Content-Length: 10000000000\r\n\r\n", id="73-10-GB-said"),
        pytest.param(OK + b"\r\n", id="73-no-length"),
        pytest.param(CHUNKED, id="73-chunked"),
    ],
)
def test_a_page_without_end_is_cut(data: bytes) -> None:
    piece = b"y" * 65536
    if data is CHUNKED:
        piece = b"10000\r\n" + piece + b"\r\n"
    with Origin({"/": endless(data, piece)}) as origin:
        fetched, body = World({"h.test": origin}, page_bytes=300_000).read("http://h.test/")

        assert fetched.is_cut
        assert body == b"y" * 300_000
        assert origin.wait_closed()


@pytest.mark.parametrize("purpose", [Purpose.IMAGE, Purpose.OEMBED])
@pytest.mark.parametrize(
    "head", [b"Content-Length: 10000000000\r\n\r\n", b"\r\n"], ids=["73-said", "73-endless"]
)
def test_what_is_no_page_is_too_large_instead(purpose: Purpose, head: bytes) -> None:
    with Origin({"/": endless(b"HTTP/1.1 200 OK\r\n" + head, b"{" * 65536)}) as origin:
        world = World({"h.test": origin}, oembed_bytes=100_000, fetched_image_bytes=100_000)

        assert world.failure("http://h.test/", purpose).code is FailureCode.TOO_LARGE
        assert origin.wait_closed()


@pytest.mark.parametrize("purpose", [Purpose.IMAGE, Purpose.OEMBED])
@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(purpose: Purpose, has_length: bool) -> None:
    data = b'{"a": "' + b"x" * 2000
    limits = {"oembed_bytes": len(data), "fetched_image_bytes": len(data)}
    whole = answer(data, media_type=None, has_length=has_length)
    longer = answer(data + b"x", media_type=None, has_length=has_length)
    with Origin({"/": whole, "/more": longer}) as origin:
        world = World({"h.test": origin}, **limits)

        assert world.read("http://h.test/", purpose)[1] == data
        assert world.failure("http://h.test/more", purpose).code is FailureCode.TOO_LARGE


@pytest.mark.parametrize(("extra", "is_cut"), [(0, False), (1, True)])
def test_a_page_of_the_limit_is_whole_and_one_byte_more_is_cut(extra: int, is_cut: bool) -> None:
    with Origin({"/": answer(b"z" * (2000 + extra))}) as origin:
        fetched, body = World({"h.test": origin}, page_bytes=2000).read("http://h.test/")

        assert (fetched.is_cut, body) == (is_cut, b"z" * 2000)


def test_bytes_behind_the_length_are_not_read() -> None:
    """Row 73: a length smaller than the body."""
    with Origin({"/": OK + b"Content-Length: 3\r\n\r\nabcdef"}) as origin:
        assert World({"h.test": origin}).read("http://h.test/")[1] == b"abc"


def test_a_second_answer_behind_the_first_is_not_read() -> None:
    first, second = answer(b"abc"), answer(b"def", status="500 Internal")
    with Origin({"/": first + second}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert (fetched.status, body) == (200, b"abc")


@pytest.mark.parametrize("reset_behind", [0, 200])
def test_a_connection_that_is_reset_has_a_code(reset_behind: int) -> None:
    import socket
    import struct

    async def reset(exchange: Exchange) -> None:
        await exchange.send((OK + b"Content-Length: 9999\r\n\r\n" + PAGE)[:reset_behind])
        sock = exchange.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.writer.transport.abort()

    with Origin({"/": reset}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert failed.code is FailureCode.BAD_HTTP


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("204 No Content", FailureCode.HTTP_STATUS),
        ("205 Reset Content", FailureCode.HTTP_STATUS),
        ("304 Not Modified", FailureCode.HTTP_STATUS),
        ("400 Bad Request", FailureCode.HTTP_4XX),
        ("401 Unauthorized", FailureCode.HTTP_4XX),
        ("407 Proxy", FailureCode.HTTP_4XX),
        ("418 Teapot", FailureCode.HTTP_4XX),
        ("429 Too Many", FailureCode.HTTP_4XX),
        ("499 Closed", FailureCode.HTTP_4XX),
        ("500 Internal", FailureCode.HTTP_5XX),
        ("503 Unavailable", FailureCode.HTTP_5XX),
        ("599 Last", FailureCode.HTTP_5XX),
        ("600 Beyond", FailureCode.HTTP_STATUS),
        ("999 Request denied", FailureCode.HTTP_STATUS),
    ],
    ids=lambda value: f"80-{value}",
)
def test_a_status_that_is_no_success_is_told(status: str, code: FailureCode) -> None:
    headers = {"Server": "cloudflare", "CF-Mitigated": "challenge", "Retry-After": "77", "X-Other": "no"}
    with Origin({"/": answer(status=status, headers=headers)}) as origin:
        world = World({"h.test": origin})

        failed = world.failure("http://h.test/")

        assert (failed.code, failed.status) == (code, int(status[:3]))
        assert failed.detail == status[:3]
        assert failed.headers["cf-mitigated"] == "challenge"
        assert "x-other" not in failed.headers
        assert world.gate.told_of == [("h.test", int(status[:3]), 77.0)]
        assert failed.retry_seconds == (77 if code in (FailureCode.HTTP_4XX, FailureCode.HTTP_5XX) else 0)


@pytest.mark.parametrize("data", [answer(b""), answer(b"", has_length=False), CHUNKED + b"0\r\n\r\n"])
def test_a_success_without_a_body_is_none(data: bytes) -> None:
    with Origin({"/": data}) as origin:
        assert World({"h.test": origin}).failure("http://h.test/").code is FailureCode.HTTP_STATUS


@pytest.mark.parametrize("status", ["200 OK", "203 Other", "206 Partial", "299 Last"])
def test_a_success_with_a_body_is_one(status: str) -> None:
    with Origin({"/": answer(page(), status=status)}) as origin:
        assert World({"h.test": origin}).read("http://h.test/")[0].status == int(status[:3])


def test_headers_that_somebody_asks_for_are_kept_and_joined() -> None:
    headers = {"ETag": '"a"', "Link": "<a>", "LINK": "<b>", "Cache-Control": "max-age=5", "X-Secret": "s"}
    with Origin({"/": answer(page(), headers=headers)}) as origin:
        fetched, _ = World({"h.test": origin}).read("http://h.test/")

        assert fetched.headers == {
            "etag": '"a"',
            "link": "<a>, <b>",
            "cache-control": "max-age=5",
            "content-type": "text/html",
        }


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", b"a" * 4096, 0.01), id="83"
        ),
        pytest.param(then_sit(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"), id="83-silent"),
    ],
)
@pytest.mark.parametrize("purpose", [Purpose.PAGE, Purpose.IMAGE])
def test_a_radio_station_is_left_at_its_headers(behaviour: Behaviour, purpose: Purpose) -> None:
    with Origin({"/": behaviour}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/", purpose)

        expected = FailureCode.NOT_HTML if purpose is Purpose.PAGE else FailureCode.TYPE_MISMATCH
        assert (failed.code, failed.detail) == (expected, "audio/mpeg")
        assert origin.wait_closed(1.0)


def test_a_fetch_that_is_cancelled_closes_its_connection() -> None:
    """Row 92."""
    import time

    from remote_worker.contract.links import Want

    with Origin({"/": then_sit(OK + b"\r\n" + PAGE)}) as origin:
        world = World({"h.test": origin})

        async def cancelled() -> bool:
            want = Want(url="http://h.test/", purpose=Purpose.PAGE)
            task = asyncio.create_task(world.fetcher.fetch(want, until=time.monotonic() + 10))
            await asyncio.to_thread(origin.wait_until, lambda origin: bool(origin.requests))
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            return await asyncio.to_thread(origin.wait_closed, 1.0)

        assert asyncio.run(cancelled())
        assert world.gate.inside == 0


def test_what_was_received_is_counted_over_all_hops() -> None:
    first, second = answer(status="302 Found", headers={"Location": "/b"}), answer(b"x" * 1000)
    with Origin({"/": first, "/b": second}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert len(body) == 1000
        assert fetched.received_bytes == len(first) + len(second)
