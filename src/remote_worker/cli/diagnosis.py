"""`remote-worker doctor` and `settings`: what this machine can do, and which settings hold."""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from .. import wiring
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import OFF, OK
from ..contract.messages import OUTPUT_FORMATS, Fit
from ..fetch.door import DoorFailed
from ..jobs.settings import JobSettings
from ..pool.pool import Pool
from ..pool.template import TemplateFailed
from ..settings import DEFAULT, Settings, effective
from ..web import scrape
from .progress import followed

FAILED = 1
SAMPLES = Path(__file__).parents[1] / "decoder" / "samples"
"""Our own pictures of every format."""

IMAGE_PACKAGES = ("pillow", "pillow-heif", "pillow-jxl-plugin", "resvg_py", "isal", "cykooz-resizer")
"""What meets strangers' pictures, in the jail."""
TEXT_PACKAGES = ("cmarkgfm", "nh3", "webencodings")
"""What meets strangers' pages and posts, in the jail."""
FETCH_PACKAGES = ("ada-url", "dnspython", "publicsuffixlist")
"""What meets strangers' URLs, in the host as well, and name servers."""


def doctor(_: argparse.Namespace, settings: Settings) -> int:
    """Try everything and print it; the status is 0 only where the seal holds and every format works."""
    system = os.uname()
    print(f"python    {platform.python_version()} ({platform.python_implementation()})")
    print(f"kernel    {system.sysname} {system.release} {system.machine}")
    print(f"seccomp   {_line_of('/proc/sys/kernel/seccomp/actions_avail')}")
    print(f"user      {os.geteuid()}")
    try:
        return asyncio.run(_examine(settings))
    except (TemplateFailed, DoorFailed) as failed:
        print(f"seal      NOT UP: {failed}")
        return FAILED


async def _examine(settings: Settings) -> int:
    # Jobs of a worker that runs are left to it.
    async with wiring.Whole(replace(settings, jobs=JobSettings(jobs="off"))) as whole:
        health = await whole.check()
        for template, report in health.templates.items():
            _print_layers(template, report.get("layers", {}))
        _print_layers("fetch", whole.door.layers)
        await _print_libraries()
        for name, word in _seeing(settings):
            print(f"seeing    {name}: {word}")
        words = {name: report.word for name, report in health.formats.items()}
        for name, word in (await _formats(whole.pool, settings)).items():
            if words.get(name, OK) == OK:
                words[name] = word
        for name, word in sorted(words.items()):
            print(f"format    {name}: {word}")
    sealed = health.ok and settings.pool.jail
    print(
        "seal      holds" if sealed else f"seal      DOES NOT HOLD: {health.reason or 'REMOTE_JAIL is off'}"
    )
    return 0 if sealed and all(word in (OK, OFF) for word in words.values()) else FAILED


def _seeing(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the worker tells of itself, and to whom; `wiring` has found what that needs."""
    told = settings.telemetry
    yield "log", told.log_format
    yield "metrics", f"http://{told.metrics}{scrape.PATH}" if told.metrics.host else "off"
    yield "traces", _version_of("opentelemetry-sdk") if settings.outside.traces else "off"
    yield "sentry", _version_of("sentry-sdk") if settings.outside.sentry_dsn else "off"


def _version_of(package: str) -> str:
    return f"{package} {metadata.version(package)}"


def _print_layers(process: str, layers: Mapping[str, object]) -> None:
    for layer, state in layers.items():
        held = ("yes" if state else "NO") if isinstance(state, bool) else state
        print(f"layer     {process} {layer}: {held}")


async def _print_libraries() -> None:
    for name in (*IMAGE_PACKAGES, *TEXT_PACKAGES, *FETCH_PACKAGES):
        if is_installed(name):
            print(f"library   {name} {metadata.version(name)}")
    # In a process of its own: here no image library is loaded.
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "remote_worker.decoder.codecs", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asking.communicate()
    if asking.returncode:
        raise OSError(f"asking the libraries for their versions ended with {asking.returncode}")
    for name, (version, wheel) in sorted(json.loads(told).items()):
        print(f"library   {name} {version} ({wheel or 'the system'})")


def is_installed(package: str) -> bool:
    return next(iter(metadata.distributions(name=package)), None) is not None


async def _formats(pool: Pool, settings: Settings) -> dict[str, str]:
    """Each format's word after a sealed child has decoded our sample of it.

    Samples of a format that is off, or holds one that is, are left out.
    """
    words: dict[str, str] = {}
    target = next((name for name in OUTPUT_FORMATS if name in settings.pool.formats), None)
    for path in followed(sorted(SAMPLES.iterdir()), "formats", lambda path: path.name):
        with Document.of(path.read_bytes()) as document:
            deadline = time.monotonic() + settings.limits.decode_seconds
            try:
                reply = await pool.decode(
                    Fit(width=16, height=16, format=target), document, deadline=deadline
                )
            except WorkFailed as failed:
                if failed.code is not FailureCode.FORMAT_UNAVAILABLE:
                    detail = f" ({failed.detail})" if failed.detail else ""
                    words[path.name] = f"{failed.code}{detail}"
            else:
                words[reply.format] = OK
    return words


def _line_of(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "not offered"


def settings_in_effect(options: argparse.Namespace, settings: Settings) -> int:
    """Print each setting with its value, secrets masked."""
    for name, text in effective(settings):
        origin = f"{settings.origins.get(name, DEFAULT):<12}" if options.origins else ""
        print(f"{origin}{name}={text}")
    return 0
