"""Markdown tables: ratios, verdicts, and the head that says when, where and with what was measured."""

import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from PIL import features

from remote_worker import __version__

from .servers import PROJECT

Row = Sequence[str]


def head(title: str, command: str, cores: str, peers: Iterable[str] = ()) -> str:
    """The title, and what a reader must know to compare these figures with others."""
    system = platform.uname()
    versions = [
        f"remote-worker {__version__} at {_commit()}",
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in _PACKAGES if _is_installed(name)),
        f"libjpeg-turbo {features.version('libjpeg_turbo')}",
        *peers,
    ]
    facts = [
        f"Made by `{command}`.",
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- machine: {_cpu_model()}, {_cpu_count()} cores, {system.system} {system.release} {system.machine}",
        f"- cores: {cores}",
        f"- versions: {', '.join(versions)}",
    ]
    return "\n".join([f"# {title}", "", *facts, ""])


_PACKAGES = ("pillow", "pillow-heif", "cykooz.resizer", "isal", "pybase64", "uvicorn")


def table(titles: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The median of the rounds' ratios: each round is compared with the one beside it in time.

    None when a round of theirs measured nothing, such as CPU time below the clock's step.
    """
    if not all(theirs):
        return None
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def verdict(reached: float, least: float, aim: float) -> str:
    """Where a ratio that should be high stands."""
    if reached < least:
        return "**no**"
    return "aim" if reached >= aim else "yes"


def yes(is_reached: bool) -> str:
    """Whether a bar is reached, as text."""
    return "yes" if is_reached else "**no**"


def times(value: float | None) -> str:
    """A ratio as text."""
    return "-" if value is None else f"{value:.2f}x"


def keep(name: str, text: str) -> None:
    """Write the table beside its benchmark."""
    (PROJECT / "benchmarks" / f"{name}.md").write_text(text)


def _commit() -> str:
    described = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "requirements.lock")
    return (described or "an unknown commit") + (" with changes" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cpu_count() -> int:
    return Path("/proc/cpuinfo").read_text().count("processor\t")


def _is_installed(name: str) -> bool:
    return next(iter(metadata.distributions(name=name)), None) is not None
