"""Which row of an item counts: the last one. Items that were retried have more than one.

A retry's items stand in the order of the rows that they were taken from, and parts never change. So both are
walked side by side, and nothing is remembered of items: a job has millions.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .folder import Folder, Part
from .rows import Item, Retry, Row

READ_AT_ONCE = 8
"""A store far away answers each read after a while, so some parts are asked for together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The last row of an item, the shard whose part has it, and the row's place there."""

    shard: int
    place: int
    row: Row


def last_rows(
    folder: Folder,
    committed: Collection[int],
    retries: Sequence[Retry],
    passed: Callable[[Part], None] = lambda _: None,
) -> Iterator[Standing]:
    """One for each item of which something became, of the plan's shards first, then of each retry's.

    `passed` is told of each part that is read on the way.
    """
    walks = [_Walk(folder, retry) for retry in retries]
    generations = [
        range(folder.plan().shards),
        *(range(one.first, one.first + one.shards) for one in retries),
    ]
    for number, shards in enumerate(generations):
        for shard, part in parts(folder, (shard for shard in shards if shard in committed)):
            passed(part)
            for place, row in enumerate(part.rows):
                if not _is_replaced(row, walks[number:], committed):
                    yield Standing(shard=shard, place=place, row=row)


def parts(folder: Folder, shards: Iterator[int]) -> Iterator[tuple[int, Part]]:
    """Each shard's part, in this order. Only a few are held at once."""
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        while some := list(itertools.islice(shards, READ_AT_ONCE)):
            yield from zip(some, readers.map(folder.part, some), strict=True)


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
        if item.key != row.key:
            return None
        self._next = next(self._items, None)
        return shard


def _is_replaced(row: Row, walks: Sequence[_Walk], committed: Collection[int]) -> bool:
    for walk in walks:
        shard = walk.passes(row)
        if shard is not None:
            # A later retry takes only what is the last row when it is made, and this one is done then.
            return shard in committed
    return False
