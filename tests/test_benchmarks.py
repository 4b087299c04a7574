"""What the benchmarks make of what they measure: ratios, verdicts, stages of a job, and their own input."""

import gzip
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import cells, in_process, links, origin, processes, requests, servers, tables

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


def test_the_page_of_the_origin_is_as_long_as_the_table_says() -> None:
    page = origin.page()
    head, _, body = origin.answer().partition(b"\r\n\r\n")

    assert len(page) == 30_000
    assert 5_500 < page.index(b"</head>") < 6_000
    assert gzip.decompress(body) == page
    assert f"Content-Length: {len(body)}".encode() in head
    assert page.endswith(b"</html>\n")


def test_every_cold_page_has_an_address_of_its_own_and_the_cached_ones_come_again() -> None:
    def pages(kind: str) -> list[bytes]:
        load = requests.Load(
            port=1, kind=kind, connections=1, seconds=1, origin="http://127.0.0.1:2", first=0
        )
        return [requests.request(load, number) for number in range(500)]

    assert len(set(pages(requests.COLD))) == 500
    assert len(set(pages(requests.CACHED))) == requests.CACHED_URLS == 200
    assert pages(requests.COLD)[7].startswith(
        b"GET /links/preview?url=http%3A%2F%2F127.0.0.1%3A2%2Fpage%2F7 HTTP/1.1\r\n"
    )


def test_the_post_has_the_size_of_which_the_table_speaks() -> None:
    assert len(requests.post()) == 1300


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_answers_are_told_apart_however_they_come_in(size: int) -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    wire += b"HTTP/1.1 503 Busy\r\nX: y\r\ncontent-length: 0\r\n\r\n"
    answers, told = requests.Answers(), []
    for answer in (wire[:43], wire[43:]):
        for start in range(0, len(answer), size):
            if answers.take(answer[start : start + size]):
                told.append((answers.status, bytes(answers.body)))

    assert told == [("200", b"hello"), ("503", b"")]


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("python -I -m remote_worker.fetch.process.main", "fetch"),
        ("python -I -m remote_worker.decoder.template", "jail"),
    ],
)
def test_processes_are_told_apart_by_their_command(command: str, part: str) -> None:
    assert links.part_of(command.replace(" ", "\0").encode() + b"\0") == part


def test_previews_that_are_not_right_end_the_benchmark() -> None:
    load = requests.Load(port=1, kind=requests.COLD, connections=1, seconds=1)
    right = json.dumps({"title": origin.TITLE})

    links.check(load, requests.Seen(seconds=[0.1], sample=right))
    for wrong in (
        requests.Seen(seconds=[0.1], sample=json.dumps({"title": "Another"})),
        requests.Seen(seconds=[0.1], sample=right, others={"502": 1}),
        requests.Seen(),
    ):
        with pytest.raises(SystemExit, match="cold"):
            links.check(load, wrong)


def test_the_table_of_links_has_medians_and_cpu_of_one_unit() -> None:
    def round_of(units: int) -> links.Round:
        seen = requests.Seen(seconds=[0.010] * units, took=2.0)
        return links.Round(seen=seen, cpu={"host": 1.0, "fetch": 0.5, "jail": 0.5}, others_percent=3.0)

    table = links.report({kind.name: [round_of(1400), round_of(100)] for kind in links.KINDS[:1]}, 2, 2.0)

    # The median of 700 and 50 a second; CPU of 1 s for 1,400 and 100 units.
    assert "| previews, each URL once | 700 | 750 | 375 | 50..700 | **no** | 10.0 | 10.0 | 5.36 |" in table


def test_the_origin_answers_on_kept_connections() -> None:
    port = servers.free_port()
    core = min(os.sched_getaffinity(0))
    with origin.origin(port, core), socket.create_connection(("127.0.0.1", port), 10) as connection:
        for path in (b"/page/1", b"/page/2"):
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answers = requests.Answers()
            while not answers.take(connection.recv(65536)):
                pass
            assert answers.status == "200"
            assert gzip.decompress(bytes(answers.body)) == origin.page()


def _photo(orientation: int) -> bytes:
    exif = Image.Exif()
    exif.endian = ">"
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.linear_gradient("L").resize((900, 1200)).convert("RGB").save(file, "JPEG", exif=exif)
    return file.getvalue()
