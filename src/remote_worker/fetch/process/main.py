"""The process that fetches: loads all it needs, seals itself, then asks strangers for what the host wants.

Started by the host as `python -I -B -m remote_worker.fetch.process.main FD`, with the places of certificates
and nothing else in its environment. `fetch/messages.py` has the words on its control socket.
"""

import asyncio
import errno
import gc
import json
import os
import socket
import sys
import time
import traceback
from collections import deque
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, NoReturn

from ...contract.document import Document
from ...contract.failures import FailureCode, WorkFailed
from ...contract.limits import MIB
from ...contract.links import Fetched, FetchFailed, Resolved
from ...jail import privileges
from ...jail.failure import SealFailed
from ...jail.seal import Landlock, seal_fetcher
from .. import messages, url
from ..messages import Hello
from ..policy import Listener, Policy
from ..settings import FetchSettings
from . import resolver as resolving
from .follow import Fetcher
from .politeness import Gate
from .resolver import Resolver

MEMORY_BYTES = 512 * MIB
"""Over its size when it is loaded."""
DESCRIPTORS_A_FETCH = 8
"""Connections that race, questions to name servers, a body, and its reply that waits to be taken."""
DESCRIPTORS_BESIDES = 64

_MESSAGES_A_TURN = 64
_RETRY_SECONDS = 0.005
_SPARE_BYTES = 64 * 1024
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)
"""The host has much to read: it goes on in a moment."""

Reply = tuple[bytes, Document | None]


def main(control_fd: int) -> NoReturn:
    """Run on this control socket until the host closes it."""
    control = socket.socket(fileno=control_fd)
    hello = Hello.read(control.recv(messages.MESSAGE_BYTES))
    try:
        server, layers = _make_ready(hello, control)
    except SealFailed as failure:
        _refuse(control, str(failure), failure.layer)
    except (OSError, ValueError) as failure:
        _refuse(control, str(failure), "")
    control.send(json.dumps({"layers": layers}).encode())
    control.setblocking(False)
    server.loop.add_reader(control, server.read)
    server.loop.run_forever()
    os._exit(0)


def _refuse(control: socket.socket, reason: str, layer: str) -> NoReturn:
    control.send(json.dumps({"failed": reason, "layer": layer}).encode())
    sys.exit(1)


def _make_ready(hello: Hello, control: socket.socket) -> tuple["Server", dict[str, object]]:
    settings = hello.settings
    if hello.is_sealed:
        privileges.close_all_but({0, 1, 2, control.fileno()})
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    _warm()
    policy = Policy(settings, hello.own, is_local_address)
    resolver = Resolver(
        settings.nameservers or resolving.system_nameservers(_text_of("/etc/resolv.conf")),
        settings.dns_seconds,
        localhost=_localhost(),
    )
    gate = Gate(settings)
    fetcher = Fetcher(settings, policy, resolver, gate, dial_map=hello.dial_map, via=hello.via)
    server = Server(loop, control, fetcher, resolver, gate, policy)
    gc.collect()
    gc.freeze()
    if not hello.is_sealed:
        return server, {}
    os.dup2(0, 2)  # What goes wrong from here on is told to the host, not to its standard error.
    layers = seal_fetcher(
        memory_bytes=MEMORY_BYTES,
        file_bytes=_longest_body(settings) + _SPARE_BYTES,
        descriptors=DESCRIPTORS_A_FETCH * settings.fetches + DESCRIPTORS_BESIDES,
        landlock=Landlock(hello.landlock),
    )
    return server, layers.as_json()


