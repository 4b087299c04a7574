"""Freezing a job: what lies in a source now, or what a manifest names, cut into shards as it is read."""

import gzip
import io
import itertools
import json
import secrets
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .. import __version__
from ..contract.messages import Task
from ..stores.store import BadKey, Meta, Store
from .checked import MOST_SHARDS
from .folder import JOBS, Folder
from .keys import OBJECTS
from .rows import Item, Plan
from .task import frozen, recipe_hash

SHARD_ITEMS = 1000
"""As long as nothing else is asked for."""
MOST_KEY_CHARACTERS = 1024
MOST_LINE_CHARACTERS = 64 * 1024
"""Of a line of a manifest, which may say more than its key."""
ASKED_AT_ONCE = 32
"""Keys of a manifest that a source is asked about at once."""


class BadManifest(Exception):
    """A line of it names no key, or it names none at all."""


class NothingThere(Exception):
    """There is no item: a slip in the prefix, most likely."""


class TooManyShards(Exception):
    """More than a job may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a job is to do: the recipe as it was written, and the task that it came to."""

    recipe: str
    task: Task
    shard_items: int = SHARD_ITEMS


def freeze(
    source: Store,
    out: Store,
    wanted: Wanted,
    items: Iterable[Item],
    *,
    tell: Callable[[int], None] = lambda _: None,
) -> Folder:
    """Write the job down, its plan last: until then there is none. `tell` hears of each shard's items.

    Raises StoreFailed, NothingThere, TooManyShards, and what reading the items does.
    """
    created = time.time()
    folder = Folder(out, _id(created))
    shards = count = size_bytes = 0
    remaining = iter(items)
    while shard := list(itertools.islice(remaining, wanted.shard_items)):
        if shards == MOST_SHARDS:
            raise TooManyShards(f"a job has at most {MOST_SHARDS:,} shards: put more items into each")
        folder.write_items(shards, shard)
        shards += 1
        count += len(shard)
        size_bytes += sum(item.size_bytes for item in shard)
        tell(len(shard))
    if not count:
        raise NothingThere(f"there is nothing to do in {source.url}: is it there, and not all hidden?")
    task = frozen(wanted.task)
    folder.write_plan(
        Plan(
            id=folder.id,
            source=source.url,
            recipe=wanted.recipe,
            task=task,
            objects=f"{OBJECTS}{recipe_hash(task)}/",
            shards=shards,
            items=count,
            size_bytes=size_bytes,
            created=created,
            made_by=__version__,
        )
    )
    out.settle()
    return folder


def listed(source: Store, out: Store, prefix: str = "") -> Iterator[Item]:
    """Every object whose key begins so, but for hidden ones and for what bulk jobs have written there."""
    own = _own(source.url, out.url)
    for key, meta in source.list(prefix):
        if not key.startswith(own) and not _is_hidden(key):
            yield _item(key, meta)


def named(source: Store, keys: Iterable[str]) -> Iterator[Item]:
    """The objects of these keys, in their order; of one that is not there, an item without a version."""
    asked: deque[tuple[str, Future[Meta | None]]] = deque()
    with ThreadPoolExecutor(ASKED_AT_ONCE, "manifest") as threads:
        for key in keys:
            asked.append((key, threads.submit(_head, source, key)))
            if len(asked) > 2 * ASKED_AT_ONCE:
                first, future = asked.popleft()
                yield _item(first, future.result())
        for key, future in asked:
            yield _item(key, future.result())


def keys_of(manifest: Path) -> Iterator[str]:
    """The keys of a manifest: one a line, or an object with a `key` a line; also packed with gzip.

    Raises BadManifest and OSError.
    """
    with _opened(manifest) as lines:
        try:
            for number in itertools.count(1):
                line = lines.readline(MOST_LINE_CHARACTERS + 1)
                if not line:
                    return
                text = line.removesuffix("\n").removesuffix("\r")
                if text:
                    yield _key(text, f"{manifest}, line {number}")
        except (EOFError, gzip.BadGzipFile, zlib.error) as bad:
            raise BadManifest(f"{manifest} cannot be read: {bad}") from bad


@contextmanager
def _opened(manifest: Path) -> Iterator[IO[str]]:
    with manifest.open("rb") as file:
        is_packed = file.read(2) == _GZIP
        file.seek(0)
        unpacked = gzip.GzipFile(fileobj=file) if is_packed else file
        # What os.listdir gives for a name that is no UTF-8 comes through.
        yield io.TextIOWrapper(unpacked, encoding="utf-8", errors="surrogateescape", newline="\n")


_GZIP = b"\x1f\x8b"


def _key(text: str, where: str) -> str:
    if len(text) > MOST_LINE_CHARACTERS:
        raise BadManifest(f"{where} has more than {MOST_LINE_CHARACTERS} characters")
    key: object = text
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError as bad:
            raise BadManifest(f"{where} is no JSON: {bad}") from bad
        key = told.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= MOST_KEY_CHARACTERS:
        raise BadManifest(f"{where} names no key of 1 to {MOST_KEY_CHARACTERS} characters")
    return key


def _head(source: Store, key: str) -> Meta | None:
    try:
        return source.head(key)
    except BadKey:
        return None  # It is the key of no object, so there is none.


def _item(key: str, meta: Meta | None) -> Item:
    if meta is None:
        return Item(key=key, version="", size_bytes=0)
    return Item(key=key, version=meta.version, size_bytes=meta.size_bytes)


def _own(source: str, out: str) -> tuple[str, ...]:
    """The prefixes, within the source, of what bulk jobs write there."""
    root = source.rstrip("/") + "/"
    if not (out.rstrip("/") + "/").startswith(root):
        return ()
    below = (out.rstrip("/") + "/").removeprefix(root)
    return (f"{below}{OBJECTS}", f"{below}{JOBS}")


def _is_hidden(key: str) -> bool:
    return key.startswith(".") or "/." in key


def _id(now: float) -> str:
    """Jobs sort by when they were planned."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-" + secrets.token_hex(4)
