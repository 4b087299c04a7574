"""`remote-worker bulk status`, `retry` and `report`: what became of a job, now and in the end."""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bulk.folder import Folder, NoSuchJob, opened
from ..bulk.parquet import NoParquet, write_parquet
from ..bulk.picture import draw
from ..bulk.report import NotDone, as_json, as_text, make_report
from ..bulk.retry import CODES, TRANSIENT, NoRetry, add_retry
from ..bulk.status import Status, Watch
from ..bulk.words import in_bytes, in_time, plain
from ..settings import Settings
from ..stores.opening import BadStore, open_store
from ..stores.store import StoreFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

FAILED = 2
"""The store, or what was asked for: nothing is known of the job."""
NOT_DONE = 3


def add(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Put the three among the others."""
    status = kinds.add_parser(
        "status",
        help="how far a job is; ends with 0 when all was made, 1 when some failed, 3 when it goes on",
    )
    status.add_argument("job", help="its address, as `bulk plan` printed it")
    status.add_argument("--watch", action="store_true", help="look again until it is done")
    status.add_argument("--json", action="store_true", help="print it as JSON, each look on a line")
    status.add_argument("--seconds", type=_pause, default=2.0, help="between two looks (default: 2)")

    retry = kinds.add_parser("retry", help="add the items of a finished job that failed; then run it again")
    retry.add_argument("job", help="its address")
    which = retry.add_mutually_exclusive_group()
    which.add_argument(
        "--code",
        nargs="+",
        metavar="CODE",
        help=f"of the failures to try again (default: {' '.join(sorted(TRANSIENT))})",
    )
    which.add_argument("--all", action="store_true", help="whatever failed")

    report = kinds.add_parser("report", help="what became of a finished job, also kept in it as report.json")
    report.add_argument("job", help="its address")
    report.add_argument("--json", action="store_true", help="print it as JSON")
    report.add_argument("--parquet", type=Path, metavar="FILE", help="write a row for each output")
    report.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw it")


def status(options: argparse.Namespace, _: Settings) -> int:
    """Look once, or until it is done."""
    return _with_folder(options, _status)


def retry(options: argparse.Namespace, _: Settings) -> int:
    """Add shards for what failed."""
    return _with_folder(options, _retry)


def report(options: argparse.Namespace, _: Settings) -> int:
    """Read all parts, and tell."""
    return _with_folder(options, _report)


def _with_folder(options: argparse.Namespace, do: Callable[[argparse.Namespace, Folder], int]) -> int:
    try:
        return do(options, opened(options.job, open_store))
    except (NoRetry, NotDone) as refused:
        return _complain(str(refused), NOT_DONE)
    except (NoSuchJob, BadStore, StoreFailed, NoParquet) as failed:
        return _complain(str(failed), FAILED)
    except BrokenPipeError:
        raise
    except (
        OSError
    ) as failed:  # Of --picture or --parquet; else it would look like a job of which some failed.
        return _complain(f"{failed.filename}: {failed.strerror}", FAILED)


def _status(options: argparse.Namespace, folder: Folder) -> int:
    watch = Watch(folder)
    if not options.watch:
        now = watch.look()
        print(json.dumps(now.told()) if options.json else "\n".join(lines(now)))
        return now.exit_status
    if not options.json and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return _live(watch, options.seconds)
    for now in _looks(watch, options.seconds):
        print(json.dumps(now.told()) if options.json else _line(now), flush=True)
    return now.exit_status


def _looks(watch: Watch, seconds: float) -> Iterator[Status]:
    while True:
        now = watch.look()
        yield now
        if now.is_done:
            return
        # What was left over of many parts is read at once.
        if now.parts_read == now.committed:
            time.sleep(seconds)


def _live(watch: Watch, seconds: float) -> int:
    # Commands that show nothing start without it: it takes a tenth of a second to import.
    from rich.live import Live  # noqa: PLC0415

    with Live(auto_refresh=False) as live:
        for now in _looks(watch, seconds):
            live.update(_frame(now), refresh=True)
    return now.exit_status


def _frame(now: Status) -> "RenderableType":
    from rich.console import Group  # noqa: PLC0415  as above
    from rich.padding import Padding  # noqa: PLC0415  as above
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    head, *rest = lines(now)
    bar = ProgressBar(total=max(now.work, 1), completed=now.rows, width=60)
    return Group(Text(head, style="bold"), Padding(bar, (0, 2)), *map(Text, rest))


def lines(now: Status) -> Sequence[str]:
    """For people."""
    told = [
        f"{plain(now.id)}: {plain(now.recipe)}",
        f"  {_line(now)}",
        f"  shards    {now.committed:,} of {now.shards:,} committed",
        f"  made      {now.made:,}: {now.outputs:,} outputs, "
        f"{in_bytes(now.bytes_in)} became {in_bytes(now.bytes_out)}",
        f"  failed    {now.failed:,}",
        *(f"    {plain(code):<24}{count:,}" for code, count in now.codes.items()),
    ]
    if now.parts_read < now.committed:
        told.append(f"  counted   {now.parts_read:,} parts so far: what was made and failed is of these")
    if not now.is_done:
        told.append(f"  open      {_numbers(now.open, now.shards - now.committed)}")
        if now.in_hand:
            told.append(f"  in hand   {_numbers(now.in_hand, len(now.in_hand))}")
    return told


def _line(now: Status) -> str:
    share = now.rows / now.work if now.work else 1.0
    told = f"{share:.1%} done, {now.rows:,} of {now.work:,} items, {now.failed:,} failed"
    if now.rate is not None:
        told += f", {now.rate:,.1f} a second"
    if now.seconds_left is not None:
        told += f", about {in_time(now.seconds_left)} left"
    return told


def _numbers(shown: Sequence[int], count: int) -> str:
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return " ".join(map(str, shown)) + more


def _retry(options: argparse.Namespace, folder: Folder) -> int:
    codes = CODES if options.all else TRANSIENT if options.code is None else frozenset(options.code)
    added = add_retry(folder, codes)
    print(
        f"{added.items:,} items in {added.shards:,} shards were added. "
        f"To do them: remote-worker bulk run {plain(shlex.quote(options.job), 400)}"
    )
    return 0


def _report(options: argparse.Namespace, folder: Folder) -> int:
    made = make_report(folder)
    folder.write_report(as_json(made))
    if options.picture is not None:
        options.picture.write_text(draw(made), "utf-8")
    if options.parquet is not None:
        write_parquet(folder, options.parquet)
    sys.stdout.write(as_json(made).decode() if options.json else as_text(made))
    return 1 if made["failed"] else 0


def _pause(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def _complain(text: str, status: int) -> int:
    print(f"remote-worker: {plain(text, 400)}", file=sys.stderr)
    return status
