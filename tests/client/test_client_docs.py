"""Each block of Python on docs/client.md runs, and docs/client.md names what there is."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_worker.client import AsyncClient, Client, Refused

from .conftest import Working
from .scripted import answer, scripted
from .test_client_answers import MIXED

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
METHODS = [name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")]


def block(word: str) -> str:
    """The one block with this word, and no other in it."""
    (found,) = (text for text in BLOCKS if word in text)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's files are."""
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "notes.txt").write_text("Notes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def names(working: Working) -> Iterator[dict[str, Any]]:
    """What the page's blocks have from the first one on."""
    with Client(working.url) as worker:
        yield {"Client": Client, "worker": worker}


def run(text: str, names: dict[str, Any], working: Working, url: str = "") -> None:
    """With the worker of the tests and the site that it may look at."""
    for address in ("https://example.com/", "https://www.kernel.org/"):
        text = text.replace(address, f"{working.site}/page/{len(address)}")
    exec(text.replace("http://127.0.0.1:5000", url or working.url), names)


def test_the_block_about_pictures_runs(
    working: Working, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("prepare_jpeg("), {}, working)

    assert {path.name for path in folder.iterdir()} >= {"small.webp", "clean.jpg", "avatar73.png"}
    assert capsys.readouterr().out.startswith("jpeg ")


def test_the_block_about_presets_runs(
    working: Working, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        scripted(answer(MIXED, kind="multipart/mixed; boundary=b-1")) as server,
        Client(server.url) as worker,
    ):
        run(block("worker.preset("), {"worker": worker}, working)

    assert capsys.readouterr().out == "small 32 20 14\nlarge 320 200 0\n\n"


def test_the_block_about_links_runs_up_to_what_needs_the_internet(
    working: Working, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    *lines, last = block("render_markdown(").strip().splitlines()
    run("\n".join(lines), names, working)

    assert last == 'records = worker.resolve("example.com", "MX").answers'
    assert names["html"] == "<p>Hello <strong>world</strong></p>\n"
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_block_about_jobs_runs(working: Working, folder: Path, names: dict[str, Any]) -> None:
    run(block("worker.submit("), names, working)

    assert (folder / "later.webp").read_bytes()[8:12] == b"WEBP"
    with pytest.raises(Refused) as gone:
        names["worker"].job(names["job"].id)
    assert gone.value.code == "not_found"


def test_the_asynchronous_block_runs(
    working: Working, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("AsyncClient("), {"asyncio": asyncio}, working)

    size, frames = capsys.readouterr().out.splitlines()[0].split()
    assert (int(size) > 100, frames) == (True, "1")


def test_the_block_about_failures_tells_the_code(
    working: Working, folder: Path, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("except Refused"), names, working)

    assert capsys.readouterr().out.startswith("unsupported_format 415 ")


@pytest.mark.parametrize(
    ("word", "made"), [("Retries(most=8)", ("patient", "once")), ("Signer(", ("with_key", "signing"))]
)
def test_the_blocks_that_make_clients_make_some_that_work(
    working: Working, names: dict[str, Any], word: str, made: tuple[str, ...]
) -> None:
    run(block(word), names, working)

    for name in made:
        with names[name] as client:
            assert client.hello().uptime > 0


def test_no_block_of_the_page_is_left_out() -> None:
    told = [
        "prepare_jpeg(",
        "worker.preset(",
        "render_markdown(",
        "worker.submit(",
        "AsyncClient(",
        "except Refused",
    ]

    assert {block(word) for word in [*told, "Retries(most=8)", "Signer("]} == set(BLOCKS)


def test_every_method_is_on_the_page_and_both_clients_have_the_same() -> None:
    others = [name for name, _ in inspect.getmembers(AsyncClient) if not name.startswith("_")]

    assert [name for name in METHODS if f"{name}(" not in PAGE] == ["close"]
    assert set(METHODS) - {"close"} == set(others) - {"aclose"}
    for name in set(METHODS) - {"close", "previews"}:
        blocking, asynchronous = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(blocking) == inspect.signature(asynchronous)


def test_the_examples_on_the_page_are_those_that_there_are() -> None:
    folder = Path(__file__).parents[2] / "examples"

    assert set(re.findall(r"\.\./examples/([\w.]+)", PAGE)) == {
        path.name for path in folder.iterdir() if path.is_file()
    }
