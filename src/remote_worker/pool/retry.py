"""How a job is tried: in its turn, once more if it was lost to nothing that its document did."""

import asyncio
import errno
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .. import metrics, telemetry, tracing
from ..contract.failures import FailureCode, WorkFailed
from ..metrics import Step
from ..telemetry import Event
from .child import Child, ChildLost, Kill
from .lender import Lender
from .turns import Turns

Outcome = TypeVar("Outcome")

_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}
"""Descriptors, memory or processes are short, which may be over in a moment."""
_PAUSE_SECONDS = 0.05
"""That moment."""
_UNTYPICAL = {FailureCode.DEADLINE, FailureCode.PARSE_LIMIT, FailureCode.JAIL_UNAVAILABLE}
"""Failures whose time says nothing of other work: what hangs must not get everybody's refused."""


async def in_turn(
    turns: Turns,
    caller: str,
    kind: str,
    deadline: float,
    work: Callable[[], Awaitable[Outcome]],
    *,
    places: int = 1,
) -> Outcome:
    """Do the work when it is its turn; until then it takes so many places. Raises WorkFailed."""
    began = time.perf_counter()
    try:
        ticket = await turns.take(caller, kind, deadline, places=places)
    finally:
        tracing.took(Step.QUEUE, began)
    is_typical = False
    try:
        outcome = await work()
        is_typical = True
    except WorkFailed as failed:
        is_typical = failed.code not in _UNTYPICAL
        raise
    finally:
        turns.give_back(ticket, is_typical=is_typical)
    return outcome


async def counted(
    work: Awaitable[Outcome], count: Callable[[metrics.Outcome, Outcome | None], None]
) -> Outcome:
    """Do the work and have its outcome counted."""
    outcome, made = metrics.Outcome.GONE, None
    try:
        made = await work
        outcome = metrics.Outcome.OK
    except WorkFailed as failed:
        outcome = metrics.outcome_of(failed.code)
        raise
    finally:
        count(outcome, made)
    return made


async def twice(
    attempt: Callable[[], Awaitable[Outcome]], look: Callable[[], None], deadline: float
) -> Outcome:
    """Try it, and once more when the first time was lost to nothing that the document did.

    `look` is called before the second time. Raises WorkFailed.
    """
    try:
        return await attempt()
    except (ChildLost, OSError) as trouble:
        pause = 0.0 if isinstance(trouble, ChildLost) else _PAUSE_SECONDS
        if not _is_passing(trouble) or time.monotonic() + pause >= deadline:
            raise _failure(trouble) from trouble
        metrics.SANDBOX_RETRIES.add()
        telemetry.emit(Event.CHILD_RETRIED, level=logging.WARNING, reason=_reason(trouble))
    look()
    await asyncio.sleep(pause)
    try:
        return await attempt()
    except (ChildLost, OSError) as trouble:
        raise _failure(trouble) from trouble


async def lend(lender: Lender, deadline: float) -> Child:
    """A child by then. Raises TemplateFailed, OSError or WorkFailed."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await lender.lend()
    except TimeoutError as late:
        raise WorkFailed(FailureCode.DEADLINE, "it waited too long for a process") from late
    finally:
        tracing.took(Step.SANDBOX, began)


def _is_passing(trouble: ChildLost | OSError) -> bool:
    """A second try has a good chance, and the first cannot have been ended by the document."""
    return trouble.is_from_outside if isinstance(trouble, ChildLost) else trouble.errno in _SHORTAGES


def _reason(trouble: ChildLost | OSError) -> str:
    if isinstance(trouble, OSError):
        return trouble.strerror or str(trouble)
    if trouble.killed is not None:
        return trouble.killed
    return (signal.strsignal(trouble.signal) or "") if trouble.signal else "template lost"


def _failure(trouble: ChildLost | OSError) -> WorkFailed:
    if isinstance(trouble, OSError):
        return WorkFailed(FailureCode.JAIL_UNAVAILABLE, str(trouble))
    if trouble.killed is Kill.CPU:
        return WorkFailed(FailureCode.PARSE_LIMIT, trouble.killed)
    if trouble.by_deadline or trouble.signal == signal.SIGXCPU:
        return WorkFailed(FailureCode.DEADLINE)
    if trouble.is_from_outside:
        return WorkFailed(FailureCode.JAIL_UNAVAILABLE, _reason(trouble))
    telemetry.emit(Event.CHILD_CRASHED, level=logging.WARNING, signal=trouble.signal, status=trouble.status)
    return WorkFailed(FailureCode.DECODER_CRASHED)
