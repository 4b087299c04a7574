"""Whether the worker can do its work, asked of the jail at most once a moment however many ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import FormatReport
from . import problems
from .answers import json_answer
from .exchange import exchange_of
from .stopping import REASON, Stage, stage_of

FRESH_SECONDS = 1.5
PROBE_SECONDS = 12.0
"""Past this an unanswered probe counts as failed; a decode has its own deadline before it."""


class Health(Protocol):
    """What a probe found: `templates` has the report of each sealed template."""

    @property
    def ok(self) -> bool:
        """Whether the seal holds and a benign image went through."""

    @property
    def reason(self) -> str:
        """What is wrong."""

    @property
    def templates(self) -> Mapping[str, Mapping[str, Any]]:
        """What each template says of its layers and formats."""

    @property
    def formats(self) -> Mapping[str, FormatReport]:
        """What can be done with each format; empty as long as no template has told."""


_TOLD = ("layers", "formats")


def _told(health: Health) -> dict[str, Any]:
    """Which layers hold and which formats decode; versions and process ids are for `doctor` alone."""
    templates = {
        name: {key: report[key] for key in _TOLD if key in report}
        for name, report in health.templates.items()
    }
    return {"formats": {name: row.word for name, row in health.formats.items()}, "templates": templates}


class HealthEndpoints:
    """Alive, and ready."""

    def __init__(self, probe: Callable[[], Awaitable[Health]]) -> None:
        self._probe = probe
        self._probing: asyncio.Task[Health | None] | None = None
        self._found: Health | None = None
        self._found_at = float("-inf")

    async def live(self, _: Request) -> Response:
        """The process answers."""
        return json_answer({"status": "ok", "success": True})

    async def ready(self, request: Request) -> Response:
        """The worker is not about to stop, the seal holds and a benign image goes through; or 503."""
        if stage_of(request.scope["state"]) is not Stage.SERVING:
            return _unready(request, WorkFailed(FailureCode.BUSY, REASON), {"reason": REASON})
        health = await self.current()
        more = {} if health is None else _told(health)
        if health is not None and health.ok:
            return json_answer({"status": "ok", "success": True, **more})
        reason = "the probe failed" if health is None else health.reason
        return _unready(request, WorkFailed(FailureCode.JAIL_UNAVAILABLE), {**more, "reason": reason})

    async def current(self) -> Health | None:
        """What the last probe found, asked anew when that is old; None when it failed."""
        if time.monotonic() - self._found_at < FRESH_SECONDS:
            return self._found
        if self._probing is None:
            self._probing = asyncio.create_task(self._ask())
        # Shielded, because others wait for it too when this client goes.
        return await asyncio.shield(self._probing)

    async def _ask(self) -> Health | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                self._found = await self._probe()
        except (WorkFailed, OSError):  # TimeoutError is an OSError.
            self._found = None
        finally:
            self._found_at = time.monotonic()
            self._probing = None
        return self._found


def _unready(request: Request, failure: WorkFailed, more: Mapping[str, Any]) -> Response:
    exchange = exchange_of(request)
    exchange.code = failure.code
    answer = problems.answer(
        failure, request_id=exchange.request_id, accept=request.headers.get("accept", ""), more=more
    )
    return Response(answer.body, answer.status, answer.headers)
