"""The endpoints of jobs: a request is submitted, looked at while it waits, and answered when it is done."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB, Limits
from ..jobs.job import KEPT_HEADERS, Call, Caller, Job, Outcome, State
from ..jobs.settings import JobSettings
from ..jobs.submitting import Jobs, Seen
from .answers import json_answer, kept_answer
from .auth import ceilings_of, check_area
from .body import read_in_time
from .budget import Budget, Lease
from .callers import Callers
from .exchange import answer_failure, exchange_of
from .keys import Identity
from .presets_only import check_may_pick
from .settings import WebSettings
from .stopping import leaving
from .targets import Targets, WrongMethod
from .upload import OVERHEAD_BYTES
from .work import while_wanted

LONGEST_IDEMPOTENCY_KEY = 255
LONGEST_WAIT_SECONDS = 60.0
"""How long a request may wait for a job to end."""
MOST_ANSWERS_READ = 4
"""At once: how long one is shows only when it is there, and the next waits for that."""
ASKED_FIRST_BYTES = MIB
"""A body larger than that is not read before there is room for it."""
POLL_SECONDS = 1
"""After which whoever does not wait here may ask again."""

_OK = {"status": "ok", "success": True}
_USAGE = (
    "POST the body of another request, with its path and query as ?request=, such as "
    "/jobs?request=/images/fit/800. It is answered later: GET what Location names, with ?wait=30 as soon as "
    "it is done. ?method= is POST or GET, ?callback= is called when it is done, and an Idempotency-Key makes "
    "one job of several submissions."
)
_PARAMETERS = {"request", "method", "callback"}
_WAIT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
_KEY = re.compile(rf"[ -~]{{1,{LONGEST_IDEMPOTENCY_KEY}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUses:
    """What the endpoints need."""

    jobs: Jobs | None = None
    """None where jobs are switched off."""
    settings: JobSettings = field(default_factory=JobSettings)
    check_callback: Callable[[str], object] | None = None
    """Raises WorkFailed for a URL that will not be called; None where none is."""

    @property
    def calls_back(self) -> bool:
        """Whether there is who calls, and what to sign with."""
        return self.check_callback is not None and bool(self.settings.webhook_keys)


class JobEndpoints:
    """One method for each path."""

    def __init__(
        self,
        uses: JobUses,
        targets: Targets,
        limits: Limits,
        settings: WebSettings,
        callers: Callers,
        budget: Budget,
    ) -> None:
        self._uses = uses
        self._targets = targets
        self._limits = limits
        self._settings = settings
        self._callers = callers
        self._budget = budget
        self._reading = asyncio.Semaphore(MOST_ANSWERS_READ)

    async def submit(self, request: Request) -> Response:
        """Take a request that is answered later."""
        if request.method != "POST":
            return json_answer({**_OK, "usage": _USAGE})
        jobs = self._jobs()
        query = _query(request)
        try:
            target = self._targets.find(query.get("request", ""), query.get("method"))
        except WrongMethod as wrong:
            refused = await answer_failure(request, wrong)
            refused.headers["allow"] = ", ".join(wrong.allowed)
            return refused
        identity: Identity | None = request.scope["state"].get("identity")
        if identity is not None:
            check_area(identity.may, target.path)
        if target.is_picking:
            check_may_pick(request, self._settings)
        callback = query.get("callback", "")
        if callback:
            self._check_callback(callback)
        key = _idempotency_key(request)
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        call = Call(method=target.method, target=target.text, headers=headers)
        caller = self._caller(request)
        # The server has checked that these are digits.
        stated = int(request.headers.get("content-length", "0"))
        # Known by its key, it needs no room; and a small body is as soon read as room is asked for.
        if stated > ASKED_FIRST_BYTES and not key:
            await jobs.find_room(stated)
        with self._budget.share(self._callers.of(request.scope)).lease() as lease:
            body = await self._received(request, lease, stated)
            accepted = await jobs.submit(
                call,
                body,
                caller,
                idempotency_key=key,
                callback=callback,
                request_id=exchange_of(request).request_id,
            )
        job, place = accepted.job, _place(request, accepted.job.id)
        seen = _fresh(job) if accepted.is_new else await jobs.look(job.id, caller)
        return json_answer(_described(seen, place), status=202, headers={"location": place})

    async def job(self, request: Request) -> Response:
        """How far a job is, or with DELETE its end."""
        jobs, id, caller = self._jobs(), request.path_params["id"], self._caller(request)
        if request.method == "DELETE":
            await jobs.forget(id, caller)
            return json_answer({**_OK, "id": id, "forgotten": True})
        wait = _wait_seconds(request)
        work = self._seen(jobs, request, id, caller, wait) if wait else jobs.look(id, caller)
        seen = await while_wanted(request, work, deadline=time.monotonic() + wait + _STORE_SECONDS)
        headers = {} if seen.outcome else {"retry-after": str(POLL_SECONDS)}
        return json_answer(_described(seen, _place(request, id)), headers=headers)

    async def result(self, request: Request) -> Response:
        """The answer to the request that a job carries, as it was given."""
        jobs, id, caller = self._jobs(), request.path_params["id"], self._caller(request)
        deadline = time.monotonic() + _STORE_SECONDS
        outcome = await while_wanted(request, self._outcome(jobs, id, caller), deadline=deadline)
        share = self._budget.share(self._callers.of(request.scope))
        headers = {**outcome.headers, "x-job-id": id}
        return kept_answer(memoryview(outcome.body), outcome.status, headers, share)

    def _jobs(self) -> Jobs:
        if self._uses.jobs is None:
            raise WorkFailed(FailureCode.NOT_CONFIGURED)
        return self._uses.jobs

    def _check_callback(self, url: str) -> None:
        if self._uses.check_callback is None or not self._uses.calls_back:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "callbacks need REMOTE_WEBHOOK_KEYS")
        self._uses.check_callback(url)

    def _caller(self, request: Request) -> Caller:
        identity: Identity | None = request.scope["state"].get("identity")
        address = self._callers.address(request.scope)
        return Caller(
            key="" if identity is None else identity.name, address="" if address is None else str(address)
        )

    async def _received(self, request: Request, lease: Lease, stated: int) -> bytes:
        """The whole body, counted as it comes. Raises WorkFailed, or ClientGone when it is cut."""
        began = time.perf_counter()
        ceiling = ceilings_of(request.scope["state"]).input_bytes
        most_bytes = min(self._limits.input_bytes, ceiling or self._limits.input_bytes) + OVERHEAD_BYTES
        if stated > most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE)
        # What is written into it comes out without another copy.
        body = BytesIO()

        def take(buffer: bytes | bytearray, start: int, end: int) -> None:
            if body.tell() + end - start > most_bytes:
                raise WorkFailed(FailureCode.TOO_LARGE)
            lease.take(end - start)
            body.write(memoryview(buffer)[start:end])

        await read_in_time(request, self._settings, take)
        exchange_of(request).upload_seconds = time.perf_counter() - began
        return body.getvalue()

    async def _outcome(self, jobs: Jobs, id: str, caller: Caller) -> Outcome:
        async with self._reading:
            return await jobs.outcome(id, caller)

    async def _seen(self, jobs: Jobs, request: Request, id: str, caller: Caller, wait: float) -> Seen:
        """The job when it is done, the time is over, or the worker begins to stop."""
        stopping = leaving(request.scope["state"])
        looking = asyncio.ensure_future(jobs.look(id, caller, wait_seconds=wait))
        ending = asyncio.ensure_future(stopping.wait() if stopping else asyncio.Event().wait())
        try:
            await asyncio.wait((looking, ending), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                return looking.result()
        finally:
            looking.cancel()
            ending.cancel()
            await asyncio.gather(looking, ending, return_exceptions=True)
        return await jobs.look(id, caller)


_STORE_SECONDS = 15.0
"""How long the store may take, besides what is waited for on purpose."""


def _wait_seconds(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    seconds = float(text) if _WAIT.fullmatch(text) else LONGEST_WAIT_SECONDS + 1
    if seconds > LONGEST_WAIT_SECONDS:
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"wait is 0 to {LONGEST_WAIT_SECONDS:g} seconds")
    return seconds


def _query(request: Request) -> Mapping[str, str]:
    """What is asked of the job itself. Raises WorkFailed for the rest: it was meant to be in `request`."""
    given = request.query_params.multi_items()
    query = dict(given)
    if len(query) < len(given) or not query.keys() <= _PARAMETERS:
        raise WorkFailed(
            FailureCode.BAD_PARAMETER,
            "/jobs takes request, method and callback, once each: in `request`, write & as %26 and % as %25",
        )
    return query


def _idempotency_key(request: Request) -> str:
    """The header's word, with or without the quotes of the draft. Raises WorkFailed."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return ""
    value = given[0].strip(" \t")
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if len(given) > 1 or not _KEY.fullmatch(value):
        raise WorkFailed(
            FailureCode.BAD_PARAMETER,
            f"Idempotency-Key is one of 1 to {LONGEST_IDEMPOTENCY_KEY} characters of ASCII",
        )
    return value


def _place(request: Request, id: str) -> str:
    return f"{request.scope.get('root_path', '')}/jobs/{id}"


def _fresh(job: Job) -> Seen:
    return Seen(job=job, state=State.QUEUED, attempts=0, outcome=None, told=None)


def _described(seen: Seen, place: str) -> Mapping[str, Any]:
    job, outcome = seen.job, seen.outcome
    return {
        **_OK,
        "id": job.id,
        "state": seen.state,
        "request": {"method": job.call.method, "target": job.call.target},
        "request_id": job.request_id,
        "attempts": seen.attempts,
        "created": job.created,
        "deadline": job.deadline,
        "finished": outcome.finished if outcome else None,
        "result": f"{place}/result" if outcome else None,
        "result_status": outcome.status if outcome else None,
        "code": (outcome.code or None) if outcome else None,
        "callback": job.callback or None,
        "webhook": seen.told,
    }
