"""What became of fetches: told to those who asked, counted, and logged where the operator must know."""

import logging
from collections.abc import Sequence

from .. import metrics, telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, Purpose
from ..telemetry import Event
from . import messages
from .policy import REPORTED
from .running import ProcessLost


def told(error: BaseException) -> BaseException:
    """What the process said; a fault of its own is for the log."""
    if isinstance(error, ProcessLost):
        return FetchFailed(FailureCode.FETCH_UNAVAILABLE)
    if not isinstance(error, WorkFailed):
        return error
    if error.code is FailureCode.FETCH_UNAVAILABLE and error.detail.startswith(messages.ERROR):
        telemetry.emit(
            Event.FETCHER_ERROR, level=logging.ERROR, reason=error.detail.removeprefix(messages.ERROR)
        )
        return FetchFailed(FailureCode.FETCH_UNAVAILABLE)
    if isinstance(error, FetchFailed):
        return error
    return FetchFailed(error.code, error.detail, retry_seconds=error.retry_seconds)


def count(purpose: Purpose, outcome: Fetched | FetchFailed) -> None:
    """One fetch, with its phases and what was denied on its way."""
    metrics.FETCHES.add(purpose, outcome.code if isinstance(outcome, FetchFailed) else "ok")
    for hop in outcome.hops:
        for phase, spent in hop.milliseconds.items():
            metrics.FETCH_SECONDS.observe(spent / 1e3, phase)
    if isinstance(outcome, FetchFailed):
        count_denial(outcome)


def count_denial(refused: WorkFailed) -> None:
    """By the rule, which `detail` names where an address or a name is refused."""
    if refused.code in (FailureCode.BLOCKED_ADDRESS, FailureCode.BLOCKED_NAME):
        metrics.EGRESS_DENIED.add(refused.detail)
    elif refused.code is FailureCode.BAD_PORT:
        metrics.EGRESS_DENIED.add("port")
    elif refused.code is FailureCode.SELF:
        metrics.EGRESS_DENIED.add("self")


def report(hops: Sequence[Hop]) -> None:
    """Log what the operator's own rules would have refused: what the process logs, nobody reads."""
    for hop in hops:
        for verdict in hop.verdicts:
            if verdict.rule.startswith(REPORTED):
                metrics.EGRESS_REPORTED.add(verdict.rule.removeprefix(REPORTED))
                telemetry.emit(
                    Event.EGRESS_REPORTED,
                    level=logging.WARNING,
                    rule=verdict.rule.removeprefix(REPORTED),
                    url=hop.url,
                    address=verdict.address,
                )
