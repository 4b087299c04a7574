"""The file in which previews outlive the worker: SQLite, marked as ours, bounded. Used by one thread."""

import os
import sqlite3
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from .. import telemetry
from ..locking import alone_in
from ..telemetry import Event

APPLICATION_ID = 0x52575043
"""In the header of the file: RWPC."""
SCHEMA = 1
_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
_FULL_TO = 0.9
"""How full a file is left that has become too full."""
_PAGE_BYTES = 4096
_LONGEST_WAIT_SECONDS = 1.0
"""For another worker with the same file."""
_LONGEST_OPENING_SECONDS = 3.0
"""For others that open the same file first."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class CacheUnusable(Exception):
    """The file is not one that this worker may write to."""


class FileFailed(Exception):
    """The file could not be read or written this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A preview as JSON around the word that says how it came here, and until when it is good (epoch)."""

    before: bytes
    after: bytes
    hops: bytes
    """JSON, for those who ask for an explanation."""
    made: float
    fresh_until: float
    stale_until: float
    error_until: float
    is_kept: bool
    """It may be in the file."""
    etag: str = ""
    last_modified: str = ""
    held_until: float = 0.0
    """Until then it is shown past its time and nothing is fetched: its site has just failed."""

    @property
    def size_bytes(self) -> int:
        """In memory, about."""
        return len(self.before) + len(self.after) + len(self.hops) + 1000


_COLUMNS = [field.name for field in fields(Entry)]
_TABLES = f"""
CREATE TABLE entries (
  url TEXT NOT NULL, language TEXT NOT NULL, used REAL NOT NULL, size INTEGER NOT NULL,
  {", ".join(f"{name} NOT NULL" for name in _COLUMNS)},
  PRIMARY KEY (url, language)) WITHOUT ROWID;
