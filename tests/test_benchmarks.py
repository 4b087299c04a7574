"""What the benchmarks make of what they measure: ratios, verdicts, stages of a job, and their own input."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import cells, in_process, processes, tables

ORIENTATION = 274


def test_a_ratio_is_the_median_of_rounds_that_lie_beside_each_other_in_time() -> None:
    # 3, 5 and 2 times: neither their mean, nor the ratio of the medians, which is 5.
    assert tables.ratio([30.0, 20.0, 4.0], [10.0, 4.0, 2.0]) == 3.0


def test_no_ratio_is_told_to_what_measured_nothing() -> None:
    assert tables.ratio([1.0, 1.0], [1.0, 0.0]) is None
    assert tables.times(None) == "-"


@pytest.mark.parametrize(
    ("reached", "word"), [(1.49, "**no**"), (1.5, "yes"), (1.99, "yes"), (2.0, "aim"), (9.0, "aim")]
)
def test_a_bar_is_reached_at_its_very_figure(reached: float, word: str) -> None:
    assert tables.verdict(reached, 1.5, 2.0) == word


def test_cells_are_chosen_by_words_of_their_names() -> None:
    assert cells.chosen([]) == cells.CELLS
    assert [cell.name for cell in cells.chosen(["prepare", "2mp.avif"])] == [
        "avatars 2mp.avif",
        "fit 2mp.avif",
        "prepare 12mp.jpg",
        "prepare upright",
    ]
    with pytest.raises(SystemExit, match="no cell is called nothing"):
        cells.chosen(["nothing"])


def test_the_upright_photo_differs_from_the_turned_one_in_its_orientation_only(tmp_path: Path) -> None:
    shared, scratch = tmp_path / "inputs", tmp_path / "scratch"
    shared.mkdir()
    scratch.mkdir()
    for cell in cells.CELLS:
        (shared / cell.input).write_bytes(_photo(6))
    (shared / cells.UPRIGHT).unlink()

    files = cells.inputs(shared, scratch)

    assert files[cells.UPRIGHT].read_bytes() == _photo(1)
    assert files["12mp.jpg"] == shared / "12mp.jpg"


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"there is no 1024\.png, 1080p\.webp, "):
        cells.inputs(tmp_path, tmp_path)


def test_each_stage_of_a_job_is_told_and_together_they_are_the_unit(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(_photo(6))
    # In a process of its own, because it wraps functions of the decoder.
    command = [sys.executable, "-m", "benchmarks.in_process", "fit800", str(photo), "0"]

    said = subprocess.run(command, cwd=tables.PROJECT, capture_output=True, text=True, check=True).stdout

    told = json.loads(said)
    assert set(told) == {"unit", *in_process.STAGES}
    assert sum(told[stage] for stage in in_process.STAGES) == pytest.approx(told["unit"])
    assert all(told[stage] > 0 for stage in in_process.STAGES)


def test_the_memory_of_a_tree_has_its_children_and_shared_pages_once() -> None:
    held = 64 * 1024 * 1024
    program = f"import os; held = b'x' * {held}; os.fork(); print(flush=True); os.read(0, 1)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() + process.stdout.readline() == b"\n\n"

        tree, size = processes.tree(process.pid), processes.pss_bytes(process.pid)

        process.stdin.write(b"xx")
        process.stdin.close()
    assert len(tree) == 2
    assert held < size < 2 * held
    assert os.getpid() not in tree


def _photo(orientation: int) -> bytes:
    exif = Image.Exif()
    exif.endian = ">"
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.linear_gradient("L").resize((900, 1200)).convert("RGB").save(file, "JPEG", exif=exif)
    return file.getvalue()
