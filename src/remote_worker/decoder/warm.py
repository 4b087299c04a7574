"""Decodes our own samples before the seal, so that every lazy file, table and library is loaded."""

import os
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
            words[row.name] = _word(data, row.name, template, limits)
    return words


def rehearse(template: Template) -> None:
    """Do the commonest work some times over, as a child does it; `child.prepare` comes before."""
    output_fd = os.memfd_create("rehearsal", os.MFD_CLOEXEC)
    with Document.of((SAMPLES / _COMMONEST[template]).read_bytes()) as document, suppress(WorkFailed):
        for task in (Fit(width=24, height=24), Avatars()) * _REHEARSALS:
            input_fd = document.read_only_fd()
            child.work(decode_task(encode_task(task)), input_fd, output_fd)
            os.close(input_fd)
    os.close(output_fd)


def versions() -> dict[str, str]:
    """The codecs inside Pillow's wheel, which no package index lists."""
    found = {name: features.version(name) for name in _CODECS}
    return {name: version for name, version in found.items() if version}


_CODECS = ("libjpeg_turbo", "jpg_2000", "zlib", "libtiff", "webp", "avif", "littlecms2")


_COMMONEST = {Template.RASTER: "sample.jpg", Template.SVG: "sample.svg"}
_REHEARSALS = 10
"""From the eighth call on the interpreter fits a function's code to its work; more changed nothing."""


def _word(data: bytes, name: str, template: Template, limits: Limits) -> str:
    tasks: list[Task] = [Info(), Fit(width=24, height=24, animated=True), Avatars(), Avatars(animated=True)]
    tasks += [Fit(width=24, height=24, format=target) for target in OUTPUT_FORMATS]
    if name == "jpeg":
        tasks += [Prepare(), Prepare(keep_metadata=True)]
    for task in tasks:
        try:
            job.run(task, data, limits, template)
        except (WorkFailed, ImportError, OSError, ValueError) as error:
            return f"{task.kind}: {error}"
    return "ok"
