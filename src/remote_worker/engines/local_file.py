"""The SQLite file that units wait in. It knows of no event loop: one thread uses it, other processes too.

Times that decide something are those of the monotonic clock, which all processes of a machine share and
nobody sets; wall time is only kept to tell how long a unit has waited.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..locking import alone_in
from .engine import DEDUPE_SECONDS, Depth, EngineFailed, Kind, Policy, Unit

APPLICATION_ID = 0x52574C51
"""In the header of the file: RWLQ."""
SCHEMA = 1
RATE_SECONDS = 10.0
"""Over so long it is counted how fast units are done."""
_MOST_COUNTED = 10_000
_MOST_SWEPT = 500
"""Rows that are deleted in one go, so that others have a turn in between."""
_MOST_FREE_PAGES = 256
"""Of a mebibyte together; more are given back to the disk."""
_LONGEST_WAIT_SECONDS = 5.0
"""For other processes with the same file."""
_LONGEST_JOURNAL_BYTES = 8 * 1024 * 1024
"""Of the journal while nobody writes."""


class _State(IntEnum):
    READY = 0
    """In the order of its coming. Its `due` is 0."""
    LATER = 1
    """Ready again when it is due."""
    LEASED = 2
    """In a worker's hand, until it is due."""
    DONE = 3
    """Only its id is kept, so that it is not taken again, until it is due."""


_TABLES = """
CREATE TABLE units (
  number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
  state INTEGER NOT NULL, due REAL NOT NULL, noted REAL NOT NULL, attempts INTEGER NOT NULL,
  submitted REAL NOT NULL, waited REAL NOT NULL,
  UNIQUE (kind, id));
CREATE INDEX by_state ON units (kind, state, due);
CREATE TABLE counts (kind TEXT PRIMARY KEY, present INTEGER NOT NULL) WITHOUT ROWID;
"""
_PRESENT = f"state < {_State.DONE}"
_IN_HAND = f"number = ? AND attempts = ? AND {_PRESENT}"
"""Nobody else has it since, even if the lease ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A unit that was handed out. The attempt tells this time from any later one."""

    number: int
    unit: Unit
    attempt: int
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a unit in hand ended: done with, or to be handed out again after so many seconds."""

    taken: Taken
    again_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How many units were taken, and the kind of the one that found no place."""

    taken: int
    full: Kind | None


Clock = Callable[[], float]
Places = Callable[[Kind], int]


