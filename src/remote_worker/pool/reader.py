"""One text child as the host sees it: asked one thing after another, each within its processor time.

docs/decisions/0017-text-worker.md says why its clock is read and what a hijacked one could do.
"""

import asyncio
import time
from collections.abc import Callable

from .. import metrics
from ..contract import wire
from ..contract.control import ASK
from ..contract.texts import MOST_READ_BYTES
from .child import LINGER_SECONDS, LOOK_SECONDS, Child, ChildLost, Kill

_CHUNK_BYTES = 64 * 1024
_SHORTEST_PAUSE_SECONDS = 0.002
"""Between two looks at a child that has nearly used up its time and waits for a core."""
_IDLE_CPU_SECONDS = 0.05
"""What a child may use while it has nothing to do; an honest one uses none."""


class Reader:
    """Owns a child that reads one text at a time. `on_end` is called when it ends while it is idle."""

    def __init__(
        self, child: Child, *, cpu_seconds: float, on_end: Callable[["Reader"], None], trust: str = ""
    ) -> None:
        self.child = child
        self.trust = trust
        """Whose texts it reads, and no others."""
        self.jobs = 0
        self.born_at = time.monotonic()
        self._cpu_seconds = cpu_seconds
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        # The clock of another process, by its number: CPUCLOCK_SCHED of <linux/posix-timers.h>.
        self._clock = (~child.pid << 3) | 2
        self._used_before = self._used()
        self._answer: asyncio.Future[bool] | None = None
        self._received = bytearray()
        self._due: wire.Record | None = None
        self._unsent = memoryview(b"")
        self._killed: Kill | None = None
        self._until = 0.0
        self._look: asyncio.TimerHandle | None = None
        """Left to ring when a text is done, and set again if one is read then: not each needs a timer."""
        self._look_due = 0.0
        self._was_stopped = False
        # By number, as it is quicker.
        self._heard_fd = child.channel.fileno()
        self._loop.add_reader(self._heard_fd, self._on_words)

    async def work(self, task: bytes, text: bytes, *, until: float) -> tuple[wire.Record, memoryview]:
        """Its reply and the body. `until` is a `time.monotonic` value.

        Raises ChildLost or OSError. Whoever does not get a reply has to close it.
        """
        self.jobs += 1
        self._received = bytearray()
        self._due = None
        self._until = until
        self._was_stopped = False
        self._used_before = self._used()
        answer = self._answer = self._loop.create_future()
        try:
            self._send([ASK.pack(len(task), len(text)), task, text])
            # It has one thread, so before that much time is over it cannot have used it.
            self._look_at(min(until, time.monotonic() + min(self._cpu_seconds, LOOK_SECONDS)))
            is_whole = await answer
        finally:
            self._answer = None
        if not is_whole or self._due is None:
            raise await self._loss()
        used = self._used()
        if used - self._used_before > self._cpu_seconds:
            # Whether it is refused must not hang on how soon a busy host came to look.
            raise ChildLost(None, killed=Kill.CPU, is_mute=False)
        self._used_before = used
        return self._due, memoryview(self._received)[wire.RECORD.size :].toreadonly()

    @property
    def is_restless(self) -> bool:
        """It has worked although it has nothing to do."""
        return self._used() - self._used_before > _IDLE_CPU_SECONDS

    def close(self) -> None:
        """Kill it and let go of its descriptors; safe to call again."""
        self._hush()
        if self._look is not None:
            self._look.cancel()
        if self._unsent:
            self._stop_sending()
        self.child.close()

    def _used(self) -> float:
        """Seconds of processor time since its birth; 0 when it is gone."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0

    def _send(self, pieces: list[bytes]) -> None:
        try:
            sent = self.child.channel.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            return  # It has died while it waited; what is read next tells.
        if sent < sum(map(len, pieces)):
            self._unsent = memoryview(b"".join(pieces))[sent:]
            self._loop.add_writer(self._heard_fd, self._on_room)

    def _on_room(self) -> None:
        try:
            sent = self.child.channel.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._stop_sending()

    def _stop_sending(self) -> None:
        self._unsent = memoryview(b"")
        self._loop.remove_writer(self.child.channel.fileno())

    def _on_words(self) -> None:
        try:
            chunk = self.child.channel.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if self._answer is None:
            # It has ended, or says what nobody has asked for.
            self.close()
            self._on_end(self)
        elif not chunk:
            self._end(is_whole=False)
        else:
            self._received += chunk
            try:
                if self._is_whole():
                    self._end(is_whole=True)
            except wire.BadReply:
                self._kill(Kill.LIE)

    def _is_whole(self) -> bool:
        """The reply is there. Raises BadReply."""
        length = len(self._received) - wire.RECORD.size
        if self._due is None:
            if length < 0:
                return False
            record = bytes(self._received[: wire.RECORD.size])
            self._due = wire.read_record(record, most_body_bytes=MOST_READ_BYTES)
        if length > self._due.body_bytes:
            raise wire.BadReply("more than was due")
        if length == self._due.body_bytes and self._unsent:
            raise wire.BadReply("an answer to half a question")
        return length == self._due.body_bytes

    def _end(self, *, is_whole: bool) -> None:
        if not is_whole:
            self._hush()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(is_whole)

    def _kill(self, why: Kill) -> None:
        """Its socket tells when it is gone."""
        if self._killed is None:
            self._killed = why
            metrics.SANDBOX_KILLS.add(why.name.lower())
        self._due = None
        self.child.kill()
        self._end(is_whole=False)

    def _look_at(self, when: float) -> None:
        self._look_due = when
        if self._look is not None and self._look.when() > when:
            self._look.cancel()
            self._look = None
        if self._look is None:
            self._look = self._loop.call_at(when, self._on_look)

    def _on_look(self) -> None:
        self._look = None
        if self._answer is None or self._answer.done():
            return  # A busy host hears of the answer and of the hour in one turn.
        now = time.monotonic()
        if now < self._look_due:
            self._look_at(self._look_due)
            return
        left = self._cpu_seconds - (self._used() - self._used_before)
        if left <= 0:
            self._kill(Kill.CPU)
        elif now >= self._until:
            self._kill(Kill.DEADLINE)
        else:
            # Two looks in a row: somebody who traces a process stops it for a moment.
            is_stopped = self.child.is_stopped
            if is_stopped and self._was_stopped:
                self._kill(Kill.STOPPED)
                return
            self._was_stopped = is_stopped
            pause = LOOK_SECONDS if is_stopped else min(max(left, _SHORTEST_PAUSE_SECONDS), LOOK_SECONDS)
            self._look_at(min(self._until, now + pause))

    def _hush(self) -> None:
        if self._heard_fd >= 0:
            self._loop.remove_reader(self._heard_fd)
            self._heard_fd = -1

    async def _loss(self) -> ChildLost:
        """How it was lost. Who has hung up and lives on is given a moment."""
        status = await self.child.wait_status(LINGER_SECONDS)
        if not self.child.is_gone:
            self._killed = Kill.LINGER
            self.child.kill()
            status = await self.child.wait_status()
        return ChildLost(status, killed=self._killed, is_mute=not self._received)
