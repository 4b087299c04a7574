"""Shards added to a finished job for items that failed and may not fail again. Frozen, as the plan is."""

import time
from collections import Counter
from collections.abc import Callable, Collection

from ..contract.failures import FailureCode
from .folder import Folder, NoSuchJob
from .latest import last_rows
from .rows import Item, Retry, Trouble
from .status import all_shards

TRANSIENT = frozenset(
    (
        FailureCode.BUSY,
        FailureCode.JAIL_UNAVAILABLE,
        FailureCode.DEADLINE,
        FailureCode.CHECK_FAILED,
        FailureCode.WORKER_KILLED,
        Trouble.SOURCE_UNREADABLE,
    )
)
"""Whoever fails so may be made another time, or on another machine, though nothing has changed."""
CODES = frozenset((*FailureCode, *Trouble))


class NoRetry(Exception):
    """Nothing was added, and why."""


def add_retry(
    folder: Folder, codes: Collection[str] = TRANSIENT, *, clock: Callable[[], float] = time.time
) -> Retry:
    """Add every item whose last row has one of these codes. Raises NoRetry, with nothing changed.

    It can be begun again when it was broken off, with the same codes: the shards come out as they did.
    """
    unknown = sorted(set(codes) - CODES)
    if unknown:
        raise NoRetry(f"there is no code {unknown[0]!r}: the report names those of the job")
    plan, retries = folder.plan(), folder.retries()
    committed = folder.committed()
    left = sum(shard not in committed for shard in all_shards(plan, retries))
    if left:
        raise NoRetry(f"{left} shards are not done yet: run the job to its end first")
    first = plan.shards + sum(retry.shards for retry in retries)
    size = max(1, -(-plan.items // max(1, plan.shards)))
    replaces: list[Counter[str]] = []
    items: list[Item] = []
    count = 0
    planned: tuple[int, list[Item]] = (-1, [])

    def put_down() -> None:
        _write(folder, first + len(replaces) - 1, items)
        items.clear()

    for standing in last_rows(folder, committed, retries):
        row = standing.row
        if row.code not in codes:
            continue
        if not items:
            replaces.append(Counter())
        if planned[0] != standing.shard:
            planned = (standing.shard, folder.items(standing.shard))
        items.append(planned[1][standing.place])
        replaces[-1][row.code] += 1
        count += 1
        if len(items) == size:
            put_down()
    if not count:
        raise NoRetry(f"no item failed with {', '.join(sorted(codes))}")
    if items:
        put_down()
    retry = Retry(
        first=first,
        shards=len(replaces),
        items=count,
        created=clock(),
        codes=sorted(codes),
        replaces=[dict(sorted(one.items())) for one in replaces],
    )
    if not folder.write_retry(len(retries) + 1, retry):
        raise NoRetry("another retry was added at the same time")
    return retry


def _write(folder: Folder, shard: int, items: list[Item]) -> None:
    """Put a shard down, which may be there of a retry that was broken off, but then must be the same."""
    if folder.add_items(shard, items):
        return
    try:
        there = folder.items(shard)
    except NoSuchJob:
        there = []
    if there != items:
        raise NoRetry(
            f"shard {shard} is there of a retry with other codes that did not come to its end: "
            "begin that one again, with its codes"
        )
