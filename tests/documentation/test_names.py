"""What pages name is there: settings, files, paths."""

import re
from pathlib import Path

import pytest

from remote_worker.settings import TABLE
from remote_worker.web.api import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "remote_worker"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / "docs").rglob("*.md"),
]
OF_EXAMPLES = {"REMOTE_WORKER_URL", "REMOTE_WORKER_KEY", "REMOTE_TOP_KEY"}
"""Variables of who asks a worker, not of the worker."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_is_one(page: Path) -> None:
    named = set(re.findall(r"\bREMOTE_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))

    assert named - {row.name for row in TABLE} - OF_EXAMPLES == set()


def test_every_file_on_a_requests_way_is_there() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    named = set(re.findall(r"`((?:[\w]+/)*\w+\.py)`", page))
    files = [path.as_posix() for path in (*PACKAGE.rglob("*.py"), *(ROOT / "tests").glob("*.py"))]

    assert len(named) > 80
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in files)] == []


def test_the_readme_has_every_path_but_camos_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().partition("## Endpoints")[2].partition("\n## ")[0]
    first = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    told = {path for cell in first for path in re.findall(r"(?:`|GET |POST )(/[^`? ]*)", cell)}
    routes = {_pattern(operation.path) for operation in OPERATIONS}

    unknown = [path for path in told if not any(re.fullmatch(route, path) for route in routes)]

    assert unknown == []
    untold = {route for route in routes if not any(re.fullmatch(route, path) for path in told)}
    assert {route for route in untold if "digest:" not in route and not route.startswith("/camo/")} == set()


def _pattern(path: str) -> str:
    """For a route's path, whose last parameter may have slashes."""
    return re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+:path\}", ".+", path))
