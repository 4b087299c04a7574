"""Doing one shard: each item adopted, or made and put, or failed with a code; then one commit for all.

To do a shard twice, or twice at once, does no harm. Who begins one leaves a mark in `doubts/`, and takes it
away at every end that it lives to see. Whoever finds one goes carefully: an item at a time, with nothing
beside it in this process, each marked before. One that is found marked once waits until the other shards of
the process have come to their end, so that it takes none of them along. One that is found marked twice costs
no third worker.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB
from ..contract.messages import Task
from ..service.images import Images
from ..stores.store import BadKey, NotThere, Store, StoreFailed, TooLarge
from .checked import checked
from .folder import Folder
from .keys import INDEX, place
from .lanes import Lanes
from .outbox import Object, Outbox, Parcel
from .rows import Item, Made, Plan, Row, Trouble
from .task import Brought, made, only_file, thawed

MOST_DEATHS = 2
"""Of workers, over one item. One may have had another reason."""
MOST_INDEX_BYTES = 4 * MIB
PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Before it is tried once more what failed for want of a child."""
UNREAD_PAUSES_SECONDS = (0.5, 2.0)
"""The same for a source that its store knows and did not give out; a bucket's client has tried for longer."""
_PASSING = {FailureCode.BUSY, FailureCode.JAIL_UNAVAILABLE, FailureCode.CHECK_FAILED}

