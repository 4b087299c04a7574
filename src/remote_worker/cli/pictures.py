"""`remote-worker run` for one picture, done sealed as the server does it."""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from .. import wiring
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import FORMATS_BY_SUFFIX, SUFFIXES
from ..contract.messages import OUTPUT_FORMATS, Fit, Picture
from ..service.images import Images
from ..settings import Settings


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Do the task that was asked for; the answer is the exit status."""
    asyncio.run(_work(options, settings))
    return 0


async def _work(options: argparse.Namespace, settings: Settings) -> None:
    with Document() as document:
        load(document, options.inputs[0], settings.limits.input_bytes)
        async with wiring.open_pool(settings) as pool:
            deadline = time.monotonic() + settings.limits.decode_seconds
            await _TASKS[options.task](options, Images(pool), document, deadline)


async def _fit(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    wanted = FORMATS_BY_SUFFIX[options.output.suffix.lower()]
    width, height = options.box
    task = Fit(
        width=width,
        height=height,
        format=wanted if wanted in OUTPUT_FORMATS else None,
        quality=options.quality,
        animated=options.animated,
    )
    picture = (await images.fit(document, task, deadline=deadline)).picture
    if picture.format != wanted:
        raise WorkFailed(
            FailureCode.BAD_PARAMETER,
            f"this upload fits as {picture.format}; {wanted} is only written for uploads of that format",
        )
    write(options.output, picture)


async def _avatars(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    made = await images.avatars(document, animated=options.animated, deadline=deadline)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, picture in made.avatars.items():
        write(options.output / f"{name}.png", picture)


async def _preset(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    made = await images.make(document, options.preset.recipe, deadline=deadline)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, picture in made.pictures.items():
        write(options.output / f"{name}{SUFFIXES[picture.format]}", picture)
    if made.facts:
        print(json.dumps(made.facts, indent=2, sort_keys=True))


async def _prepare(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    made = await images.prepare(document, keep_metadata=options.keep_metadata, deadline=deadline)
    write(options.output, made.picture)


async def _info(_: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    described = await images.info(document, deadline=deadline)
    print(json.dumps({"mime_type": described.mime, **described.members}, indent=2, sort_keys=True))


def load(document: Document, path: Path, most_bytes: int) -> None:
    """Read the file into the document. Raises WorkFailed or OSError."""
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            if document.size_bytes + len(chunk) > most_bytes:
                raise WorkFailed(FailureCode.TOO_LARGE, f"{path} has more than {most_bytes} bytes")
            document.write(chunk)


def write(path: Path, picture: Picture) -> None:
    """Write beside the file first, so that a full disk leaves no half picture under its name."""
    try:
        _write(path, picture)
    except OSError as failed:
        # The name that was given, not the one beside it.
        raise OSError(failed.errno, failed.strerror, str(path)) from failed


def _write(path: Path, picture: Picture) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(picture.body)
            file.flush()
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_TASKS = {"fit": _fit, "preset": _preset, "avatars": _avatars, "prepare": _prepare, "info": _info}
