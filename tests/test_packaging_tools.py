"""Outside tools: a test without its tool is left out and named, or fails where tools are required."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.mark.needs_exiftool
@pytest.mark.parametrize("number", range(3))
def test_with_exiftool(number): pass

@pytest.mark.needs_imagemagick
def test_with_imagemagick(imagemagick): assert imagemagick("-version").stdout

def test_with_nothing(): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A small suite under the project's own conftest."""
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "stores_served.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "test_some.py").write_text(TESTS)
    (tmp_path / "bin").mkdir()
    return tmp_path


def run_tests(suite: Path, **variables: str) -> tuple[int, str]:
    """The suite's exit status and what it said, with no tool in reach but those in its bin folder."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=suite,
        env={"PATH": str(suite / "bin"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def add_tool(suite: Path, name: str, program: str) -> None:
    path = suite / "bin" / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)


def test_a_missing_tool_is_named_with_the_number_of_tests_that_did_not_run(suite: Path) -> None:
    status, said = run_tests(suite)

    assert status == 0
    assert "not run: 3 tests need exiftool" in said
    assert "not run: 1 tests need imagemagick" in said
    assert "1 passed, 4 skipped" in said


def test_a_tool_that_is_there_is_not_named(suite: Path) -> None:
    add_tool(suite, "exiftool", "exit 0")

    status, said = run_tests(suite)

    assert status == 0
    assert "need exiftool" not in said
    assert "4 passed, 1 skipped" in said


def test_a_required_tool_that_is_missing_fails_its_tests(suite: Path) -> None:
    status, said = run_tests(suite, TESTS_REQUIRE_TOOLS="1")

    assert status == 1
    assert "1 passed, 4 errors" in said or "4 failed, 1 passed" in said
    assert "needs_exiftool: the tool is not installed; see scripts/install-test-tools" in said


def test_another_program_by_the_name_of_convert_is_not_imagemagick(suite: Path) -> None:
    add_tool(suite, "convert", "echo GraphicsMagick 1.4")

    assert "not run: 1 tests need imagemagick" in run_tests(suite)[1]


def test_a_convert_that_says_it_is_imagemagick_and_reads_nothing_is_left_alone(suite: Path) -> None:
    add_tool(suite, "convert", 'case "$1" in -version) echo ImageMagick 6.9;; *) exit 1;; esac')

    assert "not run: 1 tests need imagemagick" in run_tests(suite)[1]


def test_the_one_that_knows_formats_is_taken_before_plain_convert(suite: Path) -> None:
    add_tool(suite, "convert", "exit 1")
    add_tool(
        suite, "convert-im6.q16", 'case "$1" in -version) echo ImageMagick 6.9;; *) echo PNG JPEG;; esac'
    )

    assert "need imagemagick" not in run_tests(suite)[1]
