"""The pool: a bounded, fair queue in front of sealed children, one child for each picture."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .. import metrics, telemetry, tracing
from ..contract.callers import ceilings_of
from ..contract.control import Hello
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import OFF, FormatName, FormatReport
from ..contract.limits import NO_CEILINGS, Ceilings, Limits
from ..contract.messages import Fit, Reply, Task
from ..contract.signatures import PICTURES, Template, looks_like, template_of
from ..metrics import QueueLoad
from ..telemetry import Event
from . import verify
from .child import CRASHES, ChildLost
from .lender import Lender
from .retry import counted, in_turn, lend, twice
from .settings import PoolSettings
from .template import ENTRY, TemplateFailed
from .turns import Turns

_BENIGN = Path(__file__).parents[1] / "decoder" / "samples"
_BENIGN_PICTURES = {
    FormatName.PNG: "sample.png",
    FormatName.JPEG: "sample.jpg",
    FormatName.WEBP: "sample.webp",
    FormatName.GIF: "sample.gif",
    FormatName.AVIF: "sample.avif",
    FormatName.TIFF: "sample-lzw.tif",
    FormatName.BMP: "sample.bmp",
    FormatName.JP2: "sample.jp2",
    FormatName.JXL: "sample.jxl",
    FormatName.HEIC: "sample.heic",
    FormatName.PSD: "sample.psd",
    FormatName.ICNS: "sample.icns",
    FormatName.ICO: "sample.ico",
}
"""Those first that are nothing to decode: a probe takes the first one that is on."""
_NO_LANDLOCK = "needs Landlock, which is not offered here"
_NO_TEMPLATE = "its template is being replaced"
SYSTEM_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the seal holds and a benign picture went through; `templates` has each one's report.

    `formats` is empty as long as no template has told.
    """

    ok: bool
    reason: str
    templates: dict[str, dict[str, Any]]
    formats: dict[str, FormatReport]


