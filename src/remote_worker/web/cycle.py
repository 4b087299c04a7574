"""One request on a connection: its body as it arrives, its answer as it leaves."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from starlette.types import Scope
from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from ..contract.failures import FailureCode, WorkFailed
from . import problems
from .body import EXTENSION, Take
from .exchange import ClientGone, new_request_id, refusal

if TYPE_CHECKING:
    from .connection import Connection

READ_BYTES = 64 * 1024
"""Read at once for the parser: a body in one-byte chunks takes some 4 ms a read to parse."""
MOST_WAITING_BYTES = 4 * READ_BYTES
"""Of a body that the application has not taken. Less than one read would stop and start reading at each."""
_BODILESS = (204, 304)
"""Statuses whose answers have no body, whatever their headers say (RFC 9112, 6.3)."""
JOINED_BYTES = 64 * 1024
"""A part of an answer up to this size goes out in one write with the head."""


class Cycle(RequestResponseCycle):
    """One request and its answer. Its body arrives in chunks that are handed on as they are."""

    connection: "Connection"

    def begin(self, connection: "Connection") -> "Cycle":
        """Belong to this connection."""
        self.connection = connection
        self.chunks: list[bytes] = []
        self.waiting_bytes = 0
        self.is_body_delivered = False
        self._is_rest_skipped = False
        self._is_length_known = True
        self._take: Take | None = None
        self._failure: Exception | None = None
        self._head = b""
        self._tell_gone: Callable[[], None] | None = None
        self.scope["extensions"] = {EXTENSION: {"client": self}}
        return self

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Answer the request."""
        try:
            await super().run_asgi(app)
        finally:
            self.scope["extensions"].clear()  # A ring that only the garbage collector would free.

    @property
    def is_passed_on(self) -> bool:
        """Somebody takes the body as it comes."""
        return self._take is not None

    @property
    def has_whole_body(self) -> bool:
        """All of the body is here."""
        return not self.more_body

    def arrived(self, buffer: bytearray, start: int, end: int) -> None:
        """A part of the body is there: pass it on, or keep a copy until it is asked for."""
        if self._take is None or self.chunks:
            self.keep(bytes(memoryview(buffer)[start:end]))
            return
        try:
            self._take(buffer, start, end)
        except Exception as failure:  # noqa: BLE001  raised where the body is awaited
            self._take, self._failure = None, failure
            self.message_event.set()

    def keep(self, chunk: bytes) -> None:
        """Hold a part of the body until it is asked for; there may be many of a few bytes."""
        self.chunks.append(chunk)
        self.waiting_bytes += len(chunk)
        if self.waiting_bytes > MOST_WAITING_BYTES:
            self.flow.pause_reading()
        self.message_event.set()

    async def pass_on(self, take: Take) -> None:
        """Call `take` with every part of the body as it is read, until its end.

        Raises what that raises, and ClientGone when the body is cut.
        """
        self._say_continue()
        self._take = take
        try:
            while not self.disconnected:
                if self._failure is not None:
                    raise self._failure
                if self.chunks:
                    body = self._taken()
                    take(body, 0, len(body))
                if not self.more_body:
                    self.is_body_delivered = True
                    return
                self.connection.read_on(self)
                self.message_event.clear()
                await self.message_event.wait()
        finally:
            self._take = None
        raise ClientGone

    def _taken(self) -> bytes:
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks = []
        self.waiting_bytes = 0
        return body

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Call this once, as soon as the client has gone; None takes it back."""
        self._tell_gone = tell
        if self.disconnected:
            self.gone()
        else:
            self.connection.read_on(self)

    def gone(self) -> None:
        """The client is gone, or will get no answer."""
        self.disconnected = True
        self.message_event.set()
        tell, self._tell_gone = self._tell_gone, None
        if tell is not None:
            tell()

    async def receive(self) -> ASGIReceiveEvent:
        """The next part of the body, then the news that the client has gone."""
        self._say_continue()
        while not (self.disconnected or self.response_complete or self._has_news()):
            self.connection.read_on(self)
            self.message_event.clear()
            await self.message_event.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body = self._taken()
        self.is_body_delivered = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _has_news(self) -> bool:
        return bool(self.chunks) or not (self.more_body or self.is_body_delivered)

    def _say_continue(self) -> None:
        if self.waiting_for_100_continue:
            self.waiting_for_100_continue = False
            if self.more_body and not self.chunks and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer. After an answer sent before the body was read, the connection ends.

        Raises ClientGone when there is nobody to send to.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            raise ClientGone
        if message["type"] == "http.response.start" and not self.response_started:
            self._begin_answer(message)
        elif message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._send_part(message.get("body", b""), is_last=not message.get("more_body", False))
            self.connection.watch_writing()
        else:
            raise RuntimeError(f"{message['type']} out of order")

    def _begin_answer(self, message: HTTPResponseStartEvent) -> None:
        """Make the head; it leaves with the first part of the body."""
        lines = [STATUS_LINE[message["status"]]]
        length: int | None = None
        headers = [*self.default_headers, *message.get("headers", [])]
        # Both look for single characters, so all are looked through at once.
        is_bad_name = HEADER_RE.search(b"".join([name for name, _ in headers]))
        if is_bad_name or HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
            raise RuntimeError("a header that would break the head")
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            lines += [name, b": ", value, b"\r\n"]
        has_body = self.scope["method"] != "HEAD" and message["status"] not in _BODILESS
        if not has_body:
            length = 0
        self.chunked_encoding = False
        if length is None and self.scope["http_version"] == "1.1":
            # To a client of HTTP/1.0 the end of the connection, which comes in any case, is the body's.
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        if self.connection.is_ending_with(self) or (self.more_body and not self._is_rest_skipped):
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        self._head = b"".join([*lines, b"\r\n"])
        self._is_length_known = length is not None
        self.expected_content_length = length or 0
        self.response_started = True
        self.waiting_for_100_continue = False

    def _send_part(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._is_length_known:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (is_last and self.expected_content_length > 0):
                raise RuntimeError("a body that is not as long as its head says")
        elif self.chunked_encoding:
            body = _chunk(body, is_last=is_last)
        if self._head and len(body) <= JOINED_BYTES:
            body = self._head + body
        elif self._head:
            self.transport.write(self._head)
        self._head = b""
        if body:
            self.transport.write(body)
        if is_last:
            self.response_complete = True
            self.chunks = []  # The connection may rest for long.
            self.message_event.set()
            self.on_response()

    def refuse(self, failure: WorkFailed) -> None:
        """Answer without the application. The connection goes on behind a body whose rest is short."""
        status, headers, body = refusal(cast(Scope, self.scope), failure)
        self.scope["extensions"].clear()
        self._is_rest_skipped = self.connection.can_skip_rest()
        self._begin_answer({"type": "http.response.start", "status": status, "headers": headers})
        self._send_part(body, is_last=True)
        self.connection.watch_writing()

    async def send_500_response(self) -> None:
        """What is left when the application was cancelled or failed outside of its own guard."""
        failure = problems.answer(WorkFailed(FailureCode.INTERNAL), request_id=new_request_id())
        headers = {**failure.headers, "content-length": str(len(failure.body)), "connection": "close"}
        await self.send(
            {
                "type": "http.response.start",
                "status": failure.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await self.send({"type": "http.response.body", "body": failure.body, "more_body": False})


def _chunk(body: bytes, *, is_last: bool) -> bytes:
    """A part of a body of unknown length, as it goes over the wire (RFC 9112, 7.1)."""
    part = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return part + b"0\r\n\r\n" if is_last else part
