"""Objects as files of a folder, whose names are the parts of their keys.

Every step into a folder refuses symbolic links, so neither a key nor whoever may write in the folder leads
out of it. A link to a file is an object as long as its target lies below the root; links to folders are not
entered.
"""

import ctypes
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from .keys import LONGEST_KEY_BYTES, parts_of, parts_of_prefix
from .store import BadKey, Found, Meta, NotThere, StoreFailed, TooLarge

MOST_NAMES = 100_000
"""Of one folder that are held for sorting: of a larger one the next so many are read again and again."""
MOST_FOLDER_TRIES = 20
"""Of a put whose folder is taken away, because it is empty, before there is something in it."""
NAMES_AT_ONCE = 256
"""That are looked at before the first of them is told."""
FILES_AT_ONCE = 32
"""That are written before their names are given: each keeps two descriptors until then."""
ABANDONED_SECONDS = 86_400
"""After which nobody writes in a temporary file any more."""

_WRITING = re.compile(r"\.[0-9a-f]{32}\.remote-worker")
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}

_SYNC_FILE_RANGE_WRITE = 2

Parts = list[str]
T = TypeVar("T")


class _Writing:
    """A file in a folder that gets its name when its bytes are on the disk. Ended before, it is gone."""

    def __init__(self, key: str, folder: int, name: str) -> None:
        self.key = key
        self._folder = folder
        self._name = name
        self._temporary = f".{os.urandom(16).hex()}.remote-worker"
        self._is_named = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self._temporary, flags, 0o600, dir_fd=folder)

    def write(self, data: bytes) -> None:
        """All of it, which may not be on the disk yet."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]
        # Before Linux 6.13 its own stamp stands still for milliseconds: two puts would be one version.
        now = time.time_ns()
        os.utime(self.descriptor, ns=(now, now))

    def replace(self) -> None:
        """Take the name, from whoever has it. Raises StoreFailed when somebody took the file away."""
        try:
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except FileNotFoundError as gone:
            raise StoreFailed(f"{self.key}: somebody took the file away while it was written") from gone
        self._is_named = True

    def link(self) -> None:
        """Take the name, unless there is one who has it. Raises FileExistsError."""
        os.link(
            self._temporary,
            self._name,
            src_dir_fd=self._folder,
            dst_dir_fd=self._folder,
            follow_symlinks=False,
        )

    def end(self) -> None:
        """Close it."""
        os.close(self.descriptor)
        if not self._is_named:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)


class Directory:
    """The store in a folder. The first put makes the folder; until then there is nothing in it.

    What is put is on the disk under its key whole or not at all, also after a loss of power; that it is there
    is certain after `settle()`. Folders are for their owner alone, and so are files.
    """

    def __init__(self, root: Path, below: Sequence[str] = (), *, most_names: int = MOST_NAMES) -> None:
        """`below` are folders to go into from there, where symbolic links are refused as they are in keys."""
        self._root = root.absolute()
        self._below = tuple(below)
        self._most_names = most_names

    @property
    def url(self) -> str:
        """`file:///…`."""
        return self._root.joinpath(*self._below).as_uri()

    def get(self, key: str, most_bytes: int) -> Found:
        """Raises StoreFailed where somebody writes into the file at the same time."""

        def read(folder: int, name: str, _seen: os.stat_result) -> Found | None:
            return _read(folder, name, most_bytes)

        found = self._look(_checked(key), read)
        if found is None:
            raise NotThere(key)
        return found

    def head(self, key: str) -> Meta | None:
        """What is known of it, None where there is none."""
        return self._look(_checked(key), _of_file)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """With `if_absent`, one of all processes that try at the same time gets True."""
        if not if_absent:
            self.put_all([(key, data)])
            return True
        *folders, name = _checked(key)
        for _ in range(MOST_FOLDER_TRIES):
            with _telling(key), suppress(FileNotFoundError), self._folder(folders, make=True) as folder:
                return _create(folder, name, data)
        raise StoreFailed(f"{key}: its folder goes as often as it is made")

    def put_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Each costs a third of what it does alone: the file system writes its journal once for many."""
        checked = [(key, _checked(key), data) for key, data in objects]
        for first in range(0, len(checked), FILES_AT_ONCE):
            with ExitStack() as ends:
                walk = _Walk(self._root, self._below, ends)
                _named([_begun(*one, walk, ends) for one in checked[first : first + FILES_AT_ONCE]])

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        """One folder after the other; what is left of writes that were broken off long ago is taken away."""
        folders, beginning = parts_of_prefix(prefix)
        return self._listed(folders, beginning)

    def delete(self, key: str) -> None:
        """Take it away, and the folders that are empty then."""
        *folders, name = _checked(key)
        with _telling(key):
            with suppress(FileNotFoundError, NotADirectoryError), self._folder(folders) as folder:
                os.unlink(name, dir_fd=folder)
            while folders:
                *folders, last = folders
                try:
                    with self._folder(folders) as folder:
                        os.rmdir(last, dir_fd=folder)
                except OSError:
                    return  # There is something in it, or somebody was quicker.

    def settle(self) -> None:
        """Has the file system write down all names: the bytes of an object are there before its name is."""
        # Of the names of one shard there are as many folders as items: one call instead of an fsync for each,
        # and it holds for what another process has put, too. os.sync would wait for every other disk.
        with _telling(self.url), suppress(FileNotFoundError):
            with self._folder([]) as root:
                inside = os.open(".", _READ_FOLDER, dir_fd=root)
            try:
                if _libc().syncfs(inside) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(inside)

    @contextmanager
    def _folder(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        here = _opened(self._root, make=make)
        try:
            for part in (*self._below, *parts):
                there = _step(here, part, make=make)
                os.close(here)
                here = there
            yield here
        finally:
            os.close(here)

    def _look(self, parts: Parts, then: Callable[[int, str, os.stat_result], T | None]) -> T | None:
        """What `then` makes of the regular file there, or of the one that a link there leads to."""
        with _telling("/".join(parts)):
            try:
                with self._folder(parts[:-1]) as folder:
                    seen = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode):
                        return then(folder, parts[-1], seen)
                if not stat.S_ISLNK(seen.st_mode):
                    return None
                # The target is looked up by name, then walked to as every other key: by then it is no link.
                root = self._root.resolve().joinpath(*self._below)
                target = Path(os.path.realpath(root.joinpath(*parts), strict=True))
                if root not in target.parents:
                    return None
                *folders, name = target.relative_to(root).parts
                with self._folder(folders) as folder:
                    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    return then(folder, name, seen) if stat.S_ISREG(seen.st_mode) else None
            except OSError as error:
                if error.errno in _GONE:
                    return None
                raise

    def _listed(self, folders: Parts, beginning: str) -> Iterator[tuple[str, Meta]]:
        # One frame for each folder that is not done, and no open file between two steps: a chain of folders
        # may be longer than a process may have files open.
        stack = [(folders, self._entries(folders, beginning))]
        while stack:
            parts, entries = stack[-1]
            name, meta = next(entries, ("", None))
            if meta is not None:
                yield "/".join([*parts, name]), meta
            elif name:
                below = [*parts, name]
                stack.append((below, self._entries(below, "")))
            else:
                stack.pop()

    def _entries(self, parts: Parts, beginning: str) -> Iterator[tuple[str, Meta | None]]:
        """What is in a folder, as it sorts within keys. Of a folder nothing is known."""
        room = LONGEST_KEY_BYTES - sum(len(part.encode()) + 1 for part in parts)
        last, whole = b"", False
        while not whole:
            names, whole = self._names(parts, beginning.encode(), last)
            for first in range(0, len(names), NAMES_AT_ONCE):
                yield from self._known(parts, names[first : first + NAMES_AT_ONCE], room)
            last = names[-1] if names else last

    def _names(self, parts: Parts, beginning: bytes, last: bytes) -> tuple[Sequence[bytes], bool]:
        with _telling("/".join(parts)):
            try:
                with self._folder(parts) as folder:
                    inside = os.open(".", _READ_FOLDER, dir_fd=folder)
            except OSError as error:
                if error.errno in _GONE:
                    return [], True
                raise
            try:
                return _sorted_names(inside, beginning, last, self._most_names)
            finally:
                os.close(inside)

    def _known(self, parts: Parts, names: Sequence[bytes], room: int) -> Sequence[tuple[str, Meta | None]]:
        known: dict[str, Meta | None] = {}
        with _telling("/".join(parts)), suppress(FileNotFoundError), self._folder(parts) as folder:
            for name in (name.decode() for name in names if len(name) <= room):
                if name.endswith("/"):
                    known[name[:-1]] = None
                    continue
                with suppress(FileNotFoundError):
                    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    is_file = stat.S_ISREG(seen.st_mode)
                    meta = _meta(seen) if is_file else self._look([*parts, name], _of_file)
                    if meta is not None:
                        known[name] = meta
        return list(known.items())


