"""Stopping, restarting and renewing under load, seen from outside."""

import functools
import http.client
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks import processes
from benchmarks.servers import PROJECT, Server, free_port, worker

from .point import Given, Row

ROUNDS = 10
CLIENTS = 8
ROUND_SECONDS = 1.0
"""Of load before each signal."""
AT_ONCE_SECONDS = 0.05
IDLE_STOP_SECONDS = 1.0
END_SECONDS = 30.0
PICTURE = PROJECT / "tests" / "corpus" / "jpeg" / "all-avatars.jpg"


def measure(given: Given) -> Sequence[Row]:
    """Stop and start the service again and again under load, then have it renew itself; nothing may be lost.

    A request is lost when its connection ends without an answer to it. Connections kept from an earlier
    request are counted apart: on those, a server that closes and a client that asks may cross. A connection
    that is refused is not lost: nobody has accepted it.
    """
    port = free_port()
    cores = set(given.server_cores)
    stops: list[float] = []
    turned: list[float] = []
    left = 0
    with _Load(port, given.load_core) as load:
        for _ in range(ROUNDS):
            with worker(port, cores) as server:
                time.sleep(ROUND_SECONDS)
                tree = processes.tree(server.pid)
                with _half_an_upload(port) as finish:
                    began = time.monotonic()
                    os.kill(server.pid, signal.SIGTERM)
                    turned.append(_seconds_until_unready(port, began))
                    finish()
                stops.append(_seconds_until_gone(server, began))
                left += sum(not _is_gone(pid) for pid in tree[1:])
    restarts = load.row(f"{ROUNDS} restarts under {CLIENTS} clients")
    with worker(port, cores) as server, _Load(port, given.load_core) as load:
        for _ in range(ROUNDS):
            time.sleep(ROUND_SECONDS)
            os.kill(server.pid, signal.SIGHUP)
        time.sleep(ROUND_SECONDS)
    renewals = load.row(f"{ROUNDS} SIGHUPs under {CLIENTS} clients")
    with worker(port, cores) as server:
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        idle = _seconds_until_gone(server, began)
    return [
        restarts,
        renewals,
        Row(
            case="SIGTERM until /readyz says 503",
            bar=f"at once: {AT_ONCE_SECONDS * 1e3:.0f} ms",
            measured=f"at most {max(turned) * 1e3:.0f} ms",
            holds=max(turned) <= AT_ONCE_SECONDS,
        ),
        Row(
            case="SIGTERM until all is gone, under load",
            bar="within REMOTE_SHUTDOWN_SECONDS, 20 s",
            measured=f"{min(stops):.2f} to {max(stops):.2f} s",
            holds=max(stops) <= 20,
        ),
        Row(
            case="SIGTERM until all is gone, at rest",
            bar=f"{IDLE_STOP_SECONDS:g} s",
            measured=f"{idle:.2f} s",
            holds=idle <= IDLE_STOP_SECONDS,
        ),
        Row(case="processes left after the stops", bar="0", measured=str(left), holds=left == 0),
    ]


class _Load:
    """Clients that ask again when they have an answer: one half on new connections, one on kept ones."""

    def __init__(self, port: int, core: int) -> None:
        self._port = port
        self._core = core
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._right: bytes | None = None
        self._counts = dict.fromkeys(("sent", "right", "refused", "wrong", "crossed", "lost"), 0)
        self._threads = [
            threading.Thread(target=self._ask, kwargs={"keeps": number % 2 == 0}) for number in range(CLIENTS)
        ]

    def __enter__(self) -> "_Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def row(self, case: str) -> Row:
        """What became of the requests."""
        of = self._counts
        return Row(
            case=case,
            bar="0 lost, 0 wrong",
            measured=(
                f"{of['sent']} sent: {of['right']} right, {of['refused']} honest 503s, {of['wrong']} wrong, "
                f"{of['crossed']} crossed with the end of a kept connection, {of['lost']} lost"
            ),
            holds=of["right"] > 0 and of["lost"] == of["wrong"] == 0,
        )

    def _ask(self, *, keeps: bool) -> None:
        os.sched_setaffinity(0, {self._core})  # Of this thread alone.
        while not self._is_over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.connect()
            except OSError:
                self._is_over.wait(0.01)
                continue
            is_new = True
            while self._ask_once(connection, is_new=is_new) and keeps and not self._is_over.is_set():
                is_new = False
            connection.close()

    def _ask_once(self, connection: http.client.HTTPConnection, *, is_new: bool) -> bool:
        """Whether the connection goes on."""
        self._count("sent")
        body, headers = _form()
        try:
            connection.request("POST", "/images/fit/100", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except http.client.RemoteDisconnected:  # Not one byte of an answer.
            self._count("lost" if is_new else "crossed")
            return False
        except (http.client.HTTPException, OSError) as broken:
            is_crossed = not is_new and isinstance(broken, ConnectionError)
            self._count("crossed" if is_crossed else "lost")
            return False
        self._count(self._kind(response, answer))
        if response.status == 503:
            self._is_over.wait(0.05)
        return not response.will_close

    def _kind(self, response: http.client.HTTPResponse, answer: bytes) -> str:
        if response.status == 503 and b'"code": "busy"' in answer and response.getheader("Retry-After"):
            return "refused"
        with self._lock:
            if self._right is None and response.status == 200:
                self._right = answer
        return "right" if response.status == 200 and answer == self._right else "wrong"

    def _count(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1


@functools.cache
def _form() -> tuple[bytes, dict[str, str]]:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + PICTURE.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}", "Accept": "image/*"}


@contextmanager
def _half_an_upload(port: int) -> Iterator[Callable[[], None]]:
    """A request in hand, so that the stop has something to wait for; what is given sends the rest of it."""
    body, headers = _form()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/images/fit/100")
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body[:-100])
    _status(port, "/livez")  # Behind this one, it is in hand.

    def finish() -> None:
        connection.send(body[-100:])
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"the upload in hand was answered {response.status}")

    yield finish
    connection.close()


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def _seconds_until_unready(port: int, began: float) -> float:
    while _status(port, "/readyz") != 503:
        if time.monotonic() - began > END_SECONDS:
            raise SystemExit("the service stays ready although it was told to stop")
    return time.monotonic() - began


def _seconds_until_gone(server: Server, began: float) -> float:
    while not _is_gone(server.pid):
        if time.monotonic() - began > END_SECONDS:
            raise SystemExit("the service does not stop")
        time.sleep(0.005)
    return time.monotonic() - began


def _is_gone(pid: int) -> bool:
    """The process has ended, even if nobody has asked for its status yet."""
    return processes.state(pid) in ("Z", "gone")
