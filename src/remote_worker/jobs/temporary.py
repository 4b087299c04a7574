"""Jobs of a worker that nobody has told where to keep them: a private folder, made when the first one comes.

It goes with the worker. What a worker that was killed has left behind goes when the next one starts.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..engines.engine import Depth, EngineFailed, Handler, Kind, Policies, Unit
from ..engines.local import LocalEngine
from ..stores.opening import open_store
from ..stores.store import Found, Meta, NotThere, Store, StoreFailed

PREFIX = "remote-worker-jobs-"
QUEUE = Path("queue") / "units.sqlite"
"""In the folder of jobs, the file of the engine."""
_LOCK = "lock"


class TemporaryStore:
    """A store that is empty and nowhere until something is put into it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._lock = -1
        self.folder: Path | None = None
        self._store: Store | None = None

    @property
    def url(self) -> str:
        """Empty before there is one."""
        return self._store.url if self._store else ""

    def get(self, key: str, most_bytes: int) -> Found:
        """Fill the protocol."""
        if self._store is None:
            raise NotThere(key)
        return self._store.get(key, most_bytes)

    def head(self, key: str) -> Meta | None:
        """Fill the protocol."""
        return self._store.head(key) if self._store else None

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Fill the protocol."""
        return self._made().put(key, data, if_absent=if_absent)

    def put_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Fill the protocol."""
        self._made().put_all(objects)

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        """Fill the protocol."""
        return self._store.list(prefix) if self._store else iter(())

    def delete(self, key: str) -> None:
        """Fill the protocol."""
        if self._store:
            self._store.delete(key)

    def settle(self) -> None:
        """Nothing here outlives the worker."""

    def close(self) -> None:
        """Take the folder away, with all that is in it."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)

    def _made(self) -> Store:
        with self._making:
            if self._store is None:
                try:
                    self.folder, self._lock = _locked_folder()
                except OSError as failed:
                    raise StoreFailed(f"there is no folder for jobs: {failed.strerror}") from failed
                self._store = open_store(str(self.folder))
            return self._store


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return folder, lock
        os.close(lock)  # Another worker that starts has taken it for one that was left behind.


def clear_up() -> None:
    """Take away folders of ours whose worker is gone: in them are pictures of strangers."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # It is at work.
        finally:
            os.close(lock)


class TemporaryEngine:
    """The engine in that folder."""

    def __init__(self, store: TemporaryStore, policies: Policies) -> None:
        self._store = store
        self._policies = policies
        self._opening = asyncio.Lock()
        self._engine: LocalEngine | None = None
        self._is_open = asyncio.Event()

    async def __aenter__(self) -> Self:
        with suppress(OSError):  # Where no folder can be made, that matters with the first job.
            await asyncio.to_thread(clear_up)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._engine is not None:
            await self._engine.__aexit__(None, None, None)
        await asyncio.to_thread(self._store.close)

    async def submit(self, units: Sequence[Unit]) -> int:
        """Fill the protocol. The store has something by now."""
        async with self._opening:
            if self._engine is None:
                folder = self._store.folder
                if folder is None:
                    raise EngineFailed("there is no folder for jobs")
                engine = LocalEngine(folder / QUEUE, self._policies)
                self._engine = await engine.__aenter__()
                self._is_open.set()
        return await self._engine.submit(units)

    async def work(self, kind: Kind, handler: Handler, *, slots: int, stop: asyncio.Event) -> None:
        """Fill the protocol."""
        waits = [asyncio.create_task(event.wait()) for event in (self._is_open, stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._engine is not None:
            await self._engine.work(kind, handler, slots=slots, stop=stop)

    async def depth(self, kind: Kind) -> Depth:
        """Fill the protocol."""
        return await self._engine.depth(kind) if self._engine else Depth(pending=0, leased=0)
