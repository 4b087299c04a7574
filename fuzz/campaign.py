"""Runs targets side by side, each in a process of its own, and reads what libFuzzer says at the end."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .target import FOUND, PROJECT, Target

TIMEOUT_SECONDS = 5
"""An input that takes longer is a find: real ones take milliseconds."""
MEMORY_MB = 1024
_START_SECONDS = 120
_STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What fuzzing one target came to. `found` are the inputs that broke it."""

    target: str
    executions: int
    seconds: float
    features: int
    corpus: int
    found: tuple[Path, ...]
    end: str
    """The last lines, when it ended in another way than by the clock."""


def check_engine() -> None:
    """Raises SystemExit where atheris is not installed, as it has no wheel for this Python or machine."""
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit(
            "atheris is not there: its wheels are for CPython 3.11 to 3.13 on x86-64 Linux, and scripts/fuzz"
            " installs it on those; the tests replay all seeds and found inputs without it"
        )


def run(targets: Sequence[Target], seconds: float, *, side_by_side: int) -> Iterator[Run]:
    """Fuzz each for so many seconds; the runs come in the order of the targets."""
    with ThreadPoolExecutor(side_by_side) as pool:
        yield from pool.map(lambda target: _fuzz(target, seconds), targets)


def _fuzz(target: Target, seconds: float) -> Run:
    folder = _cache() / target.name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    found = FOUND / target.name
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    for path in target.inputs():
        (corpus / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "fuzz.engine", target.name]
    command += [f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.most_bytes}"]
    command += [f"-timeout={TIMEOUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1"]
    command += [f"-artifact_prefix={found}/", str(corpus)]
    if target.words:
        words = folder / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        command.append(f"-dict={words}")
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, timeout=seconds + _START_SECONDS, check=False
    )
    said = re.sub(r"INFO: Instrumenting .*\n", "", (done.stdout + done.stderr).decode(errors="replace"))
    new = tuple(sorted(set(found.iterdir()) - before))
    if not any(found.iterdir()):
        found.rmdir()
    status = _STATUS.findall(said)
    executed = _EXECUTED.search(said)
    return Run(
        target=target.name,
        executions=int(executed[1]) if executed else 0,
        seconds=seconds,
        features=int(status[-1][1]) if status else 0,
        corpus=int(status[-1][2]) if status else 0,
        found=new,
        end="" if done.returncode == 0 else said[-4000:],
    )


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _cache() -> Path:
    """Where the working corpora live on between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "remote-worker-fuzz"
