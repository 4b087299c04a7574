"""Waits for work while its client waits too: when that goes or the deadline passes, work is cancelled."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

from ..contract.failures import FailureCode, WorkFailed
from .body import watch
from .exchange import ClientGone

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""How long past its deadline work may take to say so itself."""


async def while_wanted(request: Request, work: Awaitable[T], *, deadline: float) -> T:
    """The result of the work. Raises what that raises, ClientGone, or WorkFailed when it is overdue."""
    working = asyncio.current_task()
    if working is None:
        raise RuntimeError("there is no task to cancel")
    others = working.cancelling()
    reasons: list[Exception] = []
    is_over = False

    def stop(why: Exception) -> None:
        if not is_over:
            reasons.append(why)
            working.cancel()

    seconds = max(0.0, deadline - time.monotonic()) + GRACE_SECONDS
    timer = asyncio.get_running_loop().call_later(seconds, stop, WorkFailed(FailureCode.DEADLINE))
    end_watch = watch(request, lambda: stop(ClientGone()))
    try:
        return await work
    except asyncio.CancelledError:
        # Who else cancelled wants the task to end.
        if not reasons or working.cancelling() > others + len(reasons):
            raise
        raise reasons[0] from None
    finally:
        is_over = True
        # Some cancellations end within the work: `wait_for` of Python 3.11 prefers a result that is there.
        for _ in reasons:
            working.uncancel()
        timer.cancel()
        end_watch()
