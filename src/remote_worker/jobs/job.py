"""What is known of a job, and how it is written down.

Of the job ID there are these objects in the store, each created once and never changed:

    jobs/ID/body         what was sent, byte for byte; gone once there is a result
    jobs/ID/callback     empty: somebody is to be told
    jobs/ID/job.json     a Job: it is the acceptance
    jobs/ID/begun/N      that attempt N has begun; gone again when it was let go of in good order
    jobs/ID/begun/held   that a worker keeps it, to try again soon
    jobs/ID/answer/NAME  the body of an answer
    jobs/ID/result       an Outcome, with the NAME of its body: it is the commit, whoever writes first
    jobs/ID/told         how telling the callback ended
    keys/HASH            which job an Idempotency-Key has led to

An ID begins with the time of its submission, so a listing begins with the oldest.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..contract.failures import WorkFailed


class State(StrEnum):
    """How far a job is. It follows from which objects are there."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """There is an answer with a status below 400."""
    FAILED = "failed"
    """There is an answer with another status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it is to be answered later, but for its body."""

    method: str
    target: str
    """Path and query, as they stand in a request line."""
    headers: Mapping[str, str]
    """In lower case; those of `KEPT_HEADERS` alone."""


KEPT_HEADERS = ("accept", "accept-language", "content-type", "remote-limits")
"""What of a submission's headers belongs to the request that it carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who submitted a job: only the same may see it, and it counts as that one's work."""

    key: str = ""
    """The name of a key; empty where there are none."""
    address: str = ""
    """For fair shares where there are no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it was accepted. Times are Unix seconds."""

    id: str
    call: Call
    caller: Caller
    created: float
    deadline: float
    """From then on it is not begun any more: it ends as `deadline`."""
    request_id: str
    callback: str = ""
    fingerprint: str = ""
    """SHA-256 of all that the caller sent, to tell a repetition from another request with the same key."""
    idempotency: str = ""
    """The name of the object that its Idempotency-Key is; empty where there came none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer that the request got, verbatim."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = ""
    """Of the failure; empty where it did not fail."""
    finished: float = 0.0
    attempts: int = 1


Perform = Callable[[Job, bytes], Awaitable[Outcome]]
"""Answers the call of a job with its body. The worker sets `finished` and `attempts` of the outcome."""
Fail = Callable[[Job, WorkFailed], Outcome]
"""The outcome of a job that fails before, or instead of, being performed."""
