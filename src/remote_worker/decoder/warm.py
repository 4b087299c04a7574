"""Decodes our own samples before the seal, so that every lazy file, table and library is loaded."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..contract.document import Document
from ..contract.failures import WorkFailed
from ..contract.formats import OFF, OK, FormatName
from ..contract.limits import Limits
from ..contract.messages import (
    FACTS,
    OUTPUT_FORMATS,
    Avatars,
    Fit,
    Info,
    Output,
    Prepare,
    Recipe,
    Task,
    decode_task,
    encode_task,
)
from ..contract.signatures import Template
from . import child, job, jpeg_turn, switches
from .encode import WRITERS
from .formats import FORMATS, Format

SAMPLES = Path(__file__).parent / "samples"


def up(template: Template, limits: Limits) -> dict[str, str]:
    """Do every task on every sample of this template; each format's word is OK, OFF, or what went wrong."""
    if switches.is_on(FormatName.JPEG):
        jpeg_turn.load_library()
    for row in FORMATS:
        if switches.is_on(row.name) and (row.template is template or row.name in OUTPUT_FORMATS):
            # Its library, or Pillow would load every plugin there is when the first picture is written.
            _ = row.loader
    words = {
        row.name: "no sample" if switches.is_on(row.name) else OFF
        for row in FORMATS
        if row.template is template
    }
    for path in sorted(SAMPLES.iterdir()):
        data = path.read_bytes()
        try:
            row = job.detect(data, template)
        except WorkFailed:
            continue
        if words[row.name] in (OK, "no sample"):
            tasks = _tasks(
                row.name, is_first=words[row.name] == "no sample", knows_facts=OK in words.values()
            )
            words[row.name] = _word(tasks, data, row, template, limits)
    return words


def table() -> dict[str, dict[str, Any]]:
    """Of every format what is the same in all templates: the members of FormatReport but its word."""
    return {
        row.name: {
            "mime": row.mime,
            "is_written": row.name in WRITERS and switches.is_on(row.name),
            "keeps_frames": row.keeps_frames and switches.is_on(row.name),
        }
        for row in FORMATS
    }


def rehearse(template: Template) -> None:
    """Do the commonest work some times over, as a child does it; `child.prepare` comes before."""
    name = next((name for kind, name in _COMMONEST[template].items() if switches.is_on(kind)), None)
    if name is None:
        return
    output_fd = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
    with Document.of((SAMPLES / name).read_bytes()) as document, suppress(WorkFailed):
        for task in _REHEARSAL[template]:
            input_fd = document.read_only_fd()
            child.work(decode_task(encode_task(task)), input_fd, output_fd)
            os.close(input_fd)
    os.close(output_fd)


_COMMONEST = {
    Template.RASTER: {
        FormatName.JPEG: "sample.jpg",
        FormatName.PNG: "sample.png",
        FormatName.WEBP: "sample.webp",
    },
    Template.SVG: {FormatName.SVG: "sample-plain.svg"},
}
_TIMES = 10
"""From the eighth call on the interpreter fits a function's code to its work; more changed nothing."""
_REHEARSAL: dict[Template, Sequence[Task]] = {
    Template.RASTER: [Fit(width=24, height=24), Avatars()] * _TIMES,
    # Avatars are each drawn anew, 20 ms in all, and what they need beyond Fit showed no gain from more.
    Template.SVG: [Avatars()] * 2 + [Fit(width=24, height=24)] * _TIMES,
}
"""The commonest work of each template."""


def _tasks(name: str, *, is_first: bool, knows_facts: bool) -> list[Task]:
    tasks: list[Task] = [Info(), Fit(width=24, height=24, animated=True)]
    if name == FormatName.SVG and not is_first:
        return tasks  # It is read another way, but what is drawn is the same kind of picture.
    tasks += [Avatars(), Avatars(animated=True)]
    tasks += [Fit(width=24, height=24, format=target) for target in OUTPUT_FORMATS]
    covering = Output(name="cover", width=24, height=20, mode="cover", gravity="attention")
    # Facts are of a small copy, which is the same for all formats.
    tasks += [Info(metadata=True), Recipe(outputs=(covering,), facts=() if knows_facts else FACTS)]
    if name == FormatName.JPEG:
        tasks += [Prepare(), Prepare(keep_metadata=True)]
    return tasks


def _word(tasks: Sequence[Task], data: bytes, row: Format, template: Template, limits: Limits) -> str:
    if row.loader is None:
        return "its library is not installed"
    for task in tasks:
        try:
            job.run(task, data, limits, template)
        except switches.SwitchedOff:
            continue  # What it needs beside this format is off, and is refused to uploads too.
        except (WorkFailed, ImportError, OSError, ValueError) as error:
            return f"{task.kind}: {error}"
    return OK
