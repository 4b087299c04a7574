"""The pages on security name tests that there are, link to what is there, and say what the code says."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECURITY, MODEL = ROOT / "SECURITY.md", ROOT / "docs" / "security-model.md"
PAGES = [SECURITY, MODEL, ROOT / "README.md"]
NODE = re.compile(r"`(tests/[\w/]+\.py::[\w:]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def named(page: Path) -> set[str]:
    return set(NODE.findall(page.read_text()))


def anchors(page: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_test_that_is_named_is_there() -> None:
    wanted = named(SECURITY) | named(MODEL)
    files = sorted({node.partition("::")[0] for node in wanted})
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {line.partition("[")[0] for line in collected.stdout.splitlines() if "::" in line}

    assert len(wanted) > 30
    assert wanted - found == set()


def test_every_promise_has_a_test() -> None:
    promises = (
        SECURITY.read_text().partition("## What is promised")[2].partition("## What is not promised")[0]
    )
    rows = [line for line in promises.splitlines() if line.startswith("| ") and "| promise |" not in line]

    assert len(rows) >= 11
    assert [row for row in rows if not NODE.search(row)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = page.parent / file if file else page

        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_cve_is_of_these_years_and_links_to_its_own_record() -> None:
    text = MODEL.read_text()
    linked = re.findall(r"\[(CVE-\d+-\d+)\]\(https://www\.cve\.org/CVERecord\?id=(CVE-\d+-\d+)\)", text)

    assert len(linked) > 25
    assert [pair for pair in linked if pair[0] != pair[1]] == []
    assert {name.split("-")[1] for name, _ in linked} <= {"2023", "2024", "2025", "2026"}
    assert len(re.findall(r"CVE-\d+-\d+", text)) == 2 * len(linked)


def test_the_versions_that_are_shipped_are_those_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    rows = [line.split(" | ") for line in MODEL.read_text().splitlines() if line.startswith("| [CVE")]

    for package, word in (("pillow", "Pillow"), ("pillow-heif", "pillow-heif")):
        (version,) = re.findall(rf"^{package}==([\d.]+)", lock, re.M)
        said = {cells[3].split(",")[0].strip("*") for cells in rows if cells[1].startswith(f"{word} ")}

        assert said == {version}
