"""How numbers are spread, counted in fixed memory: steps of a sixteenth of a doubling.

A percentile is the middle of its step, so it is off by at most 2.2 %. Count, sum, least and most are exact.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

STEPS_PER_DOUBLING = 16
ERROR = 2 ** (0.5 / STEPS_PER_DOUBLING) - 1
"""The most by which a percentile is off, as a share of it."""
_FIRST, _LAST = -14 * STEPS_PER_DOUBLING, 50 * STEPS_PER_DOUBLING
"""Steps below and above are taken as these: 60 nanoseconds in milliseconds, and a petabyte."""


class Histogram:
    """Numbers above 0."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0
        self._steps = [0] * (_LAST - _FIRST + 1)

    def add(self, value: float) -> None:
        """Count one. What is not above 0 is left out."""
        if value <= 0:
            return
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        step = math.floor(math.log2(value) * STEPS_PER_DOUBLING)
        self._steps[min(max(step, _FIRST), _LAST) - _FIRST] += 1

    def percentile(self, percent: float) -> float:
        """What so many percent are not above (nearest rank); 0 of nothing."""
        if not self.count:
            return 0.0
        rank, passed = max(1, math.ceil(percent / 100 * self.count)), 0
        for step, count in enumerate(self._steps, _FIRST):
            passed += count
            if passed >= rank:
                middle = float(2 ** ((step + 0.5) / STEPS_PER_DOUBLING))
                return min(max(middle, self.least), self.most)
        raise AssertionError("fewer were counted than there are")

    def doublings(self) -> Iterator[tuple[float, int]]:
        """From the least to the most: from where (up to twice that), and how many."""
        if not self.count:
            return
        counts: dict[int, int] = {}
        for step, count in enumerate(self._steps, _FIRST):
            if count:
                counts[step // STEPS_PER_DOUBLING] = counts.get(step // STEPS_PER_DOUBLING, 0) + count
        for power in range(min(counts), max(counts) + 1):
            yield 2.0**power, counts.get(power, 0)

    def told(self) -> Mapping[str, Any]:
        """For a report."""
        if not self.count:
            return {"count": 0}
        return {
            "count": self.count,
            "mean": round(self.total / self.count, 3),
            "least": round(self.least, 3),
            **{f"p{percent}": round(self.percentile(percent), 3) for percent in (50, 90, 95, 99)},
            "most": round(self.most, 3),
            "error": round(ERROR, 4),
            "doublings": [[start, count] for start, count in self.doublings()],
        }
