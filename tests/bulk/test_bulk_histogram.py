"""Percentiles of counts in steps are near those of the sorted numbers."""

import math
import random

import pytest

from remote_worker.bulk.histogram import ERROR, Histogram


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("percent", [0, 1, 50, 90, 99, 100])
def test_a_percentile_is_off_by_no_more_than_is_said(seed: int, percent: int) -> None:
    chance = random.Random(seed)
    numbers = sorted(chance.lognormvariate(3, 2) for _ in range(3000))
    histogram = Histogram()
    for value in numbers:
        histogram.add(value)

    exact = numbers[max(1, math.ceil(percent / 100 * len(numbers))) - 1]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=ERROR)
    assert ERROR < 0.0225


def test_what_is_not_above_nothing_is_left_out() -> None:
    histogram = Histogram()
    for value in (0.0, -1.0, 5e-324):
        histogram.add(value)

    assert histogram.count == 1
    assert histogram.told()["most"] == 0.0


def test_of_nothing_nothing_is_told() -> None:
    assert Histogram().told() == {"count": 0}
    assert Histogram().percentile(50) == 0.0


def test_doublings_go_from_the_least_to_the_most_with_the_empty_ones_between() -> None:
    histogram = Histogram()
    for value in (1.0, 1.99, 2.0, 8.0, 15.99):
        histogram.add(value)

    assert list(histogram.doublings()) == [(1.0, 2), (2.0, 1), (4.0, 0), (8.0, 2)]


def test_numbers_beyond_all_steps_are_counted_in_the_last() -> None:
    histogram = Histogram()
    for value in (1e-30, 1e30):
        histogram.add(value)

    assert (histogram.count, histogram.least, histogram.most) == (2, 1e-30, 1e30)
    assert 1e-30 <= histogram.percentile(50) <= histogram.percentile(100) <= 1e30