def _sorted_names(inside: int, beginning: bytes, last: bytes, most: int) -> tuple[Sequence[bytes], bool]:
    """The first `most` after `last`, folders with their slash, and whether these are all."""
    names: list[bytes] = []
    found = 0
    with os.scandir(inside) as entries:
        for entry in entries:
            name = os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
            if name > last and name.startswith(beginning) and _is_ours(inside, name):
                names.append(name)
                found += 1
                if len(names) >= 2 * most:
                    names.sort()
                    del names[most:]
    names.sort()
    return names[:most], found <= most


def _checked(key: str) -> list[str]:
    parts = parts_of(key)
    if any(_WRITING.fullmatch(part) for part in parts):
        raise BadKey("this is the name of a file that is being written")
    return parts


def _step(here: int, part: str, *, make: bool) -> int:
    try:
        return os.open(part, _STEP, dir_fd=here)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=here)
    return os.open(part, _STEP, dir_fd=here)


def _opened(root: Path, *, make: bool) -> int:
    try:
        return os.open(root, _ROOT)
    except FileNotFoundError:
        if not make:
            raise
    # With `parents` they would be as the umask has it.
    for folder in (*reversed(root.parents), root):
        folder.mkdir(mode=0o700, exist_ok=True)
    return os.open(root, _ROOT)


