"""Answers the request that a job carries: through the same application, so that it is the direct answer."""

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB, Limits
from ..jobs.job import Job, Outcome
from . import problems
from .auth import Gate
from .targets import parts

PART_BYTES = MIB
"""Of the body that is handed over at once, so that others have their turn between."""
WORDS_BYTES = 16 * MIB
"""Of an answer besides its pictures: a post, fifty previews, and the words around pictures."""
_OF_THE_REQUEST = frozenset(
    (
        "cache-control",
        "connection",
        "content-length",
        "server-timing",
        "transfer-encoding",
        "x-content-type-options",
        "x-request-id",
    )
)
"""Headers that whoever asks for the answer gets of his own request, and not of the job's."""


class Replay:
    """Performs jobs. What goes wrong is an answer too: the one that the request would have got."""

    def __init__(self, app: ASGIApp, gate: Gate, limits: Limits) -> None:
        self._app = app
        self._gate = gate
        self._most_bytes = limits.output_bytes * 4 // 3 + WORDS_BYTES

    async def __call__(self, job: Job, body: bytes) -> Outcome:
        """The answer to the call of this job with this body, by the key and the settings as they are now."""
        path, query = parts(job.call.target)
        try:
            state = self._gate.let_in_again(job.caller.key, path, job.call.headers.get("remote-limits", ""))
        except WorkFailed as refused:
            return self.failed(job, refused)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": job.call.method,
            "scheme": "http",
            "path": path,
            "raw_path": job.call.target.partition("?")[0].encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": _headers(job, len(body)),
            "client": (job.caller.address, 0),
            "server": None,
            "state": state | {"job": job.id},
        }
        answer = _Answer(self._most_bytes)
        await self._run(scope, _sender(body), answer)
        if answer.is_too_long:
            return self.failed(job, WorkFailed(FailureCode.OUTPUT_TOO_LARGE))
        if not answer.is_whole:
            return self.failed(job, WorkFailed(FailureCode.INTERNAL))
        code: str = scope["state"]["exchange"].code
        return Outcome(
            status=answer.status, headers=answer.headers, body=answer.body.getvalue(), code=str(code)
        )

    @staticmethod
    def failed(job: Job, failure: WorkFailed) -> Outcome:
        """The answer that says why there is no other."""
        told = problems.answer(failure, request_id=job.request_id, accept=job.call.headers.get("accept", ""))
        return Outcome(status=told.status, headers=told.headers, body=told.body, code=str(failure.code))

    async def _run(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        task = asyncio.current_task()
        others = task.cancelling() if task else 0
        try:
            await self._app(scope, receive, answer.take)
        except Exception:  # noqa: BLE001  logged where it happened; half an answer is none
            answer.is_whole = False
        # A request that is cancelled is answered all the same, but it is not this answer that is waited for.
        if task and task.cancelling() > others:
            raise asyncio.CancelledError


class _Answer:
    """An answer as it is sent, up to a bound."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = BytesIO()
        self.is_too_long = False
        self.is_whole = False

    async def take(self, message: Message) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in message["headers"]
                if name.decode("latin-1") not in _OF_THE_REQUEST
            }
            return
        part = message.get("body", b"")
        self.is_too_long = self.is_too_long or self.body.tell() + len(part) > self._most_bytes
        if not self.is_too_long:
            self.body.write(part)
        self.is_whole = not message.get("more_body", False)


def _headers(job: Job, size_bytes: int) -> list[tuple[bytes, bytes]]:
    told: dict[str, Any] = {**job.call.headers, "host": "localhost", "x-request-id": job.request_id}
    if size_bytes or job.call.method == "POST":
        told["content-length"] = size_bytes
    return [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in told.items()]


def _sender(body: bytes) -> Receive:
    """Gives the body once, and then stays: whoever submitted a job waits for it, in a manner of speaking."""
    view = memoryview(body)
    left = [view[start : start + PART_BYTES] for start in range(0, len(view), PART_BYTES)] or [view]
    left.reverse()

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        part = left.pop()
        await asyncio.sleep(0)
        return {"type": "http.request", "body": bytes(part), "more_body": bool(left)}

    return receive
