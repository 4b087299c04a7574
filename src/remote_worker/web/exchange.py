"""One request and its answer: named, timed, guarded and logged. Everything that fails becomes JSON here."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..telemetry import Event
from . import problems
from .auth import Gate
from .keys import Identity

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODES = {404: FailureCode.NOT_FOUND, 405: FailureCode.METHOD_NOT_ALLOWED}


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

    def server_timing(self) -> str:
        """How long each step took until now."""
        steps = {
            "upload": self.upload_seconds,
            "decode": self.decode_seconds,
            "total": time.perf_counter() - self.started,
        }
        return ", ".join(f"{name};dur={took * 1e3:.1f}" for name, took in steps.items() if took is not None)


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
    exchange = Exchange(_request_id(headers), code=failure.code)
    answer = problems.answer(failure, request_id=exchange.request_id, accept=headers.get("accept", ""))
    exchange.status, exchange.sent_bytes = answer.status, len(answer.body)
    _log(scope, exchange)
    told = {**answer.headers, "content-length": str(len(answer.body))}
    lines = [(name.encode(), value.encode()) for name, value in told.items()]
    return answer.status, [*lines, *_marks(exchange)], answer.body


class Exchanges:
    """Names, times, guards and logs every request; an error of ours becomes a JSON 500."""

    def __init__(self, app: ASGIApp, gate: Gate, via: str = "") -> None:
        self._app = app
        self._gate = gate
        self._via = via
        """What this worker calls itself when it asks others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        exchange = Exchange(_request_id(request.headers))
        scope.setdefault("state", {})["exchange"] = exchange

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = _marked(message["headers"], exchange)
            elif message["type"] == "http.response.body":
                exchange.sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._answer(request, scope, receive, send_marked)
        except ClientGone:
            exchange.code = "client_gone"
        finally:
            self._gate.count_rest(scope, exchange.received_bytes)
            _log(scope, exchange)

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(request)
        try:
            headers = request.headers
            if self._via and any(self._via in via for via in headers.getlist("via")):
                raise WorkFailed(FailureCode.SELF)
            # Our own server has asked for these two already, others cannot.
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


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else new_request_id()


def _marks(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-request-id", exchange.request_id.encode()),
        (b"server-timing", exchange.server_timing().encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]


def _marked(headers: Iterable[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """With our marks; an answer that says itself how it may be kept is left to it."""
    own = list(headers)
    has_own = any(name == b"cache-control" for name, _ in own)
    return [*own, *(mark for mark in _marks(exchange) if not (has_own and mark[0] == b"cache-control"))]


def _log(scope: Scope, exchange: Exchange) -> None:
    identity: Identity | None = scope["state"].get("identity")
    who: dict[str, telemetry.Field] = {} if identity is None else {"key": identity.name}
    telemetry.emit(
        Event.REQUEST,
        request_id=exchange.request_id,
        method=scope["method"],
        route=getattr(scope.get("route"), "path", ""),
        status=exchange.status,
        code=exchange.code,
        bytes_in=exchange.received_bytes,
        bytes_out=exchange.sent_bytes,
        ms=(time.perf_counter() - exchange.started) * 1e3,
        **who,  # type: ignore[arg-type]
    )
