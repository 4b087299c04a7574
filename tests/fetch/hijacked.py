"""The process that fetches, sealed as ever, but taken over: the host in a URL says what it tries, or tells.

`probe-NAME.test` tries something in the seal and tells what came of it as its body; `lie-NAME.test` sends the
host something that our process never says.
"""

import asyncio
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from remote_worker.contract.document import Document
from remote_worker.contract.links import Fetched, Hop, Want
from remote_worker.jail import kernel

CONTROL = int(sys.argv[1])


class Fetcher:
    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def fetch(self, want: Want, *, until: float) -> Fetched:
        host = want.url.removeprefix("http://").partition("/")[0].removesuffix(".test")
        kind, _, name = host.partition("-")
        if kind == "lie":
            LIES[name](int(want.url.rpartition("/")[2]))
            await asyncio.sleep(3600)
        if kind == "wait":
            await asyncio.sleep(3600)
        if kind == "fault":
            raise KeyError("a stranger's words")
        try:
            outcome = str(PROBES[name]())
        except OSError as refusal:
            outcome = errno.errorcode.get(refusal.errno or 0, repr(refusal))
        except (ValueError, RuntimeError, MemoryError, ImportError) as refusal:
            outcome = type(refusal).__name__
        return fetched(want.url, outcome.encode())


def fetched(url: str, body: bytes) -> Fetched:
    return Fetched(
        url=url,
        status=200,
        headers={},
        body=Document.of(body),
        media_type="text/html",
        is_cut=False,
        hops=(Hop(url=url, status=200),),
        received_bytes=len(body),
        milliseconds=1.0,
    )


def udp() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(("127.0.0.1", 9))
        return channel.getpeername()[0]


def opened(family: int, kind: int, protocol: int = 0) -> Callable[[], str]:
    def attempt() -> str:
        socket.socket(family, kind, protocol).close()
        return "ok"

    return attempt


def bind() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).bind(("127.0.0.1", 0))


def listen() -> None:
    kernel.call("listen", socket.socket(socket.AF_INET, socket.SOCK_STREAM).fileno(), 1)


def thread() -> None:
    import _thread

    _thread.start_new_thread(time.sleep, (1,))


def write_far() -> str:
    """How much one body can have."""
    document = Document()
    written = 0
    try:
        while True:
            document.write(bytes(1024 * 1024))
            written += 1
    except OSError as refusal:
        return f"{written} {errno.errorcode[refusal.errno or 0]}"


def take_memory() -> str:
    kept = [bytearray(256 * 1024 * 1024) for _ in range(8)]
    return f"ok {len(kept)}"


def signal_parent() -> None:
    os.kill(os.getppid(), 0)


def descriptors() -> str:
    count = 0
    kept = []
    try:
        while True:
            kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            count += 1
    except OSError as refusal:
        for one in kept:
            one.close()
        return f"{count} {errno.errorcode[refusal.errno or 0]}"


def filtered_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.setsockopt(socket.SOL_SOCKET, 26, bytes(16))  # SO_ATTACH_FILTER


