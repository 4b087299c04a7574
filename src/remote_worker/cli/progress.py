"""How far long work has come, on standard error: bars where that is a terminal, else a line now and then."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from ..bulk.words import in_time

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

Step = Callable[[str], None]
"""Says that one more is done, and which one."""

LINE_SECONDS = 60.0
REFRESHES = 4
"""A second: benchmarks show it too, and it should take nothing from them."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Step]:
    """A bar for as long as the block; call what it gives for each that is done."""
    if not _is_shown():
        yield lambda _: None
        return
    # Commands that show nothing start without it: it takes a tenth of a second to import.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}", markup=False),
        console=Console(stderr=True, highlight=False, soft_wrap=True),
        refresh_per_second=REFRESHES,
        transient=True,
        # Lines for the same terminal go above the bar; those for a file or a pipe are left alone.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task(label, total=total, last="")
        yield lambda last: bar.update(task, advance=1, last=last)


class Course(Protocol):
    """How far work has come that failures do not end."""

    def add(self, count: int, code: str = "") -> None:
        """So many more are done, or have failed with this code."""

    def at(self, count: int, total: int, codes: Mapping[str, int]) -> None:
        """So many are done, of that many; with how often each code."""


@contextmanager
def course(label: str) -> Iterator[Course]:
    """A bar for as long as the block, with rate, time left, and failures by code; or lines of the same."""
    if not _is_shown():
        yield Lines(label)
        return
    from rich.console import Console  # noqa: PLC0415  as above
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} {task.fields[of]}", markup=False),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", markup=False),
        console=Console(stderr=True, highlight=False, soft_wrap=True),
        refresh_per_second=REFRESHES,
        transient=True,
    )
    with bar:
        yield _Shown(bar, label)


class Lines:
    """For logs and files: a line each minute, the first when one is over."""

    def __init__(
        self, label: str, *, clock: Callable[[], float] = time.monotonic, stream: TextIO | None = None
    ) -> None:
        self._label = label
        self._clock = clock
        self._stream = stream or sys.stderr
        self._count = 0
        self._total: int | None = None
        self._codes: Counter[str] = Counter()
        self._told_at, self._told_count = clock(), 0

    def add(self, count: int, code: str = "") -> None:
        """Count them."""
        self._count += count
        if code:
            self._codes[code] += count
        self._tell()

    def at(self, count: int, total: int, codes: Mapping[str, int]) -> None:
        """Whoever runs it on begins here: what was done before is not of its rate."""
        if self._total is None:
            self._told_count = count
        self._count, self._total, self._codes = count, total, Counter(codes)
        self._tell()

    def _tell(self) -> None:
        now = self._clock()
        seconds = now - self._told_at
        if seconds < LINE_SECONDS:
            return
        rate = (self._count - self._told_count) / seconds
        of = "" if self._total is None else f" of {self._total:,}"
        words = [f"{self._label}: {self._count:,}{of} done", f"{rate:,.1f}/s"]
        if self._total is not None and rate > 0:
            words.append(f"about {in_time((self._total - self._count) / rate)} left")
        words.extend(f"{code} {count:,}" for code, count in self._codes.most_common())
        print("remote-worker:", ", ".join(words), file=self._stream, flush=True)
        self._told_at, self._told_count = now, self._count


class _Shown:
    def __init__(self, bar: "Progress", label: str) -> None:
        self._bar = bar
        self._task = bar.add_task(label, total=None, of="", rate="", failed="")
        self._codes: Counter[str] = Counter()

    def add(self, count: int, code: str = "") -> None:
        """A step of the bar."""
        if code:
            self._codes[code] += count
        self._bar.update(self._task, advance=count, **self._words())

    def at(self, count: int, total: int, codes: Mapping[str, int]) -> None:
        """Where the bar is now."""
        self._codes = Counter(codes)
        self._bar.update(self._task, completed=count, total=total, of=f"of {total:,}", **self._words())

    def _words(self) -> dict[str, Any]:
        speed = self._bar.tasks[self._task].speed
        return {
            "rate": f"{speed:,.1f}/s" if speed else "",
            "failed": " ".join(f"{code} {count:,}" for code, count in self._codes.most_common()),
        }


def followed(items: Sequence[T], label: str, name: Callable[[T], str] = str) -> Iterator[T]:
    """The items, with a bar that counts those whose work is done."""
    with progress(label, len(items)) as step:
        for item in items:
            yield item
            step(name(item))


def _is_shown() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
