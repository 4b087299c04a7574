"""A job's folder in a store: its plan, its shards, and the part files whose creation is the commit."""

import gzip
import io
import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from ..contract.limits import MIB
from ..stores.store import NotThere, Store, StoreFailed, TooLarge
from .checked import Unfit, checked, row_of
from .rows import Item, Plan, Retry, Row

MOST_FILE_BYTES = 64 * MIB
"""Of one file in the folder, as it lies there."""
MOST_UNPACKED_BYTES = 1024 * MIB
MOST_SHARD_ITEMS = 10_000
"""Of one shard, which are all held at once."""

JOBS = "jobs/"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

T = TypeVar("T")


class NoSuchJob(Exception):
    """There is no plan there, or it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A shard's rows, and when they were committed: whole seconds, in the head of the gzip file."""

    rows: Sequence[Row]
    committed: float


class Folder:
    """What lies below `jobs/ID/`. Calls block, as those of the store do, and raise StoreFailed."""

    def __init__(self, store: Store, id: str) -> None:
        if not ID.fullmatch(id):
            raise NoSuchJob(f"{id!r} is no name of a job")
        self.store = store
        self.id = id
        self._root = f"{JOBS}{id}/"

    @property
    def url(self) -> str:
        """The job's address, as `parted` takes it again."""
        return f"{self.store.url.rstrip('/')}/{JOBS}{self.id}"

    def plan(self) -> Plan:
        """What the job is. Raises NoSuchJob."""
        try:
            return checked(Plan, json.loads(self._read("plan.json")))
        except (NotThere, *_UNREADABLE) as bad:
            raise NoSuchJob(f"there is no plan at {self.url}") from bad

    def write_plan(self, plan: Plan) -> bool:
        """Freeze it: from here on there is a job. False: there is one of this id already."""
        return self._write("plan.json", json.dumps(asdict(plan), indent=1).encode(), if_absent=True)

    def items(self, shard: int) -> list[Item]:
        """What is to be done in that shard. Raises NoSuchJob where there is no such shard."""
        try:
            return list(
                self._parsed(_shard(shard), self._read(_shard(shard)), lambda told: checked(Item, told))
            )
        except NotThere as bad:
            raise NoSuchJob(f"{self.url} has no shard {shard}") from bad

    def write_items(self, shard: int, items: Iterable[Item]) -> None:
        """Put a shard down, before the plan or the retry that counts it."""
        self._write(_shard(shard), _packed(_members(item) for item in items))

    def add_items(self, shard: int, items: Iterable[Item]) -> bool:
        """Put a shard down where there is none. False: there is, and it stays."""
        return self._write(_shard(shard), _packed(_members(item) for item in items), if_absent=True)

    def rows(self, shard: int) -> list[Row]:
        """What became of a shard's items, in their order. Raises NotThere where it is not committed."""
        return list(self.part(shard).rows)

    def part(self, shard: int) -> Part:
        """The same, with the time of the commit. Raises NotThere."""
        data = self._read(_part(shard))
        rows = tuple(self._parsed(_part(shard), data, row_of))
        return Part(rows=rows, committed=int.from_bytes(data[4:8], "little"))

    def commit(self, shard: int, rows: Sequence[Row], *, now: float | None = None) -> bool:
        """Create the part file, once all outputs outlive a loss of power.

        False: somebody else has committed this shard, and that stays.
        """
        data = _packed((_members(row) for row in rows), when=time.time() if now is None else now)
        self.store.settle()
        return self._write(_part(shard), data, if_absent=True)

    def committed(self) -> set[int]:
        """The shards whose part is there."""
        return self._numbers("parts/")

    def is_committed(self, shard: int) -> bool:
        """Whether that one's is."""
        return self.store.head(self._root + _part(shard)) is not None

    def retries(self) -> list[Retry]:
        """Those that were added, in the order of their shards. Raises NoSuchJob where one is none."""
        found = []
        for key, _ in self.store.list(f"{self._root}retries/"):
            try:
                retry = checked(Retry, json.loads(self._read(key.removeprefix(self._root))))
                if len(retry.replaces) != retry.shards:
                    raise Unfit("it does not say of each shard what it replaces")
                found.append(retry)
            except (NotThere, *_UNREADABLE) as bad:
                raise NoSuchJob(f"{key} is no retry") from bad
        return sorted(found, key=lambda retry: retry.first)

    def write_retry(self, number: int, retry: Retry) -> bool:
        """Add shards, which were put down before. False: somebody else has added that retry."""
        return self._write(f"retries/{number}.json", json.dumps(asdict(retry)).encode(), if_absent=True)

    def write_report(self, report: bytes) -> None:
        """Put the final report down; that of before, if any, is the same or older."""
        self._write("report.json", report)

    def shards(self) -> int:
        """How many there are, with those of retries. Raises NoSuchJob."""
        return self.plan().shards + sum(retry.shards for retry in self.retries())

    def begun(self) -> set[int]:
        """The shards that a worker has in hand, or died over."""
        return self._numbers("doubts/")

    def begin(self, shard: int) -> bool:
        """Say that a worker has it in hand. False: one had, and did not come to an end that it knew of."""
        return self._write(_doubts(shard), b"{}", if_absent=True)

    def doubts(self, shard: int) -> dict[int, int]:
        """By the places of items in the shard, how many workers may have died over each."""
        try:
            told = json.loads(self._read(_doubts(shard)))
            return {int(place): int(times) for place, times in told.items()}
        except NotThere:
            return {}
        except (*_UNREADABLE, AttributeError, TypeError, OverflowError) as bad:
            raise StoreFailed(f"{self._root}{_doubts(shard)} cannot be read") from bad

    def doubt(self, shard: int, doubts: Mapping[int, int]) -> None:
        """Put them down, so that they outlive this process."""
        self._write(_doubts(shard), json.dumps(doubts).encode())

    def end(self, shard: int) -> None:
        """No worker has it in hand any more."""
        self.store.delete(self._root + _doubts(shard))

    def _read(self, name: str) -> bytes:
        try:
            return self.store.get(self._root + name, MOST_FILE_BYTES).data
        except TooLarge as large:
            raise StoreFailed(f"{self._root}{name} has more than {MOST_FILE_BYTES} bytes") from large

    def _write(self, name: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self.store.put(self._root + name, data, if_absent=if_absent)

    def _numbers(self, folder: str) -> set[int]:
        names = (key.removeprefix(self._root + folder) for key, _ in self.store.list(self._root + folder))
        return {int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))}

    def _parsed(self, name: str, data: bytes, parse: Callable[[object], T]) -> Iterator[T]:
        """What each line is. Raises StoreFailed for what is none."""
        try:
            for number, told in enumerate(_unpacked(data)):
                if number == MOST_SHARD_ITEMS:
                    raise Unfit(f"it has more than {MOST_SHARD_ITEMS} lines")
                yield parse(told)
        except (OSError, EOFError, zlib.error, *_UNREADABLE) as bad:
            raise StoreFailed(f"{self._root}{name} is damaged: {bad}") from bad


