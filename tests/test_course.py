"""What long work tells of itself where nobody looks at a terminal."""

import io

from remote_worker.cli.progress import LINE_SECONDS, Lines


class Clock:
    """Time that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """As time.monotonic()."""
        return self.now


def test_a_line_is_told_each_minute_with_rate_time_left_and_failures() -> None:
    clock, told = Clock(), io.StringIO()
    lines = Lines("/images/facts", clock=clock, stream=told)
    lines.at(1000, 13_000, {"damaged": 2})
    clock.now = 59.9
    lines.add(1)
    before = told.getvalue()
    clock.now = 60.0
    lines.add(5999, "damaged")
    clock.now = 119.9
    lines.add(1)

    assert LINE_SECONDS == 60
    assert before == ""
    assert told.getvalue() == (
        "remote-worker: /images/facts: 7,000 of 13,000 done, 100.0/s, about 1 min left, damaged 6,001\n"
    )


def test_work_whose_end_is_not_known_is_counted() -> None:
    clock, told = Clock(), io.StringIO()
    lines = Lines("plan", clock=clock, stream=told)
    clock.now = 60.0
    lines.add(60_000)

    assert told.getvalue() == "remote-worker: plan: 60,000 done, 1,000.0/s\n"
