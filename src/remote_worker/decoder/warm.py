"""Decodes our own samples before the seal, so that every lazy file, table and library is loaded."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import features

from ..contract.document import Document
from ..contract.failures import WorkFailed
from ..contract.limits import Limits
from ..contract.messages import (
    OUTPUT_FORMATS,
    Avatars,
    Fit,
    Info,
    Prepare,
    Task,
    decode_task,
    encode_task,
)
from ..contract.signatures import Template
from . import child, job, jpeg_turn
from .formats import FORMATS

SAMPLES = Path(__file__).parent / "samples"


def up(template: Template, limits: Limits) -> dict[str, str]:
    """Do every task on every sample of this template; each format's word is `ok` or what went wrong."""
    jpeg_turn.load_library()
    words = {row.name: "no sample" for row in FORMATS if row.template is template}
    for path in sorted(SAMPLES.iterdir()):
        data = path.read_bytes()
        try:
            row = job.detect(data, template)
        except WorkFailed:
            continue
        if words[row.name] in ("ok", "no sample"):
            tasks = _tasks(row.name, is_first=words[row.name] == "no sample")
            words[row.name] = _word(tasks, data, template, limits)
    return words


def rehearse(template: Template) -> None:
    """Do the commonest work some times over, as a child does it; `child.prepare` comes before."""
    output_fd = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
    name, tasks = _REHEARSAL[template]
    with Document.of((SAMPLES / name).read_bytes()) as document, suppress(WorkFailed):
        for task in tasks:
            input_fd = document.read_only_fd()
            child.work(decode_task(encode_task(task)), input_fd, output_fd)
            os.close(input_fd)
    os.close(output_fd)


def versions() -> dict[str, str]:
    """The codecs inside Pillow's wheel, which no package index lists."""
    found = {name: features.version(name) for name in _CODECS}
    return {name: version for name, version in found.items() if version}


_CODECS = ("libjpeg_turbo", "jpg_2000", "zlib", "libtiff", "webp", "avif", "littlecms2")


_TIMES = 10
"""From the eighth call on the interpreter fits a function's code to its work; more changed nothing."""
_REHEARSAL: dict[Template, tuple[str, Sequence[Task]]] = {
    Template.RASTER: ("sample.jpg", [Fit(width=24, height=24), Avatars()] * _TIMES),
    # Avatars are each drawn anew, 20 ms in all, and what they need beyond Fit showed no gain from more.
    Template.SVG: ("sample-plain.svg", [Avatars()] * 2 + [Fit(width=24, height=24)] * _TIMES),
}
"""The commonest work of each template."""


def _tasks(name: str, *, is_first: bool) -> list[Task]:
    tasks: list[Task] = [Info(), Fit(width=24, height=24, animated=True)]
    if name == "svg" and not is_first:
        return tasks  # It is read another way, but what is drawn is the same kind of picture.
    tasks += [Avatars(), Avatars(animated=True)]
    tasks += [Fit(width=24, height=24, format=target) for target in OUTPUT_FORMATS]
    if name == "jpeg":
        tasks += [Prepare(), Prepare(keep_metadata=True)]
    return tasks


def _word(tasks: Sequence[Task], data: bytes, template: Template, limits: Limits) -> str:
    for task in tasks:
        try:
            job.run(task, data, limits, template)
        except (WorkFailed, ImportError, OSError, ValueError) as error:
            return f"{task.kind}: {error}"
    return "ok"
