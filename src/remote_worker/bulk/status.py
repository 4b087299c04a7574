"""How far a job is, told from its parts. They never change: each is read once, and its counts are kept."""

import itertools
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .folder import Folder, Part
from .latest import parts
from .rows import Plan, Retry, Row

PARTS_A_LOOK = 1_000
"""So many parts are read in one look; what is left over is read in the next."""
SHOWN_SHARDS = 10
RATE_SECONDS = 300.0
"""The rate is that of the last parts: of this long, and at least RATE_PARTS."""
RATE_PARTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look at a job. What is counted is of `parts_read` parts; the rest is read in later looks."""

    id: str
    recipe: str
    shards: int
    committed: int
    parts_read: int
    items: int
    """Of the plan."""
    work: int
    """Rows that there will be: an item that is retried has one more."""
    rows: int
    """That there are. While not every part was read, those of the others are estimated."""
    made: int
    failed: int
    codes: Mapping[str, int]
    """Of the last rows that say why nothing was made."""
    outputs: int
    bytes_in: int
    """Of the sources of what was made."""
    bytes_out: int
    rate: float | None
    """Rows a second, lately. None before it can be told."""
    seconds_left: float | None
    is_done: bool
    open: Sequence[int]
    """The first shards that have no part."""
    in_hand: Sequence[int]
    """The first of those that a worker has begun, or died over."""

    @property
    def exit_status(self) -> int:
        """0: done, everything made. 1: done, and some failed. 3: not finished."""
        if not self.is_done:
            return 3
        return 1 if self.failed else 0

    def told(self) -> Mapping[str, Any]:
        """As JSON has it."""
        return asdict(self)


class Counts:
    """What parts say in sum: of so many rows as there are, it takes as much room as they have codes."""

    def __init__(self) -> None:
        self.rows = 0
        self.made = 0
        self.codes: Counter[str] = Counter()
        self.outputs = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def add(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        if row.code:
            self.codes[row.code] += 1
            return
        self.made += 1
        self.outputs += len(row.outputs)
        self.bytes_in += row.source_bytes
        self.bytes_out += sum(made.size_bytes for made in row.outputs)

    def replace(self, codes: Mapping[str, int]) -> None:
        """Rows with these codes are not the last of their items any more."""
        self.codes.subtract(codes)

    def failed(self) -> dict[str, int]:
        """The codes, the most frequent first."""
        # Of a retry the part may be read before those which it replaces: then there are less than none.
        return {
            code: count
            for code, count in sorted(self.codes.items(), key=lambda one: (-one[1], one[0]))
            if count > 0
        }


class Watch:
    """Looks at a job again and again. Asks the store for the list of parts, and for those that are new."""

    def __init__(
        self, folder: Folder, *, clock: Callable[[], float] = time.time, parts_a_look: int = PARTS_A_LOOK
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._most = parts_a_look
        self._plan = folder.plan()
        self._counts = Counts()
        self._read: set[int] = set()
        self._times = Times()

    def look(self) -> Status:
        """What there is now. A finished job is read to the end, for its last look tells what has failed."""
        plan, retries = self._plan, self._folder.retries()
        committed = self._folder.committed()
        shards = all_shards(plan, retries)
        unread = [shard for shard in sorted(committed, reverse=True) if shard not in self._read]
        is_done = len(committed) >= len(shards)
        replaced = {shard: codes for retry in retries for shard, codes in _replaced(retry)}
        # The newest first: they tell the rate.
        for shard, part in parts(self._folder, iter(unread if is_done else unread[: self._most])):
            self._count(shard, part, replaced.get(shard, {}))
        return self._told(plan, retries, shards, committed)

    def _count(self, shard: int, part: Part, replaced: Mapping[str, int]) -> None:
        for row in part.rows:
            self._counts.add(row)
        self._counts.replace(replaced)
        self._read.add(shard)
        self._times.passed(part)

    def _told(
        self, plan: Plan, retries: Sequence[Retry], shards: Sequence[int], committed: Collection[int]
    ) -> Status:
        counts = self._counts
        work = plan.items + sum(retry.items for retry in retries)
        codes = counts.failed()
        rows = counts.rows
        if self._read:
            rows += round((len(committed) - len(self._read)) * counts.rows / len(self._read))
        rows = min(rows, work)
        is_done = len(committed) >= len(shards)
        rate = None if is_done else self._times.rate(self._clock())
        return Status(
            id=plan.id,
            recipe=plan.recipe,
            shards=len(shards),
            committed=len(committed),
            parts_read=len(self._read),
            items=plan.items,
            work=work,
            rows=rows,
            made=counts.made,
            failed=sum(codes.values()),
            codes=codes,
            outputs=counts.outputs,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            rate=rate,
            seconds_left=(work - rows) / rate if rate else None,
            is_done=is_done,
            open=list(itertools.islice((shard for shard in shards if shard not in committed), SHOWN_SHARDS)),
            in_hand=sorted(self._folder.begun() - set(committed))[:SHOWN_SHARDS],
        )


class Times:
    """When parts were committed, and how many rows each had: sixteen bytes a shard."""

    def __init__(self) -> None:
        self._when = array("d")
        self._rows = array("q")

    def passed(self, part: Part) -> None:
        """This one was read."""
        self._when.append(part.committed)
        self._rows.append(len(part.rows))

    def rate(self, now: float) -> float | None:
        """Rows a second, from the first of the last parts until now: it sinks when no more come."""
        ordered = sorted(zip(self._when, self._rows, strict=True), reverse=True)
        if len(ordered) < 2:
            return None
        newest = ordered[0][0]
        taken = [one for at, one in enumerate(ordered) if at <= RATE_PARTS or one[0] >= newest - RATE_SECONDS]
        began = taken[-1][0]
        # The rows of that one were made before.
        rows = sum(count for _, count in taken[:-1])
        return rows / (now - began) if now > began else None

    def course(self, points: int) -> Sequence[tuple[float, int]]:
        """At up to so many moments: how many rows there were."""
        ordered = sorted(zip(self._when, self._rows, strict=True))
        sums = list(itertools.accumulate(rows for _, rows in ordered))
        every = max(1, -(-len(ordered) // points))
        chosen = {*range(every - 1, len(ordered), every), len(ordered) - 1} if ordered else set()
        return [(ordered[at][0], sums[at]) for at in sorted(chosen)]

    def ends(self) -> tuple[float, float]:
        """The first and the last; there must be one."""
        return min(self._when), max(self._when)


def all_shards(plan: Plan, retries: Sequence[Retry]) -> Sequence[int]:
    """Their numbers."""
    added = (range(retry.first, retry.first + retry.shards) for retry in retries)
    return list(itertools.chain(range(plan.shards), *added))


def _replaced(retry: Retry) -> Iterator[tuple[int, Mapping[str, int]]]:
    return zip(range(retry.first, retry.first + retry.shards), retry.replaces, strict=True)
