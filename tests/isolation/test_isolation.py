"""No byte of one caller shows in what another gets, and no byte of an answer comes from unwritten memory."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE.parent / "corpus"


@cache
def ran(program: str, **options: Any) -> dict[str, Any]:
    """What the program found, in a process of its own that holds nothing else."""
    command = [sys.executable, str(HERE / program), json.dumps(options)]
    # These look at bytes; the lines that make them are counted where their own tests run.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def callers() -> dict[str, Any]:
    return ran("callers.py", callers=3, words=("dump",))


def poisoned() -> dict[str, Any]:
    return ran("poisoned.py", folders=(str(CORPUS),))


def test_no_answer_holds_anything_of_another_caller() -> None:
    found = callers()

    assert found["answers"]["200"] >= 100
    assert {"400", "413", "415", "422", "cut"} <= found["answers"].keys()
    assert found["foreign_markers"] == 0


def test_a_hijacked_child_finds_nothing_but_its_own_document() -> None:
    found = callers()

    assert found["dumps"] == 3 * 2
    assert found["dumps_with_own_marker"] == found["dumps"]
    assert found["searched_bytes"] > found["dumps"] * 10_000_000
    assert found["unclean_output_bytes"] == 0


def test_a_document_is_the_file_that_was_sent_and_nothing_else() -> None:
    found = callers()

    assert found["documents"] >= found["answers"]["200"]
    assert found["strange_documents"] == 0


def test_the_memory_of_documents_and_outputs_is_given_back() -> None:
    assert callers()["memory_left"] == 0


def test_a_leak_between_children_would_be_found() -> None:
    assert ran("callers.py", callers=2, words=("leak=shared",))["foreign_markers"] > 0


def test_no_output_depends_on_what_lay_in_memory_before() -> None:
    compared = poisoned()

    assert compared["pictures"] > 400
    assert compared["comparisons"] + compared["late"] == 2 * compared["jobs"]
    assert compared["late"] <= 10  # decoding bombs, on a slow machine
    assert compared["differences"] == []


def test_a_decoder_that_gives_unwritten_memory_would_be_found() -> None:
    folder = str(CORPUS / "bmp")
    compared = ran("poisoned.py", folders=(folder,), words=("leak=unset",))

    assert len({difference.split()[0] for difference in compared["differences"]}) == compared["documents"]