class UnitsFile:
    """Units by kind and id, with their leases. Everything raises EngineFailed."""

    def __init__(self, path: Path, *, clock: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._path = path
        self._clock = clock
        self._wall = wall
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, or make it, for its owner alone."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone_in(self._path.parent, _LONGEST_WAIT_SECONDS):
                # Before SQLite makes it, so that nobody else may ever read it. One that is there is not
                # touched: to close it would let go of the locks of another engine in this process.
                with suppress(FileExistsError):
                    os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                database = sqlite3.connect(
                    self._path, timeout=_LONGEST_WAIT_SECONDS, isolation_level=None, check_same_thread=False
                )
                try:
                    _prepare(database, self._clock)
                except BaseException:
                    database.close()
                    raise
        except (OSError, sqlite3.Error, EngineFailed) as failed:
            raise EngineFailed(f"the queue {self._path} cannot be opened: {failed}") from failed
        self._database = database

    def close(self) -> None:
        """Close it; what was submitted is in the file."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def submit(self, many: Sequence[Sequence[Unit]], places: Places) -> list[Admission]:
        """Take the units of several who submit. What was taken is on the disk, even if the power goes."""
        with self._writing(is_synced=True) as do:
            now, today = self._clock(), self._wall()
            return [_admit(do, units, places, now, today) for units in many]

    def turn(self, kind: Kind, policy: Policy, endings: Sequence[Ending], room: int) -> list[Taken]:
        """Note how units ended, and hand out as many as there is room for, the first come first."""
        if not endings and not (room and self._has_due(kind)):
            return []  # Who only looks holds up nobody who writes.
        with self._writing() as do:
            now = self._clock()
            for ending in endings:
                _end(do, kind, ending, now)
            return _hand_out(do, kind, policy, room, now, self._wall()) if room else []

    def _has_due(self, kind: Kind) -> bool:
        with self._reading() as do:
            found = do(
                "SELECT EXISTS (SELECT 1 FROM units WHERE kind = :kind AND state = :ready)"
                " OR EXISTS (SELECT 1 FROM units WHERE kind = :kind AND state = :later AND due <= :now)"
                " OR EXISTS (SELECT 1 FROM units WHERE kind = :kind AND state = :leased AND due <= :now)",
                {
                    "kind": kind,
                    "ready": _State.READY,
                    "later": _State.LATER,
                    "leased": _State.LEASED,
                    "now": self._clock(),
                },
            ).fetchone()
        return bool(found[0])

    def renew(self, held: Iterable[Taken], seconds: float) -> None:
        """Hold these for so long from now, those that are still in the same hand."""
        with self._writing() as do:
            now = self._clock()
            for taken in held:
                do(
                    f"UPDATE units SET state = ?, due = ?, noted = ? WHERE {_IN_HAND}",  # noqa: S608  our own words
                    (_State.LEASED, now + seconds, now, taken.number, taken.attempt),
                )

    def depth(self, kind: Kind) -> Depth:
        """How much there is of the kind. A lease that has run out is none."""
        with self._reading() as do:
            # One statement, so that all of it is of one moment.
            present, leased, oldest = do(
                "SELECT (SELECT present FROM counts WHERE kind = :kind),"
                " (SELECT count(*) FROM units WHERE kind = :kind AND state = :leased AND due > :now),"
                " (SELECT submitted FROM units WHERE kind = :kind AND state = :ready"
                " ORDER BY due, number LIMIT 1)",
                {"kind": kind, "ready": _State.READY, "leased": _State.LEASED, "now": self._clock()},
            ).fetchone()
        waits = 0.0 if oldest is None else max(0.0, self._wall() - oldest)
        return Depth(pending=(present or 0) - leased, leased=leased, oldest_seconds=waits)

    def done_lately(self, kind: Kind) -> int:
        """How many units have left within `RATE_SECONDS`; no more than `_MOST_COUNTED` are counted."""
        since = self._clock() + DEDUPE_SECONDS - RATE_SECONDS
        with self._reading() as do:
            told = do(
                "SELECT count(*) FROM (SELECT 1 FROM units WHERE kind = ? AND state = ? AND due > ? LIMIT ?)",
                (kind, _State.DONE, since, _MOST_COUNTED),
            ).fetchone()
        return int(told[0])

    def sweep(self) -> bool:
        """Delete some of what is kept no longer, and give room back; whether there is more to do."""
        is_more = False
        for kind in Kind:
            past = (kind, _State.DONE, self._clock(), _MOST_SWEPT)
            chosen = "SELECT number FROM units WHERE kind = ? AND state = ? AND due <= ? LIMIT ?"
            with self._reading() as do:
                is_any = do(chosen, past).fetchone() is not None
            if is_any:
                with self._writing() as do:
                    gone = do(f"DELETE FROM units WHERE number IN ({chosen})", past)  # noqa: S608  our own words
                    is_more |= gone.rowcount == _MOST_SWEPT
        with self._reading() as do:
            if do("PRAGMA freelist_count").fetchone()[0] > _MOST_FREE_PAGES:
                # It frees a page with each row that is fetched.
                do(f"PRAGMA incremental_vacuum({_MOST_FREE_PAGES})").fetchall()
                is_more = True
        return is_more

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        if self._database is None:
            raise EngineFailed("the queue is not open")
        try:
            yield self._database.execute
        except (OSError, sqlite3.Error) as failed:
            raise EngineFailed(f"the queue {self._path}: {failed}") from failed

    @contextmanager
    def _writing(self, *, is_synced: bool = False) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """One transaction, which waits for the disk only where something is promised."""
        with self._reading() as do:
            do(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}")
            do("BEGIN IMMEDIATE")
            try:
                yield do
                do("COMMIT")
            except BaseException:
                # SQLite may have rolled it back by itself already.
                with suppress(sqlite3.Error):
                    do("ROLLBACK")
                raise


def _prepare(database: sqlite3.Connection, clock: Clock) -> None:
    do = database.execute
    if not do("PRAGMA page_count").fetchone()[0]:
        do(f"PRAGMA application_id = {APPLICATION_ID}")
        do("PRAGMA auto_vacuum = INCREMENTAL")
        do("VACUUM")
    elif do("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise EngineFailed("it is another program's file")
    do("PRAGMA journal_mode = WAL")
    do(f"PRAGMA journal_size_limit = {_LONGEST_JOURNAL_BYTES}")
    # What was accepted is not thrown away here: that is for whoever runs the worker to decide.
    if do("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise EngineFailed("it is damaged")
    version = do("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA):
        raise EngineFailed("another version of this worker has made it")
    do("BEGIN IMMEDIATE")
    if version == 0:
        for statement in _TABLES.split(";")[:-1]:
            do(statement)
        do(f"PRAGMA user_version = {SCHEMA}")
    # Only now, when nobody else can note a later time any more.
    _forget_other_boots(do, clock())
    do("DELETE FROM counts")
    do(f"INSERT INTO counts SELECT kind, count(*) FROM units WHERE {_PRESENT} GROUP BY kind")  # noqa: S608  our own words
    do("COMMIT")


def _forget_other_boots(do: Callable[..., object], now: float) -> None:
    """What was noted later than now is from before the machine was started anew: nobody holds it any more.

    What was noted earlier in the life of that boot than now is in this one runs out by itself.
    """
    do(
        "UPDATE units SET state = ?, due = 0 WHERE state IN (?, ?) AND noted > ?",
        (_State.READY, _State.LATER, _State.LEASED, now),
    )
    do("DELETE FROM units WHERE state = ? AND noted > ?", (_State.DONE, now))


def _admit(
    do: Callable[..., sqlite3.Cursor], units: Sequence[Unit], places: Places, now: float, today: float
) -> Admission:
    """Take units until one finds no place."""
    taken = 0
    for unit in units:
        known = do("SELECT number, state, due FROM units WHERE kind = ? AND id = ?", (unit.kind, unit.id))
        row = known.fetchone()
        if row is not None:
            number, state, due = row
            if state != _State.DONE or due > now:
                continue
            do("DELETE FROM units WHERE number = ?", (number,))
        present = do("SELECT present FROM counts WHERE kind = ?", (unit.kind,)).fetchone() or (0,)
        if present[0] >= places(unit.kind):
            return Admission(taken=taken, full=unit.kind)
        do(
            "INSERT INTO units (kind, id, body, state, due, noted, attempts, submitted, waited)"
            " VALUES (?, ?, ?, ?, 0, ?, 0, ?, 0)",
            (unit.kind, unit.id, unit.body, _State.READY, now, today),
        )
        _count(do, unit.kind, 1)
        taken += 1
    return Admission(taken=taken, full=None)


def _end(do: Callable[..., sqlite3.Cursor], kind: Kind, ending: Ending, now: float) -> None:
    taken, seconds = ending.taken, ending.again_seconds
    if seconds is None:
        # Done is done, even if the lease had been lost and somebody else has it in hand by now.
        _drop(do, kind, f"number = ? AND {_PRESENT}", (taken.number,), now)
        return
    state, due = (_State.LATER, now + seconds) if seconds > 0 else (_State.READY, 0.0)
    do(
        f"UPDATE units SET state = ?, due = ?, noted = ? WHERE {_IN_HAND}",  # noqa: S608  our own words
        (state, due, now, taken.number, taken.attempt),
    )


def _hand_out(
    do: Callable[..., sqlite3.Cursor], kind: Kind, policy: Policy, room: int, now: float, today: float
) -> list[Taken]:
    lapsed = "kind = ? AND state IN (?, ?) AND due <= ?"
    which = (kind, _State.LATER, _State.LEASED, now)
    # Whoever was to record the failure has failed too.
    _drop(do, kind, f"{lapsed} AND attempts > ?", (*which, policy.most_attempts), now)
    do(f"UPDATE units SET state = ?, due = 0, noted = ? WHERE {lapsed}", (_State.READY, now, *which))  # noqa: S608  our own words
    rows = do(
        "UPDATE units SET state = ?, due = ?, noted = ?, attempts = attempts + 1,"
        " waited = CASE attempts WHEN 0 THEN max(0, ? - submitted) ELSE waited END"
        " WHERE number IN"
        " (SELECT number FROM units WHERE kind = ? AND state = ? ORDER BY due, number LIMIT ?)"
        " RETURNING number, id, body, attempts, waited",
        (_State.LEASED, now + policy.lease_seconds, now, today, kind, _State.READY, room),
    ).fetchall()
    return [
        Taken(
            number=number,
            unit=Unit(id=name, kind=kind, body=body),
            attempt=attempts,
            waited_seconds=waited,
        )
        for number, name, body, attempts, waited in sorted(rows)
    ]


def _drop(
    do: Callable[..., sqlite3.Cursor], kind: Kind, where: str, which: tuple[object, ...], now: float
) -> None:
    """Keep nothing of these but their ids, for as long as those are not taken again."""
    gone = do(
        f"UPDATE units SET state = ?, due = ?, noted = ?, body = x'' WHERE {where}",  # noqa: S608  our own words
        (_State.DONE, now + DEDUPE_SECONDS, now, *which),
    )
    if gone.rowcount:
        _count(do, kind, -gone.rowcount)


def _count(do: Callable[..., sqlite3.Cursor], kind: Kind, more: int) -> None:
    do(
        "INSERT INTO counts VALUES (?, ?)"
        " ON CONFLICT (kind) DO UPDATE SET present = present + excluded.present",
        (kind, more),
    )
