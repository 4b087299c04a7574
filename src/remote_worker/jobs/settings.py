"""Where jobs are kept, what hands them out, and how much of both there may be."""

from dataclasses import dataclass, field

from ..contract.limits import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """Without any of these, jobs live in a private folder that goes with the worker."""

    jobs: str = ""
    """A folder, `s3://bucket/prefix`, or `off`."""
    engine: str = ""
    """`nats://host:port`; empty for a file in the folder of the jobs."""
    jobs_slots: int = 0
    """Jobs at once in `serve`; 0 for half of the children. `worker` takes as many as there are children."""
    jobs_queue: int = 1000
    """Jobs that wait or are in hand."""
    jobs_bytes: int = 1024 * MIB
    """Of what was sent, and of the answers that are kept."""
    jobs_seconds: float = 3600.0
    """How long a job may wait for its turn."""
    jobs_keep_seconds: float = 86_400.0
    """How long an answer is kept."""
    webhook_keys: tuple[str, ...] = field(default=(), repr=False)
    """The first signs, the others too: who is told may have either."""
    webhook_attempts: int = 8
    bulk_stores: tuple[str, ...] = ()
    """Stores that this worker may open for bulk work, and everything below them."""
