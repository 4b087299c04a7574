"""What the hold makes of fuzzing and of mutated files: which figures reach their bars."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.campaign import Run
from fuzz.targets import TARGETS
from hold import fuzzing, mutation

RUN = Run(target="exif", executions=7, seconds=1, features=3, corpus=2, found=(), end="")
REST = mutation.State(pss_bytes=80 << 20, host_rss_bytes=30 << 20, descriptors=17, processes=7, zombies=0)


def test_every_target_has_a_group() -> None:
    assert all(fuzzing.group_of(target.name) for target in TARGETS)


@pytest.mark.parametrize(
    ("run", "holds"),
    [
        (RUN, True),
        (replace(RUN, end="AssertionError", found=(Path("crash-1"),)), False),
        (replace(RUN, executions=0), False),
    ],
)
def test_a_target_that_broke_or_never_ran_does_not_hold(run: Run, holds: bool) -> None:
    assert fuzzing.row("metadata", [RUN, run], 1).holds is holds


@pytest.mark.parametrize(
    ("statuses", "deadlines", "holds"),
    [
        ({200: 5, 422: 3}, 0, True),
        ({200: 5, 504: 2}, 2, True),
        ({200: 5, 504: 2}, 1, False),
        ({200: 5, 503: 1}, 0, False),
        ({200: 5, 500: 1}, 0, False),
        ({422: 5}, 0, False),
    ],
)
def test_only_a_deadline_is_an_honest_answer_of_the_500_class(
    statuses: dict[int, int], deadlines: int, holds: bool
) -> None:
    told = mutation.Told(statuses=Counter(statuses), codes=Counter({"deadline": deadlines}))

    assert mutation.rows(told, [REST, REST], Counter())[0].holds is holds


@pytest.mark.parametrize(
    ("after", "falls"),
    [
        (REST, []),
        (replace(REST, host_rss_bytes=REST.host_rss_bytes + (15 << 20)), []),
        (replace(REST, host_rss_bytes=REST.host_rss_bytes + (16 << 20)), [4]),
        (replace(REST, pss_bytes=REST.pss_bytes + (16 << 20)), [4]),
        (replace(REST, descriptors=18), [5]),
        (replace(REST, processes=8), [5]),
        (replace(REST, zombies=1), [6]),
    ],
)
def test_what_grew_is_told(after: mutation.State, falls: list[int]) -> None:
    told = mutation.Told(statuses=Counter({200: 1}))

    made = mutation.rows(told, [REST, after], Counter())

    assert [index for index, row in enumerate(made) if not row.holds] == falls


def test_an_upload_without_an_answer_does_not_hold() -> None:
    told = mutation.Told(statuses=Counter({200: 1}), unanswered=1)

    assert not mutation.rows(told, [REST, REST], Counter())[1].holds
