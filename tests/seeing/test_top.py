"""`remote-worker top`: what one frame says, and what it says when there is nothing to show."""

import contextlib
import io
import json
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from remote_worker.cli.top import MOST_ANSWER_BYTES, CannotAsk, Worker, frame, top
from remote_worker.settings import read

STATS: dict[str, Any] = {
    "status": "ok",
    "success": True,
    "version": "1.2.3",
    "uptime": 3723.4,
    "stage": "draining",
    "queue": {
        "pictures": {"waiting": 12, "running": 4, "slots": 4, "places": 64, "ready": 0},
        "texts": {"waiting": 0, "running": 1, "slots": 8, "places": 512, "ready": 3},
        "fetches": {"running": 0, "slots": 128},
    },
    "rates": {"seconds": 10.0, "requests": 40.55, "pictures": 12.5, "texts": 0.0, "fetches": 1.0},
    "totals": {
        "requests": 1000,
        "by_status": {"2xx": 900, "4xx": 60, "5xx": 40},
        "by_code": {"busy": 40, "damaged": 60},
    },
    "latency_ms": {"p50": 12.34, "p90": 50.0, "p99": 99.9},
    "jail": {"starts": 77, "kills": 1, "crashes": 2, "memory_peak_bytes": 104857600},
    "bytes": {"in": 512, "out": 1536},
}


def text(stats: dict[str, Any]) -> list[str]:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(frame("http://w", stats))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def test_a_frame_tells_the_numbers() -> None:
    assert text(STATS) == [
        "remote-worker http://w draining up 1h02m03s version 1.2.3",
        "work busy waiting ready per second",
        f"pictures 4/4 {'#' * 20} 12/64 0 12.5",
        f"texts 1/8 {'#' * 3}{'.' * 17} 0/512 3 0.0",
        f"fetches 0/128 {'.' * 20} - - 1.0",
        "requests 40.5 a second, 1000 in all 2xx 900 4xx 60 5xx 40",
        "latency p50 12.3 ms p90 50.0 ms p99 99.9 ms",
        "failures damaged 60 busy 40",
        "jail 77 children, 1 killed, 2 crashed, most memory 100.0 MiB",
        "bytes 512 B in, 1.5 KiB out",
    ]


@pytest.mark.parametrize("width", [48, 60, 72, 200])
def test_where_there_is_little_room_the_bar_gives_way_and_the_numbers_stay(width: int) -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(frame("http://w", STATS))
    rows = [line.split() for line in drawn.getvalue().splitlines() if line.startswith(("pictures", "texts"))]

    assert [row[:2] + row[-3:] for row in rows] == [
        ["pictures", "4/4", "12/64", "0", "12.5"],
        ["texts", "1/8", "0/512", "3", "0.0"],
    ]
    assert ("#" * 20 in drawn.getvalue()) is (width >= 72)


def test_what_a_worker_says_does_not_steer_the_terminal() -> None:
    lines = text(STATS | {"stage": "\x1b]0;owned\x07", "version": "[bold]1[/bold]"})

    assert "\x1b" not in "".join(lines)
    assert "\x07" not in "".join(lines)
    assert lines[0] == "remote-worker http://w ]0;owned up 1h02m03s version [bold]1[/bold]"


@pytest.mark.parametrize("missing", ["queue", "rates", "totals", "latency_ms", "jail", "bytes", "uptime"])
def test_what_another_version_tells_is_not_guessed(missing: str) -> None:
    with pytest.raises(CannotAsk, match="something else"):
        text({name: value for name, value in STATS.items() if name != missing})


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that says this, and keeps the headers that it got."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_key_is_shown_and_the_path_kept() -> None:
    with answering(200, json.dumps(STATS).encode()) as (url, heard):
        told = Worker(f"{url}/behind/", "rw_key").stats()

    assert told == STATS
    assert (heard[0]["path"], heard[0]["authorization"]) == ("/behind/stats", "Bearer rw_key")


def test_without_a_key_none_is_shown() -> None:
    with answering(200, json.dumps(STATS).encode()) as (url, heard):
        Worker(url, "").stats()

    assert "authorization" not in heard[0]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"code": "unauthenticated"}', "answers 401 unauthenticated"),
        (401, b'{"code": "\\u001b[31mred"}', r"answers 401 \[31mred"),
        (200, b"<html>", "without JSON"),
        (200, b"[" * 200_000, "without JSON"),
        (200, b"[]", "answers 200"),
        (302, b"{}", "answers 302"),
    ],
)
def test_what_is_no_answer_of_a_worker_is_said(status: int, body: bytes, said: str) -> None:
    with answering(status, body) as (url, _), pytest.raises(CannotAsk, match=said):
        Worker(url, "").stats()


def test_an_answer_has_so_many_bytes_and_not_one_more() -> None:
    body = json.dumps(STATS).encode()
    padded = body + b" " * (MOST_ANSWER_BYTES - len(body))
    with answering(200, padded) as (url, _):
        assert Worker(url, "").stats() == STATS
    with answering(200, padded + b" ") as (url, _), pytest.raises(CannotAsk, match="more than"):
        Worker(url, "").stats()


def test_an_answer_that_drips_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                while True:  # Each byte is well within any timeout of a read.
                    connection.sendall(b"H")
                    time.sleep(0.01)

        thread = Thread(target=drip)
        thread.start()
        with pytest.raises(CannotAsk, match="does not answer: timed out"):
            Worker(f"http://127.0.0.1:{server.getsockname()[1]}", "", seconds=0.2).stats()
        thread.join()


def test_a_name_that_cannot_be_one_is_said() -> None:
    with pytest.raises(CannotAsk, match="does not answer"):
        Worker(f"http://{'a' * 64}.example/", "").stats()


def test_numbers_that_nothing_can_count_are_refused() -> None:
    with pytest.raises(CannotAsk, match="something else"):
        text(STATS | {"uptime": float("inf")})


@pytest.mark.parametrize(
    "url",
    [
        "ftp://w/",
        "w:5000",
        "http://",
        "http://user:pass@w/",
        "http://w:99999/",
        "http://[::1/",
        "http://[x]/",
    ],
)
def test_what_is_no_address_of_a_worker_is_refused(url: str) -> None:
    with pytest.raises(CannotAsk):
        Worker(url, "")


@pytest.mark.parametrize("key", ["two\nlines", "\x00", "schlüssel"])
def test_a_key_that_would_break_the_head_is_refused_and_not_echoed(key: str) -> None:
    with pytest.raises(CannotAsk) as caught:
        Worker("http://w", key)

    assert key not in str(caught.value)


def test_a_file_that_is_no_key_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"\xff\xfe\n")

    assert top(Namespace(url="http://w", key_file=key, once=True), read({})) == 1
    assert capsys.readouterr().err == "remote-worker: the key is not one word of ASCII\n"


def test_a_worker_that_does_not_answer_ends_it_with_status_1(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("rw_key\n")
    done = subprocess.run(
        [sys.executable, "-m", "remote_worker", "top", "http://127.0.0.1:9", "--once", "--key-file", key],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("remote-worker: http://127.0.0.1:9 does not answer")
