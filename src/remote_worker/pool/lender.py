"""Lends children of one kind of template: keeps some ready, replaces the template when due."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from .. import metrics, telemetry
from ..contract.control import Hello
from ..telemetry import Event
from .child import Child
from .settings import PoolSettings
from .template import TemplateFailed, TemplateLost, TemplateProcess

_RETRY_SECONDS = 1.0
_BURST_SECONDS = 60.0


class Lender:
    """Owns the templates of one kind and the children that wait ahead of demand."""

    def __init__(self, hello: Hello, settings: PoolSettings, *, ready: int, entry: Sequence[str]) -> None:
        self._hello = hello
        self._settings = settings
        self._entry = entry
        self._wanted = ready
        self._ready: deque[Child] = deque()
        self._retired: dict[TemplateProcess, asyncio.TimerHandle] = {}
        self._template: TemplateProcess | None = None
        self._starting: asyncio.Task[None] | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._jobs = 0
        self._born_at = 0.0
        self._crashes: deque[float] = deque()
        self._failed_at = float("-inf")
        self._is_closed = False

    async def open(self) -> None:
        """Start the first template. Raises TemplateFailed."""
        await self._replace()

    async def close(self) -> None:
        """End every template and child; who asks for one from now on hears TemplateFailed."""
        self._is_closed = True
        tasks = [task for task in (self._refilling, self._starting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for template in list(self._retired):
            self._close_retired(template)
        if self._template is not None:
            self._template.on_loss = lambda: None
            self._template.close()
            self._template = None
        self._drop_ready()

    @property
    def report(self) -> dict[str, Any]:
        """What the present template said of its layers and formats; empty while there is none."""
        return self._template.report if self._template else {}

    @property
    def ready(self) -> int:
        """Children that wait for work."""
        return len(self._ready)

    async def renew(self) -> None:
        """Replace the template by a freshly started one; running jobs go on.

        Raises TemplateFailed; the former template then stays.
        """
        # A start that is under way may have begun before what the caller wants to see: it does not count.
        while self._starting is not None:
            await asyncio.wait([self._starting])
        await asyncio.shield(self._start())

    async def lend(self) -> Child:
        """A child that waits for its task, forked by the next template if the present one is lost.

        Raises TemplateFailed when no template can be started, or OSError when there is no room for a child.
        """
        while self._ready:
            child = self._ready.popleft()
            if not child.is_gone:
                return child
            child.close()
        while True:
            template = await self._alive()
            with contextlib.suppress(TemplateLost):
                return await self._fork(template)

    def made(self, child: Child) -> bool:
        """It is a child of the present template."""
        return child.template is self._template

    def give_up_what_is_stopped(self) -> None:
        """Close ready children that somebody has stopped, and replace the template if it is."""
        for child in [child for child in self._ready if child.is_stopped]:
            self._ready.remove(child)
            child.close()
        if self._template is not None:
            self._template.look()

    def after_job(self, *, crashed: bool) -> None:
        """Count a finished job; refill, and replace the template when it is due. Call it after the reply."""
        now = time.monotonic()
        self._jobs += 1
        if crashed:
            self._crashes.append(now)
        while self._crashes and self._crashes[0] < now - _BURST_SECONDS:
            self._crashes.popleft()
        is_due = (
            self._jobs >= self._settings.template_jobs
            or now - self._born_at >= self._settings.template_seconds
            or len(self._crashes) >= self._settings.crash_burst
        )
        if is_due and self._starting is None and now - self._failed_at >= _RETRY_SECONDS:
            self._start()
        self.refill()

    def refill(self) -> None:
        """Have as many children ready as are wanted, soon."""
        # One at a time: two would each see the same gap and fill it twice.
        if len(self._ready) < self._wanted and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.create_task(self._refill())

    async def _alive(self) -> TemplateProcess:
        while self._template is None:
            starting = self._starting
            if starting is None:
                if time.monotonic() - self._failed_at < _RETRY_SECONDS:
                    raise TemplateFailed("the template could not be started a moment ago")
                starting = self._start()
            await asyncio.shield(starting)
        return self._template

    def _start(self) -> asyncio.Task[None]:
        self._starting = asyncio.create_task(self._replace())
        self._starting.add_done_callback(self._started)
        return self._starting

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting = None
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not self._is_closed:
            self._failed_at = time.monotonic()
            telemetry.emit(
                Event.TEMPLATE_FAILED, level=logging.ERROR, reason=str(failure), template=self._hello.template
            )

    async def _replace(self) -> None:
        try:
            template = await self._started_template()
        except TemplateLost:
            template = await self._started_template()
        metrics.TEMPLATE_STARTS.add(self._hello.template)
        former, self._template = self._template, template
        template.on_loss = lambda: self._lost(template)
        self._jobs, self._born_at = 0, time.monotonic()
        self._crashes.clear()
        self._drop_ready()
        telemetry.emit(Event.TEMPLATE_READY, pid=template.pid, template=self._hello.template)
        if former is not None:
            former.on_loss = lambda: self._close_retired(former)
            # By then every child of it is done or killed.
            seconds = self._hello.limits["decode_seconds"] + _RETRY_SECONDS
            self._retired[former] = asyncio.get_running_loop().call_later(
                seconds, self._close_retired, former
            )
        self.refill()

    async def _started_template(self) -> TemplateProcess:
        if self._is_closed:
            raise TemplateFailed("the pool is closed")
        seconds = self._settings.start_seconds
        return await TemplateProcess.start(self._hello, entry=self._entry, seconds=seconds)

    def _close_retired(self, template: TemplateProcess) -> None:
        self._retired.pop(template).cancel()
        template.on_loss = lambda: None
        template.close()

    def _lost(self, template: TemplateProcess) -> None:
        if template is self._template:
            metrics.TEMPLATE_LOSSES.add(self._hello.template)
            telemetry.emit(
                Event.TEMPLATE_LOST, level=logging.WARNING, pid=template.pid, template=self._hello.template
            )
            self._template = None
            self._drop_ready()
            if self._starting is None:
                self._start()

    async def _fork(self, template: TemplateProcess) -> Child:
        began = time.perf_counter()
        child = await template.fork()
        metrics.SANDBOX_SECONDS.observe(time.perf_counter() - began, self._hello.template)
        return child

    async def _refill(self) -> None:
        while (template := self._template) is not None and len(self._ready) < self._wanted:
            try:
                child = await self._fork(template)
            except (TemplateFailed, OSError):
                return  # The next `lend` meets the same trouble and says so.
            if template is self._template:
                self._ready.append(child)
            else:
                child.close()

    def _drop_ready(self) -> None:
        while self._ready:
            self._ready.popleft().close()
