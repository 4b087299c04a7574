"""`remote-worker run` over many pictures: which file goes where, and children side by side."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import wiring
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import SUFFIXES
from ..contract.messages import Fit
from ..service.images import Images
from ..settings import Settings
from .pictures import load, write
from .progress import progress

FAILED = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One picture, and where what is made of it goes: `target` has no suffix yet."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """A picture of which nothing was made."""

    source: Path
    code: str
    detail: str


def is_many(inputs: Sequence[Path], output: Path | None) -> bool:
    """Whether several pictures go into a folder, rather than one into a file."""
    return len(inputs) > 1 or inputs[0].is_dir() or (output is not None and output.is_dir())


def run_many(options: argparse.Namespace, settings: Settings) -> int:
    """Do the task with all of them; the answer is 1 when any has failed."""
    items = planned(options.inputs, options.output)
    failed = asyncio.run(_work(options, settings, items))
    for one in sorted(failed, key=lambda one: one.source):
        told = f"{one.code}: {one.detail}" if one.detail else one.code
        print(f"remote-worker: {one.source}: {told}", file=sys.stderr)
    if failed:
        print(f"remote-worker: {len(failed)} of {len(items)} failed", file=sys.stderr)
    return FAILED if failed else 0


def planned(inputs: Iterable[Path], output: Path | None) -> list[Item]:
    """Each picture with its target. Folders are gone through and keep their shape, without hidden files.

    Pictures whose names differ in their suffix alone keep it. Raises WorkFailed when two would still be one.
    """
    found = [(path, relative) for one in inputs for path, relative in _files(one, output)]
    bare = Counter(relative.with_suffix("") for _, relative in found)
    items = []
    for path, relative in found:
        stem = relative.with_suffix("")
        items.append(Item(path, (output or Path()) / (stem if bare[stem] == 1 else relative)))
    twice = [target for target, count in Counter(item.target for item in items).items() if count > 1]
    if output is not None and twice:
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"several inputs would be written as {twice[0]}")
    return items


def _files(path: Path, output: Path | None) -> Iterator[tuple[Path, Path]]:
    if not path.is_dir():
        yield path, Path(path.name)
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        # What an earlier run has written is no input.
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (output is not None and _is_same(here / name, output))
        )
        for name in sorted(files):
            if not name.startswith("."):
                yield here / name, (here / name).relative_to(path)


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


async def _work(options: argparse.Namespace, settings: Settings, items: Sequence[Item]) -> list[Failed]:
    waiting = iter(items)
    failed: list[Failed] = []
    do = _TASKS[options.task]
    async with wiring.open_pool(settings) as pool:
        images = Images(pool)
        with progress(options.task, len(items)) as step:

            async def next_ones() -> None:
                for item in waiting:
                    try:
                        with Document() as document:
                            await asyncio.to_thread(load, document, item.source, settings.limits.input_bytes)
                            deadline = time.monotonic() + settings.limits.decode_seconds
                            await do(options, images, document, item, deadline)
                    except WorkFailed as failure:
                        failed.append(Failed(item.source, failure.code, failure.detail))
                    except OSError as failure:
                        failed.append(Failed(item.source, "os_error", failure.strerror or str(failure)))
                    step(item.source.name)

            async with asyncio.TaskGroup() as group:
                for _ in range(min(settings.pool.children, len(items))):
                    group.create_task(next_ones())
    return failed


async def _fit(
    options: argparse.Namespace, images: Images, document: Document, item: Item, deadline: float
) -> None:
    width, height = options.box
    task = Fit(
        width=width,
        height=height,
        format=options.format,
        quality=options.quality,
        animated=options.animated,
    )
    picture = (await images.fit(document, task, deadline=deadline)).picture
    write(_named(item.target, SUFFIXES[picture.format]), picture)


async def _avatars(
    options: argparse.Namespace, images: Images, document: Document, item: Item, deadline: float
) -> None:
    made = await images.avatars(document, animated=options.animated, deadline=deadline)
    for name, picture in made.avatars.items():
        write(_named(item.target / name, ".png"), picture)


async def _preset(
    options: argparse.Namespace, images: Images, document: Document, item: Item, deadline: float
) -> None:
    made = await images.make(document, options.preset.recipe, deadline=deadline)
    for name, picture in made.pictures.items():
        write(_named(item.target / name, SUFFIXES[picture.format]), picture)
    if made.facts:
        print(json.dumps({"path": str(item.source), **made.facts}, sort_keys=True), flush=True)


async def _prepare(
    options: argparse.Namespace, images: Images, document: Document, item: Item, deadline: float
) -> None:
    made = await images.prepare(document, keep_metadata=options.keep_metadata, deadline=deadline)
    write(_named(item.target, SUFFIXES["jpeg"]), made.picture)


async def _info(
    _: argparse.Namespace, images: Images, document: Document, item: Item, deadline: float
) -> None:
    described = await images.info(document, deadline=deadline)
    members = {"path": str(item.source), "mime_type": described.mime, **described.members}
    print(json.dumps(members, sort_keys=True), flush=True)


def _named(target: Path, suffix: str) -> Path:
    """The file, in a folder that is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(target.name + suffix)


Do = Callable[[argparse.Namespace, Images, Document, Item, float], Awaitable[None]]
_TASKS: Mapping[str, Do] = {
    "fit": _fit,
    "avatars": _avatars,
    "preset": _preset,
    "prepare": _prepare,
    "info": _info,
}
