"""Bodies in parts of every length, from our own server and from any other that speaks ASGI."""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.requests import Request
from web.serving import BOUNDARY, END, Probe, SmallDecoder, form, part, small_uses
from web.small_links import small_links

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.web.app import create_app
from remote_worker.web.body import EXTENSION, Take
from remote_worker.web.budget import Budget
from remote_worker.web.exchange import ClientGone, Exchange
from remote_worker.web.settings import WebSettings
from remote_worker.web.upload import Uploads

NEARLY = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\r\n-"
DATA = NEARLY + bytes(range(256)) + NEARLY
FIELD = part(b"value", head='form-data; name="note"')
BODY = FIELD + part(DATA) + FIELD + END


class OwnClient:
    """Passes parts on in one buffer, which holds something else as soon as a part has been taken."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    has_whole_body = False

    async def pass_on(self, take: Take) -> None:
        """Fill the protocol."""
        buffer = bytearray(BODY)  # So that a search beyond the part finds the delimiter of another.
        for data in self._parts:
            buffer[3 : 3 + len(data)] = data
            take(buffer, 3, 3 + len(data))
            buffer[3 : 3 + len(data)] = b"#" * len(data)

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Fill the protocol."""


def scope(path: str = "/images/info", **more: Any) -> dict[str, Any]:
    kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind)],
        "state": {"exchange": Exchange("test")},
        **more,
    }


def messages(parts: Sequence[bytes]) -> Callable[[], Any]:
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    return receive


def from_our_server(parts: Sequence[bytes]) -> Request:
    return Request(scope(extensions={EXTENSION: {"client": OwnClient(parts)}}))


def from_another_server(parts: Sequence[bytes]) -> Request:
    return Request(scope(), messages(parts))


def uploaded(request: Request) -> bytes:
    async def receive() -> bytes:
        share = Budget(1_000_000).share("somebody")
        async with Uploads(Limits(), WebSettings(), small_links().by_url()).receive(
            request, share
        ) as document:
            fd = document.read_only_fd()
            try:
                return os.pread(fd, 1_000_000, 0)
            finally:
                os.close(fd)

    return asyncio.run(receive())


@pytest.mark.parametrize("source", [from_our_server, from_another_server])
def test_a_file_arrives_whole_wherever_its_body_is_cut_in_two(
    source: Callable[[Sequence[bytes]], Request],
) -> None:
    for at in range(len(BODY) + 1):
        assert uploaded(source([BODY[:at], BODY[at:]])) == DATA, at


@pytest.mark.parametrize("source", [from_our_server, from_another_server])
@pytest.mark.parametrize("size", [1, 2, 3, 7, len(BOUNDARY), len(BOUNDARY) + 4, 100])
def test_a_file_arrives_whole_in_parts_of_any_size(
    source: Callable[[Sequence[bytes]], Request], size: int
) -> None:
    assert uploaded(source([BODY[at : at + size] for at in range(0, len(BODY), size)])) == DATA


@pytest.mark.parametrize("source", [from_our_server, from_another_server])
@pytest.mark.parametrize("too_many", [-1, 0, 1])
def test_a_part_has_the_length_that_it_states(
    source: Callable[[Sequence[bytes]], Request], too_many: int
) -> None:
    head = f'form-data; name="file"; filename="a.png"\r\nContent-Length: {len(DATA) + too_many}'
    body = part(DATA, head=head) + END

    for at in range(len(body) + 1):
        if too_many:
            with pytest.raises(WorkFailed) as failed:
                uploaded(source([body[:at], body[at:]]))
            assert failed.value.code is FailureCode.BAD_REQUEST
        else:
            assert uploaded(source([body[:at], body[at:]])) == DATA, at


def test_a_body_cut_by_another_server_is_a_client_that_went() -> None:
    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": BODY[:50], "more_body": True},
        {"type": "http.disconnect"},
    ]

    with pytest.raises(ClientGone):
        uploaded(Request(scope(), receive))


def answer_of(upload: bytes, receive: Callable[[], Any] | None = None) -> tuple[SmallDecoder, list[Any]]:
    """What another server would be told to send."""
    decoder, sent = SmallDecoder(), []
    app = create_app(small_uses(decoder), Probe(), WebSettings(), Limits())

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope("/images/fit/1", state={}), receive or messages([form(upload)]), send))
    return decoder, sent


def test_work_ends_when_another_server_says_that_the_client_went() -> None:
    decoder, sent = answer_of(b"hang")

    assert decoder.cancelled.is_set()
    assert sent == []


def test_another_server_is_given_the_whole_answer() -> None:
    waits = asyncio.Event()
    first = messages([form(b"body")])

    async def receive() -> Any:
        message = await first()
        if message["type"] == "http.disconnect":
            await waits.wait()
        return message

    _, sent = answer_of(b"body", receive)

    assert sent[0]["status"] == 200
    assert b'"output": "Ym9keQ=="' in b"".join(message["body"] for message in sent[1:])
