"""Why a call failed: what the worker said, or that it said nothing. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

NO_CODE = "no_code"
"""Whoever answered was not the worker: a proxy in front of it, perhaps."""
UNREACHABLE = "unreachable"
TIMED_OUT = "timed_out"
CUT = "cut"
BAD_ANSWER = "bad_answer"


class WorkerError(Exception):
    """A call failed. `code` is the stable word to compare, of the worker's list or of `Unanswered`.

    `status` is HTTP's, 0 without an answer. `detail` is the word for what exactly was the matter, and
    `retry_after` the seconds after which it may go better, where they were told.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        detail: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after


class Refused(WorkerError):
    """The worker will not do this (4xx): the same request fails again."""


class Busy(WorkerError):
    """Not now (429, 503): later it may go well."""


class Unanswered(WorkerError):
    """No whole answer came: `unreachable`, `timed_out`, `cut` in the middle, or `bad_answer`."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> WorkerError:
    """What an answer with this status says; `now` is the time of the epoch, for a date in Retry-After."""
    told = _told(body)
    code = _text(told, "code")
    # The reason in the form of RFC 9457, whose `detail` is the message.
    is_problem = "title" in told
    return _kind(status)(
        code or NO_CODE,
        _text(told, "detail" if is_problem else "message") or f"HTTP status {status}",
        status=status,
        detail=_text(told, "reason" if is_problem else "detail"),
        request_id=_text(told, "request_id") or headers.get("x-request-id", ""),
        retry_after=retry_after(headers.get("retry-after", ""), now=now),
    )


def of_line(told: Mapping[str, Any]) -> WorkerError:
    """The failure of one thing among several, whose answer as a whole was 200."""
    seconds = told.get("retry_seconds")
    return (WorkerError if seconds is None else Busy)(
        _text(told, "code") or NO_CODE,
        _text(told, "message"),
        detail=_text(told, "detail"),
        retry_after=float(seconds) if isinstance(seconds, int | float) else None,
    )


def retry_after(value: str, *, now: float) -> float | None:
    """The seconds of a Retry-After, which is a number or a date; None where it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)


def today() -> float:
    """The time of the epoch."""
    return datetime.now(UTC).timestamp()


def _kind(status: int) -> type[WorkerError]:
    if status in (429, 503):
        return Busy
    return Refused if 400 <= status < 500 else WorkerError


def _told(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""
