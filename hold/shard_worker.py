"""`python -m hold.shard_worker ENGINE LEASE_SECONDS STORE` does shards as `worker` does.

With leases as short, the pool of `bulk_worker`, and nothing that shards do not need.
"""

import asyncio
import sys

from remote_worker import wiring
from remote_worker.bulk.running import SHARDS_AT_ONCE, handler
from remote_worker.engines.engine import Kind, Policies, Policy
from remote_worker.engines.nats import NatsEngine
from remote_worker.service.images import Images
from remote_worker.stores.opening import open_within

from .bulk_worker import SETTINGS, Poisonable


def policies(lease_seconds: float) -> Policies:
    """As they are in `worker`, but for the time of a lease."""
    usual = SETTINGS.jobs.policies[Kind.SHARD]
    policy = Policy(most_attempts=usual.most_attempts, lease_seconds=lease_seconds, places=usual.places)
    return {Kind.SHARD: policy}


async def _work(url: str, lease_seconds: float, store: str) -> None:
    async with Poisonable(SETTINGS) as pool, NatsEngine(url, policies(lease_seconds)) as engine:
        with wiring.bench(Images(pool), SETTINGS) as bench:
            do = handler([store], open_within, bench)
            print("working", flush=True)
            await engine.work(Kind.SHARD, do, slots=SHARDS_AT_ONCE, stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
