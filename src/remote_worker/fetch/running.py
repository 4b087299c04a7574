"""One process that fetches as the host sees it: started, asked, looked after, ended when it is not ours."""

import asyncio
import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..contract.document import Document
from ..contract.failures import FailureCode
from ..contract.links import Fetched, FetchFailed, Purpose, Resolved, Want
from ..isolated import Interpreter
from . import messages
from .messages import Hello, HostileReply
from .policy import Listener
from .settings import FetchSettings

ENTRY = ("-m", "remote_worker.fetch.process.main")
"""What the interpreter runs; tests give their own."""

_PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""All that it gets of our environment: where the system's certificates are."""
_MESSAGES_A_TURN = 64
_LOOK_SECONDS = 0.25
"""How often one that owes something is looked at."""
GRACE_SECONDS = 3.0
"""An answer that is late by this much does not come any more. It stops by itself at its deadline."""


class DoorFailed(Exception):
    """The process could not be made ready. `layer` names what is missing of the seal."""

    def __init__(self, reason: str, layer: str = "") -> None:
        super().__init__(reason)
        self.layer = layer


class ProcessLost(Exception):
    """It is gone. `is_innocent` says that it was killed from outside: what it did may be tried again."""

    def __init__(self, *, is_innocent: bool) -> None:
        super().__init__()
        self.is_innocent = is_innocent


Answer = Fetched | Resolved


