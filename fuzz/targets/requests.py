"""Requests on one connection: the application sees the same ones in whatever pieces the bytes arrive."""

import asyncio
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from remote_worker.web.app import App
from remote_worker.web.connection import Connection
from remote_worker.web.server import Config
from remote_worker.web.settings import WebSettings

from ..choices import Choices

TURNS = 40
"""Of the event loop between two pieces, which is more than a request has steps."""
Seen = list[tuple[str, str, bytes]]
"""Method, path and body of each request that came whole."""


def same_in_any_pieces(data: bytes, kind: type[Connection] = Connection) -> None:
    """What came whole is the same, as far as either got: an error may end a connection sooner in one piece.

    No answer is of the 500 class, and all that was written are whole answers.
    """
    choices = Choices(data)
    sizes = [choices.one_of((1, 2, 3, 7, 16, 50, 200, 4000)) for _ in range(choices.number(1, 5))]
    stream = choices.rest()

    with asyncio.Runner() as runner:
        in_pieces, said = runner.run(_sent(stream, sizes, kind))
        whole, said_whole = runner.run(_sent(stream, [max(1, len(stream))], kind))

    shared = min(len(in_pieces), len(whole))
    assert in_pieces[:shared] == whole[:shared], "other requests"
    _check_answers(said)
    _check_answers(said_whole)


class _Wire(asyncio.Transport):
    """The server's end of a connection without a network. It is also the socket that it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.is_paused = False
        self.is_closed = False

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return self if name == "socket" else default

    def setsockopt(self, *_: int) -> None:
        pass

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    getsockname = getpeername

    def write(self, data: Any) -> None:
        self.said += b"" if self.is_closed else bytes(data)

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


async def _sent(stream: bytes, sizes: list[int], kind: type[Connection]) -> tuple[Seen, bytes]:
    seen: Seen = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message: Message = await receive()
            if message["type"] != "http.request":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        seen.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    app = cast(App, answer)
    app.admits = lambda _: None
    wire = _Wire()
    connection = kind(Config(app, WebSettings()), ServerState(), {}, asyncio.get_running_loop())
    connection.connection_made(wire)
    at = turn = 0
    while at < len(stream) and not wire.is_closed and not wire.is_paused:
        buffer = connection.get_buffer(-1)
        piece = stream[at : at + min(len(buffer), sizes[turn % len(sizes)])]
        buffer[: len(piece)] = piece
        connection.buffer_updated(len(piece))
        at, turn = at + len(piece), turn + 1
        for _ in range(TURNS if wire.is_paused else 3):
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    return seen, wire.said


def _check_answers(said: bytes) -> None:
    rest = said
    while rest:
        head, blank, rest = rest.partition(b"\r\n\r\n")
        assert blank, "a head without an end"
        status = head[9:12]
        assert head.startswith(b"HTTP/1.1 ") and b"100" <= status < b"500", head[:80]
        lengths = [line[16:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
        if status != b"100":
            assert len(lengths) == 1, head
            # A HEAD's answer says the length of what it leaves out.
            length = int(lengths[0])
            rest = rest if rest.startswith(b"HTTP/1.1 ") else rest[length:]
