"""A preview: a card ready as JSON, and for how long it is good."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ..contract.links import Hop
from .cache_file import Entry
from .card import Card
from .freshness import Lifetime


class Came(StrEnum):
    """How a preview came to be answered."""

    MISS = "miss"
    HIT = "hit"
    STALE = "stale"
    REVALIDATED = "revalidated"


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview, ready as JSON."""

    entry: Entry
    came: Came

    @property
    def body(self) -> bytes:
        """One JSON object."""
        return b'%b"%b"%b' % (self.entry.before, self.came.encode(), self.entry.after)

    def explained(self, now: float) -> bytes:
        """The same with `explain`: each hop, and what the cache decided."""
        entry = self.entry
        cache = {
            "decision": self.came,
            "age": round(now - entry.made, 3),
            "fresh_seconds": round(entry.fresh_until - now, 3),
            "stale_seconds": round(entry.stale_until - now, 3),
            "error_seconds": round(entry.error_until - now, 3),
            "is_kept": entry.is_kept,
        }
        body = self.body
        return b'%b, "explain": {"cache": %b, "hops": %b}}' % (
            body[:-1],
            _encode(cache).encode(),
            entry.hops,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What was asked for a card, and what it cost."""

    final_url: str
    status: int = 0
    """0 where nothing was fetched."""
    hops: Sequence[Hop] = ()
    received_bytes: int = 0
    milliseconds: float = 0.0
    dropped: Sequence[Mapping[str, str]] = ()
    """Parts that did not make it."""


def as_preview(
    card: Card, course: Course, *, now: float, good: Lifetime, headers: Mapping[str, str]
) -> Preview:
    """A preview of this card, with its member `fetch`."""
    card["fetch"] = {
        "status": course.status or None,
        "final_url": course.final_url,
        "hops": [{"url": hop.url, "status": hop.status or None} for hop in course.hops],
        "bytes": course.received_bytes,
        "milliseconds": round(course.milliseconds, 1),
        "cache": _MARK,
        "parts": course.dropped,
    }
    before, after = _encode(card).encode().split(_GAP)
    entry = Entry(
        before=before,
        after=after,
        hops=_encode([explained_hop(hop) for hop in course.hops]).encode(),
        made=now,
        fresh_until=now + good.fresh,
        stale_until=now + good.fresh + good.stale,
        error_until=now + good.fresh + good.error,
        is_kept=good.is_kept,
        etag=headers.get("etag", ""),
        last_modified=headers.get("last-modified", ""),
    )
    return Preview(entry, Came.MISS)


def held_over(known: Entry | None, seconds: float, *, now: float) -> Preview | None:
    """The old card, to stand in for so long, if there is one that still may."""
    if known is None or now >= known.error_until:
        return None
    return Preview(replace(known, held_until=now + seconds), Came.STALE)


def explained_hop(hop: Hop) -> dict[str, Any]:
    """One request, as an explanation tells it."""
    return {
        "url": hop.url,
        "verdicts": [
            {"address": verdict.address, "allowed": verdict.allowed, "rule": verdict.rule}
            for verdict in hop.verdicts
        ],
        "dialled": hop.dialled or None,
        "status": hop.status or None,
        "milliseconds": {phase: round(took, 1) for phase, took in hop.milliseconds.items()},
        "code": hop.code or None,
        "detail": hop.detail or None,
    }


# Made once: json.dumps makes one for each call that gives it an option.
_encode = json.JSONEncoder(sort_keys=True).encode
_MARK = secrets.token_hex(16)
_GAP = f'"{_MARK}"'.encode()
