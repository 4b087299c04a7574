"""Builds the site of the documentation from docs/ and what its pages link to elsewhere in the repository.

The pages link to files as they lie in a checkout, so that the links work there too. For the site, pages of
the project (CHANGELOG, SECURITY, the benchmarks' tables) become pages under project/, and any other file that
a page links to becomes a page with its text under source/.
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PROJECT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/*.md")
_LINK = re.compile(r"""\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?( "[^"]*")?\)""")
_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.M | re.S)
_LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml", ".json": "json", ".go": "go"}


class BrokenLinks(Exception):
    """Pages link to what there is not."""


def main(site: Path) -> int:
    """Build it; the answer is the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            write_pages(work / "docs")
        except BrokenLinks as broken:
            print(broken, file=sys.stderr)
            return 1
        settings = (ROOT / "mkdocs.yml").read_text()
        (work / "mkdocs.yml").write_text(settings.replace("- Decisions: []", _decisions()))
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        done = subprocess.run(command, cwd=work, check=False)
        if done.returncode == 0:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(work / "site", site)
        return done.returncode


def _decisions() -> str:
    """The navigation's list of them, by number."""
    names = sorted(path.name for path in (DOCS / "decisions").glob("*.md"))
    return "- Decisions:\n" + "".join(f"          - decisions/{name}\n" for name in names)


def write_pages(folder: Path) -> None:
    """Write every page of the site, with its links turned to where things lie there. Raises BrokenLinks."""
    shutil.copytree(DOCS, folder)
    pages = [path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")]
    pages += [found.relative_to(ROOT).as_posix() for pattern in PROJECT_PAGES for found in ROOT.glob(pattern)]
    broken: list[str] = []
    linked: set[str] = set()
    for page in pages:
        text = turned((ROOT / page).read_text(), page, linked, broken)
        _write(folder / site_place(page), text)
    for place in linked - set(pages):
        if not place.startswith("docs/"):
            _write(folder / site_place(place), _shown(place))
    if broken:
        raise BrokenLinks("\n".join(broken))


def turned(markdown: str, page: str, linked: set[str], broken: list[str]) -> str:
    """A page with its links turned; `page` is its place in the repository. Notes what it links to."""

    def turn(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), link[1]))
        if (ROOT / place).is_dir():
            place = posixpath.join(place, "README.md" if (ROOT / place / "README.md").exists() else "")
        if place.endswith("/"):
            inside = sorted((ROOT / place).glob("*.md"))
            place = inside[0].relative_to(ROOT).as_posix() if inside else place
        if place.startswith("..") or not (ROOT / place).is_file():
            broken.append(f"{page}: {link[1]} is no file")
            return link[0]
        linked.add(place)
        anchor = link[2] or _line_of((link[3] or "").strip(' "'), place)
        there = posixpath.relpath(site_place(place), posixpath.dirname(site_place(page)) or ".")
        return f"]({there}{anchor}{link[3] or ''})"

    return _outside_code(markdown, lambda text: _LINK.sub(turn, text))


def site_place(place: str) -> str:
    """Where a file of the repository lies in the site."""
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if place == "README.md":
        return "index.md"
    if any(Path(place).match(pattern) for pattern in PROJECT_PAGES) and place.count("/") < 2:
        return f"project/{place}"
    return f"source/{place}.md"


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    pieces, last = [], 0
    for fence in _FENCE.finditer(markdown):
        pieces += [change(markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*pieces, change(markdown[last:])])


def _shown(place: str) -> str:
    language = _LANGUAGES.get(Path(place).suffix, "text")
    return f'# {place}\n\n~~~~{{ .{language} linenums="1" }}\n{(ROOT / place).read_text()}\n~~~~\n'


def _line_of(name: str, place: str) -> str:
    """The anchor of the line on which a function of a file begins, where a link's title is its name."""
    if not name.isidentifier() or not place.endswith(".py"):
        return ""
    lines = (ROOT / place).read_text().splitlines()
    return next((f"#__codelineno-0-{at}" for at, line in enumerate(lines, 1) if f"def {name}(" in line), "")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"))
