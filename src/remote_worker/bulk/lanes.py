"""How many items of all shards are in hand at once in this process, and which are alone in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Self, TypeVar

T = TypeVar("T")

LANES_PER_CHILD = 8
"""Items are decoded while others are read and written, which takes longer than to decode a small one."""


class Lanes:
    """Shared by the shards that a process has in hand; a context manager, which ends its threads."""

    def __init__(self, children: int, most_bytes: int) -> None:
        """`most_bytes` is the room for sources that are in memory, as much as one item may have or more."""
        self.count = LANES_PER_CHILD * children
        self.turns = asyncio.Semaphore(children)
        """To decode: whoever has one finds a child free, so that no deadline runs while it waits for one."""
        self._places = asyncio.Semaphore(self.count)
        self._threads = ThreadPoolExecutor(self.count, "bulk")
        self._free_bytes = most_bytes
        self._next_room, self._freed = asyncio.Lock(), asyncio.Event()
        self._beside = self._alone = 0
        self._one_alone = asyncio.Lock()
        self._nobody_alone, self._nobody_beside = asyncio.Event(), asyncio.Event()
        self._have_ended: dict[object, asyncio.Event] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """A place beside other items, as soon as there is one."""
        async with self._places:
            while self._alone:
                await self._nobody_alone.wait()
            self._beside += 1
            try:
                yield
            finally:
                self._beside -= 1
                if not self._beside:
                    self._nobody_beside.set()

    @asynccontextmanager
    async def room(self, size_bytes: int) -> AsyncIterator[None]:
        """So much memory, as soon as it is free."""
        # One waits at a time, so that large ones are not passed by small ones for ever.
        async with self._next_room:
            while self._free_bytes < size_bytes:
                self._freed.clear()
                await self._freed.wait()
            self._free_bytes -= size_bytes
        try:
            yield
        finally:
            self._free_bytes += size_bytes
            self._freed.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A place while nothing else is in hand: what ends this process then, ends it over this item."""
        async with self._one_alone:
            self._alone = 1
            self._nobody_alone.clear()
            try:
                while self._beside:
                    self._nobody_beside.clear()
                    await self._nobody_beside.wait()
                yield
            finally:
                self._alone = 0
                self._nobody_alone.set()

    @contextmanager
    def at_work(self, shard: object) -> Iterator[None]:
        """The shard is in hand as long as the block runs."""
        self._have_ended[shard] = asyncio.Event()
        try:
            yield
        finally:
            self._have_ended.pop(shard).set()

    async def others_first(self, shard: object) -> None:
        """Wait for the end of the other shards that are in hand now, but not for those that wait, too."""
        others = [ended for other, ended in self._have_ended.items() if other is not shard]
        self._have_ended[shard].set()
        for ended in others:
            await ended.wait()
        self._have_ended[shard] = asyncio.Event()

    async def thread(self, do: Callable[[], T], undo: Callable[[T], object] = lambda _: None) -> T:
        """Have it done in a thread. `undo` gets what comes out after whoever waited was cancelled."""
        future = self._threads.submit(do)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: _undo(done, undo))
            raise

    def leave(self, do: Callable[[], object]) -> None:
        """Have it done in a thread that nobody waits for but the end of these lanes."""
        self._threads.submit(do)


def _undo(done: "Future[T]", undo: Callable[[T], object]) -> None:
    if not done.cancelled() and done.exception() is None:
        undo(done.result())
