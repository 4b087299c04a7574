"""Waits for work while its client waits too: when that goes or the deadline passes, work is cancelled."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from ..contract.failures import FailureCode, WorkFailed
from .exchange import ClientGone

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""How long past its deadline work may take to say so itself."""


async def while_wanted(request: Request, work: Coroutine[Any, Any, T], *, deadline: float) -> T:
    """The result of the work. Raises what that raises, ClientGone, or WorkFailed when it is overdue."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait(
            {working, watching},
            timeout=max(0.0, deadline - time.monotonic()) + GRACE_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if working.done():
            return working.result()
        if watching.done():
            raise ClientGone
        raise WorkFailed(FailureCode.DEADLINE)
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
