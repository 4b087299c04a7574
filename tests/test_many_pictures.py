"""`remote-worker run` over many pictures, and the bar that shows how far it is: run as a user runs it."""

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from test_cli import cli, png_size

from remote_worker.cli.batch import planned
from remote_worker.contract.failures import WorkFailed

SAMPLES = Path(__file__).resolve().parents[1] / "src" / "remote_worker" / "decoder" / "samples"

PRESET = """
[presets.card]
facts = ["phash"]
outputs = [
  {name = "small", width = 8, height = 8, mode = "cover", format = "webp"},
  {name = "wide", width = 20, height = 10, mode = "pad", format = "png"},
]
"""


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with a folder in it: three pictures, what is none, and what is hidden."""
    folder = tmp_path / "album"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(SAMPLES / "sample.png", folder / "one.png")
    shutil.copy(SAMPLES / "sample.jpg", folder / "one.jpg")
    shutil.copy(SAMPLES / "sample.gif", folder / "deep" / "two.gif")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("no picture either")
    return folder


def files(folder: Path) -> set[str]:
    """All files below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_fitted_into_a_folder_and_what_failed_is_told_at_the_end(
    album: Path, tmp_path: Path
) -> None:
    done = cli("run", "fit", "8", album, tmp_path / "out", "--format", "webp")

    assert files(tmp_path / "out") == {"one.png.webp", "one.jpg.webp", "deep/two.webp"}
    with Image.open(tmp_path / "out" / "deep" / "two.webp") as image:
        assert image.format == "WEBP"
        assert max(image.size) <= 8
    first, last = done.stderr.splitlines()
    assert first.startswith(f"remote-worker: {album / 'notes.txt'}: unsupported_format")
    assert last == "remote-worker: 1 of 4 failed"
    assert done.returncode == 1


def test_several_files_keep_their_own_formats_and_nothing_is_said_when_all_is_well(
    album: Path, tmp_path: Path
) -> None:
    done = cli("run", "fit", "8", album / "one.png", album / "deep" / "two.gif", tmp_path / "out")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(tmp_path / "out") == {"one.png", "two.gif"}


def test_one_file_goes_into_a_folder_that_is_there(album: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = cli("run", "prepare", album / "one.jpg", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == {"one.jpg"}


def test_a_preset_of_several_pictures_makes_a_folder_and_a_line_of_facts_each(
    album: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "worker.toml"
    settings.write_text(PRESET)
    done = cli("run", "preset", "card", album, tmp_path / "out", REMOTE_SETTINGS_FILE=str(settings))

    assert files(tmp_path / "out") == {
        f"{picture}/{output}"
        for picture in ("one.png", "one.jpg", "deep/two")
        for output in ("small.webp", "wide.png")
    }
    with Image.open(tmp_path / "out" / "deep" / "two" / "wide.png") as image:
        assert image.size == (20, 10)
    told = {row.pop("path"): row for row in map(json.loads, done.stdout.splitlines())}
    assert told.keys() == {str(album / name) for name in ("one.png", "one.jpg", "deep/two.gif")}
    assert all(row.keys() == {"phash"} and len(row["phash"]) == 16 for row in told.values())
    assert done.stderr.splitlines()[-1] == "remote-worker: 1 of 4 failed"
    assert done.returncode == 1


def test_avatars_of_several_pictures_have_a_folder_each(album: Path, tmp_path: Path) -> None:
    done = cli("run", "avatars", album / "one.png", album / "deep" / "two.gif", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    small = {f"{name}/avatar{side}.png" for name in ("one", "two") for side in (24, 48, 73)}
    assert small <= files(tmp_path / "out")
    assert png_size(tmp_path / "out" / "two" / "avatar24.png") == (24, 24)


def test_info_of_several_pictures_is_a_line_of_json_each(album: Path) -> None:
    done = cli("run", "info", album)

    told = {line["path"]: line["format"] for line in map(json.loads, done.stdout.splitlines())}
    assert told == {
        str(album / "one.png"): "png",
        str(album / "one.jpg"): "jpeg",
        str(album / "deep" / "two.gif"): "gif",
    }
    assert "1 of 4 failed" in done.stderr
    assert done.returncode == 1


def test_the_format_of_one_file_is_in_its_name_alone(album: Path, tmp_path: Path) -> None:
    done = cli("run", "fit", "8", album / "one.png", tmp_path / "out.png", "--format", "webp")

    assert done.returncode == 2
    assert "--format is for many outputs" in done.stderr


def test_a_file_that_is_not_there_fails_alone(album: Path, tmp_path: Path) -> None:
    done = cli("run", "fit", "8", album / "one.png", album / "nothing.png", tmp_path / "out")

    assert done.returncode == 1
    assert f"{album / 'nothing.png'}: os_error: No such file or directory" in done.stderr
    assert files(tmp_path / "out") == {"one.png"}


def test_two_pictures_never_take_each_others_place(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match="several inputs would be written as"):
        planned([tmp_path / "a" / "one.png", tmp_path / "b" / "one.png"], tmp_path / "out")

    assert len(planned([tmp_path / "a" / "one.png", tmp_path / "b" / "one.png"], None)) == 2
    assert [
        item.target.name for item in planned([Path("a.png"), Path("a.jpg"), Path("b.png")], Path("o"))
    ] == [
        "a.png",
        "a.jpg",
        "b",
    ]


def test_what_an_earlier_run_wrote_is_no_input(album: Path) -> None:
    (album / "out").mkdir()
    (album / "out" / "one.webp").write_text("written before")

    assert {item.source.name for item in planned([album], album / "out")} == {
        "one.png",
        "one.jpg",
        "notes.txt",
        "two.gif",
    }


def in_terminal(*arguments: str | Path, term: str = "xterm", has_both: bool = False) -> tuple[int, str, str]:
    """The status, what a terminal shows of standard error, and standard output: a pipe, or shown too."""
    ours, theirs = pty.openpty()
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "remote_worker", *map(str, arguments)],
        env={**clean, "TERM": term, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=theirs if has_both else subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says EIO when nobody is on the other side any more.
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
        said = "" if process.stdout is None else process.stdout.read().decode()
    return process.returncode, shown.decode(), said


def test_a_terminal_sees_a_bar_and_a_pipe_beside_it_has_none_of_it(album: Path) -> None:
    status, shown, said = in_terminal("run", "info", album / "one.png", album / "one.jpg")

    assert status == 0
    assert re.search(r"info.*━.*[012]/2", shown)
    assert {json.loads(line)["format"] for line in said.splitlines()} == {"png", "jpeg"}


def test_lines_above_the_bar_stay_whole(album: Path) -> None:
    _, shown, _ = in_terminal("run", "info", album / "one.png", album / "one.jpg", has_both=True)

    lines = re.findall(r"\{.*\}", shown)
    assert {json.loads(line)["format"] for line in lines} == {"png", "jpeg"}
    assert min(map(len, lines)) > 120


def test_a_terminal_that_can_do_nothing_sees_no_bar(album: Path) -> None:
    _, shown, said = in_terminal("run", "info", album / "one.png", album / "one.jpg", term="dumb")

    assert shown == ""
    assert len(said.splitlines()) == 2


def test_doctor_shows_how_far_it_is_and_prints_as_ever() -> None:
    status, shown, said = in_terminal("doctor")

    assert re.search(r"formats.*━", shown)
    assert "━" not in said
    assert "format    jpeg: ok" in said
    assert status == 0
