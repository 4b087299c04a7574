"""Every limit has its tests: just inside works, just outside is refused; all rows of the table are run."""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.servers import PROJECT

from .point import Given, Row

TESTS = PROJECT / "tests"


def measure(given: Given) -> Sequence[Row]:  # noqa: ARG001  a point is given the same whatever it needs
    """Run the tests that the table of limits names, and those that hold the table against the code.

    Bars: every limit in the code has a row, and every row's tests pass on both sides.
    """
    command = [sys.executable, str(PROJECT / "scripts" / "limits_table.py")]
    rows: dict[str, list[str]] = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    )
    outcomes = _run(sorted({test for tests in rows.values() for test in tests}))
    complete = _run(["limits/test_table.py"])
    held = {place for place, tests in rows.items() if all(_passed(outcomes, test, place) for test in tests)}
    for place in sorted(rows.keys() - held):
        print(f"limits: the tests of {place} do not pass", file=sys.stderr)
    return [
        Row(
            case="limits in the code",
            bar="each has a row in docs/limits.md, each row its tests",
            measured=f"{len(rows)} rows",
            holds=bool(complete) and all(all(cases.values()) for cases in complete.values()),
        ),
        Row(
            case="just inside works, just outside is refused",
            bar=f"{len(rows)} of {len(rows)}",
            measured=f"{sum(map(len, outcomes.values()))} tests run, {len(held)} limits hold",
            holds=len(held) == len(rows),
        ),
    ]


Outcomes = Mapping[str, Mapping[str, bool]]
"""By the name of a test, whether each of its cases passed."""


def _passed(outcomes: Outcomes, test: str, place: str) -> bool:
    """Every case passed, or, where the cases are limits, this one's."""
    cases = outcomes.get(test.rpartition("::")[2], {})
    return cases[place] if place in cases else bool(cases) and all(cases.values())


def _run(tests: Sequence[str]) -> Outcomes:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        subprocess.run([*command, *(str(TESTS / test) for test in tests)], cwd=PROJECT, stdout=sys.stderr)
        if not report.exists():
            raise SystemExit("pytest did not run")
        outcomes: dict[str, dict[str, bool]] = defaultdict(dict)
        for case in ElementTree.parse(report).iter("testcase"):  # of our own pytest
            name, _, parameters = case.get("name", "").partition("[")
            outcomes[name][parameters.removesuffix("]")] = not len(case)
    return outcomes
