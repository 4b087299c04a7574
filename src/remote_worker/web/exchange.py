"""One request and its answer: named, timed, guarded and logged. Everything that fails becomes JSON here."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import metrics, telemetry, tracing
from ..contract.failures import FailureCode, WorkFailed
from ..metrics import Step
from ..telemetry import Event
from ..tracing import Journey
from . import problems
from .auth import Gate, check_loop
from .keys import Identity

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_CODES = {404: FailureCode.NOT_FOUND, 405: FailureCode.METHOD_NOT_ALLOWED}


Tell = Callable[[tracing.Request], str]
"""Makes the spans of a request that is over, and gives the trace's id."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    kind: str = ""
    """The kind of task, for the words of failures."""
    code: str = ""
    status: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    upload_seconds: float | None = None
    decode_seconds: float | None = None
    """Queue and work."""
    journey: Journey = field(default_factory=list)

    def server_timing(self) -> str:
        """How long each step took until now."""
        spent: list[tuple[str, float]] = []
        if self.upload_seconds is not None:
            spent.append((Step.UPLOAD, self.upload_seconds))
        if self.journey:
            spent += tracing.seconds_of(self.journey).items()
        elif self.decode_seconds is not None:
            spent.append((Step.DECODE, self.decode_seconds))  # Whoever decodes does not say more.
        spent.append(("total", time.perf_counter() - self.started))
        return ", ".join([f"{name};dur={took * 1e3:.1f}" for name, took in spent])


def new_request_id() -> str:
    """A name for a request whose client gave it none."""
    return os.urandom(8).hex()


def exchange_of(request: Request) -> Exchange:
    """The exchange that this request is part of."""
    exchange: Exchange = request.scope["state"]["exchange"]
    return exchange


async def answer_failure(
    request: Request, failure: Exception, more: Mapping[str, Any] | None = None
) -> Response:
    """What a client gets for a WorkFailed, or for a path or method that there is not; `more` are members."""
    headers: dict[str, str] = {}
    if isinstance(failure, HTTPException):
        headers = {name.lower(): value for name, value in (failure.headers or {}).items()}
        failure = WorkFailed(_CODES.get(failure.status_code, FailureCode.BAD_REQUEST))
    if not isinstance(failure, WorkFailed):
        raise failure
    exchange = exchange_of(request)
    exchange.code = failure.code
    answer = problems.answer(
        failure,
        request_id=exchange.request_id,
        accept=request.headers.get("accept", ""),
        kind=exchange.kind,
        more=more,
    )
    return Response(answer.body, answer.status, answer.headers | headers)


Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""


def refusal(scope: Scope, failure: WorkFailed) -> Refusal:
    """What a client gets, without the application, for a request that is not let in. It is logged too."""
    headers = Headers(scope=scope)
    exchange = Exchange(_request_id(scope), code=failure.code)
    answer = problems.answer(failure, request_id=exchange.request_id, accept=headers.get("accept", ""))
    exchange.status, exchange.sent_bytes = answer.status, len(answer.body)
    _log(scope, exchange)
    told = {**answer.headers, "content-length": str(len(answer.body))}
    lines = [(name.encode(), value.encode()) for name, value in told.items()]
    return answer.status, [*lines, *_marks(exchange)], answer.body


