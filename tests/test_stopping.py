"""`remote-worker serve` stopped, restarted and renewed, seen from outside: answers, status, what is left."""

import asyncio
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from fetch.origin import Behaviour, Exchange, Origin, answer, page
from web.serving import Answer, Reader, form, post

from benchmarks import processes
from remote_worker.web.listening import handed_over

PNG = b"\x89PNG\r\n\x1a\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def wide_png() -> bytes:
    """A black PNG of 300 x 200, written by the specification alone."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(300 * 3)) * 200)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PATIENT = {"REMOTE_BODY_SECONDS": "600", "REMOTE_BODY_IDLE_SECONDS": "600"}
"""Half an upload may wait for what the test waits for."""
SIZE = struct.pack(">II", 100, 67)
FIT = post("/images/fit/100", form(wide_png()), "Accept: image/*")


def is_right(answer: Answer) -> bool:
    """A PNG of 100 x 67, by its header."""
    return answer.status == 200 and answer.body.startswith(PNG) and answer.body[16:24] == SIZE


def is_honest(answer: Answer) -> bool:
    """Refused with a code, and when to come again."""
    return answer.status == 503 and bool(answer.json["code"]) and int(answer.headers["retry-after"]) > 0


def until(fact: Callable[[], bool], *, within: float = 30) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


class Worker:
    """A worker that serves."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log
        until(lambda: " serving url=" in self.log() or process.poll() is not None)
        assert process.poll() is None, self.log()
        url = self.log().partition(" serving url=http://")[2].split()[0]
        host, _, port = url.rpartition(":")
        self.address = (host.strip("[]"), int(port))

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def connect(self) -> socket.socket:
        """A connection of one's own."""
        return socket.create_connection(self.address, timeout=60)

    def ask(self, request: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            return Reader(connection).answer()

    def signal(self, number: signal.Signals) -> None:
        """Send it to the process that serves and to no other."""
        self.process.send_signal(number)

    def tree(self) -> list[int]:
        """All its processes."""
        return processes.tree(self.process.pid)

    def templates(self) -> set[int]:
        """Those it has started itself."""
        return set(processes.children(self.process.pid))


@contextmanager
def serving(
    log: Path, *, run: tuple[str, ...] = (), python: str = sys.executable, **variables: str
) -> Iterator[Worker]:
    """A worker until the block ends; `run` is put in front of its command."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*run, python, "-m", "remote_worker", "serve"],
            env={**clean, **PATIENT, "REMOTE_PORT": "0", **variables},
            stderr=out,
            close_fds=False,
        )
    try:
        yield Worker(process, log)
    finally:
        process.kill()
        process.wait()


def is_gone(pid: int) -> bool:
    """There is no such process any more."""
    return not Path(f"/proc/{pid}").exists()


def assert_nothing_is_left(worker: Worker, tree: list[int]) -> None:
    """It ended well, with all its processes, and its port is free."""
    assert worker.process.wait(30) == 0, worker.log()
    assert worker.log().splitlines()[-1].endswith(" info stopped")
    until(lambda: all(is_gone(pid) for pid in tree))
    socket.create_server(worker.address).close()


class Load:
    """Clients that ask again when they have an answer: one half on new connections, one on kept ones."""

    def __init__(self, address: tuple[str, int], *, clients: int) -> None:
        self.answers: list[Answer] = []
        self.lost: list[str] = []
        self.refused_connections = 0
        self._address = address
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, kwargs={"keeps": number % 2 == 0}) for number in range(clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ask no more, and wait for the answers."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, *, keeps: bool) -> None:
        while not self._is_over.is_set():
            try:
                connection = socket.create_connection(self._address, timeout=60)
            except ConnectionRefusedError:
                self.refused_connections += 1
                self._is_over.wait(0.01)
                continue
            with connection:
                reader = Reader(connection)
                answered = self._ask_once(connection, reader, is_new=True)
                while keeps and answered and not self._is_over.is_set():
                    answered = self._ask_once(connection, reader, is_new=False)

    def _ask_once(self, connection: socket.socket, reader: Reader, *, is_new: bool) -> bool:
        """Whether the connection goes on. One that was kept may have ended before this request came."""
        try:
            connection.sendall(FIT)
            answer = reader.answer()
        except (EOFError, OSError) as lost:
            if is_new or not reader.is_empty:
                self.lost.append(repr(lost))
            return False
        self.answers.append(answer)
        if answer.status == 503:
            self._is_over.wait(0.05)
        return answer.headers.get("connection") != "close"


@contextmanager
def half_an_upload(worker: Worker) -> Iterator[tuple[socket.socket, bytes]]:
    """A request whose body still arrives, and what is missing of it."""
    with worker.connect() as connection:
        connection.sendall(FIT[:-100])
        # The head was read when what is asked for behind it is answered.
        assert worker.ask(LIVE).status == 200
        yield connection, FIT[-100:]


def test_a_stop_finishes_what_is_in_hand_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as worker, half_an_upload(worker) as (connection, rest):
        tree = worker.tree()
        ready = worker.ask(READY)
        worker.signal(signal.SIGTERM)
        until(lambda: worker.ask(LIVE).headers.get("connection") == "close")
        unready = worker.ask(READY)
        until(lambda: not is_right(worker.ask(FIT)))
        refused = worker.ask(FIT)
        connection.sendall(rest)
        finished = Reader(connection).answer()
        connection.close()

        assert ready.status == 200
        assert (unready.status, unready.json["reason"]) == (503, "the worker is stopping")
        assert is_honest(refused)
        assert is_right(finished)
        assert len(tree) > 2
        assert_nothing_is_left(worker, tree)


def test_a_second_signal_ends_every_wait(tmp_path: Path) -> None:
    with serving(tmp_path / "log", REMOTE_SHUTDOWN_SECONDS="3600", REMOTE_DRAIN_SECONDS="3600") as worker:
        tree = worker.tree()
        with half_an_upload(worker) as (connection, _):
            worker.signal(signal.SIGINT)
            until(lambda: worker.ask(READY).status == 503)
            served = worker.ask(FIT)
            worker.signal(signal.SIGTERM)
            cut = Reader(connection).answer()

        assert is_right(served)
        assert served.headers["connection"] == "close"
        assert is_honest(cut)
        assert_nothing_is_left(worker, tree)


def test_a_stop_while_the_worker_starts_ends_it_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "remote_worker", "serve", "--port", "0"], stderr=out
        )
    until(lambda: bool(processes.children(process.pid)))
    tree = processes.tree(process.pid)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert log.read_text().endswith(" info stopped\n")
    until(lambda: all(map(is_gone, tree)))


def test_a_hangup_replaces_every_template_and_loses_nothing(tmp_path: Path) -> None:
    short = {"REMOTE_DECODE_SECONDS": "1", "REMOTE_TEXT_SECONDS": "1"}
    with serving(tmp_path / "log", **short) as worker:
        before = worker.templates()
        with half_an_upload(worker) as (connection, rest), Load(worker.address, clients=2) as load:
            worker.signal(signal.SIGHUP)
            # The former ones stay for as long as their jobs may take.
            until(lambda: not before & worker.templates())
            connection.sendall(rest)
            finished = Reader(connection).answer()
        after = worker.templates()
        worker.signal(signal.SIGTERM)

        assert is_right(finished)
        assert len(after) == len(before)
        assert load.lost == []
        assert load.answers
        assert all(map(is_right, load.answers))
        assert " info renewed" in worker.log()
        assert_nothing_is_left(worker, [*before, *after])


def test_a_renewal_that_fails_is_logged_and_many_at_once_become_few(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as worker:
        before = worker.templates()
        pid = worker.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # Not 0: poll(2) takes no more descriptors than that, and the log needs one.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, limit[1]))
        worker.signal(signal.SIGHUP)
        until(lambda: " error renewal_failed" in worker.log())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)

        assert is_right(worker.ask(FIT))
        assert worker.templates() == before
        for _ in range(50):
            worker.signal(signal.SIGHUP)
        until(lambda: " info renewed" in worker.log())
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        assert worker.log().count(" info renewed") < 25


def test_restarts_under_load_lose_no_request(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Load(("127.0.0.1", port), clients=8) as load:
        for number in range(3):
            with serving(tmp_path / f"log{number}", REMOTE_PORT=str(port), REMOTE_CHILDREN="1") as worker:
                so_many = len(load.answers) + 30
                until(lambda: len(load.answers) > so_many)  # noqa: B023 - called before the next round
                tree = worker.tree()
                worker.signal(signal.SIGTERM)
                worker.process.wait(30)
                assert_nothing_is_left(worker, tree)

    assert load.lost == []
    assert [answer for answer in load.answers if not (is_right(answer) or is_honest(answer))] == []
    assert sum(map(is_right, load.answers)) > 5


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def preview_of(url: str) -> bytes:
    return get(f"/links/preview?url={quote(url, safe='')}")


def previews_of(*urls: str) -> bytes:
    body = json.dumps({"urls": urls})
    return (
        "POST /links/previews HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def fit_of(url: str) -> bytes:
    return get(f"/links/image?fit=100&url={quote(url, safe='')}")


class Sites:
    """Three origins whose slow pages and pictures wait until they are released."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self._origins = [Origin(self._behaviours(), host=f"127.0.0.{last}") for last in (1, 2, 3)]
        self.settings = {
            "REMOTE_EGRESS_ALLOW": ",".join(f"{one.host}/32:{one.port}" for one in self._origins)
        }

    def __enter__(self) -> "Sites":
        for one in self._origins:
            one.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        for one in self._origins:
            one.__exit__(None, None, None)

    def _behaviours(self) -> dict[str, Behaviour]:
        return {
            "/slow": self._slow(answer(page("Slow"))),
            "/quick": answer(page("Quick")),
            "/slow.png": self._slow(answer(wide_png(), media_type="image/png")),
        }

    def _slow(self, said: bytes) -> Behaviour:
        async def wait(exchange: Exchange) -> None:
            while not self._released.is_set():
                await asyncio.sleep(0.01)
            await exchange.send(said)

        return wait

    def url(self, number: int, path: str) -> str:
        """Each origin is a site of its own."""
        return f"http://{self._origins[number].host}:{self._origins[number].port}{path}"

    def requests(self) -> int:
        """So many have come."""
        return sum(len(one.requests) for one in self._origins)

    def release(self) -> None:
        """Answer what waits."""
        self._released.set()


@contextmanager
def links_in_hand(worker: Worker, sites: Sites) -> Iterator[list[Reader]]:
    """A preview, a batch whose first line has come, and a picture by its URL, all still waited for."""
    asked = [
        preview_of(sites.url(0, "/slow")),
        previews_of(sites.url(1, "/quick"), sites.url(1, "/slow")),
        fit_of(sites.url(2, "/slow.png")),
    ]
    with ExitStack() as opened:
        connections = [opened.enter_context(worker.connect()) for _ in asked]
        for connection, request in zip(connections, asked, strict=True):
            connection.sendall(request)
        until(lambda: sites.requests() == 4)
        yield [Reader(connection) for connection in connections]


def lines_of(answer: Answer) -> list[tuple[str, str]]:
    """Path, and title or code, of each line."""
    told = [json.loads(line) for line in answer.body.splitlines()]
    return [(urlsplit(one["url"]).path, one.get("title") or one["code"]) for one in told]


def test_a_stop_finishes_previews_batches_and_pictures_by_url(tmp_path: Path) -> None:
    cache = {"REMOTE_CACHE_PATH": str(tmp_path / "cache")}
    with Sites() as sites:
        with serving(tmp_path / "log", **sites.settings, **cache) as worker:
            tree = worker.tree()
            with links_in_hand(worker, sites) as readers:
                worker.signal(signal.SIGTERM)
                until(lambda: not is_right(worker.ask(FIT)))
                refused = worker.ask(preview_of(sites.url(0, "/quick")))
                sites.release()
                preview, batch, picture = [reader.answer() for reader in readers]

            assert is_honest(refused)
            assert (preview.status, preview.json["title"]) == (200, "Slow")
            assert lines_of(batch) == [("/quick", "Quick"), ("/slow", "Slow")]
            assert is_right(picture)
            assert_nothing_is_left(worker, tree)
        asked = sites.requests()
        with serving(tmp_path / "log2", **sites.settings, **cache) as worker:
            again = worker.ask(preview_of(sites.url(0, "/slow")))

        assert (again.json["title"], again.json["fetch"]["cache"]) == ("Slow", "hit")
        assert sites.requests() == asked


def test_a_stop_that_cannot_wait_says_so_to_whoever_waits_for_a_link(tmp_path: Path) -> None:
    with Sites() as sites, serving(tmp_path / "log", **sites.settings) as worker:
        tree = worker.tree()
        with links_in_hand(worker, sites) as readers:
            worker.signal(signal.SIGTERM)
            until(lambda: worker.ask(READY).status == 503)
            worker.signal(signal.SIGTERM)
            preview, batch, picture = [reader.answer() for reader in readers]

        assert is_honest(preview)
        assert lines_of(batch) == [("/quick", "Quick"), ("/slow", "busy")]
        assert is_honest(picture)
        assert_nothing_is_left(worker, tree)


def test_a_hangup_loses_no_link_in_hand(tmp_path: Path) -> None:
    with Sites() as sites, serving(tmp_path / "log", **sites.settings) as worker:
        with links_in_hand(worker, sites) as readers:
            worker.signal(signal.SIGHUP)
            until(lambda: " info renewed" in worker.log())
            sites.release()
            preview, batch, picture = [reader.answer() for reader in readers]

        assert (preview.status, preview.json["title"]) == (200, "Slow")
        assert lines_of(batch) == [("/quick", "Quick"), ("/slow", "Slow")]
        assert is_right(picture)
        assert sites.requests() == 4
        assert worker.log().count(" fetcher_ready ") == 2
        assert " fetcher_lost " not in worker.log()


@contextmanager
def no_interpreter(interpreter: Path) -> Iterator[None]:
    """No process of the worker's can be started until the block ends."""
    aside = interpreter.with_name("aside")
    interpreter.rename(aside)
    try:
        yield
    finally:
        aside.rename(interpreter)


def test_ready_says_what_is_missing_and_is_so_again_when_it_is_back(tmp_path: Path) -> None:
    """A process is lost, and none can be started in its place: its interpreter is gone."""
    bin_folder = tmp_path / "own" / "bin"
    bin_folder.mkdir(parents=True)
    ours = Path(sys.executable)
    interpreter = bin_folder / "python"
    interpreter.symlink_to(ours.resolve())
    (tmp_path / "own" / "lib").symlink_to(ours.parent.parent / "lib")
    (tmp_path / "own" / "pyvenv.cfg").write_text((ours.parent.parent / "pyvenv.cfg").read_text())

    def pid_of(event: str, word: str) -> int:
        lines = [line for line in worker.log().splitlines() if f" {event} " in line and word in line]
        return int(lines[-1].partition(" pid=")[2].split()[0])

    def reason() -> str:
        answer = worker.ask(READY)
        return "" if answer.status == 200 else str(answer.json["reason"])

    with serving(tmp_path / "log", python=str(interpreter)) as worker:
        assert reason() == ""
        for pid, begins in (
            (pid_of("fetcher_ready", ""), "fetch: "),
            (pid_of("template_ready", "template=text"), "text: "),
        ):
            with no_interpreter(interpreter):
                os.kill(pid, signal.SIGKILL)
                until(lambda: reason() != "")
                assert reason().startswith(begins)
            until(lambda: reason() == "")


PASS_ON = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=sys.argv[2] or str(os.getpid()), LISTEN_FDS=sys.argv[3], LISTEN_FDNAMES="http")
os.execv(sys.argv[4], sys.argv[4:])
"""
"""Hands a socket over as systemd does: as descriptor 3, and with words for the process that it becomes."""


def handed(listener: socket.socket, *, pid: str = "", count: str = "1") -> tuple[str, ...]:
    """What runs a command with this socket."""
    return (sys.executable, "-c", PASS_ON, str(listener.fileno()), pid, count)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket as a supervisor would open it."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.set_inheritable(True)
        yield opened


def test_a_handed_socket_is_left_to_the_successor_and_nothing_is_refused(
    tmp_path: Path, listener: socket.socket
) -> None:
    # The port of the settings is not the socket's.
    with serving(tmp_path / "first", run=handed(listener), REMOTE_PORT="1") as first:
        assert first.address == listener.getsockname()
        with half_an_upload(first) as (connection, rest), Load(first.address, clients=8) as load:
            until(lambda: len(load.answers) > 30)
            first.signal(signal.SIGTERM)
            until(lambda: " info stopping" in first.log())
            # Nobody answers this one before the successor is there.
            with closing(first.connect()) as waiting:
                waiting.sendall(FIT)
                with serving(tmp_path / "second", run=handed(listener)):
                    answers = [Reader(waiting).answer()]
                    connection.sendall(rest)
                    answers.append(Reader(connection).answer())
                    connection.close()

                    assert first.process.wait(30) == 0
                    so_many = len(load.answers) + 30
                    until(lambda: len(load.answers) > so_many)
                    load.end()
    assert all(map(is_right, answers))
    assert load.lost == []
    assert load.refused_connections == 0
    assert [answer for answer in load.answers if not (is_right(answer) or is_honest(answer))] == []


def start(run: tuple[str, ...], **variables: str) -> "subprocess.CompletedProcess[str]":
    """A worker that is expected not to start."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    return subprocess.run(
        [*run, sys.executable, "-m", "remote_worker", "serve"],
        env={**clean, **variables},
        close_fds=False,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_handed_socket_beyond_loopback_is_refused_like_such_an_address() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        listener.set_inheritable(True)
        refused = start(handed(listener), REMOTE_HOST="127.0.0.1")
        unsealed = start(handed(listener), REMOTE_OPEN="1", REMOTE_JAIL="off")

        assert refused.returncode == 78
        assert "REMOTE_HOST=0.0.0.0 listens beyond loopback without authentication" in refused.stderr
        assert unsealed.returncode == 78
        assert "REMOTE_JAIL=off is for debugging on loopback only" in unsealed.stderr
        assert "without authentication" not in unsealed.stderr


def test_a_socket_for_another_process_is_not_taken() -> None:
    assert handed_over({}) is None
    assert handed_over({"LISTEN_FDS": "1"}) is None
    assert handed_over({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getppid())}) is None


def test_sockets_that_will_not_do_are_named(tmp_path: Path, listener: socket.socket) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket() as silent,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(str(tmp_path / "socket"))
        local.listen()
        for other in (datagrams, silent, local):
            other.set_inheritable(True)
            done = start(handed(other))
            assert (done.returncode, done.stderr) == (
                78,
                "remote-worker: descriptor 3 is not a TCP socket that listens\n",
            )
    two = start(handed(listener, count="2"))
    assert (two.returncode, two.stderr) == (78, "remote-worker: LISTEN_FDS=2: the worker takes one socket\n")
