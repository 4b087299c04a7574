"""The site of the documentation: it builds, and what it compares and links to is there."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from console.browsing import launch
from playwright.sync_api import sync_playwright

from scripts import make_site

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, built."""
    place = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "scripts/make_site.py", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_page_of_the_documentation_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()

    linked = set(re.findall(r'href="?(?:\./)?([^"> ]+\.html)', home))
    pages = {
        str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").rglob("*.md")
    }
    assert len(pages) > 40
    assert pages - linked - {"index.html"} == set()


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r"""<(?:script|img|iframe)[^>]+src=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//"""
    )

    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text())] == []


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where it is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(10)


_STICKS_OUT = """
    () => [...document.querySelectorAll(".md-content *")].filter((element) => {
        if (element.getBoundingClientRect().right <= innerWidth) return false;
        for (let around = element.parentElement; around !== document.body; around = around.parentElement) {
            const scrolls = ["auto", "scroll"].includes(getComputedStyle(around).overflowX);
            if (scrolls && around.getBoundingClientRect().right <= innerWidth) return false;
        }
        return true;
    }).map((element) => element.tagName)
"""


_LEFT = "net::ERR_ABORTED"


@pytest.mark.needs_chromium
def test_wide_tables_scroll_within_themselves_and_nothing_is_missing(address: str) -> None:
    noted: list[str] = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        for width in (1280, 360):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("console", lambda said: noted.append(said.text) if said.type == "error" else None)
            page.on("response", lambda told: noted.append(told.url) if told.status >= 400 else None)
            # A page that is left ends what it still asks for.
            page.on(
                "requestfailed", lambda asked: None if asked.failure == _LEFT else noted.append(asked.url)
            )
            page.on(
                "request", lambda asked: None if asked.url.startswith(address) else noted.append(asked.url)
            )
            for name in ("index", "api", "comparison", "settings"):
                page.goto(f"{address}{name}.html")
                assert page.evaluate(_STICKS_OUT) == [], (name, width)
                assert page.locator("h1").is_visible()
            page.close()

    assert [text for text in noted if not text.startswith(("data:", "blob:"))] == []


def test_the_site_has_the_consoles_icon() -> None:
    icon = (ROOT / "docs" / "pictures" / "icon.svg").read_bytes()

    assert icon == (ROOT / "src" / "remote_worker" / "web" / "console" / "icon.svg").read_bytes()


def test_a_link_to_what_there_is_not_is_found() -> None:
    broken: list[str] = []

    make_site.turned("[here](links.md) [there](nowhere.md)", "docs/egress.md", set(), broken)

    assert broken == ["docs/egress.md: nowhere.md is no file"]


def test_a_link_out_of_the_documentation_leads_to_the_files_own_page() -> None:
    linked: set[str] = set()

    turned = make_site.turned("[it](../src/remote_worker/wiring.py#L3)", "docs/egress.md", linked, [])

    assert turned == "[it](source/src/remote_worker/wiring.py.md#L3)"
    assert linked == {"src/remote_worker/wiring.py"}


def test_a_link_whose_title_is_a_function_leads_to_its_line() -> None:
    test = 'tests/decoder/test_fit.py "test_quality_changes_the_size"'
    lines = (ROOT / "tests/decoder/test_fit.py").read_text().splitlines()

    turned = make_site.turned(
        f"[yes](../{test}) [no](../tests/whole_service.py)", "docs/egress.md", set(), []
    )

    (at,) = re.findall(r"__codelineno-0-(\d+)", turned)
    assert lines[int(at) - 1].startswith("def test_quality_changes_the_size(")
    assert turned.endswith("[no](source/tests/whole_service.py.md)")


def test_what_looks_like_a_link_in_code_stays() -> None:
    text = "```\n[a](b.md)\n```\n"

    assert make_site.turned(text, "docs/egress.md", set(), []) == text


COMPARISON = (ROOT / "docs" / "comparison.md").read_text()
_OURS = re.compile(r'\[[^\]]+\]\(\.\./(tests/[^ )]+) "([^"]+)"\)')


def test_a_yes_leads_to_its_test_on_the_site(site: Path) -> None:
    links = re.findall(
        r'href="?(source/tests/[^"# ]+)#(__codelineno-0-\d+)', (site / "comparison.html").read_text()
    )

    assert len(links) > 40
    for page, line in links:
        assert f'"{line}"' in (site / page).read_text(), page


def rows() -> list[list[str]]:
    lines = [line for line in COMPARISON.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


def test_every_yes_of_ours_links_to_a_test_that_there_is() -> None:
    ours = [row[1] for row in rows() if row[1] != "Remote Worker"]
    said = [cell for cell in ours if cell.startswith(("yes", "[yes"))]

    assert len(said) >= 40
    for cell in said:
        tests = _OURS.findall(cell)
        assert tests, cell
        for path, name in tests:
            assert f"def {name}(" in (ROOT / path).read_text(), cell