CREATE INDEX by_use ON entries (used);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class CacheFile:
    """Entries by URL and language. `generation` names what they were made with: others are dropped."""

    def __init__(self, path: str, most_bytes: int, generation: str) -> None:
        self._path = Path(path)
        self._most_bytes = most_bytes
        self._generation = generation
        self._size_bytes = 0

    def open(self) -> None:
        """Open or make the file. One of ours that is damaged is made anew. Raises CacheUnusable."""
        try:
            # Workers that start together: one makes the file, the others find it made.
            with alone_in(self._path.parent, _LONGEST_OPENING_SECONDS):
                self._open()
        except (OSError, sqlite3.Error) as failed:
            raise CacheUnusable(f"the cache {self._path} cannot be opened: {failed}") from failed

    def _open(self) -> None:
        is_new = not self._path.exists() or self._path.stat().st_size == 0
        if is_new:
            # Before SQLite makes it, so that nobody else may ever read it.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif not self._is_ours():
            raise CacheUnusable(f"{self._path} is not a cache of this worker: name another file, or none")
        try:
            self._connect(is_new=is_new)
        except sqlite3.DatabaseError as damaged:
            if _code(damaged) in _BUSY:
                raise  # Others use it: it is not damaged.
            self._make_anew(str(damaged))

    def _is_ours(self) -> bool:
        with self._path.open("rb") as file:
            head = file.read(100)
        mark = head[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4]
        return head.startswith(_MAGIC) and mark == APPLICATION_ID.to_bytes(4, "big")

    def _make_anew(self, reason: str) -> None:
        telemetry.emit(Event.CACHE_RECREATED, reason=reason)
        for ending in ("-wal", "-shm", ""):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connect(is_new=True)

    def _connect(self, *, is_new: bool) -> None:
        self._database = sqlite3.connect(
            self._path, timeout=_LONGEST_OPENING_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(is_new=is_new)
        except BaseException:
            self._database.close()
            raise

    def _prepare(self, *, is_new: bool) -> None:
        do = self._database.execute
        if is_new:
            do(f"PRAGMA page_size = {_PAGE_BYTES}")
            do(f"PRAGMA application_id = {APPLICATION_ID}")
            # The mark is in the file itself before anything that could be lost.
            do("VACUUM")
        do("PRAGMA journal_mode = WAL")
        do("PRAGMA synchronous = NORMAL")
        # A file may be larger than what it holds, but not by much.
        do(f"PRAGMA max_page_count = {2 * self._most_bytes // _PAGE_BYTES + 64}")
        if not is_new and do("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("it is damaged")
        if do("PRAGMA user_version").fetchone() != (SCHEMA,):
            self._make_tables()
        told = do("SELECT value FROM facts WHERE name = 'generation'").fetchone()
        if told != (self._generation,):
            do("DELETE FROM entries")
            do("INSERT OR REPLACE INTO facts VALUES ('generation', ?)", (self._generation,))
        self._size_bytes = self._sum()
        do(f"PRAGMA busy_timeout = {int(1000 * _LONGEST_WAIT_SECONDS)}")

    def _sum(self) -> int:
        told: int = self._database.execute("SELECT coalesce(sum(size), 0) FROM entries").fetchone()[0]
        return told

    def _make_tables(self) -> None:
        for table in ("entries", "facts"):
            self._database.execute(f"DROP TABLE IF EXISTS {table}")
        self._database.executescript(_TABLES)
        self._database.execute(f"PRAGMA user_version = {SCHEMA}")

    def read(self, url: str, language: str) -> Entry | None:
        """The entry, if there is one. Raises FileFailed."""
        try:
            row = self._database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE url = ? AND language = ?",  # noqa: S608  our own names
                (url, language),
            ).fetchone()
        except sqlite3.Error as failed:
            raise FileFailed(str(failed)) from failed
        if row is None:
            return None
        told = dict(zip(_COLUMNS, row, strict=True))
        return Entry(**told | {"is_kept": bool(told["is_kept"])})

    def write(self, url: str, language: str, entry: Entry) -> None:
        """Keep the entry; those longest without use make room. Raises FileFailed."""
        size = entry.size_bytes
        if size > self._most_bytes:
            return
        try:
            self._remove(url, language)
            try:
                self._insert(url, language, entry, size)
            except sqlite3.OperationalError as failed:
                if _code(failed) != sqlite3.SQLITE_FULL:
                    raise
                # Other workers have filled it, whose entries were not counted here.
                self._size_bytes = self._sum()
                self._make_room()
                self._insert(url, language, entry, size)
            self._size_bytes += size
            if self._size_bytes > self._most_bytes:
                self._make_room()
        except sqlite3.Error as failed:
            raise FileFailed(str(failed)) from failed

    def _insert(self, url: str, language: str, entry: Entry, size: int) -> None:
        marks = ", ".join("?" * (4 + len(_COLUMNS)))
        self._database.execute(
            f"INSERT INTO entries (url, language, used, size, {', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608  our own names
            (url, language, entry.made, size, *astuple(entry)),
        )

    def remove(self, url: str, language: str) -> None:
        """Forget an entry. Raises FileFailed."""
        try:
            self._remove(url, language)
        except sqlite3.Error as failed:
            raise FileFailed(str(failed)) from failed

    def _remove(self, url: str, language: str) -> None:
        gone = self._database.execute(
            "DELETE FROM entries WHERE url = ? AND language = ? RETURNING size", (url, language)
        ).fetchone()
        self._size_bytes -= gone[0] if gone else 0

    def _make_room(self) -> None:
        oldest = self._database.execute("SELECT url, language FROM entries ORDER BY used").fetchall()
        for url, language in oldest:
            if self._size_bytes <= _FULL_TO * self._most_bytes:
                return
            self._remove(url, language)

    def purge(self, url: str) -> set[str]:
        """Forget a URL; returns the languages in which it was there. Raises FileFailed."""
        try:
            rows = self._database.execute("SELECT language FROM entries WHERE url = ?", (url,)).fetchall()
            for (language,) in rows:
                self._remove(url, language)
        except sqlite3.Error as failed:
            raise FileFailed(str(failed)) from failed
        return {language for (language,) in rows}

    def close(self) -> None:
        """Close it; what was written is in the file."""
        with suppress(sqlite3.Error):
            self._database.close()


def _code(error: sqlite3.Error) -> int:
    """What SQLite calls it, without its details; 0 for what it has no name for."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
