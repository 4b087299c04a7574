"""The texts' pool: a fair queue in front of sealed children that each read many pages and posts."""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import ceil
from types import TracebackType
from typing import Any, Self, TypeVar

from .. import metrics, telemetry, tracing
from ..contract.callers import ceilings_of, trust_of
from ..contract.control import Hello
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from ..contract.links import PageFacts
from ..contract.messages import encode_task
from ..contract.signatures import Template
from ..contract.texts import (
    MOST_READ_BYTES,
    MOST_TEXT_BYTES,
    ReadOembed,
    ReadPage,
    Rendered,
    RenderMarkdown,
    TextTask,
)
from ..metrics import QueueLoad, Step
from ..telemetry import Event
from . import verify_text
from .child import CRASHES, ChildLost, Kill
from .lender import Lender
from .reader import Reader
from .retry import counted, in_turn, lend, twice
from .settings import PoolSettings
from .template import ENTRY, TemplateFailed
from .turns import Turns
from .verify import HostileReply

Outcome = TypeVar("Outcome")

MOST_WAITING_FOR_ONE = 128
"""So many texts may wait where one picture may: by default as many as two seconds of a core will do."""
LONGEST_OF_ONE_PLACE_BYTES = 64 * 1024
"""A longer text takes the places of several."""
_LAST = {FailureCode.DECODER_CRASHED, FailureCode.TOO_MUCH_MEMORY}
"""A child that says this of itself does nothing more."""
_ROUND_SECONDS = 1.0
"""How often children that have nothing to do are looked at."""
_encoded = functools.lru_cache(16)(encode_task)
"""Posts have all the same task."""
_BENIGN_PAGE = b"<!doctype html><title>A page</title><p>It says nothing."
_BENIGN_POST = b"A *post* that says [nothing](https://example.com/)."


