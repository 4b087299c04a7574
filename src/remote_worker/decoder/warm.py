"""Decodes our own samples before the seal, so that every lazy file, table and library is loaded."""

from pathlib import Path

from PIL import features

from ..contract.failures import WorkFailed
from ..contract.limits import Limits
from ..contract.messages import OUTPUT_FORMATS, Avatars, Fit, Info, Prepare, Task
from ..contract.signatures import Template
from . import job, jpeg_turn
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


def versions() -> dict[str, str]:
    """The codecs inside Pillow's wheel, which no package index lists."""
    found = {name: features.version(name) for name in _CODECS}
    return {name: version for name, version in found.items() if version}


_CODECS = ("libjpeg_turbo", "jpg_2000", "zlib", "libtiff", "webp", "avif", "littlecms2")


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
