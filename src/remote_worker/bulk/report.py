"""What became of a job, when it is done: as JSON that is the same whenever it is made, and for people."""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .folder import Folder
from .histogram import ERROR, Histogram
from .latest import last_rows
from .rows import Row
from .status import Counts, Times, all_shards
from .words import in_bytes, in_milliseconds, in_time, plain

SAMPLES = 10
"""Keys that are named for each code."""
SLOWEST = 10
POINTS = 120
"""Of the course over time."""

Report = Mapping[str, Any]


class NotDone(Exception):
    """Shards are missing: it would be no final report."""


def make_report(folder: Folder, *, samples: int = SAMPLES) -> Report:
    """Read every part once. It takes the same room for a million items as for a thousand. Raises NotDone."""
    plan, retries = folder.plan(), folder.retries()
    committed = folder.committed()
    shards = all_shards(plan, retries)
    left = sum(shard not in committed for shard in shards)
    if left:
        raise NotDone(f"{left} of {len(shards)} shards are not done yet: run the job to its end first")
    sums = _Sums(samples)
    times = Times()
    for standing in last_rows(folder, committed, retries, times.passed):
        sums.add(standing.row)
    began, ended = times.ends() if shards else (plan.created, plan.created)
    counts = sums.counts
    return {
        "job": plan.id,
        "source": plan.source,
        "recipe": plan.recipe,
        "objects": plan.objects,
        "made_by": plan.made_by,
        "planned": plan.created,
        "first_commit": began,
        "last_commit": ended,
        "shards": len(shards),
        "retries": len(retries),
        "items": counts.rows,
        "made": counts.made,
        "adopted": sums.adopted,
        "failed": counts.rows - counts.made,
        "outputs": counts.outputs,
        "bytes_in": counts.bytes_in,
        "bytes_out": counts.bytes_out,
        "codes": [
            {"code": code, "count": count, "samples": sums.samples[code]}
            for code, count in counts.failed().items()
        ],
        "milliseconds": sums.milliseconds.told(),
        "source_bytes": sums.source_bytes.told(),
        "output_bytes": sums.output_bytes.told(),
        "slowest": sums.slowest(),
        # Rows by the time of their commit; those of retries are rows, too.
        "course": [[when - plan.created, rows] for when, rows in times.course(POINTS)],
    }


def as_json(report: Report) -> bytes:
    """The same bytes for the same report."""
    return json.dumps(report, indent=1).encode() + b"\n"


def as_text(report: Report) -> str:
    """For a terminal; keys and what failed of them are shown without anything that a terminal obeys."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    seconds = report["last_commit"] - report["planned"]
    yield f"{plain(report['job'])}: {plain(report['recipe'])} of {plain(report['source'])}"
    yield f"  planned   {_date(report['planned'])} by {plain(report['made_by'])}"
    yield f"  finished  {_date(report['last_commit'])}, after {in_time(seconds)}"
    yield f"  items     {report['items']:,} in {report['shards']:,} shards, {report['retries']:,} retries"
    yield f"  made      {report['made']:,}" + (
        f", {report['adopted']:,} of them were there" if report["adopted"] else ""
    )
    yield f"  failed    {report['failed']:,}"
    yield f"  sizes     {in_bytes(report['bytes_in'])} became {in_bytes(report['bytes_out'])}" + (
        f" ({report['bytes_out'] / report['bytes_in']:.0%})" if report["bytes_in"] else ""
    )
    took = report["milliseconds"]
    if took["count"]:
        shown = ", ".join(f"{name} {in_milliseconds(took[name])}" for name in ("p50", "p90", "p99"))
        yield f"  times     {shown} (within {ERROR:.1%}), longest {in_milliseconds(took['most'])}"
    for code in report["codes"]:
        yield f"\n{plain(code['code'])}: {code['count']:,}"
        for sample in code["samples"]:
            yield f"  {plain(sample['key'])}" + (f": {plain(sample['detail'])}" if sample["detail"] else "")
    if report["slowest"]:
        yield "\nslowest"
        for one in report["slowest"]:
            yield f"  {in_milliseconds(one['milliseconds']):>10}  {plain(one['key'])}"


def _date(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"


class _Sums:
    """Of last rows. Times are of what was made in this job, not of what was adopted."""

    def __init__(self, samples: int) -> None:
        self.counts = Counts()
        self.adopted = 0
        self.samples: dict[str, list[Mapping[str, str]]] = {}
        self.milliseconds = Histogram()
        self.source_bytes = Histogram()
        self.output_bytes = Histogram()
        self._most_samples = samples
        self._slowest: list[tuple[float, int, str]] = []

    def add(self, row: Row) -> None:
        self.counts.add(row)
        if row.code:
            named = self.samples.setdefault(row.code, [])
            if len(named) < self._most_samples:
                named.append({"key": row.key, "detail": row.detail})
        else:
            self.adopted += row.milliseconds == 0
            self.milliseconds.add(row.milliseconds)
            self.source_bytes.add(row.source_bytes)
            self.output_bytes.add(sum(made.size_bytes for made in row.outputs))
        if row.milliseconds > 0:
            # Of equal ones the first.
            one = (row.milliseconds, -self.counts.rows, row.key)
            if len(self._slowest) < SLOWEST:
                heapq.heappush(self._slowest, one)
            else:
                heapq.heappushpop(self._slowest, one)

    def slowest(self) -> Sequence[Mapping[str, Any]]:
        return [
            {"key": key, "milliseconds": milliseconds}
            for milliseconds, _, key in sorted(self._slowest, reverse=True)
        ]
