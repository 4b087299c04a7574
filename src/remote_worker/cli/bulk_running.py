"""`remote-worker bulk plan`, `run` and `run-shard`: a job is frozen, and then done."""

import argparse
import asyncio
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from .. import telemetry, wiring, wiring_jobs
from ..bulk.folder import MOST_SHARD_ITEMS, Folder, NoSuchJob, opened
from ..bulk.plan import (
    SHARD_ITEMS,
    BadManifest,
    NothingThere,
    TooManyShards,
    Wanted,
    freeze,
    keys_of,
    listed,
    named,
)
from ..bulk.running import Stopped, run_local, run_one, run_with_engine
from ..bulk.shard import Bench, Job
from ..bulk.status import Watch
from ..bulk.task import BadTask
from ..bulk.words import in_bytes
from ..contract.failures import FailureCode, WorkFailed
from ..engines.engine import EngineFailed
from ..service import asked
from ..service.presets import Presets
from ..settings import Settings
from ..stores.keys import parts_of_prefix
from ..stores.opening import BadStore, open_store
from ..stores.store import BadKey, StoreFailed
from .bulk_reports import lines
from .progress import course

CANNOT = 2
"""As argparse says it: what was asked for is not to be done."""
NOT_FINISHED = 75
"""EX_TEMPFAIL of sysexits.h: the same command goes on from here."""
INDEX = "JOB_COMPLETION_INDEX"
"""What Kubernetes says to each pod of an Indexed Job."""
MOST_INDEX = 999_999_999
OF_SETTINGS = ""
"""`--engine` alone: a password stands in the environment then."""