class _Awaited(asyncio.Future[Answer]):
    """An answer that says when nobody waits for it any more."""

    def __init__(self, stop: Callable[[], None], *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._stop = stop

    def cancel(self, msg: Any = None) -> bool:
        """As every future."""
        is_cancelled = super().cancel(msg)
        if is_cancelled:
            self._stop()
        return is_cancelled


@dataclass(slots=True, eq=False)
class _Ask:
    answer: asyncio.Future[Answer]
    most_bytes: int
    """Of the body that may come; less than 0 when none may."""
    overdue_at: float


class FetchProcess:
    """Owns the process and its socket. `close` ends both."""

    def __init__(self, interpreter: Interpreter, settings: FetchSettings) -> None:
        self.interpreter = interpreter
        self._control = interpreter.control
        self._settings = settings
        self._asks: dict[int, _Ask] = {}
        self._unsent: deque[bytes] = deque()
        self._number = 0
        self._looking: asyncio.TimerHandle | None = None
        self.layers: dict[str, Any] = {}
        self.pid = interpreter.pid
        self.alive = True
        self._is_retired = False
        self.on_loss: Callable[[str], None] = lambda _: None

    @classmethod
    async def start(cls, hello: Hello, *, entry: Sequence[str] = ENTRY, seconds: float) -> "FetchProcess":
        """Start, wait until it is sealed. Raises DoorFailed with the layer that is missing."""
        try:
            passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            interpreter = Interpreter(entry, passed_on)
        except OSError as error:
            raise DoorFailed(f"the process that fetches cannot be started: {error}") from error
        started = cls(interpreter, hello.settings)
        try:
            await started._meet(hello, seconds)
        except BaseException:
            started.close()
            raise
        return started

    def fetch(self, want: Want, until: float) -> "asyncio.Future[Fetched]":
        """What this URL leads to: FetchFailed or ProcessLost, or the result. Who cancels it has it stopped.

        Raises ProcessLost.
        """
        told = messages.want_as_json(want)
        answer = self._ask(until, self._most_bytes(want.purpose), messages.FETCH, told)
        return cast("asyncio.Future[Fetched]", answer)  # `_outcome` lets nothing else through.

    async def resolve(self, name: str, kind: str, until: float) -> Resolved:
        """What name servers say. Raises FetchFailed or ProcessLost."""
        return cast("Resolved", await self._ask(until, -1, messages.RESOLVE, name, kind))

    def listens(self, listener: Listener) -> None:
        """Tell it one more address that is this worker itself."""
        self._send(messages.write(0, messages.LISTENS, listener.address, listener.port))

    @property
    def owes(self) -> int:
        """How many answers are still to come, with those that nobody waits for any more."""
        return len(self._asks)

    def retire(self) -> None:
        """Close it as soon as it owes nothing. Nobody may ask it any more."""
        self._is_retired = True
        if not self._asks:
            self.close()

    def close(self) -> None:
        """Kill it and reap it."""
        self._end(is_innocent=False)

    async def _meet(self, hello: Hello, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        message = b""
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_sendall(self._control, hello.write())
                message = await loop.sock_recv(self._control, messages.MESSAGE_BYTES)
        except TimeoutError as late:
            raise DoorFailed(f"the process that fetches was not ready in {seconds:g} s") from late
        except OSError:
            pass  # It has hung up.
        if not message:
            raise DoorFailed(
                f"the process that fetches ended while it got ready{await self.interpreter.cause()}"
            )
        report = json.loads(message)
        if "failed" in report:
            what = "be sealed" if report["layer"] else "start"
            raise DoorFailed(f"the process that fetches cannot {what}: {report['failed']}", report["layer"])
        self.layers = report["layers"]
        loop.add_reader(self._control, self._read)

    def _ask(self, until: float, most_bytes: int, word: str, *rest: object) -> "asyncio.Future[Answer]":
        if not self.alive:
            raise ProcessLost(is_innocent=True)
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        self._number += 1
        number = self._number
        message = messages.write(number, word, max(0.0, until - now), *rest)
        answer = _Awaited(lambda: self._stop(number), loop=loop)
        self._asks[number] = _Ask(answer, most_bytes, max(until, now) + GRACE_SECONDS)
        if self._looking is None:
            self._looking = loop.call_later(_LOOK_SECONDS, self._look)
        self._send(message)
        return answer

    def _stop(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        ask = self._asks.get(number)
        if ask is not None:
            ask.overdue_at = min(ask.overdue_at, time.monotonic() + GRACE_SECONDS)
            self._send(messages.write(number, messages.CANCEL))

    def _send(self, message: bytes) -> None:
        if not self.alive:
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self._send_on()

    def _send_on(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                self._control.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            loop.add_writer(self._control, self._send_on)
            return
        except (BrokenPipeError, ConnectionResetError):
            pass  # It is gone, as reading will tell.
        except OSError as refused:
            self._lose(f"it takes no messages: {refused.strerror}", is_innocent=True)
            return
        loop.remove_writer(self._control)

    def _read(self) -> None:
        for _ in range(_MESSAGES_A_TURN):
            if not self.alive:
                return
            try:
                message, descriptors, flags, _ = socket.recv_fds(
                    self._control, messages.MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                message, descriptors, flags = b"", [], 0
            if not message:
                for descriptor in descriptors:
                    os.close(descriptor)
                self._lose("it ended", is_innocent=True)
                return
            try:
                self._take(message, descriptors, flags)
            except HostileReply as hostile:
                self._lose(f"hostile reply: {hostile}", is_innocent=False)
                return

    def _take(self, message: bytes, descriptors: list[int], flags: int) -> None:
        body = _adopt(descriptors)
        try:
            if flags & socket.MSG_TRUNC:
                raise HostileReply("a long message")
            number, word, rest = messages.read(message)
            ask = self._asks.get(number)
            if ask is None:
                raise HostileReply("an answer that nobody asked for")
            outcome = self._outcome(ask, word, rest, body, is_cut=bool(flags & socket.MSG_CTRUNC))
        except BaseException:
            if body is not None:
                body.close()
            raise
        del self._asks[number]
        if ask.answer.done():
            if isinstance(outcome, Answer):
                _drop(outcome)
        elif isinstance(outcome, FetchFailed):
            ask.answer.set_exception(outcome)
        else:
            ask.answer.set_result(outcome)
        if self._is_retired and not self._asks:
            self.close()

    def _outcome(
        self, ask: _Ask, word: str, rest: list[Any], body: Document | None, *, is_cut: bool
    ) -> Answer | FetchFailed:
        """What the reply comes to. Raises HostileReply."""
        if word == messages.FETCHED and ask.most_bytes >= 0:
            if body is None and is_cut:
                # The kernel closed it: there was no room for one more here.
                return FetchFailed(FailureCode.BUSY, "descriptors")
            if body is None or is_cut or body.size_bytes > ask.most_bytes:
                raise HostileReply("no body, a long one, or two")
            return messages.fetched_of(rest, body)
        if body is not None or is_cut:
            raise HostileReply("a descriptor that nobody asked for")
        if word == messages.FAILED:
            return messages.failed_of(rest)
        if word == messages.RESOLVED and ask.most_bytes < 0:
            return messages.resolved_of(rest)
        if word == messages.CANCELLED and ask.answer.cancelled():
            return FetchFailed(FailureCode.FETCH_UNAVAILABLE)
        raise HostileReply("a word that is no answer")

    def _most_bytes(self, purpose: Purpose) -> int:
        settings = self._settings
        return {
            Purpose.PAGE: settings.page_bytes,
            Purpose.IMAGE: settings.fetched_image_bytes,
            Purpose.WEBHOOK: 0,
        }.get(purpose, settings.oembed_bytes)

    def _look(self) -> None:
        """Give it up when somebody has stopped it, or when it does not answer any more."""
        self._looking = None
        now = time.monotonic()
        if any(ask.overdue_at < now for ask in self._asks.values()):
            self._lose("it does not answer", is_innocent=False)
        elif self._asks:
            if self.interpreter.is_stopped():
                self._lose("it was stopped", is_innocent=True)
                return
            self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _lose(self, reason: str, *, is_innocent: bool) -> None:
        self._end(is_innocent=is_innocent)
        status = self.interpreter.status or 0
        self.on_loss(
            f"{reason}, by {signal.Signals(-status).name}" if status < 0 else f"{reason}, with {status}"
        )

    def _end(self, *, is_innocent: bool) -> None:
        self.alive = False
        if self._looking is not None:
            self._looking.cancel()
        self.interpreter.end()
        # A filter that ends it has seen what it must not do; every other signal is somebody else's.
        is_innocent = is_innocent and self.interpreter.status in (-signal.SIGKILL, -signal.SIGTERM)
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            if not ask.answer.done():
                ask.answer.set_exception(ProcessLost(is_innocent=is_innocent))
                ask.answer.exception()  # Who waited may be about to stop.


def _adopt(descriptors: list[int]) -> Document | None:
    """The one descriptor of a message, if it has one. Raises HostileReply, and then it is closed."""
    if not descriptors:
        return None
    try:
        return Document.adopt(descriptors[0])
    except OSError as bad:
        raise HostileReply("a body that is no sealed memory") from bad


def _drop(answer: Answer) -> None:
    if isinstance(answer, Fetched):
        answer.body.close()