class Texts:
    """Owns a template and its children. An async context manager; entering raises TemplateFailed.

    A child that has read a text of one trust key never reads one of another.
    """

    def __init__(
        self, settings: PoolSettings, *, entry: Sequence[str] = ENTRY, landlock: str = "if_available"
    ) -> None:
        self._settings = settings
        slots = settings.text_children
        self._turns = Turns(slots=slots, places=MOST_WAITING_FOR_ONE * settings.waiting_per_child * slots)
        self._idle: list[Reader] = []
        self._busy = 0
        self._round: asyncio.TimerHandle | None = None
        limits = Limits(
            input_bytes=MOST_TEXT_BYTES,
            output_bytes=MOST_READ_BYTES,
            memory_bytes=settings.text_memory_bytes,
            decode_seconds=settings.text_seconds,
            # Of a child's whole life, should nobody look at its clock any more.
            cpu_seconds=ceil(settings.text_jobs * settings.text_cpu_seconds) + 1,
        )
        hello = Hello(template=Template.TEXT, limits=asdict(limits), jail=settings.jail, landlock=landlock)
        self._lender = Lender(hello, settings, ready=1, entry=entry)

    async def __aenter__(self) -> Self:
        try:
            await self._lender.open()
        except BaseException:
            await self._lender.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._round is not None:
            self._round.cancel()
        self._let_go(lambda _: True)
        await self._lender.close()

    def check_room(self, caller: str) -> None:
        """Refuse early what of this caller would find no place to wait. Raises WorkFailed."""
        self._turns.check_room(caller)

    async def read_page(
        self, document: Document, task: ReadPage, *, deadline: float, caller: str = ""
    ) -> PageFacts:
        """What a page says of itself in its first MiB. `deadline` is a `time.monotonic` value.

        Raises WorkFailed: PARSE_LIMIT when it takes too much processor time. Cancelling ends the child.
        """
        size = min(document.size_bytes, MOST_TEXT_BYTES)
        return await self._do(task, size, document.prefix, verify_text.page, deadline, caller)

    async def read_oembed(
        self, document: Document, task: ReadOembed, *, deadline: float, caller: str = ""
    ) -> Mapping[str, Any]:
        """The members of an oEmbed answer. Raises WorkFailed, as `read_page` does."""
        size = document.size_bytes
        return await self._do(task, size, document.prefix, verify_text.oembed, deadline, caller)

    async def render(
        self, text: bytes, task: RenderMarkdown, *, deadline: float, caller: str = ""
    ) -> Rendered:
        """Markdown as HTML. Raises WorkFailed, as `read_page` does."""
        return await self._do(task, len(text), lambda _: text, verify_text.rendered, deadline, caller)

    async def renew(self) -> None:
        """Replace the template by a freshly started one; running jobs go on.

        Raises TemplateFailed when it could not be made ready; the former then stays.
        """
        await self._lender.renew()
        self._let_go(lambda reader: not self._lender.made(reader.child))

    async def check(self) -> str:
        """Send a benign page and a post through, past the queue; gives what went wrong, if anything did."""
        deadline = time.monotonic() + self._settings.text_seconds
        page, post = ReadPage(url="https://example.com/", charset="utf-8"), RenderMarkdown()
        try:
            await self._try(page, _BENIGN_PAGE, verify_text.page, deadline)
            await self._try(post, _BENIGN_POST, verify_text.rendered, deadline)
        except WorkFailed as failed:
            return f"{Template.TEXT}: {failed.code} {failed.detail}".strip()
        return "" if self._settings.jail else "REMOTE_JAIL is off"

    def load(self) -> QueueLoad:
        """What it has in hand."""
        return self._turns.load(len(self._idle) + self._lender.ready)

    def report(self) -> dict[str, Any]:
        """What the template said of itself: its pid, its layers and the kinds of text that it reads."""
        return self._lender.report

    async def _do(
        self,
        task: TextTask,
        size: int,
        read: Callable[[int], bytes],
        check: Callable[[memoryview], Outcome],
        deadline: float,
        caller: str,
    ) -> Outcome:
        ceilings, trust = ceilings_of(caller), trust_of(caller)
        if size > min(MOST_TEXT_BYTES, ceilings.input_bytes or MOST_TEXT_BYTES):
            raise WorkFailed(FailureCode.TOO_LARGE)
        if ceilings.work_seconds is not None:
            deadline = min(deadline, time.monotonic() + ceilings.work_seconds)
        # Read when it is its turn: what waits is not held a second time.
        return await in_turn(
            self._turns,
            caller,
            task.kind,
            deadline,
            lambda: counted(
                self._try(task, read(size), check, deadline, trust),
                lambda outcome, _: metrics.TEXT_OUTCOMES.add(task.kind, outcome),
            ),
            places=max(1, ceil(size / LONGEST_OF_ONE_PLACE_BYTES)),
        )

    async def _try(
        self,
        task: TextTask,
        text: bytes,
        check: Callable[[memoryview], Outcome],
        deadline: float,
        trust: str = "",
    ) -> Outcome:
        message = _encoded(task)
        self._busy += 1
        try:
            return await twice(
                lambda: self._attempt(message, text, check, deadline, trust),
                self._give_up_what_is_stopped,
                deadline,
            )
        finally:
            self._busy -= 1

    async def _attempt(
        self,
        message: bytes,
        text: bytes,
        check: Callable[[memoryview], Outcome],
        deadline: float,
        trust: str,
    ) -> Outcome:
        try:
            reader = await self._reader(deadline, trust)
        except TemplateFailed as failed:
            raise WorkFailed(FailureCode.JAIL_UNAVAILABLE, str(failed)) from failed
        is_sound = crashed = False
        try:
            until = min(deadline, time.monotonic() + self._settings.text_seconds)
            began = time.perf_counter()
            try:
                record, body = await reader.work(message, text, until=until)
            finally:
                tracing.took(Step.READ, began)
            if record.failure is not None:
                is_sound = record.failure not in _LAST
                raise WorkFailed(record.failure)
            outcome = check(body)
            is_sound = True
        except ChildLost as lost:
            crashed = lost.signal in CRASHES or lost.killed is Kill.LIE
            raise
        except HostileReply as hostile:
            crashed = True
            telemetry.emit(Event.CHILD_CRASHED, level=logging.WARNING, reason="a reply that lies")
            raise WorkFailed(FailureCode.DECODER_CRASHED) from hostile
        finally:
            if is_sound and self._may_go_on(reader):
                self._rest(reader)
            else:
                reader.close()
                self._lender.after_job(crashed=crashed)
        return outcome

    async def _reader(self, deadline: float, trust: str) -> Reader:
        """One of this trust key that has nothing to do, the latest first, or a new one."""
        for reader in [reader for reader in reversed(self._idle) if reader.trust == trust]:
            self._idle.remove(reader)
            if self._lender.made(reader.child):
                return reader
            reader.close()
        # Many trust keys do not make more children: those of others that have waited for longest go.
        while self._idle and len(self._idle) + self._busy > self._settings.text_children:
            self._idle.pop(0).close()
        child = await lend(self._lender, deadline)
        self._lender.refill()
        return Reader(child, cpu_seconds=self._settings.text_cpu_seconds, on_end=self._on_end, trust=trust)

    def _may_go_on(self, reader: Reader) -> bool:
        age = time.monotonic() - reader.born_at
        return reader.jobs < self._settings.text_jobs and age < self._settings.template_seconds

    def _rest(self, reader: Reader) -> None:
        self._idle.append(reader)
        if self._round is None:
            self._round = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._on_round)

    def _on_round(self) -> None:
        """End what works without being asked: nobody else would look at it."""
        self._round = None
        self._let_go(lambda reader: reader.is_restless)
        if self._idle:
            self._round = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._on_round)

    def _on_end(self, reader: Reader) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(reader)
        self._lender.after_job(crashed=False)

    def _give_up_what_is_stopped(self) -> None:
        self._lender.give_up_what_is_stopped()
        self._let_go(lambda reader: reader.child.is_gone or reader.child.is_stopped)

    def _let_go(self, is_due: Callable[[Reader], bool]) -> None:
        for reader in [reader for reader in self._idle if is_due(reader)]:
            self._idle.remove(reader)
            reader.close()
