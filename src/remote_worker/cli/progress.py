"""How far long work has come, on standard error where that is a terminal; nowhere else anything is shown."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

Step = Callable[[str], None]
"""Says that one more is done, and which one."""

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


def followed(items: Sequence[T], label: str, name: Callable[[T], str] = str) -> Iterator[T]:
    """The items, with a bar that counts those whose work is done."""
    with progress(label, len(items)) as step:
        for item in items:
            yield item
            step(name(item))


def _is_shown() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
