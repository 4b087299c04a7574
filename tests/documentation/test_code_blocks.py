"""Every code block of the documentation that can run is run, and every other is read by its parser.

What cannot run says why in a comment in front of it: `<!-- not run: needs Docker -->`.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from web.keyrings import write

from benchmarks.servers import free_port, worker
from remote_worker.cli.diagnosis import SAMPLES
from remote_worker.settings import read
from remote_worker.web.auth import Gate

from .world import world

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
_BLOCK = re.compile(r"(?:<!-- not run: ([^\n]+?) -->\n\n?)?^```([^\n]*)\n(.*?)^```$", re.M | re.S)
PHOTOS = {
    "photo.jpg": "sample.jpg",
    "photo.heic": "sample.heic",
    "in.heic": "sample.heic",
    "logo.svg": "sample.svg",
    "album/one.webp": "sample.webp",
}
HAVE_TESTS_OF_THEIR_OWN = {
    "docs/client.md": "tests/client/test_client_docs.py",
    "docs/calling.md": "tests/test_calling_docs.py",
    "docs/webhooks.md": "tests/jobs/test_webhooks.py",
}
"""Pages whose programs go on from each other, need a worker with keys, or are for another language."""


@dataclass(frozen=True, slots=True)
class Block:
    """One of a page; `reason` says why it is not run."""

    page: str
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for path in sorted(PAGES):
        text = path.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start(2)) + 1
            yield Block(str(path.relative_to(ROOT)), line, found[2], found[3], found[1] or "")


BLOCKS = list(blocks())
TABLES = [block for block in BLOCKS if block.language == "toml"]
PRESETS = [block for block in TABLES if "[presets." in block.text]
KEYS = [block for block in TABLES if "[keys." in block.text]
PROGRAMS = [
    block
    for block in BLOCKS
    if block.language == "python" and not block.reason and block.page not in HAVE_TESTS_OF_THEIR_OWN
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a worker in a small internet of its own, and the settings that it has."""
    folder = tmp_path_factory.mktemp("world")
    with world(folder) as told:
        settings = {**told, "REMOTE_SITE_PER_SECOND": "1000", "REMOTE_SITE_BURST": "1000"}
        (presets,) = (block for block in PRESETS if block.page == "docs/recipes.md")
        settings["REMOTE_SETTINGS_FILE"] = str(folder / "worker.toml")
        (folder / "worker.toml").write_text(presets.text)
        with worker(free_port(), os.sched_getaffinity(0), **settings) as server:
            yield server.address, settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the examples read: pictures, and the project's own tests and examples."""
    (tmp_path / "album").mkdir()
    for name, sample in PHOTOS.items():
        shutil.copy(SAMPLES / sample, tmp_path / name)
    for name in ("tests", "examples", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run(command: list[str], folder: Path, settings: dict[str, str]) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean | settings | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs_curl
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "sh" and not b.reason], ids=str)
def test_a_shell_block_works(block: Block, serving: tuple[str, dict[str, str]], folder: Path) -> None:
    address, settings = serving
    text = block.text.replace("http://127.0.0.1:5000", address)
    prelude = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
    run(["bash", "-c", prelude + text], folder, settings)


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_python_block_works(block: Block, serving: tuple[str, dict[str, str]], folder: Path) -> None:
    address, settings = serving
    run([sys.executable, "-c", block.text.replace("http://127.0.0.1:5000", address)], folder, settings)


def _ini(text: str) -> None:
    configparser.RawConfigParser(strict=False).read_string(text)


READERS = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load, "ini": _ini}
RUN = {"sh", "python"}
NOT_CODE = {"text", "mermaid", "http", "nft"}
"""What is shown is no program: an answer, a picture, a request."""


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in READERS], ids=str)
def test_a_block_of_settings_or_data_can_be_read(block: Block) -> None:
    assert READERS[block.language](block.text) != {}


@pytest.mark.parametrize("block", PRESETS, ids=str)
def test_a_settings_file_that_is_shown_is_taken(block: Block, tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(block.text)

    taken = read({"REMOTE_SETTINGS_FILE": str(tmp_path / "worker.toml")})

    assert [f"[presets.{name}]" in block.text for name in taken.presets] == [True] * len(taken.presets)
    assert len(taken.presets) == block.text.count("[presets.")


@pytest.mark.parametrize("block", KEYS, ids=str)
def test_a_key_file_that_is_shown_is_taken(block: Block, tmp_path: Path) -> None:
    text = re.sub(r'"[0-9a-f]+…"', lambda cut: f'"{cut[0].strip(chr(34))[:2] * 32}"', block.text)

    taken = read({"REMOTE_KEYS_FILE": write(tmp_path / "keys.toml", text)})

    keys = Gate(taken.web, taken.limits).keys

    assert keys is not None
    assert len(keys.named) == block.text.count("[keys.")


def test_every_table_that_is_shown_is_a_settings_file_or_a_key_file() -> None:
    assert [str(block) for block in TABLES if block not in PRESETS and block not in KEYS] == []


def test_a_page_whose_programs_are_not_run_here_has_a_test_that_reads_it() -> None:
    for page, test in HAVE_TESTS_OF_THEIR_OWN.items():
        assert Path(page).name in (ROOT / test).read_text()


def test_every_block_says_what_it_is_and_none_is_left_out_without_a_reason() -> None:
    known = RUN | NOT_CODE | READERS.keys()
    with_tests = {"javascript"}
    unknown = [
        str(block)
        for block in BLOCKS
        if block.language not in known
        and not (block.language in with_tests and block.page in HAVE_TESTS_OF_THEIR_OWN)
    ]

    assert unknown == []
    assert all(len(block.reason) > 8 for block in BLOCKS if block.reason)
