"""Tells whoever submitted a job that it has ended: a signed POST, tried again for hours, and not for ever."""

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .. import telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Place, Purpose, Want
from ..engines.engine import Again, Lease, Unit
from ..stores.store import NotThere, Store
from ..telemetry import Event
from . import signature
from .job import Job, Outcome, State
from .records import Records, is_id
from .settings import JobSettings

PAUSES_SECONDS = (5, 30, 120, 600, 1800, 7200, 18_000)
"""After the first attempt, the second, and so on; the last one stays."""
JITTER = 0.2
"""Of a pause, at most, is added: those that failed together do not come again together."""
LONGEST_ASKED_SECONDS = 3600
"""That a receiver can put its next attempt off by `Retry-After`."""
LONGEST_TELLING_SECONDS = 30.0
"""Of one attempt, with the wait for a place at the receiver's site."""

GONE = 410
"""The receiver wants to hear no more of it."""
_NEVER = frozenset(
    {
        FailureCode.BAD_URL,
        FailureCode.BAD_SCHEME,
        FailureCode.BAD_HOST,
        FailureCode.BAD_PORT,
        FailureCode.USERINFO,
        FailureCode.TOO_LONG,
        FailureCode.BLOCKED_ADDRESS,
        FailureCode.BLOCKED_NAME,
        FailureCode.SELF,
    }
)
"""Failures of ours, not of the receiver: another attempt would be one more to reach what must not be."""


class Door(Protocol):
    """The one door out."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What a URL leads to. Raises WorkFailed."""
        ...

    def place(self, text: str, base: str = "", *, purpose: Purpose) -> Place:
        """What a URL says of itself, without asking anybody. Raises WorkFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How telling ended. Of the receiver's answer the status alone is kept."""

    delivered: bool
    attempts: int
    status: int
    """Of the last answer, 0 without one."""
    code: str
    """Of the failure; empty where it was delivered."""
    at: float
    """Unix seconds."""

    def as_json(self) -> Mapping[str, Any]:
        """As it is written down."""
        return {
            "delivered": self.delivered,
            "attempts": self.attempts,
            "status": self.status,
            "code": self.code,
            "at": self.at,
        }


class Teller:
    """Sends webhooks. What it sends is the same at each attempt but for its time and its signatures."""

    def __init__(
        self,
        fetcher: Door,
        store: Store,
        settings: JobSettings,
        *,
        public_url: str = "",
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` gives a number from 0 to 1. Raises ValueError for a key that is none."""
        self._fetcher = fetcher
        self._records = Records(store)
        self._keys = tuple(signature.key_of(text) for text in settings.webhook_keys)
        self._most_attempts = settings.webhook_attempts
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._draw = draw

    def check(self, url: str) -> None:
        """Whether this could ever be told. Raises WorkFailed if not, or if nothing here signs."""
        if not self._keys:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "no keys for webhooks")
        self._fetcher.place(url, purpose=Purpose.WEBHOOK)

    async def tell(self, unit: Unit, lease: Lease) -> None:
        """One attempt. Raises Again, and at the last one writes down how it ended."""
        id = unit.body.decode("ascii", "replace")
        found = await self._records.ask(self._untold, id)
        if found is None:
            return
        if lease.is_beyond:
            await self._end(
                id,
                Told(
                    delivered=False,
                    attempts=min(lease.attempt - 1, self._most_attempts),
                    status=0,
                    code=FailureCode.WORKER_KILLED,
                    at=self._clock(),
                ),
            )
            return
        status, failed = await self._post(*found)
        if failed is not None and not is_final(failed, lease.attempt, self._most_attempts):
            raise Again(pause_seconds(lease.attempt, failed.retry_seconds, self._draw())) from failed
        told = Told(
            delivered=failed is None,
            attempts=lease.attempt,
            status=status,
            code=failed.code if failed is not None else "",
            at=self._clock(),
        )
        await self._end(id, told)

    def _untold(self, id: str) -> tuple[Job, Outcome] | None:
        """What there is to tell; nothing of a job that is gone, or told of."""
        if not is_id(id) or self._records.told(id) is not None:
            return None
        try:
            job = self._records.job(id)
        except NotThere:
            return None
        outcome = self._records.result(id)
        return (job, outcome) if job.callback and outcome is not None else None

    async def _post(self, job: Job, outcome: Outcome) -> tuple[int, WorkFailed | None]:
        """The status of the answer, 0 without one, and why this is a failure, if it is."""
        if not self._keys:
            return 0, WorkFailed(FailureCode.NOT_CONFIGURED)
        body = body_of(job, outcome, self._public_url)
        want = Want(
            url=job.callback,
            purpose=Purpose.WEBHOOK,
            body=body,
            headers=signature.headers(self._keys, job.id, int(self._clock()), body),
        )
        try:
            deadline = time.monotonic() + LONGEST_TELLING_SECONDS
            with await self._fetcher.fetch(want, deadline=deadline) as fetched:
                return fetched.status, None
        except WorkFailed as failed:
            return failed.status if isinstance(failed, FetchFailed) else 0, failed

    async def _end(self, id: str, told: Told) -> None:
        if not told.delivered:
            # Without the URL, which may have a secret in it.
            telemetry.emit(
                Event.WEBHOOK_GIVEN_UP,
                level=logging.WARNING,
                job=id,
                code=told.code,
                status=told.status,
                attempts=told.attempts,
            )
        await self._records.ask(self._write, id, told)

    def _write(self, id: str, told: Told) -> None:
        self._records.write_told(id, told.as_json())
        if not self._records.is_there(id):
            self._records.forget(id)  # It was deleted meanwhile: nothing of it is left behind.


def is_final(failed: WorkFailed, attempt: int, most_attempts: int) -> bool:
    """Whether no attempt follows on this one."""
    is_gone = isinstance(failed, FetchFailed) and failed.status == GONE
    return attempt >= most_attempts or is_gone or failed.code in _NEVER


def pause_seconds(attempt: int, asked_seconds: float = 0, draw: float = 0) -> float:
    """How long to wait after this attempt, at least what the receiver asks for; `draw` is from 0 to 1."""
    planned = PAUSES_SECONDS[min(attempt, len(PAUSES_SECONDS)) - 1]
    return max(planned, min(asked_seconds, LONGEST_ASKED_SECONDS)) * (1 + JITTER * draw)


def body_of(job: Job, outcome: Outcome, public_url: str = "") -> bytes:
    """What is sent. It tells of the answer; who wants the answer itself asks for it."""
    state = State.DONE if outcome.status < 400 else State.FAILED
    members = {
        "type": f"job.{state}",
        "timestamp": _as_text(outcome.finished),
        "data": {
            "id": job.id,
            "state": state,
            "status": outcome.status,
            "code": outcome.code or None,
            "created": job.created,
            "finished": outcome.finished,
            "attempts": outcome.attempts,
            "result": f"{public_url}/jobs/{job.id}/result",
        },
    }
    return json.dumps(members, separators=(",", ":")).encode()


def _as_text(at: float) -> str:
    """ISO 8601, in UTC and with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