_UNREADABLE = (ValueError, RecursionError)
"""What JSON that is none raises, and what is JSON and yet nothing of ours."""


def parted(address: str) -> tuple[str, str]:
    """A job's address as the URL of its store and its id. Raises NoSuchJob."""
    store, found, id = address.rstrip("/").rpartition(f"/{JOBS}")
    if not (found and store and ID.fullmatch(id)):
        raise NoSuchJob(f"{address!r} is no job's address: those end in /{JOBS}ID")
    return store, id


def opened(address: str, open_store: Callable[[str], Store]) -> Folder:
    """The folder of that address. Raises NoSuchJob, and what opening the store does."""
    store, id = parted(address)
    return Folder(open_store(store), id)


_NUMBERED = re.compile(r"([0-9]{5,9})\.json(?:l\.gz)?")


def _shard(shard: int) -> str:
    return f"shards/{shard:05d}.jsonl.gz"


def _part(shard: int) -> str:
    return f"parts/{shard:05d}.jsonl.gz"


def _doubts(shard: int) -> str:
    return f"doubts/{shard:05d}.json"


_ALWAYS = {"key", "version", "size_bytes"}


def _members(value: Item | Row) -> dict[str, Any]:
    """What is not as usual."""
    members: dict[str, Any] = {}
    for row in fields(value):
        member = getattr(value, row.name)
        if member or row.name in _ALWAYS:
            members[row.name] = member
    if isinstance(value, Row) and value.outputs:
        members["outputs"] = [asdict(made) for made in value.outputs]
    return members


def _packed(lines: Iterable[Mapping[str, Any]], *, when: float = 0) -> bytes:
    """The same bytes for the same lines and time."""
    into = io.BytesIO()
    # Level 1 takes a third of the time of the usual one for a few per cent more.
    with gzip.GzipFile(fileobj=into, mode="wb", compresslevel=1, mtime=int(when)) as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return into.getvalue()


def _unpacked(data: bytes) -> Iterator[object]:
    read = 0
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        while line := file.readline(MOST_UNPACKED_BYTES - read + 1):
            read += len(line)
            if read > MOST_UNPACKED_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_UNPACKED_BYTES} bytes")
            yield json.loads(line)