PROBES: dict[str, Callable[[], object]] = {
    "tcp": opened(socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": opened(socket.AF_INET6, socket.SOCK_STREAM),
    "udp": udp,
    "ids": lambda: (os.getuid(), os.getgid()),
    "unix": opened(socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": opened(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": opened(socket.AF_PACKET, socket.SOCK_RAW),
    "raw": opened(socket.AF_INET, socket.SOCK_RAW, 1),
    "ping": opened(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "sctp": opened(socket.AF_INET, socket.SOCK_STREAM, 132),
    "mptcp": opened(socket.AF_INET, socket.SOCK_STREAM, 262),
    "pair": lambda: socket.socketpair(),
    "bind": bind,
    "listen": listen,
    "filter": filtered_socket,
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write": lambda: os.open("/tmp/hijacked", os.O_WRONLY | os.O_CREAT),
    "list": lambda: os.listdir("/"),
    "memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: kernel.call("fork"),
    "clone": lambda: kernel.call("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "thread": thread,
    "signal": signal_parent,
    "ptrace": lambda: kernel.call("ptrace", 16, os.getppid(), 0, 0),
    "pidfd": lambda: kernel.call("pidfd_open", os.getppid(), 0),
    "code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "undump": lambda: kernel.call("prctl", kernel.DUMPABLE, 1, 0, 0, 0),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536)),
    "filters": lambda: kernel.call("seccomp", 1, 0, None),
    "uring": lambda: kernel.call("io_uring_setup", 8, None),
    "unshare": lambda: kernel.call("unshare", 0x40000000),
    "keys": lambda: kernel.call("keyctl", 0, 0, 0, 0, 0),
    "import": lambda: __import__("sqlite3"),
    "far": write_far,
    "fill": take_memory,
    "descriptors": descriptors,
}


def send(message: bytes, *documents: Document) -> None:
    with socket.socket(fileno=os.dup(CONTROL)) as control:
        if documents:
            socket.send_fds(control, [message], [document.fileno() for document in documents])
        else:
            control.send(message)


def as_fetched(number: int, **changes: object) -> bytes:
    members: dict[str, Any] = {
        "url": "http://a.test/",
        "status": 200,
        "headers": {},
        "media_type": "text/html",
        "is_cut": False,
        "hops": [],
        "received_bytes": 1,
        "milliseconds": 1.0,
    }
    return json.dumps([number, "fetched", list((members | changes).values())]).encode()


def sealed(data: bytes = b"x") -> Document:
    document = Document.of(data)
    document.seal()
    return document


def lie(**changes: object) -> Callable[[int], None]:
    return lambda number: send(as_fetched(number, **changes), sealed())


def failing(code: str, *rest: object) -> Callable[[int], None]:
    told = [code, "", 0, [], 0, {}, *rest]
    return lambda number: send(json.dumps([number, "failed", told]).encode())


def hop(*members: object) -> list[object]:
    return [[*members, "http://a.test/", [], "", 200, {}, "", ""][: max(7, len(members))]]


LIES: dict[str, Callable[[int], None]] = {
    "truth": lie(),
    "garbage": lambda _: send(b"\x00\xff"),
    "empty-list": lambda _: send(b"[]"),
    "deep": lambda _: send(b"[" * 60_000),
    "nan": lambda number: send(b'[%d,"fetched",[NaN]]' % number),
    "other-number": lambda number: send(as_fetched(number + 1000), sealed()),
    "number-of-none": lambda _: send(json.dumps([None, "cancelled"]).encode()),
    "true-number": lambda _: send(json.dumps([True, "cancelled"]).encode()),
    "no-body": lambda number: send(as_fetched(number)),
    "unsealed": lambda number: send(as_fetched(number), Document.of(b"x")),
    "large": lambda number: send(as_fetched(number), sealed(bytes(2 * 1024 * 1024))),
    "two-bodies": lambda number: send(as_fetched(number), sealed(), sealed()),
    "socket": lambda number: send(as_fetched(number), _Socket()),
    "body-of-failure": lambda number: send(
        json.dumps([number, "failed", ["timeout", "", 0, [], 0, {}]]).encode(), sealed()
    ),
    "cancelled": lambda number: send(json.dumps([number, "cancelled"]).encode()),
    "resolved": lambda number: send(json.dumps([number, "resolved", [["x"], 1.0, []]]).encode()),
    "word": lambda number: send(json.dumps([number, "shrug", []]).encode()),
    "internal": failing("internal"),
    "jail": failing("jail_unavailable"),
    "unknown-code": failing("shrug"),
    "members": failing("timeout", 1),
    "script": lie(url="javascript:alert(1)"),
    "blank-url": lie(url="http://a.test/ b"),
    "long-url": lie(url="http://a.test/" + 9000 * "a"),
    "status": lie(status=600),
    "low-status": lie(status=99),
    "float-status": lie(status=200.0),
    "text-status": lie(status="200"),
    "header-list": lie(headers=[["a", "b"]]),
    "header-break": lie(headers={"etag": "a\r\nX: y"}),
    "many-headers": lie(headers={f"h{n}": "" for n in range(65)}),
    "long-header": lie(headers={"etag": 8193 * "a"}),
    "cut": lie(is_cut=1),
    "negative": lie(received_bytes=-1),
    "huge": lie(received_bytes=2**53),
    "phase": lie(hops=[["http://a.test/", [], "", 200, {"lunch": 1.0}, "", ""]]),
    "many-hops": lie(hops=65 * [["http://a.test/", [], "", 200, {}, "", ""]]),
    "verdict": lie(hops=[["http://a.test/", [["1.2.3.4", "yes", "public"]], "", 200, {}, "", ""]]),
    "many-verdicts": lie(hops=[["http://a.test/", 17 * [["1.2.3.4", True, "public"]], "", 200, {}, "", ""]]),
    "hop-code": lie(hops=[["http://a.test/", [], "", 200, {}, "internal", ""]]),
    "hang-up": lambda _: os._exit(0),
    "stop": lambda _: signal.raise_signal(signal.SIGSTOP),
}


class _Socket(Document):
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def fileno(self) -> int:
        return self._socket.fileno()


if __name__ == "__main__":
    standing_in = types.ModuleType("remote_worker.fetch.process.follow")
    standing_in.Fetcher = Fetcher
    sys.modules[standing_in.__name__] = standing_in
    from remote_worker.fetch.process import main

    main.main(CONTROL)
