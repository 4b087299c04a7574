"""How far the worker is on its way to an end, and what that means for a request.

The server keeps the stage in the lifespan's state, of which every request gets a copy when its first byte
is read. So what came in before a stage goes on as it came. Under another server it stays at SERVING.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from enum import Enum
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from ..contract.failures import FailureCode, WorkFailed

PROBES = ("/livez", "/readyz", "/health")
REASON = "the worker is stopping"
_KEY = "stage"
_LEAVING = "leaving"


class Stage(Enum):
    """What becomes of a request that comes now."""

    SERVING = "serving"
    DRAINING = "draining"
    """It is served, but `/readyz` says 503 and every answer closes its connection."""
    REFUSING = "refusing"
    """It is refused unless it is a probe; what came before is finished."""


def prepare(state: MutableMapping[str, Any]) -> None:
    """Have the lifespan's state tell requests under way too when serving ends."""
    state[_LEAVING] = asyncio.Event()


def enter(stage: Stage, state: MutableMapping[str, Any]) -> None:
    """Put every request that comes from now on into this stage; `state` is the lifespan's."""
    state[_KEY] = stage
    if stage is not Stage.SERVING and _LEAVING in state:
        state[_LEAVING].set()


def leaving(state: Mapping[str, Any]) -> asyncio.Event | None:
    """What is set once serving ends, for those who wait for something; None under another server."""
    return state.get(_LEAVING)


def stage_of(state: Mapping[str, Any]) -> Stage:
    """The stage in the state of the lifespan, or in a request's copy of it."""
    stage: Stage = state.get(_KEY, Stage.SERVING)
    return stage


class Refusals:
    """Refuses what comes too late, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. Raises WorkFailed."""
        is_late = scope["type"] == "http" and stage_of(scope["state"]) is Stage.REFUSING
        if is_late and scope["path"] not in PROBES:
            raise WorkFailed(FailureCode.BUSY, REASON)
        await self._app(scope, receive, send)
