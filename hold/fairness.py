"""Fairness: a polite caller, one upload after the other, beside a flood from another address.

Who shares a machine is not as quick as alone. What a fair one promises the polite caller is half of it: each
of its uploads waits for one of the flood's, and is never refused.
"""

import statistics
import time
from collections.abc import Sequence

from benchmarks import servers

from . import flood
from .flood import Flood, Seen
from .overload import INPUT, ms, percentile
from .point import Given, Row

PORT = 6210
FLOOD_CALLERS = 170
SECONDS = 15.0
HEAD_START_SECONDS = 2.0
"""Of the flood: the polite caller comes when it is there."""
POLITE = "127.0.0.2"
LEAST_SHARE = 0.4
"""Of what it gets alone; a half is what there is to have."""
MOST_TIMES = 3.0
"""How much longer an upload may take: its own work, the one before it, and what refusing the flood costs."""


def measure(given: Given) -> Sequence[Row]:
    """The polite caller alone, then beside the flood."""
    alone, _ = _run(given, with_flood=False)
    polite, crowd = _run(given, with_flood=True)
    assert crowd is not None
    before, now = percentile(alone.accepted, 99), percentile(polite.accepted, 99)
    share = polite.accepted_within / alone.accepted_within
    refused = len(polite.refused) + sum(polite.others.values()) + polite.unanswered
    return [
        Row(
            case=f"polite caller beside {FLOOD_CALLERS} of one address: not answered right",
            bar="0",
            measured=f"{refused} of {len(polite.accepted) + refused}",
            holds=refused == 0,
        ),
        Row(
            case="its uploads a second, of those alone",
            bar=f"at least {LEAST_SHARE:.0%}",
            measured=f"{share:.0%} ({alone.accepted_within / SECONDS:.1f} alone)",
            holds=share >= LEAST_SHARE,
        ),
        Row(
            case="its p99, to that alone",
            bar=f"at most {MOST_TIMES:g}x",
            measured=f"{now / before:.1f}x ({ms(before)} to {ms(now)}; p50 "
            f"{ms(statistics.median(alone.accepted))} to {ms(statistics.median(polite.accepted))})",
            holds=now <= MOST_TIMES * before,
        ),
        Row(
            case="the flood: right, refused, neither",
            bar="neither: 0",
            measured=f"{len(crowd.accepted)}, {len(crowd.refused)}, {sum(crowd.others.values())}",
            holds=not crowd.others,
        ),
    ]


def _run(given: Given, *, with_flood: bool) -> tuple[Seen, Seen | None]:
    file = str(given.shared / "inputs" / INPUT)
    one = Flood(port=PORT, callers=1, seconds=SECONDS, file=file, source=POLITE)
    many = Flood(port=PORT, callers=FLOOD_CALLERS, seconds=SECONDS + 2 * HEAD_START_SECONDS, file=file)
    with servers.worker(PORT, set(given.server_cores)):
        if not with_flood:
            with flood.started(one, given.load_core) as process:
                return flood.result(process), None
        with flood.started(many, given.load_core) as crowd:
            time.sleep(HEAD_START_SECONDS)
            with flood.started(one, given.load_core) as process:
                polite = flood.result(process)
            return polite, flood.result(crowd)
