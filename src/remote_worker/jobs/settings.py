"""Where jobs are kept, what hands them out, and how much of both there may be."""

from dataclasses import dataclass, field

from ..contract.limits import MIB
from ..engines.engine import Kind, Policies, Policy

OFF = "off"
MOST_ATTEMPTS = 3
"""Workers that may die over a job before it is given up."""
LEASE_SECONDS = 30.0
GRACE_SECONDS = 120.0
"""From a job's deadline until nobody is waited for who may still have it in hand."""


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

    @property
    def is_on(self) -> bool:
        """Whether jobs are taken at all."""
        return self.jobs != OFF

    @property
    def policies(self) -> Policies:
        """How units are handed out."""
        return {
            Kind.JOB: Policy(
                most_attempts=MOST_ATTEMPTS, lease_seconds=LEASE_SECONDS, places=self.jobs_queue
            ),
            Kind.WEBHOOK: Policy(
                most_attempts=self.webhook_attempts,
                lease_seconds=LEASE_SECONDS,
                places=_WEBHOOKS_PER_JOB * self.jobs_queue,
            ),
            Kind.SHARD: Policy(most_attempts=MOST_ATTEMPTS, lease_seconds=2 * LEASE_SECONDS, places=_SHARDS),
        }


_WEBHOOKS_PER_JOB = 10
"""Webhooks wait for hours where nobody takes them; jobs that are done must find a place for theirs."""
_SHARDS = 2000
"""Each `bulk run` queues 1,000 at most."""