def is_local_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether this machine has the address: what leaves for it comes from it. Sends nothing.

    The seal lets nobody bind a socket, which is the other way to ask.
    """
    if address.is_loopback:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((str(address), _DISCARD))
        except OSError:
            return False  # There is no way there at all.
        return ip_address(probe.getsockname()[0].partition("%")[0]) == address


class Server:
    """Takes the host's wants and sends a reply for each of them, exactly one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        control: socket.socket,
        fetcher: Fetcher,
        resolver: Resolver,
        gate: Gate,
        policy: Policy,
    ) -> None:
        self.loop = loop
        self._control = control
        self._fetcher = fetcher
        self._resolver = resolver
        self._gate = gate
        self._policy = policy
        self._tasks: dict[int, asyncio.Task[Fetched | Resolved]] = {}
        self._unsent: deque[Reply] = deque()

    def read(self) -> None:
        """Take what the host has said by now."""
        for _ in range(_MESSAGES_A_TURN):
            try:
                message = self._control.recv(messages.MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                os._exit(0)
            self._take(json.loads(message))

    def _take(self, told: list[Any]) -> None:
        number, word, *rest = told
        if word == messages.CANCEL:
            if number in self._tasks:
                self._tasks[number].cancel()
        elif word == messages.LISTENS:
            self._policy.listens(Listener(*rest))
        else:
            work = self._fetch(*rest) if word == messages.FETCH else self._resolve(*rest)
            task = self._tasks[number] = self.loop.create_task(work)
            task.add_done_callback(lambda task: self._reply(number, task))

    async def _fetch(self, seconds: float, told: list[Any]) -> Fetched:
        want = messages.want_of(told)
        with self._gate.preview(want):
            return await self._fetcher.fetch(want, until=time.monotonic() + seconds)

    async def _resolve(self, seconds: float, name: str, kind: str) -> Resolved:
        return await self._resolver.resolve(name, kind, until=time.monotonic() + seconds)

    def _reply(self, number: int, task: "asyncio.Task[Fetched | Resolved]") -> None:
        del self._tasks[number]
        self._unsent.append(_reply_of(number, task))
        if len(self._unsent) == 1:
            self._send()

    def _send(self) -> None:
        while self._unsent:
            message, body = self._unsent[0]
            try:
                if body is None:
                    self._control.send(message)
                else:
                    socket.send_fds(self._control, [message], [body.fileno()])
            except OSError as error:
                if error.errno not in _FULL:
                    os._exit(0)
                self.loop.call_later(_RETRY_SECONDS, self._send)
                return
            self._unsent.popleft()
            if body is not None:
                body.close()


def _reply_of(number: int, task: "asyncio.Task[Fetched | Resolved]") -> Reply:
    if task.cancelled():
        return messages.write(number, messages.CANCELLED), None
    error = task.exception()
    if error is None:
        done = task.result()
        try:
            if isinstance(done, Resolved):
                return messages.write(number, messages.RESOLVED, messages.resolved_as_json(done)), None
            done.body.seal()
            return messages.write(number, messages.FETCHED, messages.fetched_as_json(done)), done.body
        except (WorkFailed, OSError) as failed:
            if isinstance(done, Fetched):
                done.body.close()
            error = failed
    return _failure(number, error), None


def _failure(number: int, error: BaseException) -> bytes:
    failed = error if isinstance(error, WorkFailed) else _translated(error)
    if not isinstance(failed, WorkFailed) or failed.code not in messages.CODES:
        failed = WorkFailed(FailureCode.FETCH_UNAVAILABLE, f"{messages.ERROR}{_where(error)}")
    try:
        return messages.write(number, messages.FAILED, messages.failed_as_json(failed))
    except WorkFailed:
        # Long redirects and headers together: the reason is what counts.
        bare = WorkFailed(failed.code, failed.detail, retry_seconds=failed.retry_seconds)
        return messages.write(number, messages.FAILED, messages.failed_as_json(bare))


def _translated(error: BaseException) -> BaseException:
    """Out of descriptors or memory is no fault of ours."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    ):
        return FetchFailed(FailureCode.BUSY, "descriptors or memory")
    return error


def _where(error: BaseException) -> str:
    """The kind of the error and its place in our source; never what it says, which may quote a stranger."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        place = f" at {Path(frame.f_code.co_filename).name}:{line}"
    return f"{type(error).__name__}{place}"


def _warm() -> None:
    """Load what is loaded late: behind the seal there are no files."""
    url.warm()
    resolving.warm()
    "a".encode("idna")
    "".encode("latin-1")
    "".encode("unicode_escape")
    time.localtime()


def _localhost() -> tuple[IPv4Address | IPv6Address, ...]:
    """What the system's own list of hosts says, now that it can be read."""
    try:
        found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _longest_body(settings: FetchSettings) -> int:
    return max(settings.page_bytes, settings.fetched_image_bytes, settings.oembed_bytes)


_DISCARD = 9

if __name__ == "__main__":
    main(int(sys.argv[1]))
