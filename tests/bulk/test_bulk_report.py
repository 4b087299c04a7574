"""The final report: its numbers are those of the rows, and strangers' texts do no harm in it."""

import json
import random
import re
import statistics
import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import pytest
from bulk.written import PLANNED, Written, failed, made

from remote_worker.bulk import parquet
from remote_worker.bulk.folder import Folder
from remote_worker.bulk.picture import draw
from remote_worker.bulk.report import NotDone, as_json, as_text, make_report
from remote_worker.bulk.rows import Row
from remote_worker.cli import main
from remote_worker.stores.directory import Directory

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>]]>&\x1b[2J\x07\n\r\x9b31m\u202etxt.exe"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(Directory(tmp_path), "job1")


@pytest.fixture
def mixed(tmp_path: Path) -> Written:
    """Six hundred items of three kinds of trouble, and one whose retry went well."""
    chance = random.Random(7)
    keys = [f"k{at:03d}" for at in range(600)]
    job = Written(tmp_path, [keys[at : at + 100] for at in range(0, 600, 100)])
    rows = {}
    for key in keys:
        kind = chance.random()
        took = chance.lognormvariate(3, 1)
        if kind < 0.05:
            rows[key] = failed(key, "damaged", "no JPEG", took=took)
        elif kind < 0.07:
            rows[key] = failed(key, "too_many_pixels", took=took)
        else:
            rows[key] = made(key, took=took, source=chance.randint(1_000, 9_000_000), outputs=(500, 700))
    rows["k300"] = failed("k300", "busy")
    rows["k301"] = made("k301", took=0, outputs=(500, 700))
    job.commit_all(rows)
    job.rows = rows  # type: ignore[attr-defined]
    return job


def test_totals_are_those_of_the_rows(mixed: Written, folder: Folder) -> None:
    report = make_report(folder)
    rows = mixed.rows.values()  # type: ignore[attr-defined]
    good = [row for row in rows if "code" not in row]
    codes = Counter(row["code"] for row in rows if "code" in row)

    assert report["items"] == 600
    assert (report["made"], report["failed"], report["adopted"]) == (len(good), 600 - len(good), 1)
    assert {one["code"]: one["count"] for one in report["codes"]} == codes
    assert report["bytes_in"] == sum(row["source_bytes"] for row in good)
    assert (report["bytes_out"], report["outputs"]) == (1200 * len(good), 2 * len(good))
    took = sorted(row["milliseconds"] for row in good if row["milliseconds"])
    assert report["milliseconds"]["count"] == len(took)
    assert report["milliseconds"]["mean"] == pytest.approx(statistics.fmean(took), abs=0.001)
    assert report["milliseconds"]["p50"] == pytest.approx(took[-(-len(took) // 2) - 1], rel=0.0225)
    slowest = sorted(rows, key=lambda row: -row["milliseconds"])[:10]
    assert [one["key"] for one in report["slowest"]] == [row["key"] for row in slowest]
    assert (report["first_commit"] - PLANNED, report["last_commit"] - PLANNED) == (10, 60)
    assert [point for point in report["course"] if point[1] % 200 == 0] == [[20, 200], [40, 400], [60, 600]]


def test_samples_name_the_first_of_each_code_and_so_many(mixed: Written, folder: Folder) -> None:
    report = make_report(folder, samples=3)
    rows = mixed.rows  # type: ignore[attr-defined]
    damaged = [key for key, row in rows.items() if row.get("code") == "damaged"]

    (told,) = [one["samples"] for one in report["codes"] if one["code"] == "damaged"]
    assert len(damaged) > 3
    assert told == [{"key": key, "detail": "no JPEG"} for key in damaged[:3]]


def test_an_item_that_was_retried_is_in_the_report_once(mixed: Written, folder: Folder) -> None:
    main(["bulk", "retry", mixed.address, "--code", "busy"])
    with pytest.raises(NotDone):
        make_report(folder)
    mixed.commit(6, [made("k300")], 100)
    report = make_report(folder)

    assert (report["items"], report["retries"]) == (600, 1)
    assert "busy" not in {one["code"] for one in report["codes"]}
    assert report["course"][-1] == [100, 601]


def test_the_command_keeps_the_report_in_the_job_and_tells_it(
    mixed: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bulk", "report", mixed.address, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    kept = (mixed.root / "report.json").read_bytes()
    main(["bulk", "report", mixed.address])

    assert json.loads(kept) == told
    assert (mixed.root / "report.json").read_bytes() == kept
    assert f"  failed    {told['failed']}" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["--picture", "--parquet"])
def test_a_file_that_cannot_be_written_does_not_look_like_failed_items(
    mixed: Written, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert main(["bulk", "report", mixed.address, kind, "/nowhere/file"]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_a_job_that_goes_on_has_no_report(mixed: Written, capsys: pytest.CaptureFixture[str]) -> None:
    (mixed.root / "parts" / "00002.jsonl.gz").unlink()

    assert main(["bulk", "report", mixed.address]) == 3
    assert "1 of 6 shards" in capsys.readouterr().err
    assert not (mixed.root / "report.json").exists()


def test_a_job_of_which_everything_was_made_ends_well(tmp_path: Path) -> None:
    job = Written(tmp_path, [["a"], ["b"]])
    job.commit_all()

    assert main(["bulk", "report", job.address]) == 0


def test_what_strangers_call_their_files_reaches_no_terminal_as_it_is(tmp_path: Path, folder: Folder) -> None:
    job = Written(tmp_path, [[HOSTILE, "b"]], recipe=f"/images/{HOSTILE}")
    job.commit(0, [failed(HOSTILE, HOSTILE, HOSTILE, took=99), made("b")], 1)
    report = make_report(folder)
    text = as_text(report)

    assert all(letter.isprintable() for line in text.splitlines() for letter in line)
    assert not {"\x1b", "\r", "\x07", "\x9b", "\u202e"} & set(text)
    # Each of the two lines that name it stays one line.
    assert sum("<script>" in line and "\\x1b[2J" in line for line in text.splitlines()) == 4
    assert json.loads(as_json(report))["slowest"][0]["key"] == HOSTILE


def test_a_picture_is_xml_with_words_and_both_schemes_and_nothing_from_elsewhere(
    mixed: Written, folder: Folder
) -> None:
    report = make_report(folder)
    picture = draw(report)
    root = ElementTree.fromstring(picture)
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]

    assert draw(report) == picture
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title told")
    assert "prefers-color-scheme: dark" in picture
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|href", picture)
    for code in report["codes"]:
        assert code["code"] in texts
        assert f"{code['count']:,}" in texts
    # Every colour is one of those that change with the scheme.
    assert all(
        element.get("fill", "var(--").startswith("var(--") and element.get("style") is None
        for element in root.iter()
    )


def test_a_picture_runs_nothing_that_a_job_says(tmp_path: Path, folder: Folder) -> None:
    job = Written(tmp_path, [[HOSTILE]], recipe=f"/images/{HOSTILE}")
    job.commit(0, [failed(HOSTILE, HOSTILE, HOSTILE)], 1)
    picture = draw(make_report(folder))
    root = ElementTree.fromstring(picture)

    assert "<script" not in picture
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "desc", "style", "rect", "text", "path")
    }
    assert all(letter == "\n" or letter.isprintable() for letter in picture)


@pytest.mark.parametrize("rows", [{}, {"a": failed("a", "busy")}])
def test_a_picture_of_one_item_is_drawn(
    tmp_path: Path, folder: Folder, rows: dict[str, dict[str, object]]
) -> None:
    Written(tmp_path, [["a"]]).commit_all(rows)

    assert ElementTree.fromstring(draw(make_report(folder))).tag == f"{SVG}svg"


def test_a_picture_of_an_empty_job_is_drawn(tmp_path: Path, folder: Folder) -> None:
    Written(tmp_path, [])

    assert "Nothing was made" in draw(make_report(folder))


def test_parquet_has_a_row_for_each_output_and_for_each_item_without(tmp_path: Path, folder: Folder) -> None:
    job = Written(tmp_path, [["a", HOSTILE], ["c"]])
    facts = {**made("c", outputs=()), "facts": {"width": 3}}
    job.commit(0, [made("a", outputs=(5, 6)), failed(HOSTILE, "damaged", "why")], 1)
    job.commit(1, [facts], 2)
    file = tmp_path / "rows.parquet"

    assert main(["bulk", "report", job.address, "--parquet", str(file)]) == 1
    table = pyarrow.parquet.read_table(file)

    assert [name for name, _ in parquet.COLUMNS] == table.column_names
    assert table.column("key").to_pylist() == ["a", "a", HOSTILE, "c"]
    assert table.column("code").to_pylist() == ["", "", "damaged", ""]
    assert table.column("output").to_pylist() == ["out0", "out1", None, None]
    assert table.column("output_bytes").to_pylist() == [5, 6, None, None]
    assert table.column("facts").to_pylist() == [None, None, None, '{"width": 3}']
    assert table.column("shard").to_pylist() == [0, 0, 0, 1]
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == ["rows.parquet"]


def test_a_name_that_is_no_text_is_told(tmp_path: Path, folder: Folder) -> None:
    Written(tmp_path, [["x"]])
    folder.commit(0, [Row(key="x\udce4", version="", code="source_gone")], now=PLANNED)
    report = make_report(folder)
    file = tmp_path / "rows.parquet"

    parquet.write_parquet(folder, file)
    assert pyarrow.parquet.read_table(file).column("key").to_pylist() == ["x\\udce4"]
    assert json.loads(as_json(report))["codes"][0]["samples"] == [{"key": "x\udce4", "detail": ""}]
    assert as_text(report).encode().count(b"x\\udce4") == 1


def test_parquet_is_written_a_few_rows_at_a_time(tmp_path: Path, folder: Folder) -> None:
    Written(tmp_path, [["a", "b"], ["c"]]).commit_all()
    file = tmp_path / "rows.parquet"

    assert parquet.write_parquet(folder, file, rows_a_group=2) == 3
    groups = pyarrow.parquet.ParquetFile(file).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [2, 1]


def test_without_the_extra_the_command_says_which_one(tmp_path: Path) -> None:
    job = Written(tmp_path, [["a"]])
    job.commit_all()
    program = (
        "import sys; sys.modules['pyarrow'] = None; from remote_worker.cli import main; "
        f"sys.exit(main(['bulk', 'report', {job.address!r}, '--parquet', {str(tmp_path / 'x')!r}]))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "remote-worker[parquet]" in ended.stderr
    assert not (tmp_path / "x").exists()


def test_ten_times_the_parts_take_no_more_memory(tmp_path: Path) -> None:
    def peak(shards: int) -> int:
        store = tmp_path / str(shards)
        job = Written(store, [[f"{shard}/{at}" for at in range(100)] for shard in range(shards)])
        job.commit_all({f"{shard}/7": failed(f"{shard}/7", "damaged") for shard in range(shards)})
        folder = Folder(Directory(store), "job1")
        tracemalloc.start()
        make_report(folder)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(20), peak(200)

    # How many of the eight that are read together are held at once is the threads' luck.
    assert many < 3 * few
