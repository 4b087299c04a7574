"""One template process as the host sees it: started, asked for children, watched, ended with its group."""

import array
import asyncio
import errno
import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from .. import metrics
from ..contract.control import EVENT, FORK, FORK_FAILED, FORKED, REAPED, Hello
from ..isolated import Interpreter
from .child import Child

ENTRY = ("-m", "remote_worker.decoder.template")
"""What the template's interpreter runs; tests give their own, which adds a task kind and calls ours."""

_ENVIRONMENT = {
    # Symbols are looked up once here, and not by every child again.
    "LD_BIND_NOW": "1",
    # Blocks that warming up has freed lie in many pages; without a cache of them, a child's come from few.
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
}
"""All that a template gets of an environment. Other C libraries than glibc ignore the second."""

_HELLO_BYTES = 64 * 1024
_FORK_SECONDS = 2.0
"""A fork takes a millisecond; a template that needs this long is stuck."""
_LOOK_SECONDS = 0.1
"""How often a template that owes something is looked at: one that is stopped will never answer."""


class TemplateFailed(Exception):
    """The template could not be made ready, or is gone. `layer` names what is missing of the seal."""

    def __init__(self, reason: str, layer: str = "") -> None:
        super().__init__(reason)
        self.layer = layer


class TemplateLost(TemplateFailed):
    """Somebody killed or stopped it, or it is stuck: another one has a good chance."""


class TemplateProcess:
    """Owns the process and its control socket. `close` ends both and every child of it."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._control = interpreter.control
        self._forks: deque[tuple[socket.socket, asyncio.Future[Child]]] = deque()
        self._children: dict[int, Child] = {}
        self._name = ""
        self.report: dict[str, Any] = {}
        self.pid = interpreter.pid
        self.alive = True
        self.on_loss: Callable[[], None] = lambda: None

    @classmethod
    async def start(cls, hello: Hello, *, entry: Sequence[str] = ENTRY, seconds: float) -> "TemplateProcess":
        """Start, wait until it is warm and sealed.

        Raises TemplateFailed with the layer that is missing, or TemplateLost.
        """
        try:
            template = cls(Interpreter(entry, _ENVIRONMENT))
        except OSError as error:
            raise TemplateFailed(f"the {hello.template} template cannot be started: {error}") from error
        try:
            await template._meet(hello, seconds)
        except BaseException:
            template.close()
            raise
        return template

    async def _meet(self, hello: Hello, seconds: float) -> None:
        self._name = hello.template
        loop = asyncio.get_running_loop()
        hearing = asyncio.ensure_future(loop.sock_recv(self._control, _HELLO_BYTES))
        try:
            await loop.sock_sendall(self._control, json.dumps(asdict(hello)).encode())
            await self.wait_for(hearing, seconds)
            if not self.alive:
                raise TemplateLost(f"the {hello.template} template was stopped while it got ready")
            if not hearing.done():
                raise TemplateFailed(f"the {hello.template} template was not ready in {seconds:g} s")
            answer = hearing.result()
        except OSError:
            answer = b""
        finally:
            hearing.cancel()
        if not answer:
            cause = await self._interpreter.cause()
            self.close()
            # Its own failures end with an exit status, and a filter around us kills each one anew.
            is_killed = (self._interpreter.status or 0) < 0
            is_filtered = self._interpreter.status == -signal.SIGSYS
            kind = TemplateLost if is_killed and not is_filtered else TemplateFailed
            raise kind(f"the {hello.template} template ended while it got ready{cause}")
        self.report = {"pid": self.pid, **json.loads(answer)}
        if "failed" in self.report:
            raise TemplateFailed(
                f"the {hello.template} template cannot be sealed: {self.report['failed']}",
                self.report["layer"],
            )
        loop.add_reader(self._control, self._read_events)

    async def fork(self) -> Child:
        """A new sealed child that waits for its task.

        Raises TemplateLost, or OSError when descriptors, memory or processes are short here or there.
        """
        if not self.alive:
            raise TemplateLost("the template is gone")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        born: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        with theirs:
            try:
                rights = array.array("i", [theirs.fileno()])
                self._control.sendmsg([FORK], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            except (BrokenPipeError, ConnectionResetError) as error:
                ours.close()
                self._give_up()
                raise TemplateLost("the template takes no requests") from error
            except OSError:
                ours.close()
                raise
        self._forks.append((ours, born))
        try:
            await self.wait_for(born, _FORK_SECONDS)
        except asyncio.CancelledError:
            # It may have been born in the very turn in which its caller was told to stop.
            if not born.cancel() and born.exception() is None:
                born.result().close()
            raise
        if not born.done():
            self._give_up()
        return born.result()

    async def wait_for(self, answer: asyncio.Future[Any], seconds: float) -> None:
        """Wait for what it owes, no longer than this. One that is stopped is given up, which answers all."""
        until = time.monotonic() + seconds
        while not answer.done() and (left := until - time.monotonic()) > 0:
            self.look()
            if not self.alive:
                return
            await asyncio.wait([answer], timeout=min(left, _LOOK_SECONDS))

    def look(self) -> None:
        """Give it up if somebody has stopped it."""
        if self.alive and self._interpreter.is_stopped():
            self._give_up()

    def close(self) -> None:
        """Kill the template and its whole process group, and reap it."""
        self._interpreter.end()
        self._lose()

    def _read_events(self) -> None:
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._control, EVENT.size, 1)
            except BlockingIOError:
                return
            except OSError:
                message, fds = b"", []
            if len(message) != EVENT.size:
                for fd in fds:
                    os.close(fd)
                self._give_up()
                return
            kind, pid, number, memory_kib, cpu_ms = EVENT.unpack(message)
            if kind == REAPED:
                child = self._children.pop(pid, None)
                if child is not None:
                    child.reaped(number)
                    metrics.CHILD_MEMORY.observe(memory_kib * 1024.0, self._name)
                    metrics.CHILD_CPU.observe(cpu_ms / 1e3, self._name)
            elif kind in (FORKED, FORK_FAILED):
                self._deliver(pid, fds, number)

    def _give_up(self) -> None:
        self.close()
        self.on_loss()

    def _deliver(self, pid: int, fds: list[int], number: int) -> None:
        channel, born = self._forks.popleft()
        if not fds:
            channel.close()
            if not born.done():
                # A descriptor that came and found no room here is not handed on.
                number = number or errno.EMFILE
                born.set_exception(OSError(number, f"fork failed: {os.strerror(number)}"))
            return
        child = Child(pid, fds[0], channel, self)
        self._children[pid] = child
        if born.done():
            child.close()
        else:
            born.set_result(child)

    def _lose(self) -> None:
        self.alive = False
        for channel, born in self._forks:
            channel.close()
            if not born.done():
                born.set_exception(TemplateLost("the template is gone"))
        self._forks.clear()
        for child in self._children.values():
            child.reaped(None)
        self._children.clear()
