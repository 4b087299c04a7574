"""Closed-loop callers in one thread: each sends its upload again and again, and honours Retry-After.

A process of its own, so that it has a core to itself: `python -m hold.flood '{"port": ..., ...}'` prints a
`Seen` as JSON. It reads no more of an answer than it must, because 1,700 callers share the thread.
"""

import errno
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from pathlib import Path

from benchmarks.servers import PROJECT

_CHUNK_BYTES = 64 * 1024
"""Sent before the caller looks whether it was answered already."""
_OVERTIME_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """So many callers from one address upload one file for so long."""

    port: int
    callers: int
    seconds: float
    file: str
    path: str = "/images/rescale_avatar"
    source: str = "127.0.0.1"


@dataclass(slots=True)
class Seen:
    """What the callers met; times are seconds from the start of connecting or sending to the last byte."""

    accepted: list[float] = field(default_factory=list)
    accepted_within: int = 0
    """Of the accepted, those answered before the time was over."""
    refused: list[float] = field(default_factory=list)
    refused_later: list[float] = field(default_factory=list)
    """Of the refused, those whose request began after the first second, when all came at once."""
    without_retry: int = 0
    """Refusals that did not say when to come back."""
    others: dict[str, int] = field(default_factory=dict)
    """Any other status, and connections that were lost, by name."""
    unanswered: int = 0
    """Still under way long after the end."""


class _Caller:
    """One connection after the other, one request after the other."""

    def __init__(self, flood: Flood, request: bytes, seen: Seen, began: float) -> None:
        self.flood, self.request, self.seen, self.began = flood, request, seen, began
        self.socket: socket.socket | None = None
        self.sent = 0
        self.head = bytearray()
        self.left = -1
        self.start = 0.0
        self.interest = 0

    def begin(self) -> None:
        """Send the request, on a new connection where there is none."""
        self.start = time.monotonic()
        self.sent, self.left = 0, -1
        self.head.clear()
        if self.socket is None:
            self.socket = socket.socket()
            self.socket.setblocking(False)
            self.socket.bind((self.flood.source, 0))
            refusal = self.socket.connect_ex(("127.0.0.1", self.flood.port))
            if refusal not in (0, errno.EINPROGRESS):
                raise OSError(refusal, os.strerror(refusal))

    def send(self) -> bool:
        """Send a part. Whether that was the last; else there is more to send when the socket takes it."""
        assert self.socket is not None
        try:
            self.sent += self.socket.send(memoryview(self.request)[self.sent : self.sent + _CHUNK_BYTES])
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True  # It may have answered before it hung up.
        return self.sent == len(self.request)

    def receive(self) -> str | None:
        """The status once the answer is whole, or a word for what was lost; None while there is more."""
        assert self.socket is not None
        try:
            while True:
                chunk = self.socket.recv(_CHUNK_BYTES)
                if not chunk:
                    return "cut"
                if self.left < 0:
                    self.head += chunk
                    end = self.head.find(b"\r\n\r\n")
                    if end < 0:
                        continue
                    self.left = int(self.header(b"content-length") or 0) - (len(self.head) - end - 4)
                else:
                    self.left -= len(chunk)
                if self.left <= 0:
                    return self.head[9:12].decode()
        except BlockingIOError:
            return None
        except OSError as lost:
            return errno.errorcode.get(lost.errno or 0, "lost")

    def header(self, name: bytes) -> bytes:
        """The value of a header of the answer, empty without it."""
        at = self.head.lower().find(b"\r\n" + name + b": ")
        return bytes(self.head[at + len(name) + 4 :].split(b"\r\n", 1)[0]) if at >= 0 else b""

    def end(self, status: str) -> float:
        """Count the answer; returns after how many seconds the caller comes again."""
        took = time.monotonic() - self.start
        pause = 0.0
        if status == "200":
            self.seen.accepted.append(took)
            self.seen.accepted_within += self.start + took <= self.began + self.flood.seconds
        elif status == "503":
            self.seen.refused.append(took)
            if self.start - self.began > 1:
                self.seen.refused_later.append(took)
            said = self.header(b"retry-after")
            self.seen.without_retry += not said
            pause = float(said or 1)
        else:
            self.seen.others[status] = self.seen.others.get(status, 0) + 1
            pause = 1.0
        is_over = not status.isdigit() or self.header(b"connection").lower() == b"close"
        if is_over or self.sent < len(self.request):
            self.hang_up()
        return pause

    def hang_up(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def upload(file: Path, path: str, port: int) -> bytes:
    """A whole request with the file."""
    boundary = f"-----------------{random.getrandbits(64):016x}"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="upload"\r\n\r\n'.encode()
        + file.read_bytes()
        + f"\r\n--{boundary}--\r\n".encode()
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    )
    return head.encode() + body


def run(flood: Flood) -> Seen:
    """Send the flood from this thread."""
    seen, began = Seen(), time.monotonic()
    request = upload(Path(flood.file), flood.path, flood.port)
    callers = [_Caller(flood, request, seen, began) for _ in range(flood.callers)]
    poll = select.epoll()
    busy: dict[int, _Caller] = {}
    due = [(began, index) for index in range(len(callers))]

    def watch(caller: _Caller, events: int) -> None:
        assert caller.socket is not None
        if caller.interest:
            poll.modify(caller.socket, events)
        else:
            poll.register(caller.socket, events)
        caller.interest = events

    end = began + flood.seconds
    while True:
        now = time.monotonic()
        while due and due[0][0] <= now < end:
            caller = callers[heappop(due)[1]]
            is_new = caller.socket is None
            caller.begin()
            assert caller.socket is not None
            if is_new:
                caller.interest = 0
            busy[caller.socket.fileno()] = caller
            watch(caller, select.EPOLLIN | select.EPOLLOUT)
        if now >= end and (not busy or now >= end + _OVERTIME_SECONDS):
            break
        wait = min(due[0][0] - now, 0.1) if due and now < end else 0.1
        for fd, events in poll.poll(max(0.0, wait)):
            caller = busy[fd]
            if caller.socket is None:
                continue
            if events & select.EPOLLOUT and caller.send():
                watch(caller, select.EPOLLIN)
            if events & ~select.EPOLLOUT:
                status = caller.receive()
                if status is not None:
                    del busy[fd]
                    pause = caller.end(status)
                    if caller.socket is not None:
                        poll.unregister(caller.socket)
                        caller.interest = 0
                    heappush(due, (time.monotonic() + pause, callers.index(caller)))
    seen.unanswered = len(busy)
    for caller in callers:
        caller.hang_up()
    return seen


@contextmanager
def started(flood: Flood, core: int) -> Iterator["subprocess.Popen[str]"]:
    """The flood in a process on that core; `result` waits for it."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "hold.flood", json.dumps(asdict(flood))]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def result(process: "subprocess.Popen[str]") -> Seen:
    """What the flood saw, once it is over. Raises SystemExit when it failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the flood failed")
    return Seen(**json.loads(said))


if __name__ == "__main__":
    print(json.dumps(asdict(run(Flood(**json.loads(sys.argv[1]))))))
