"""schemathesis asks every operation what its description allows and what it does not, and judges it."""

import os
import subprocess
import sys
from pathlib import Path

from openapi.worker import SITE, described_worker

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
CASES = 15
"""Of each operation, besides those at the bounds of each parameter."""


def asked(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same cases each time."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", CONFIGURATION),
            *("run", f"{url}/openapi.json", "--max-examples", str(CASES), "--generation-deterministic"),
            *("--no-shrink", "--continue-on-failure"),
        ],
        cwd=folder,
        # Nothing of ours runs in it, so its lines are not counted.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_no_request_breaks_it_or_gets_an_answer_that_is_not_told(tmp_path: Path) -> None:
    with described_worker(tmp_path) as worker:
        done = asked(f"http://127.0.0.1:{worker.address[1]}", tmp_path)
        told = worker.ask("GET", "/openapi.json").json

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    # It leaves out the document itself.
    operations = sum(len(methods) for methods in told["paths"].values()) - 1
    assert f"{operations} selected / {operations} total" in done.stdout
    assert (SITE, "A") in worker.names.asked