class Exchanges:
    """Names, times, guards and logs every request; an error of ours becomes a JSON 500."""

    def __init__(self, app: ASGIApp, gate: Gate, via: str = "", tell: Tell | None = None) -> None:
        self._app = app
        self._gate = gate
        self._tell = tell
        self._via = via
        """What this worker calls itself when it asks others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        exchange = Exchange(_request_id(scope), journey=tracing.begin())
        # Some servers have one state for all requests of a connection, which may be those of several callers.
        scope["state"] = {**scope.get("state", {}), "exchange": exchange}

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = _marked(message["headers"], exchange)
            elif message["type"] == "http.response.body":
                exchange.sent_bytes += len(message.get("body", b""))
            await send(message)

        metrics.IN_PROGRESS.value += 1
        try:
            await self._answer(request, scope, receive, send_marked)
        except ClientGone:
            exchange.code = "client_gone"
        finally:
            metrics.IN_PROGRESS.value -= 1
            self._gate.count_rest(scope, exchange.received_bytes)
            _log(scope, exchange, self._tell)

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(request)
        try:
            # Our own server has asked already, others cannot.
            if not self._gate.has_let_in(scope):
                check_loop(scope, self._via)
                self._gate.check(scope)
                self._gate.charge(scope)
            with self._gate.running(scope):
                await self._app(scope, receive, send)
        except ClientGone:
            raise
        except asyncio.CancelledError:
            # The server stops and cannot wait for this any longer; another worker can do it.
            exchange.code = FailureCode.BUSY
            if not exchange.status:
                stopping = WorkFailed(FailureCode.BUSY, "the worker is stopping")
                await (await answer_failure(request, stopping))(scope, receive, send)
        except Exception as error:  # The one place that turns our own faults into an answer.
            if isinstance(error, WorkFailed | HTTPException) and not exchange.status:
                await (await answer_failure(request, error))(scope, receive, send)
                return
            telemetry.emit(
                Event.INTERNAL_ERROR, level=logging.ERROR, error=error, request_id=exchange.request_id
            )
            exchange.code = FailureCode.INTERNAL
            if exchange.status:
                raise  # Half an answer has left; the server cuts the connection.
            failed = WorkFailed(FailureCode.INTERNAL)
            await (await answer_failure(request, failed))(scope, receive, send)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if _SANE_ID.fullmatch(value) else new_request_id()
    return new_request_id()


def _marks(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-request-id", exchange.request_id.encode()),
        (b"server-timing", exchange.server_timing().encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]


def _marked(headers: Iterable[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """With our marks; an answer that says itself how it may be kept is left to it."""
    own, marks = list(headers), _marks(exchange)
    if b"cache-control" in [name for name, _ in own]:
        marks = [mark for mark in marks if mark[0] != b"cache-control"]
    return own + marks


def _log(scope: Scope, exchange: Exchange, tell: Tell | None = None) -> None:
    seconds = time.perf_counter() - exchange.started
    method, route = scope["method"], getattr(scope.get("route"), "path", "")
    count(route, method, exchange.status, exchange.code, seconds)
    if exchange.upload_seconds is not None:
        metrics.SPAN_SECONDS.observe(exchange.upload_seconds, Step.UPLOAD)
    if exchange.received_bytes:
        metrics.RECEIVED.add(by=exchange.received_bytes)
    if exchange.sent_bytes:
        metrics.SENT.add(by=exchange.sent_bytes)
    told: dict[str, Any] = {}
    identity: Identity | None = scope["state"].get("identity")
    if identity is not None:
        told["key"] = identity.name
    if "job" in scope["state"]:
        told["job"] = scope["state"]["job"]  # It is answered for this one, whoever waits for that.
    if tell is not None and (trace := tell(_ended(scope, exchange, route))):
        told["trace_id"] = trace
    telemetry.emit(
        Event.REQUEST,
        request_id=exchange.request_id,
        method=method,
        route=route,
        status=exchange.status,
        code=exchange.code,
        bytes_in=exchange.received_bytes,
        bytes_out=exchange.sent_bytes,
        ms=seconds * 1e3,
        **told,
    )


def count(route: str, method: str, status: int, code: str, seconds: float) -> None:
    """Count a request that is over."""
    route = route or metrics.NONE
    metrics.REQUESTS.add(route, method, status)
    metrics.REQUEST_SECONDS.observe(seconds, route)
    if code:
        metrics.ERRORS.add(code)


def _ended(scope: Scope, exchange: Exchange, route: str) -> tracing.Request:
    """What a trace tells of it. Its upload began right behind the head."""
    journey = exchange.journey
    if exchange.upload_seconds is not None:
        journey = [tracing.Past(Step.UPLOAD, exchange.started, exchange.upload_seconds), *journey]
    given = (value for name, value in scope["headers"] if name == b"traceparent")
    return tracing.Request(
        journey=journey,
        started=exchange.started,
        method=scope["method"] if scope["method"] in metrics.METHODS else "_OTHER",
        route=route,
        status=exchange.status,
        code=exchange.code,
        request_id=exchange.request_id,
        traceparent=next(given, b"").decode("latin-1"),
    )
