"""One connection: uvicorn's, with what that lacks towards clients that are slow, huge, gone or malformed.

What uvicorn and the servers beside it lack is measured in docs/decisions/0002-http-server.md.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from .. import telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB
from ..telemetry import Event
from . import problems
from .cycle import MOST_WAITING_BYTES, READ_BYTES, Cycle
from .door import Standing
from .exchange import count, new_request_id
from .stopping import Stage, stage_of
from .tls import client_fingerprint

if TYPE_CHECKING:
    from .server import Config

LONGEST_URL = 8 * 1024
MOST_HEAD_BYTES = 32 * 1024
MOST_HEADERS = 100
MOST_FRAMING_BYTES = 2 * READ_BYTES
"""Of a body in chunks, beside its data."""
MOST_FRAMING_PER_BYTE = 16
"""More framing for each byte of data. One in a chunk of its own has five."""
MOST_PIPELINED = 8
DRAIN_BYTES = MIB
DRAIN_SECONDS = 1.0
LINGER_BYTES = 64 * MIB
"""Behind the last answer, within the same second: some clients send all of an upload before they read."""
GUEST_SECONDS = 1.0
"""For the head of a connection past the limit."""
COUNTED_READ_BYTES = 256 * 1024
"""Read at once of a body whose length is known, which is passed on without the parser."""

UNSENT_BYTES = 256 * 1024
"""Of an answer that the kernel holds beside what is under way."""
_NOTSENT_LOWAT = 25  # TCP_NOTSENT_LOWAT of linux/tcp.h

_HOP_BY_HOP_OF_UPGRADE = {b"upgrade", b"http2-settings"}


class _Refused(Exception):
    """Stops the parser: the request is refused with this code, or without one simply not taken."""

    def __init__(self, code: FailureCode | None = None) -> None:
        super().__init__(code)
        self.code = code


class Connection(HttpToolsProtocol, asyncio.BufferedProtocol):
    """Bounds on heads, deadlines on every phase, and an end that delivers the answer.

    `cycle` is uvicorn's name for the newest request; those before it wait in `_queue` for their turn.
    """

    config: "Config"
    cycle: Cycle

    def __init__(
        self,
        config: "Config",
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = config.settings
        self._active: Cycle | None = None
        self._queue: list[Cycle] = []
        self._clock: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._ring: Callable[[], None] | None = None
        self._write_clock: asyncio.TimerHandle | None = None
        self._is_idle = False
        self._is_in_head = False
        self._is_upgrade = False
        self._has_sent_bytes = False
        self._has_refused = False
        """Something that came with the same read."""
        self._head_bytes = 0
        self._unfinished_head_bytes = 0
        self._discarded_bytes: int | None = None
        self.raw_transport: asyncio.Transport | None = None
        """Below TLS, where there is any."""
        self.is_last = False
        """The request that comes, or is there, has no other behind it."""
        self._counted_bytes: int | None = None
        """What is still to come of a body whose length is known."""
        self._chunked_bytes: int | None = None
        """What came of a body in chunks."""
        self._framed_bytes = 0
        """What was read while a body in chunks came."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there, and has so long for its first head."""
        super().connection_made(cast(asyncio.Transport, transport))
        with contextlib.suppress(OSError):
            # Else the kernel takes megabytes at once, and a slow reader looks like one that stands still.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)
        self._standing = self.config.door.enter(self, self.client[0] if self.client else "")
        head_seconds = self._settings.head_seconds
        if self._standing is Standing.GUEST:
            head_seconds = min(head_seconds, GUEST_SECONDS)
        self._certificate = client_fingerprint(transport)
        self._start_clock(head_seconds, self._head_is_late)
        if self._standing is Standing.TURNED_AWAY:
            self._write_refusal(self._crowded())
            self.transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to read to."""
        size = READ_BYTES
        if self._discarded_bytes is not None:
            size = COUNTED_READ_BYTES
        elif self._counted_bytes and (self.cycle.is_passed_on or self.cycle.response_complete):
            # What lies behind the body goes to the parser: no more of it than of any other read.
            size = min(COUNTED_READ_BYTES, self._counted_bytes + READ_BYTES)
        return memoryview(self.config.incoming)[:size]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._discarded_bytes is not None:
            self._discarded_bytes += nbytes
            if self._discarded_bytes > LINGER_BYTES and self._active is None:
                self.transport.close()
            elif self._discarded_bytes > DRAIN_BYTES and self._active is not None:
                self.flow.pause_reading()
            return
        self._wake()
        self._has_sent_bytes, self._has_refused = True, False
        if self._counted_bytes:
            self._count(nbytes, self._counted_bytes)
        else:
            self._feed(memoryview(self.config.incoming)[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whoever works for it hears of it."""
        self.config.door.leave(self)
        self._stop_clock()
        if self._clock is not None:
            self._clock.cancel()
        if self._write_clock is not None:
            self._write_clock.cancel()
        for cycle in [self._active, *self._queue]:
            if cycle is not None and not cycle.response_complete:
                cycle.gone()
        super().connection_lost(exc)
        # Rings that only the garbage collector would free.
        self.raw_transport = None
        self.cycle = self._active = None  # type: ignore[assignment]  # nobody asks it any more
        self._queue.clear()
        self.config.progress.set()

    # What the server calls when it stops.

    @property
    def is_busy(self) -> bool:
        """A request has no whole answer yet."""
        return self._active is not None

    def shutdown(self) -> None:
        """End: when idle at once, else behind the answer under way. What waits for its turn is refused."""
        for cycle in self._queue:
            cycle.scope["state"].update(self.app_state)
        if self._active is not None:
            self.cycle.keep_alive = False
        elif self._discarded_bytes is not None:
            return  # It ends already.
        elif self._is_in_head:
            self._refuse(FailureCode.BUSY)
        elif self.cycle is not None and self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def retire(self) -> None:
        """Let a client whose certificate was checked by what no longer holds shake hands anew."""
        if not self._certificate:
            return
        self.is_last = True
        if self._is_idle:
            self.transport.close()
        elif self._active is not None:
            self.cycle.keep_alive = False

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        is_behind_last = self.cycle is not None and self._active is not None and not self.cycle.keep_alive
        if is_behind_last or self._discarded_bytes is not None:
            raise _Refused
        self._wake()  # It may come right behind a body that was skipped.
        super().on_message_begin()
        self._is_in_head = True
        self._is_upgrade = False
        self._head_bytes = self._unfinished_head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        super().on_url(url)
        self._head_bytes += len(url)
        if len(self.url) > LONGEST_URL:
            raise _Refused(FailureCode.URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a body, which counts but is dropped."""
        self._head_bytes += len(name) + len(value) + len(": \r\n")
        if self._head_bytes > MOST_HEAD_BYTES or len(self.headers) >= MOST_HEADERS:
            raise _Refused(FailureCode.HEADERS_TOO_LARGE)
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: check it and begin its work, or queue it behind the one before."""
        self._is_in_head = False
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_upgrade = True  # `_feed` starts over without it.
            return
        self._stop_clock()
        counted_bytes, is_chunked = self._check_head()
        self._fill_scope()
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] == "1.1"
            and self.parser.should_keep_alive()
            and not self.is_last
            and self._standing is Standing.EQUAL,
            on_response=self.on_response_complete,
        ).begin(self)
        self._counted_bytes = counted_bytes
        self._framed_bytes, self._chunked_bytes = 0, 0 if is_chunked else None
        if self._active is None:
            self._start(self.cycle)
        elif len(self._queue) < MOST_PIPELINED:
            self._queue.append(self.cycle)
            # Until the queue is full reading goes on, because only a read tells that the client has gone.
            if len(self._queue) == MOST_PIPELINED:
                self.flow.pause_reading()
        else:
            self.cycle = self._queue[-1]
            raise _Refused

    def on_body(self, body: bytes) -> None:
        """A part of the newest request's body."""
        if self._is_upgrade:
            return
        if self._counted_bytes is not None:
            self._counted_bytes -= len(body)
        if self._chunked_bytes is not None:
            self._chunked_bytes += len(body)
        if not self.cycle.response_complete:
            self.cycle.keep(body)

    def on_message_complete(self) -> None:
        """The newest request is complete."""
        if not self._is_upgrade:
            self._counted_bytes = self._chunked_bytes = None
            self.cycle.more_body = False
            self.cycle.message_event.set()
            if self.cycle.response_complete and self._discarded_bytes is None:
                self._rest()
            elif sum(cycle.waiting_bytes for cycle in self._queue) > MOST_WAITING_BYTES:
                self.flow.pause_reading()

    # What a cycle calls.

    def read_on(self, cycle: Cycle) -> None:
        """Read, unless a later request already came: what follows it can wait."""
        if cycle is self.cycle:
            self.flow.resume_reading()

    def is_ending_with(self, cycle: Cycle) -> bool:
        """The server stops, and no later request is there yet."""
        return cycle is self.cycle and self._is_server_stopping()

    def can_skip_rest(self) -> bool:
        """What is still to come of the newest request's body will come, and is not worth a new connection."""
        known_bytes = self._counted_bytes
        is_short = known_bytes is not None and known_bytes <= DRAIN_BYTES
        # Else one client has a thousand refusals for a read, in one turn, and need not even take them.
        is_taken = not (self._has_refused or self.flow.write_paused)
        return is_short and is_taken and not self.expect_100_continue and self._standing is Standing.EQUAL

    def on_response_complete(self) -> None:
        """An answer is complete: end, go on with the next request, or wait for one."""
        self.server_state.total_requests += 1
        self.config.progress.set()
        done, self._active = self._active, None
        if self.transport.is_closing() or done is None:
            return
        if done.more_body and done.keep_alive:
            self.flow.resume_reading()
            self._start_clock(DRAIN_SECONDS, self.transport.close)
        elif done.more_body or (self._discarded_bytes is not None and not self._queue):
            self._linger()
        elif not done.keep_alive and self._is_server_stopping():
            self._linger()  # The client may have sent more before it heard of that.
        elif not done.keep_alive:
            self.transport.close()
        elif self._queue:
            self._start(self._queue.pop(0))
        else:
            self.flow.resume_reading()
            self._rest()

    def _rest(self) -> None:
        """Nothing is to be done until the next request."""
        if self._is_in_head:
            self._start_clock(self._settings.head_seconds, self._head_is_late)
        else:
            self._is_idle = True
            self._start_clock(self._settings.keep_alive_seconds, self.transport.close)
            if not self._unsent_bytes():
                self._offer_place()

    def _offer_place(self) -> None:
        """Once the answer has left: until then a connection that was closed would still be there."""
        self.config.door.rests(self, self.transport.close)

    def _wake(self) -> None:
        if self._is_idle:
            self._is_idle = False
            self.config.door.wakes(self)
            self._start_clock(self._settings.head_seconds, self._head_is_late)

    def watch_writing(self) -> None:
        """From now until all is sent, see that the client takes its answer."""
        if self._write_clock is None and self._unsent_bytes():
            self._check_writing(self.loop.time(), self.loop.time(), 0)

    def _unsent_bytes(self) -> int:
        below = 0 if self.raw_transport is None else self.raw_transport.get_write_buffer_size()
        return below + self.transport.get_write_buffer_size()

    def _check_writing(self, began: float, moved: float, left_before: int) -> None:
        now, left = self.loop.time(), self._unsent_bytes()
        self._write_clock = None
        if left == 0:
            if self._is_idle:
                self._offer_place()
            return
        # Cycles write only after the buffer has emptied, so that any change is progress.
        if left != left_before:
            moved = now
        idle = self._settings.write_idle_seconds
        if now - moved >= idle or now - began >= self._settings.write_seconds:
            self.transport.abort()
            return
        self._write_clock = self.loop.call_later(idle / 4, self._check_writing, began, moved, left)

    # Bodies.

    def _count(self, nbytes: int, expected_bytes: int) -> None:
        """Pass on a part of a body whose length is known: the parser would copy it, and do no more."""
        stop = min(nbytes, expected_bytes)
        self._counted_bytes = expected_bytes - stop
        if not self.cycle.response_complete:
            self.cycle.arrived(self.config.incoming, 0, stop)
        if self._counted_bytes == 0:
            # The one there was still waits for this body.
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.on_message_complete()
            if stop < nbytes:
                self._feed(memoryview(self.config.incoming)[stop:nbytes])

    # Heads.

    def _feed(self, data: memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._is_upgrade:
                self._stop_reading(FailureCode.BAD_REQUEST)
                return
            self._start_over_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._stop_reading(cause.code if isinstance(cause, _Refused) else FailureCode.BAD_REQUEST)
        else:
            if self._has_too_much_framing(len(data)):
                self._stop_reading(FailureCode.BAD_REQUEST)
            elif self._is_in_head:
                self._unfinished_head_bytes += len(data)
                # The first read may have brought the end of a body too.
                if self._unfinished_head_bytes > MOST_HEAD_BYTES + READ_BYTES:
                    self._stop_reading(FailureCode.HEADERS_TOO_LARGE)

    def _has_too_much_framing(self, read_bytes: int) -> bool:
        """Whether a body in chunks is all but empty: extensions of chunks may be of any length."""
        if self._chunked_bytes is None:
            return False
        self._framed_bytes += read_bytes
        most = MOST_FRAMING_BYTES + MOST_FRAMING_PER_BYTE * self._chunked_bytes
        return self._framed_bytes > most

    def _start_over_without_upgrade(self, rest: memoryview) -> None:
        """Upgrades are ignored, but llhttp, once it has seen one, takes the body for another protocol."""
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                value = b", ".join(token for token in tokens if token.lower() not in _HOP_BY_HOP_OF_UPGRADE)
            if name not in _HOP_BY_HOP_OF_UPGRADE:
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(memoryview(b"".join([*head, b"\r\n"])))
        if rest and self._discarded_bytes is None:
            self._feed(rest)

    def _check_head(self) -> tuple[int | None, bool]:
        """How long the body is where that is known, and whether it comes in chunks."""
        version = self.parser.get_http_version()
        hosts, counted_bytes, codings = 0, None, []
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                counted_bytes = int(value)
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
        # llhttp refuses both lengths at once, two lengths, and codings that do not end in `chunked`.
        if (
            version not in ("1.0", "1.1")
            or hosts > 1
            or (version == "1.1" and hosts == 0)
            or (codings and (version == "1.0" or codings != [b"chunked"]))
        ):
            raise _Refused(FailureCode.BAD_REQUEST)
        self.scope["http_version"] = version
        self.expect_100_continue = self.expect_100_continue and version == "1.1"
        return counted_bytes, bool(codings)

    def _fill_scope(self) -> None:
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = unquote(raw_path.decode("ascii"))
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = url.query or b""
        if self._certificate:
            self.scope["state"]["certificate"] = self._certificate

    def _start(self, cycle: Cycle) -> None:
        self._active = cycle
        refused = self.config.admits(cast(Scope, cycle.scope)) or self._refused_as_guest()
        if refused is None:
            self._start_asgi_task(cycle, self.app)
        else:
            cycle.refuse(refused)
            self._has_refused = True

    def _refused_as_guest(self) -> WorkFailed | None:
        if self._standing is Standing.EQUAL:
            return None
        has_body = bool(self._counted_bytes) or self._chunked_bytes is not None
        if self.scope["method"] in ("GET", "HEAD") and not has_body:
            return None
        return self._crowded()

    def _crowded(self) -> WorkFailed:
        seconds = self.config.door.retry_seconds()
        return WorkFailed(FailureCode.BUSY, "there are too many connections", retry_seconds=seconds)

    # Endings.

    def _is_server_stopping(self) -> bool:
        return stage_of(self.app_state) is not Stage.SERVING

    def _head_is_late(self) -> None:
        if self._has_sent_bytes:
            self._refuse(FailureCode.BODY_TIMEOUT)
        else:
            self.transport.close()

    def _stop_reading(self, code: FailureCode | None) -> None:
        """The parser can go no further: answer what came before in full, and refuse what it was at."""
        if self._discarded_bytes is not None:
            return
        if self._queue and self._queue[-1].more_body:
            self._queue.pop()
        active = self._active
        if active is not None and (self._queue or not active.more_body):
            (self._queue or [active])[-1].keep_alive = False
            self._discarded_bytes = 0
        elif active is not None and active.response_started:
            self.transport.abort()
        else:
            if active is not None:
                active.gone()
            self._refuse(code or FailureCode.BAD_REQUEST)

    def _refuse(self, code: FailureCode) -> None:
        """Answer without the application, and end."""
        self._write_refusal(WorkFailed(code))
        self._linger()

    def _write_refusal(self, failure: WorkFailed) -> None:
        request_id = new_request_id()
        answer = problems.answer(failure, request_id=request_id)
        headers = {
            **answer.headers,
            "content-length": str(len(answer.body)),
            "x-request-id": request_id,
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            "server-timing": "total;dur=0.0",
            "connection": "close",
        }
        lines = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            lines += [name, b": ", value, b"\r\n"]
        lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([*lines, b"\r\n", answer.body]))
        count("", "", answer.status, failure.code, 0.0)
        telemetry.emit(Event.REQUEST, request_id=request_id, status=answer.status, code=str(failure.code))

    def _linger(self) -> None:
        """Half-close, and read on for a moment: a close with unread bytes would take the answer away."""
        self._stop_clock()
        if self._discarded_bytes is None:
            self._discarded_bytes = 0
        with contextlib.suppress(OSError):
            if self.raw_transport is None:  # TLS cannot.
                self.transport.write_eof()
        self.flow.resume_reading()
        self.watch_writing()
        self._start_clock(DRAIN_SECONDS, self.transport.close)

    def _start_clock(self, seconds: float, ring: Callable[[], None]) -> None:
        """Ring then, unless stopped or started again before: what a request does twice, so no timer each."""
        self._due, self._ring = self.loop.time() + seconds, ring
        if self._clock is not None and self._clock.when() > self._due:
            self._clock.cancel()
            self._clock = None
        if self._clock is None:
            self._clock = self.loop.call_at(self._due, self._look_at_clock)

    def _stop_clock(self) -> None:
        self._ring = None

    def _look_at_clock(self) -> None:
        clock, self._clock = self._clock, None
        if self._ring is None or clock is None:
            return
        if self._due > clock.when():
            self._clock = self.loop.call_at(self._due, self._look_at_clock)
        else:
            ring, self._ring = self._ring, None
            ring()