class _Walk:
    """Goes from folder to folder and makes them; those that two ways share are gone into once."""

    def __init__(self, root: Path, below: Sequence[str], ends: ExitStack) -> None:
        self._root = root
        self._below = below
        self._ends = ends
        self._parts: Parts = []
        self._folders: list[int] = []

    def to(self, parts: Parts) -> int:
        """The folder, which stays open to the end. Raises FileNotFoundError where one was taken away."""
        if not self._folders:
            self._go(_opened(self._root, make=True))
        way = [*self._below, *parts]
        shared = 0
        while shared < min(len(self._parts), len(way)) and self._parts[shared] == way[shared]:
            shared += 1
        del self._parts[shared:], self._folders[shared + 1 :]
        for part in way[shared:]:
            self._go(_step(self._folders[-1], part, make=True))
            self._parts.append(part)
        return self._folders[-1]

    def begin_anew(self) -> None:
        """Of what was gone into something is not there any more."""
        self._parts, self._folders = [], []

    def _go(self, folder: int) -> None:
        self._ends.callback(os.close, folder)
        self._folders.append(folder)


def _of_file(_folder: int, _name: str, seen: os.stat_result) -> Meta:
    return _meta(seen)


def _meta(seen: os.stat_result) -> Meta:
    # Neither inode nor ctime: a copy that keeps times, as `rsync -a` and `cp -p` do, is the same version.
    return Meta(size_bytes=seen.st_size, version=f"{seen.st_mtime_ns:x}-{seen.st_size:x}")


def _read(folder: int, name: str, most_bytes: int) -> Found | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        seen = os.fstat(file)
        if not stat.S_ISREG(seen.st_mode):
            return None
        meta = _meta(seen)
        if meta.size_bytes > most_bytes:
            raise TooLarge(f"{name} has {meta.size_bytes} bytes")
        data = os.read(file, meta.size_bytes + 1)
        while len(data) < meta.size_bytes and (more := os.read(file, meta.size_bytes + 1 - len(data))):
            data += more
        if len(data) != meta.size_bytes or _meta(os.fstat(file)) != meta:
            raise StoreFailed(f"{name} changed while it was read")
    finally:
        os.close(file)
    return Found(data=data, meta=meta)


def _begun(key: str, parts: Parts, data: bytes, walk: _Walk, ends: ExitStack) -> _Writing:
    """The file with this data; in the end it is gone, unless it has its name by then."""
    *folders, name = parts
    for _ in range(MOST_FOLDER_TRIES):
        with _telling(key), suppress(FileNotFoundError):
            file = _Writing(key, walk.to(folders), name)
            ends.callback(file.end)
            file.write(data)
            return file
        walk.begin_anew()
    raise StoreFailed(f"{key}: its folder goes as often as it is made")


def _named(files: Sequence[_Writing]) -> None:
    """Give each its name, once its bytes are on the disk.

    Else a name could outlive a loss of power and its bytes not: an object that is cut short.
    """
    # All are told to go first, so that they find their places, and get into the journal, together.
    # Only a hint: what goes wrong, fdatasync tells.
    for file in files[:-1]:
        _libc().sync_file_range(file.descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)
    for file in files:
        with _telling(file.key):
            os.fdatasync(file.descriptor)
    for file in files:
        with _telling(file.key):
            file.replace()


def _create(folder: int, name: str, data: bytes) -> bool:
    if _is_taken(folder, name):
        return False
    with ExitStack() as ends:
        file = _Writing(name, folder, name)
        ends.callback(file.end)
        file.write(data)
        os.fdatasync(file.descriptor)
        try:
            file.link()
        except FileExistsError:
            return not _is_taken(folder, name)
    return True


def _is_taken(folder: int, name: str) -> bool:
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(seen.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return True


def _is_ours(folder: int, name: bytes) -> bool:
    """Whether this is the name of an object, or of a folder of some."""
    try:
        told = name.decode()
    except UnicodeDecodeError:
        return False
    if not _WRITING.fullmatch(told.removesuffix("/")):
        return True
    with suppress(OSError):
        seen = os.stat(told, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(seen.st_mode) and time.time() - seen.st_mtime > ABANDONED_SECONDS:
            os.unlink(told, dir_fd=folder)
    return False


@contextmanager
def _telling(about: str) -> Iterator[None]:
    """Says what the system refused as the store's failure; that something is missing is for the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreFailed(f"{about}: {error.strerror}") from error


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
