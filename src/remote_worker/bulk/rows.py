"""What lies in a job's folder: items to do, and rows that say what became of each.

Of the job ID, in the store that takes the outputs:

    jobs/ID/plan.json            a Plan, frozen
    jobs/ID/shards/00000.jsonl.gz  the Items of a shard, frozen
    jobs/ID/retries/1.json       Retry: shards that were added for items that failed
    jobs/ID/parts/00000.jsonl.gz   the Rows of that shard: creating it is the commit
    jobs/ID/report.json            the final report
    jobs/ID/doubts/00000.json    which items a worker died over (see `shard`)
    objects/RECIPE/KEY@VERSION/NAME.EXT  what was made
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Trouble(StrEnum):
    """Why an item failed, beside the codes of `contract.failures`."""

    SOURCE_GONE = "source_gone"
    """No object has that key any more."""
    SOURCE_CHANGED = "source_changed"
    """It is not the version that was planned."""
    SOURCE_UNREADABLE = "source_unreadable"
    """The store knows it, and does not give it out: no permission, or it lies in an archive."""
    WORKER_KILLED = "worker_killed"
    """Worker after worker died while it was in hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One source object, as it was when the plan was made."""

    key: str
    version: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job is. `objects` is the prefix of its outputs, which other jobs with the same recipe share."""

    id: str
    source: str
    """The URL of the store that the items are in."""
    recipe: str
    """As the operator wrote it: `/images/fit/800?format=webp`, `/images/preset/cards`."""
    task: Mapping[str, Any]
    """What the recipe came to: the whole definition, so that a preset's change does not change the job."""
    objects: str
    shards: int
    items: int
    size_bytes: int
    """Of all sources."""
    created: float
    made_by: str
    """The version of the worker that planned it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Shards that were added to a plan: numbers `first` to `first + shards - 1`."""

    first: int
    shards: int
    items: int
    created: float
    codes: Sequence[str] = ()
    """Items whose last row has one of these were taken."""
    replaces: Sequence[Mapping[str, int]] = ()
    """By shard: the codes of the rows that its rows stand in for, and how many have each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One output: its name within the item (`output`, `avatar24`, one of the preset), and where it is."""

    name: str
    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of an item. Without a code all of it was made."""

    key: str
    version: str
    code: str = ""
    """Of `contract.failures.FailureCode` or Trouble."""
    detail: str = ""
    outputs: Sequence[Made] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was told instead of, or beside, pictures."""
    source_bytes: int = 0
    milliseconds: float = 0.0
    """That it took, or took when it was made by an earlier run that did not commit: then 0."""