Tell = Callable[[Row], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A plan with what it leads to: its folder, its source, and what is made of each item."""

    folder: Folder
    plan: Plan
    source: Store
    task: Task

    @classmethod
    def opened(cls, folder: Folder, open_store: Callable[[str], Store]) -> "Job":
        """The job of this folder. Raises NoSuchJob, BadTask, StoreFailed, and what opening a store does."""
        plan = folder.plan()
        return cls(folder=folder, plan=plan, source=open_store(plan.source), task=thawed(plan.task))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the work is done with, by all shards of a process."""

    images: Images
    lanes: Lanes
    input_bytes: int
    work_seconds: float
    """For what is made of one item, once it is its turn."""


async def run_shard(job: Job, shard: int, bench: Bench, tell: Tell = lambda _: None) -> bool:
    """Do it and commit it; False: that was done already, or by somebody else meanwhile.

    `tell` hears of each row, in no order. Raises NoSuchJob, StoreFailed, and OSError where memory is short:
    then nothing is committed, and it may be done again. So it is when it is cancelled.
    """
    return await _Shard(job, shard, bench, tell).run()


class _Unread(Exception):
    """The store answers, and yet does not give this source out."""


class _Shard:
    """One shard, being done."""

    def __init__(self, job: Job, shard: int, bench: Bench, tell: Tell) -> None:
        self._job = job
        self._folder = job.folder
        self._shard = shard
        self._bench = bench
        self._lanes = bench.lanes
        self._tell = tell
        self._only_file = only_file(job.task)
        self._rows: dict[int, Row] = {}
        self._outbox = Outbox(job.folder.store, bench.lanes, self._note)

    async def run(self) -> bool:
        with self._lanes.at_work(self):
            return await self._run()

    async def _run(self) -> bool:
        if await self._lanes.thread(lambda: self._folder.is_committed(self._shard)):
            return False
        items = await self._lanes.thread(lambda: self._folder.items(self._shard))
        is_first = await self._lanes.thread(lambda: self._folder.begin(self._shard))
        if is_first:
            await self._together(items)
        else:
            await self._one_by_one(items)
        rows = [self._rows[index] for index in range(len(items))]
        return await self._lanes.thread(lambda: self._commit(rows))

    def _commit(self, rows: list[Row]) -> bool:
        is_first = self._folder.commit(self._shard, rows)
        self._folder.end(self._shard)
        return is_first

    async def _together(self, items: list[Item]) -> None:
        waiting = iter(enumerate(items))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._lanes.count, len(items))):
                    group.create_task(self._next_ones(waiting))
            await self._outbox.send()
        except BaseException as ended:
            # This process lives, so nobody need be careful.
            self._outbox.leave()
            self._lanes.leave(lambda: self._folder.end(self._shard))
            if isinstance(ended, BaseExceptionGroup):
                raise ended.exceptions[0] from ended
            raise

    async def _next_ones(self, waiting: Iterator[tuple[int, Item]]) -> None:
        for index, item in waiting:
            async with self._lanes.beside():
                parcel = await self._done(index, item)
            await self._outbox.add(parcel)

    async def _one_by_one(self, items: list[Item]) -> None:
        doubts = await self._lanes.thread(lambda: self._folder.doubts(self._shard))
        for index, item in enumerate(items):
            row = await self._lanes.thread(lambda item=item: self._adopted(item))  # type: ignore[misc]
            if row is None and doubts.get(index, 0) >= MOST_DEATHS:
                row = _failed(item, Trouble.WORKER_KILLED, "a worker died over it, and so did the next")
            if row is None:
                await self._alone(index, item, doubts)
            else:
                self._note(index, row)

    async def _alone(self, index: int, item: Item, doubts: dict[int, int]) -> None:
        if index in doubts:
            await self._lanes.others_first(self)
        async with self._lanes.alone():
            marked = {**doubts, index: doubts.get(index, 0) + 1}
            await self._lanes.thread(lambda: self._folder.doubt(self._shard, marked))
            try:
                await self._outbox.add(await self._done(index, item))
                await self._outbox.send()
            except BaseException:
                # This process lives. What it has let go of is no worker's death.
                self._lanes.leave(lambda: self._folder.doubt(self._shard, doubts))
                raise
        doubts.pop(index, None)

    def _note(self, index: int, row: Row) -> None:
        self._rows[index] = row
        self._tell(row)

    async def _done(self, index: int, item: Item) -> Parcel:
        """What became of it. Raises StoreFailed and OSError."""
        began = time.perf_counter()
        if item.size_bytes > self._bench.input_bytes:
            return Parcel(index=index, row=_failed(item, FailureCode.TOO_LARGE))
        try:
            async with self._lanes.room(item.size_bytes):
                found = await self._read(item)
                if isinstance(found, Row):
                    return Parcel(index=index, row=found)
                with found:
                    async with self._lanes.turns:
                        brought = await self._made(found)
        except WorkFailed as failed:
            return Parcel(index=index, row=_failed(item, failed.code, failed.detail, began))
        return self._packed(index, item, brought, _since(began))

    async def _read(self, item: Item) -> Row | Document:
        """What `_found` tells; one source that cannot be read is a row, and no failure of its store."""
        for pause in UNREAD_PAUSES_SECONDS:
            with suppress(_Unread):
                return await self._lanes.thread(lambda: self._found(item), _close)
            await asyncio.sleep(pause)
        try:
            return await self._lanes.thread(lambda: self._found(item), _close)
        except _Unread as unread:
            return _failed(item, Trouble.SOURCE_UNREADABLE, str(unread))

    def _found(self, item: Item) -> Row | Document:
        """The row of what was made before, or of what cannot be read; else the source."""
        if not item.version:
            return _failed(item, Trouble.SOURCE_GONE)
        adopted = self._adopted(item)
        if adopted is not None:
            return adopted
        try:
            # No more than there is room for: what has more is another version.
            found = self._job.source.get(item.key, item.size_bytes)
        except (NotThere, BadKey):
            return _failed(item, Trouble.SOURCE_GONE)
        except TooLarge:
            return _failed(item, Trouble.SOURCE_CHANGED)
        except StoreFailed as failed:
            now = self._job.source.head(item.key)
            if now is None:
                return _failed(item, Trouble.SOURCE_GONE)
            if now.version != item.version:
                return _failed(item, Trouble.SOURCE_CHANGED)
            raise _Unread(str(failed)) from failed
        if found.meta.version != item.version:
            return _failed(item, Trouble.SOURCE_CHANGED)
        return Document.of(found.data)

    def _adopted(self, item: Item) -> Row | None:
        """Its row, when all that is to be made of this version is there."""
        where = self._place(item)
        if self._only_file:
            meta = self._folder.store.head(where + self._only_file)
            # A loss of power leaves empty files where nothing was settled.
            if meta is None or not meta.size_bytes:
                return None
            name = self._only_file.partition(".")[0]
            alone = Made(name=name, key=where + self._only_file, size_bytes=meta.size_bytes)
            return _made(item, (alone,), {})
        try:
            told = json.loads(self._folder.store.get(where + INDEX, MOST_INDEX_BYTES).data)
            outputs = tuple(
                checked(Made, {"name": name, "key": where + file, "size_bytes": size_bytes})
                for name, file, size_bytes in told["outputs"]
            )
            return checked(Row, asdict(_made(item, outputs, told["facts"])) | {"outputs": outputs})
        except (NotThere, TooLarge, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _packed(self, index: int, item: Item, brought: Brought, milliseconds: float) -> Parcel:
        where = self._place(item)
        outputs: list[Made] = []
        objects: list[Object] = []
        for output in brought.outputs:
            key = where + output.name + output.suffix
            outputs.append(Made(name=output.name, key=key, size_bytes=len(output.body)))
            objects.append((key, output.body))
        row = Row(
            key=item.key,
            version=item.version,
            outputs=tuple(outputs),
            facts=brought.facts,
            source_bytes=item.size_bytes,
            milliseconds=milliseconds,
        )
        if self._only_file:
            return Parcel(index=index, row=row, objects=objects)
        told = [(made.name, made.key.removeprefix(where), made.size_bytes) for made in outputs]
        words = json.dumps({"outputs": told, "facts": brought.facts}, sort_keys=True)
        return Parcel(index=index, row=row, objects=objects, after=[(where + INDEX, words.encode())])

    def _place(self, item: Item) -> str:
        return place(self._job.plan.objects, item.key, item.version)

    async def _made(self, document: Document) -> Brought:
        """Try it, and again when it failed for nothing that the document did."""
        for pause in PAUSES_SECONDS:
            try:
                return await self._attempt(document)
            except WorkFailed as failed:
                if failed.code not in _PASSING:
                    raise
            await asyncio.sleep(pause)
        return await self._attempt(document)

    async def _attempt(self, document: Document) -> Brought:
        deadline = time.monotonic() + self._bench.work_seconds
        return await made(self._job.task, self._bench.images, document, deadline)


def _failed(item: Item, code: FailureCode | Trouble, detail: str = "", began: float | None = None) -> Row:
    return Row(
        key=item.key,
        version=item.version,
        code=code,
        detail=detail,
        source_bytes=item.size_bytes,
        milliseconds=0.0 if began is None else _since(began),
    )


def _made(item: Item, outputs: tuple[Made, ...], facts: Mapping[str, Any]) -> Row:
    return Row(key=item.key, version=item.version, outputs=outputs, facts=facts, source_bytes=item.size_bytes)


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _close(found: Row | Document) -> None:
    if isinstance(found, Document):
        found.close()
