"""What the callers of jobs do: submit one, look at it, have its answer, forget it."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .. import metrics, telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..engines.engine import Engine, EngineFailed, Full, Kind, Unit
from ..stores.store import NotThere, Store, StoreFailed, TooLarge
from ..telemetry import Event
from .job import Call, Caller, Job, Outcome, State
from .records import BEGUN, JOB, RESULT, DamagedRecord, KeyRecord, Records, born, is_id, key_name, new_id
from .settings import JobSettings

RETRY_SECONDS = 5
"""After which a store or an engine that failed is asked again."""
SWEEP_RETRY_SECONDS = 60
"""After which there may be room for more bytes: room comes with a sweep."""
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 1.0
"""Between two looks for an answer that another process may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job that ends in an answer; `is_new` says that it was not accepted before."""

    job: Job
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job as it is now; the body of its answer is left out."""

    job: Job
    state: State
    attempts: int
    outcome: Outcome | None
    told: Mapping[str, Any] | None


class Jobs:
    """The jobs in a store. Everything raises WorkFailed; without a store, always `not_configured`."""

    def __init__(
        self,
        store: Store | None,
        engine: Engine | None,
        settings: JobSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = Records(store) if store else None
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._bytes = 0
        self._waiting: dict[str, list[asyncio.Event]] = {}

    async def submit(
        self,
        call: Call,
        body: bytes,
        caller: Caller,
        *,
        idempotency_key: str = "",
        callback: str = "",
        request_id: str = "",
    ) -> Accepted:
        """Accept it: from then on it ends in an answer. Raises busy and key_reused too."""
        raise NotImplementedError

    async def look(self, id: str, caller: Caller, *, wait_seconds: float = 0.0) -> Seen:
        """How far it is, as soon as it is done or after so many seconds. Raises not_found."""
        raise NotImplementedError

    async def outcome(self, id: str, caller: Caller) -> Outcome:
        """The whole answer. Raises not_found, not_ready."""
        raise NotImplementedError

    async def forget(self, id: str, caller: Caller) -> None:
        """Take all of it away at once; if it is in hand, its answer is discarded. Raises not_found."""
        raise NotImplementedError

    def hear(self, id: str, size_bytes: int) -> None:
        """This process has written an answer, of so many bytes."""
        raise NotImplementedError

    def count(self, size_bytes: int) -> None:
        """A sweep has found so many bytes."""
        raise NotImplementedError
