"""deploy/haproxy.cfg in front of three workers, of which one is slow, stuck or gone."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from test_deploy_proxies import HAPROXY, SMALL, Proxy, get, in_place, number, started
from test_stopping import FIT, Worker, is_honest, is_right, serving, until, wide_png
from web.serving import Answer, form, post

from benchmarks.servers import free_port

pytestmark = pytest.mark.needs_haproxy

PICTURE = FIT.replace(b"Host: localhost", b"Host: img.example.org")
PREAMBLE = bytes(200_000)
"""Before the first boundary, which every reader of forms passes over (RFC 2046, 5.1.1)."""
LARGE = post("/images/fit/100", PREAMBLE + b"\r\n" + form(wide_png()), "Accept: image/*").replace(
    b"Host: localhost", b"Host: img.example.org"
)
"""More than the proxy keeps, so it cannot send it once more."""
HELD = number(r"default-server maxconn (\d)$", HAPROXY)
"""Pictures that one worker gets at once."""
QUEUED = number(r"queue\(pictures\) ge (\d+)", HAPROXY)
SHORT_QUEUE = 24
"""In place of that, so that a test fills it with few threads."""
PATIENT = {"REMOTE_DECODE_SECONDS": "60", "REMOTE_WORK_SECONDS": "60"}
"""What is stuck stays so until the test lets it go on."""
ROOM = 3 * HELD + SHORT_QUEUE
"""Pictures that are taken before anything is refused."""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Proxy]:
    """Three workers, ready, behind the proxy."""
    with ExitStack() as opened:
        workers = [
            opened.enter_context(serving(tmp_path / f"{name}.log", **SMALL, **PATIENT)) for name in "abc"
        ]
        port, metrics_port = free_port(), free_port()
        text = in_place(HAPROXY.read_text(), workers, port, metrics_port)
        for own, patient in (
            (f"queue(pictures) ge {QUEUED}", f"queue(pictures) ge {SHORT_QUEUE}"),
            ("timeout queue 5s", "timeout queue 60s"),
            ("check inter 1s", "check inter 60s"),
        ):
            assert own in text
            text = text.replace(own, patient)
        (tmp_path / "haproxy.cfg").write_text(text)
        command = [str(shutil.which("haproxy")), "-db", "-f", str(tmp_path / "haproxy.cfg")]
        proxies = started(command, workers, port, tmp_path / "log", metrics_port)
        yield next(proxies)
        for worker in workers:
            go_on(worker)
        next(proxies, None)


def stick(worker: Worker, *, beginning_with: int = 0) -> None:
    """It holds its connections and answers nothing."""
    for pid in worker.tree()[beginning_with:]:
        with suppress(ProcessLookupError):  # It has ended by itself.
            os.kill(pid, signal.SIGSTOP)


def go_on(worker: Worker) -> None:
    """It goes on from where it was."""
    if worker.process.poll() is None:
        for pid in worker.tree():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def ask_together(
    proxy: Proxy, requests: int, pool: ThreadPoolExecutor, request: bytes = PICTURE
) -> list[Future[Answer]]:
    """So many pictures at once."""
    return [pool.submit(proxy.ask, request) for _ in range(requests)]


def done(asked: list[Future[Answer]]) -> list[Answer]:
    """The answers that are there."""
    return [one.result() for one in asked if one.done()]


def test_a_stuck_worker_keeps_only_what_it_holds_and_answers_it_when_it_goes_on(front: Proxy) -> None:
    stuck = front.workers[2]
    with ThreadPoolExecutor(ROOM) as pool:
        stick(stuck)
        asked = ask_together(front, ROOM, pool)
        until(lambda: len(done(asked)) >= ROOM - HELD)
        meanwhile = done(asked)
        go_on(stuck)
        answers = [one.result() for one in asked]

    assert [answer.status for answer in meanwhile if not is_right(answer)] == []
    assert [answer.status for answer in answers if not is_right(answer)] == []


def test_past_what_may_wait_callers_hear_at_once_when_to_come_again(front: Proxy) -> None:
    with ThreadPoolExecutor(ROOM) as pool:
        for worker in front.workers:
            stick(worker)
        first = ask_together(front, ROOM, pool)
        until(lambda: queued(front) == SHORT_QUEUE)
        refused = [front.ask(PICTURE) for _ in range(5)]
        assert done(first) == []
        for worker in front.workers:
            go_on(worker)
        answers = [one.result() for one in first]

    assert all(map(is_honest, refused))
    assert all(map(is_right, answers))


def test_a_killed_worker_takes_no_small_upload_with_it(front: Proxy) -> None:
    killed = front.workers[2]
    answers: list[Answer] = []
    is_over = threading.Event()

    def ask_on() -> None:
        while not is_over.is_set():
            answers.append(front.ask(PICTURE))

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask_on) for _ in range(6)]
        until(lambda: len(answers) >= 20)
        killed.process.kill()
        had = len(answers)
        until(lambda: len(answers) >= had + 30)
        is_over.set()
        for one in asking:
            one.result()

    assert [answer.status for answer in answers if not is_right(answer)] == []


def test_a_killed_worker_does_not_draw_all_that_waits(front: Proxy) -> None:
    killed = front.workers[2]
    with ThreadPoolExecutor(ROOM) as pool:
        for worker in front.workers:
            stick(worker, beginning_with=1)
        asked = ask_together(front, ROOM, pool, LARGE)
        until(lambda: queued(front) == SHORT_QUEUE)
        killed.process.kill()
        until(lambda: sum(one.done() for one in asked) >= HELD)
        for worker in front.workers[:2]:
            go_on(worker)
        lost = [one for one in asked if one.exception() is not None or one.result().status != 200]
        answers = [one.result() for one in asked if one not in lost]

    # What comes while the kernel takes its sockets away, one after the other, is lost too.
    assert HELD <= len(lost) <= 2 * HELD < HELD + SHORT_QUEUE
    assert all(map(is_right, answers))


def test_other_requests_pass_while_all_pictures_wait(front: Proxy) -> None:
    with ThreadPoolExecutor(ROOM) as pool:
        for worker in front.workers:
            stick(worker, beginning_with=1)  # What decodes, but not what serves.
        waiting = ask_together(front, ROOM, pool)
        until(lambda: queued(front) == SHORT_QUEUE)
        said = front.ask(get("/hello"))
        for worker in front.workers:
            go_on(worker)
        answers = [one.result() for one in waiting]

    assert said.status == 200
    assert all(map(is_right, answers))


def queued(proxy: Proxy) -> int:
    """Pictures that wait in the proxy, as its metrics say: what more workers are started by."""
    text = metrics(proxy)
    (line,) = (
        line
        for line in text.splitlines()
        if line.startswith('haproxy_backend_current_queue{proxy="pictures"}')
    )
    return int(float(line.split()[-1]))


def metrics(proxy: Proxy) -> str:
    """All that the proxy tells Prometheus."""
    with socket.create_connection(proxy.metrics, timeout=30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
    return said.decode()