class Pool:
    """Owns the templates. Use it as an async context manager; entering raises TemplateFailed."""

    def __init__(
        self,
        settings: PoolSettings,
        limits: Limits,
        *,
        entry: Sequence[str] = ENTRY,
        landlock: str = "if_available",
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._turns = Turns(slots=settings.children, places=settings.waiting_per_child * settings.children)
        self._lenders = {
            template: Lender(
                Hello(
                    template=template,
                    limits=asdict(limits),
                    jail=settings.jail,
                    readable=list(SYSTEM_FONTS) if template is Template.SVG else [],
                    landlock=landlock,
                    formats=list(settings.formats),
                ),
                settings,
                ready=settings.ready if template is Template.RASTER else 1,
                entry=entry,
            )
            for template in PICTURES
            if template is not Template.SVG or FormatName.SVG in settings.formats
        }

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self._open(template) for template in list(self._lenders)))
        except BaseException:
            await self._close()
            raise
        return self

    async def _open(self, template: Template) -> None:
        try:
            await self._lenders[template].open()
        except TemplateFailed as failed:
            if template is not Template.SVG or failed.layer != "landlock":
                raise
            # Fonts must be opened while drawing, and only Landlock limits which files those are.
            del self._lenders[template]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    def check_room(self, caller: str) -> None:
        """Refuse early what of this caller would find no place to wait. Raises WorkFailed."""
        self._turns.check_room(caller)

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Do the task on the document in a child of its own. `deadline` is a `time.monotonic` value.

        Callers share the children fairly, and what each may ask for at most holds beside the limits. Raises
        WorkFailed. Cancelling kills the child.
        """
        ceilings = ceilings_of(caller)
        if document.size_bytes == 0:
            raise WorkFailed(FailureCode.EMPTY_FILE)
        if ceilings.input_bytes is not None and document.size_bytes > ceilings.input_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE)
        if ceilings.work_seconds is not None:
            deadline = min(deadline, time.monotonic() + ceilings.work_seconds)
        return await in_turn(
            self._turns,
            caller,
            task.kind,
            deadline,
            lambda: counted(
                self._work(task, document, deadline, ceilings), lambda *how: _count(document, *how)
            ),
        )

    def load(self) -> QueueLoad:
        """What it has in hand."""
        return self._turns.load(sum(lender.ready for lender in self._lenders.values()))

    async def renew(self) -> None:
        """Replace every template by a freshly started one; running jobs go on.

        Raises TemplateFailed when one could not be made ready; the former then stays in its place.
        """
        renewals = (lender.renew() for lender in self._lenders.values())
        outcomes = await asyncio.gather(*renewals, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def check(self) -> Health:
        """Send a benign picture through every template, past the queue."""
        reason = "" if self._settings.jail else "REMOTE_JAIL is off"
        for template, name in self._benign_pictures():
            with Document.of((_BENIGN / name).read_bytes()) as document:
                try:
                    until = time.monotonic() + self._limits.decode_seconds
                    await self._work(Fit(width=16, height=16), document, until)
                except WorkFailed as failed:
                    if failed.code is not FailureCode.FORMAT_UNAVAILABLE:
                        reason = f"{template}: {failed.code} {failed.detail}".strip()
        return Health(ok=not reason, reason=reason, templates=self.reports(), formats=self.formats())

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each template said of itself: its pid, its layers and its formats."""
        return {str(template): lender.report for template, lender in self._lenders.items()}

    def formats(self) -> dict[str, FormatReport]:
        """What the templates found out about each format when they got ready."""
        reports = [report for report in self.reports().values() if report]
        words = dict.fromkeys(map(str, FormatName), _NO_TEMPLATE)
        words[FormatName.SVG] = self._svg_word()
        for report in reports:
            words |= report["formats"]
        table = reports[0]["table"] if reports else {}
        return {name: FormatReport(word=words[name], **row) for name, row in table.items()}

    def _svg_word(self) -> str:
        if FormatName.SVG not in self._settings.formats:
            return OFF
        return _NO_TEMPLATE if Template.SVG in self._lenders else _NO_LANDLOCK

    def _benign_pictures(self) -> Iterator[tuple[Template, str]]:
        raster = next(
            (name for kind, name in _BENIGN_PICTURES.items() if kind in self._settings.formats), None
        )
        if raster is not None:
            yield Template.RASTER, raster
        if Template.SVG in self._lenders:
            yield Template.SVG, "sample.svg"

    async def _work(
        self, task: Task, document: Document, deadline: float, ceilings: Ceilings = NO_CEILINGS
    ) -> Reply:
        """Try it, and once more when the first time was lost to nothing that the document did."""
        lender = self._lenders.get(template_of(document.prefix()))
        if lender is None:
            raise WorkFailed(FailureCode.FORMAT_UNAVAILABLE, f"SVG: {self._svg_word()}")
        return await twice(
            lambda: self._attempt(lender, task, document, deadline, ceilings),
            self._give_up_what_is_stopped,
            deadline,
        )

    def _give_up_what_is_stopped(self) -> None:
        for lender in self._lenders.values():  # Who stops one process may have stopped them all.
            lender.give_up_what_is_stopped()

    async def _attempt(
        self, lender: Lender, task: Task, document: Document, deadline: float, ceilings: Ceilings
    ) -> Reply:
        crashed = False
        limits = self._limits.lowered(ceilings.of_limits())
        try:
            child = await lend(lender, deadline)
            until = min(deadline, time.monotonic() + limits.decode_seconds)
            began, encode_seconds = time.perf_counter(), 0.0
            try:
                record, body = await child.work(
                    task, document, output_bytes=limits.output_bytes, until=until, ceilings=ceilings
                )
                if record.failure is not None:
                    raise WorkFailed(record.failure, in_header=record.in_header)
                reply = verify.reply(task, body)
                encode_seconds = reply.encode_seconds
                return reply
            finally:
                tracing.worked(began, encode_seconds)
        except TemplateFailed as failed:
            raise WorkFailed(FailureCode.JAIL_UNAVAILABLE, str(failed)) from failed
        except ChildLost as lost:
            crashed = lost.signal in CRASHES
            raise
        except verify.HostileReply as hostile:
            crashed = True
            telemetry.emit(Event.CHILD_CRASHED, level=logging.WARNING, reason="a reply that lies")
            raise WorkFailed(FailureCode.DECODER_CRASHED) from hostile
        finally:
            lender.after_job(crashed=crashed)

    async def _close(self) -> None:
        for lender in self._lenders.values():
            await lender.close()


def _count(document: Document, outcome: metrics.Outcome, reply: Reply | None) -> None:
    # A child that fails does not say what it read.
    told = reply.format if reply is not None else looks_like(document.prefix())
    metrics.DECODES.add(told or "unknown", outcome)
