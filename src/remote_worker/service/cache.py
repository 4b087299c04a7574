"""Previews that were made: those in memory within a number of bytes, and behind them those in a file."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from .. import telemetry
from ..contract.failures import FailureCode
from ..contract.links import Hop
from ..telemetry import Event
from .cache_file import CacheFile, Entry, FileFailed

T = TypeVar("T")

MOST_WRITES = 256
"""Entries on their way into the file; those past them stay in memory alone."""
_OVERHEAD_BYTES = 600
"""Of an entry in memory besides its bytes, measured."""


class Key(NamedTuple):
    """A canonical URL without its fragment, and the language it was asked in."""

    url: str
    language: str
    trust: str = ""
    """Only who has the same is shown it: what read the page may be in the hands of a page before."""

    @property
    def variant(self) -> str:
        """Language and trust key as one word, in which neither can hold the mark between them."""
        return f"{self.trust}|{self.language}" if self.trust else self.language


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a site failed, remembered for a while."""

    code: FailureCode
    detail: str
    status: int
    hops: tuple[Hop, ...]
    until: float

    @property
    def size_bytes(self) -> int:
        """In memory, about."""
        return _OVERHEAD_BYTES * (1 + len(self.hops)) + len(self.detail)


class Cache:
    """Least recently used go first. The file is asked only for what memory does not have."""

    def __init__(self, most_bytes: int, file: CacheFile | None = None) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._entries: OrderedDict[Key, Entry | Failure] = OrderedDict()
        self._keys: dict[str, set[Key]] = {}
        self._file = file
        self._thread = ThreadPoolExecutor(1, "cache") if file else None
        self._writes = 0
        self._forgotten = 0
        """How often something was, so that what was being read meanwhile does not come back."""

    async def __aenter__(self) -> "Cache":
        """Open the file. Raises CacheUnusable."""
        if self._file is not None:
            await self._in_thread(self._file.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is to be written."""
        if self._thread is not None and self._file is not None:
            await self._in_thread(self._file.close)
            self._thread.shutdown()

    @property
    def size_bytes(self) -> int:
        """Held in memory."""
        return self._size_bytes

    def get(self, key: Key) -> Entry | Failure | None:
        """What memory has."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    async def load(self, key: Key) -> Entry | None:
        """What the file has, put into memory."""
        if self._file is None:
            return None
        file = self._file
        forgotten = self._forgotten
        try:
            found = await self._in_thread(lambda: file.read(key.url, key.variant))
        except FileFailed as failed:
            self._lost(failed)
            return None
        if forgotten != self._forgotten:
            return None
        if found is not None and key not in self._entries:
            self._hold(key, found, found.size_bytes)
        return found

    def put(self, key: Key, entry: Entry) -> None:
        """Keep it; in the file too, if it may be there."""
        self._hold(key, entry, entry.size_bytes)
        if entry.is_kept:
            self._write(lambda file: file.write(key.url, key.variant, entry))
        else:
            self._write(lambda file: file.remove(key.url, key.variant))

    def remember(self, key: Key, failure: Failure) -> None:
        """Keep it in memory, in place of what was there."""
        self._hold(key, failure, failure.size_bytes)
        self._write(lambda file: file.remove(key.url, key.variant))

    async def purge(self, url: str) -> int:
        """Forget this URL in every language. Returns how many there were."""
        self._forgotten += 1
        keys = set(self._keys.get(url, ()))
        variants = {key.variant for key in keys}
        for key in keys:
            self._drop(key)
        if self._file is None:
            return len(variants)
        file = self._file
        try:
            variants |= await self._in_thread(lambda: file.purge(url))
        except FileFailed as failed:
            self._lost(failed)
        return len(variants)

    def drop(self, key: Key) -> None:
        """Forget this one."""
        self._forgotten += 1
        if key in self._entries:
            self._drop(key)
        self._write(lambda file: file.remove(key.url, key.variant))

    def _write(self, do: Callable[[CacheFile], None]) -> None:
        """Have it done to the file, in its turn."""
        if self._file is None or self._thread is None or self._writes >= MOST_WRITES:
            return
        self._writes += 1
        loop = asyncio.get_running_loop()
        written = self._thread.submit(do, self._file)
        written.add_done_callback(lambda done: _back_in(loop, lambda: self._written(done)))

    def _hold(self, key: Key, value: Entry | Failure, size_bytes: int) -> None:
        if key in self._entries:
            self._drop(key)
        if size_bytes > self._most_bytes:
            return
        self._entries[key] = value
        self._keys.setdefault(key.url, set()).add(key)
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        self._size_bytes -= self._entries.pop(key).size_bytes
        keys = self._keys[key.url]
        keys.discard(key)
        if not keys:
            del self._keys[key.url]

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    def _written(self, done: "Future[None]") -> None:
        self._writes -= 1
        failed = done.exception()
        if isinstance(failed, FileFailed):
            self._lost(failed)
        elif failed is not None:
            raise failed

    def _lost(self, failed: FileFailed) -> None:
        telemetry.emit(Event.CACHE_FAILED, level=logging.WARNING, reason=str(failed))


def _back_in(loop: asyncio.AbstractEventLoop, do: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(do)
