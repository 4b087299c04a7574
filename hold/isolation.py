"""Nothing of one caller in what another gets: markers searched, outputs compared under poisoned memory."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.servers import PROJECT

from .point import Given, Row

PROGRAMS = PROJECT / "tests" / "isolation"
CALLERS = 8
ROUNDS = 2
MOST_FILES = 120
"""Of each shared folder; of our own corpus all are taken."""
CUTS = 2
MIB = 1 << 20


def measure(given: Given) -> Sequence[Row]:
    """Run the programs of tests/isolation for longer than the tests do, and once with a leak made on purpose.

    Bars: no marker of a caller in another's answer, document or child, no byte of an answer that changes with
    what malloc fills memory with, nothing held at the end, and each kind of leak is found.
    """
    own = [str(PROJECT / "tests" / "corpus")]
    shared = [str(folder) for folder in sorted((given.shared / "corpus").glob("*")) if folder.is_dir()]
    found = _ran("callers.py", callers=CALLERS, rounds=ROUNDS, words=["dump"])
    leaking = _ran("callers.py", callers=2, words=["dump", "leak=shared"])
    compared = [_ran("poisoned.py", folders=own, every=True, cuts=CUTS)]
    compared += [_ran("poisoned.py", folders=[folder], most_files=MOST_FILES, cuts=CUTS) for folder in shared]
    unset = _ran("poisoned.py", folders=[str(PROJECT / "tests" / "corpus" / "bmp")], words=["leak=unset"])
    return [_callers(found), _children(found), _memory(found), _poison(compared), _proof(leaking, unset)]


def _callers(found: dict[str, Any]) -> Row:
    return Row(
        case=f"{found['callers']} callers, {found['requests']:,} requests mixed",
        bar="no marker of another, every document the file that was sent",
        measured=(
            f"{found['searched_bytes'] // MIB:,} MiB searched: {found['foreign_markers']} markers; "
            f"{found['documents']:,} documents: {found['strange_documents']} others"
        ),
        holds=found["foreign_markers"] == 0 == found["strange_documents"],
    )


def _children(found: dict[str, Any]) -> Row:
    return Row(
        case="all memory that a hijacked child reads",
        bar="its own document alone, its output memory all zeros",
        measured=(
            f"{found['dumps']} children: {found['dumps_with_own_marker']} found their own, "
            f"{found['unclean_output_bytes']} bytes of output were not zero"
        ),
        holds=found["dumps_with_own_marker"] == found["dumps"] > 0 == found["unclean_output_bytes"],
    )


def _memory(found: dict[str, Any]) -> Row:
    return Row(
        case="documents and outputs that the worker holds afterwards",
        bar="0",
        measured=str(found["memory_left"]),
        holds=found["memory_left"] == 0,
    )


def _poison(compared: Sequence[dict[str, Any]]) -> Row:
    total = {
        name: sum(each[name] for each in compared) for name in ("documents", "jobs", "comparisons", "late")
    }
    differences = [difference for each in compared for difference in each["differences"]]
    for difference in differences:
        print(difference, file=sys.stderr)
    return Row(
        case="answers with malloc's memory filled, with two bytes, and as served",
        bar="no difference",
        measured=(
            f"{total['documents']:,} files, {total['jobs']:,} tasks, {total['comparisons']:,} comparisons: "
            f"{len(differences)} differences; {total['late']} not compared, because they took too long"
        ),
        holds=not differences,
    )


def _proof(leaking: dict[str, Any], unset: dict[str, Any]) -> Row:
    return Row(
        case="leaks made on purpose: memory shared by children, a decoder's unwritten memory",
        bar="both are found",
        measured=f"{leaking['foreign_markers']} markers, {len(unset['differences'])} differences",
        holds=leaking["foreign_markers"] > 0 and bool(unset["differences"]),
    )


def _ran(program: str, **options: object) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAMS / program), json.dumps(options)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise SystemExit(f"tests/isolation/{program} ended with status {run.returncode}")
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer
