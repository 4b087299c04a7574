"""Which row of an item counts: the last one. Items that were retried have more than one.

A retry's items stand in the order of the rows that they were taken from, and parts never change. So both are
walked side by side, and nothing is remembered of items: a job has millions.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .folder import Folder
from .rows import Item, Retry, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The last row of an item, and the shard whose part has it."""

    shard: int
    row: Row


def last_rows(folder: Folder, committed: Collection[int], retries: Sequence[Retry]) -> Iterator[Standing]:
    """One for each item of which something became, of the plan's shards first, then of each retry's."""
    walks = [_Walk(folder, retry) for retry in retries]
    generations = [range(folder.plan().shards), *(range(one.first, one.first + one.shards) for one in retries)]
    for number, shards in enumerate(generations):
        for shard in shards:
            if shard not in committed:
                continue
            for row in folder.rows(shard):
                if not _is_replaced(row, walks[number:], committed):
                    yield Standing(shard=shard, row=row)


class _Walk:
    """Through the items of a retry; each is passed when the row that it was taken from comes by."""

    def __init__(self, folder: Folder, retry: Retry) -> None:
        self._codes = frozenset(retry.codes)
        self._items = (
            (shard, item)
            for shard in range(retry.first, retry.first + retry.shards)
            for item in folder.items(shard)
        )
        self._next: tuple[int, Item] | None = next(self._items, None)

    def passes(self, row: Row) -> int | None:
        """The shard that does it again, if this retry does."""
        if self._next is None or row.code not in self._codes:
            return None
        shard, item = self._next
        if (item.key, item.version) != (row.key, row.version):
            return None
        self._next = next(self._items, None)
        return shard


def _is_replaced(row: Row, walks: Sequence[_Walk], committed: Collection[int]) -> bool:
    if not row.code:
        return False
    for walk in walks:
        shard = walk.passes(row)
        if shard is not None:
            # A later retry takes only what is the last row when it is made.
            return shard in committed
    return False