def add(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Put the three among the others."""
    plan = kinds.add_parser("plan", help="freeze what is to be done, and print the job's address")
    plan.add_argument("source", help="a folder, file:///… or s3://bucket/prefix")
    plan.add_argument("out", help="where jobs and outputs go: the same kinds")
    plan.add_argument("--recipe", required=True, help=f"one of {', '.join(asked.TARGETS)}, with parameters")
    which = plan.add_mutually_exclusive_group()
    which.add_argument("--manifest", type=Path, help='a file with a key, or {"key": …}, a line; also gzip')
    which.add_argument("--prefix", default="", help="of the keys (default: all)")
    plan.add_argument(
        "--shard-items",
        type=_shard_items,
        default=SHARD_ITEMS,
        help=f"items that are committed together (default: {SHARD_ITEMS})",
    )

    run = kinds.add_parser(
        "run",
        help="do what is not done; ends with 0 when all was made, 1 when some failed, 75 when not finished",
    )
    run.add_argument("job", help="its address, as `bulk plan` printed it")
    run.add_argument(
        "--engine",
        nargs="?",
        const=OF_SETTINGS,
        help="nats://…: workers do it, instead of this process; without an address, that of REMOTE_ENGINE, "
        "which no list of processes shows",
    )

    one = kinds.add_parser("run-shard", help="do one shard; ends with 0 when it is committed")
    one.add_argument("job", help="its address")
    one.add_argument(
        "--index",
        type=_index,
        default=os.environ.get(INDEX),
        help=f"the shard's number (default: ${INDEX})",
    )


def plan(options: argparse.Namespace, settings: Settings) -> int:
    """Freeze it."""
    return _told(lambda: _plan(options, settings))


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Do all that is missing."""
    return _told(lambda: _run(options, settings))


def run_shard(options: argparse.Namespace, settings: Settings) -> int:
    """Do one."""
    return _told(lambda: _run_shard(options, settings))


def _told(do: Callable[[], int]) -> int:
    """Do it; what cannot be done is told in a line."""
    try:
        return do()
    except (NoSuchJob, BadTask, BadStore, BadManifest, NothingThere, TooManyShards) as wrong:
        return _complain(str(wrong), CANNOT)
    except (StoreFailed, EngineFailed) as failed:
        return _complain(str(failed), NOT_FINISHED)


def _plan(options: argparse.Namespace, settings: Settings) -> int:
    try:
        task = asked.task(options.recipe, Presets(settings.presets))
    except WorkFailed as wrong:
        where = _presets(settings) if wrong.code is FailureCode.NOT_FOUND else ""
        return _complain(f"--recipe: {wrong.detail or wrong.code}{where}", CANNOT)
    source, out = open_store(options.source), open_store(options.out)
    items = (
        named(source, keys_of(options.manifest)) if options.manifest else listed(source, out, options.prefix)
    )
    try:
        parts_of_prefix(options.prefix)
    except BadKey as bad:
        return _complain(f"--prefix: {bad}; it begins as the keys do, without a slash", CANNOT)
    wanted = Wanted(recipe=options.recipe, task=task, shard_items=options.shard_items)
    with course("plan") as shown:
        try:
            folder = freeze(source, out, wanted, items, tell=shown.add)
        except OSError as failed:
            if options.manifest is None:
                raise
            return _complain(f"--manifest: {options.manifest}: {failed.strerror or failed}", CANNOT)
    planned = folder.plan()
    _say(
        f"{planned.items:,} items of {in_bytes(planned.size_bytes)} in {planned.shards:,} shards. "
        f"To do them: remote-worker bulk run {shlex.quote(folder.url)}"
    )
    print(folder.url)
    return 0


def _run(options: argparse.Namespace, settings: Settings) -> int:
    engine_url = settings.jobs.engine if options.engine == OF_SETTINGS else options.engine
    if engine_url == "":
        return _complain("--engine without an address needs REMOTE_ENGINE", CANNOT)
    folder = opened(options.job, open_store)
    watch = Watch(folder)
    with course(folder.plan().recipe) as shown:
        # Here, standard error knows where a bar is, and puts lines above it.
        telemetry.configure(sys.stderr, settings.telemetry.log_format, level=logging.WARNING)

        async def locally(stop: asyncio.Event) -> None:
            now = await asyncio.to_thread(watch.look)
            shown.at(now.rows, now.work, now.codes)
            if now.is_done:
                return
            async with _bench(settings) as bench:
                job = await asyncio.to_thread(Job.opened, folder, open_store)
                await run_local(job, bench, stop=stop, tell=lambda row: shown.add(1, row.code))

        async def by_workers(stop: asyncio.Event) -> None:
            async with wiring_jobs.open_engine(engine_url, settings) as engine:
                await run_with_engine(folder, engine, stop=stop, tell=look, say=_say)

        async def look() -> None:
            now = await asyncio.to_thread(watch.look)
            shown.at(now.rows, now.work, now.codes)

        try:
            asyncio.run(_until_signalled(by_workers if engine_url else locally))
        except Stopped as stopped:
            return _go_on(folder, stopped, f"remote-worker bulk run {shlex.quote(options.job)}")
    now = watch.look()
    print("\n".join(lines(now)))
    return now.exit_status


def _run_shard(options: argparse.Namespace, settings: Settings) -> int:
    if options.index is None:
        return _complain(f"which shard? Give --index, or set {INDEX}", CANNOT)
    folder = opened(options.job, open_store)
    telemetry.configure(form=settings.telemetry.log_format)

    async def work(stop: asyncio.Event) -> None:
        async with _bench(settings) as bench:
            job = await asyncio.to_thread(Job.opened, folder, open_store)
            await run_one(job, options.index, bench, stop=stop)

    try:
        asyncio.run(_until_signalled(work))
    except Stopped as stopped:
        return _go_on(folder, stopped, "the same command")
    return 0


async def _until_signalled(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await work(stop)


@asynccontextmanager
async def _bench(settings: Settings) -> AsyncIterator[Bench]:
    async with wiring.open_images(settings) as images:
        with wiring.bench(images, settings) as bench:
            yield bench


def _presets(settings: Settings) -> str:
    names = ", ".join(settings.presets) or "no preset at all"
    return f" in the file of REMOTE_SETTINGS_FILE, which has {names}"


def _go_on(folder: Folder, stopped: Stopped, how: str) -> int:
    return _complain(f"{folder.id} is not finished: {stopped}. To go on: {how}", NOT_FINISHED)


def _shard_items(text: str) -> int:
    return _whole(text, 1, MOST_SHARD_ITEMS)


def _index(text: str) -> int:
    return _whole(text, 0, MOST_INDEX)


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _say(text: str) -> None:
    print(f"remote-worker: {text}", file=sys.stderr, flush=True)


def _complain(text: str, status: int) -> int:
    _say(text)
    return status
