"""Overload: 2, 10 and 100 times more callers than the service can hold, each honouring Retry-After.

The accepted keep their time (what the queue may hold, and their own work), the rest hear soon that they
should come back, and as much work is done as without the crowd. The service has one core, the crowd another,
the probe of `/livez` a third where there is one.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks import servers

from . import flood
from .flood import Flood, Seen
from .point import Given, Row
from .probe import Probed, probing

PORT = 6200
INPUT = "2mp.jpg"
TIMES = (2, 10, 100)
QUEUE_PER_CHILD = 16
"""As PoolSettings has it by default."""
CAPACITY_CALLERS = 4
SECONDS = 20.0

REFUSED_SECONDS = 0.05
LIVE_SECONDS = 0.05
LEAST_GOODPUT = 0.9


def measure(given: Given) -> Sequence[Row]:
    """One service for each crowd, so that none inherits another's connections."""
    file = given.shared / "inputs" / INPUT
    rows: list[Row] = []
    capacity = 0.0
    for times in (0, *TIMES):
        callers = times * len(given.server_cores) * (1 + QUEUE_PER_CHILD) or CAPACITY_CALLERS
        seen, probed = _crowd(given, file, callers)
        goodput = seen.accepted_within / SECONDS
        if not times:
            capacity = goodput
            text = f"{goodput:.1f} a second, p50 {ms(statistics.median(seen.accepted))}"
            rows.append(Row(case="capacity", bar="-", measured=text, holds=True))
            continue
        most = (QUEUE_PER_CHILD + 1) * len(given.server_cores) / capacity
        rows += _rows(f"{times}x ({callers} callers)", seen, probed, most, goodput / capacity)
    return rows


def _crowd(given: Given, file: Path, callers: int) -> tuple[Seen, Probed]:
    with servers.worker(PORT, set(given.server_cores)):
        crowd = Flood(port=PORT, callers=callers, seconds=SECONDS, file=str(file))
        with probing(PORT, "/livez") as probed, flood.started(crowd, given.load_core) as process:
            seen = flood.result(process)
    return seen, probed


def _rows(case: str, seen: Seen, probed: Probed, most: float, share: float) -> Sequence[Row]:
    accepted, refused = percentile(seen.accepted, 99), percentile(seen.refused, 99)
    odd = sum(seen.others.values()) + seen.unanswered + seen.without_retry
    live = max(probed.seconds, default=float("inf"))
    return [
        Row(
            case=f"{case}: accepted, p99",
            bar=f"under {ms(most)}",
            measured=f"{ms(accepted)} of {len(seen.accepted)}",
            holds=accepted < most,
        ),
        Row(
            case=f"{case}: refused, p99",
            bar=f"under {ms(REFUSED_SECONDS)}",
            measured=f"{ms(refused)} of {len(seen.refused)}; after the first second "
            f"{ms(percentile(seen.refused_later, 99))} of {len(seen.refused_later)}",
            holds=refused < REFUSED_SECONDS,
        ),
        Row(
            case=f"{case}: goodput",
            bar=f"at least {LEAST_GOODPUT:.0%} of capacity",
            measured=f"{share:.0%}",
            holds=share >= LEAST_GOODPUT,
        ),
        Row(
            case=f"{case}: neither right nor 503 with Retry-After",
            bar="0",
            measured=f"{odd} {seen.others or ''}".strip(),
            holds=odd == 0,
        ),
        Row(
            case=f"{case}: /livez, longest",
            bar=f"under {ms(LIVE_SECONDS)}",
            measured=f"{ms(live)} (p99 {ms(percentile(probed.seconds, 99))}) of {len(probed.seconds)}, "
            f"{probed.failed} failed",
            holds=live < LIVE_SECONDS and not probed.failed,
        ),
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def ms(seconds: float) -> str:
    """Milliseconds as text."""
    return f"{seconds * 1e3:.0f} ms"
