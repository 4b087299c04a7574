"""The one door out, as the rest of the host sees it: wants go in, sealed documents come back."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from .. import telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, Place, Resolved, Want
from ..telemetry import Event
from . import messages, url
from .messages import Endpoint, Hello
from .policy import REPORTED, Listener, Policy
from .running import ENTRY, DoorFailed, FetchProcess, ProcessLost
from .settings import FetchSettings

__all__ = ["Door", "DoorFailed"]

_START_SECONDS = 30.0
_LATE_SECONDS = 0.5
"""Past its deadline a fetch gets this long to say by itself why it failed."""
_PATIENCE_SECONDS = 3.0
"""For a process that is being replaced."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 10.0
"""Between two starts; it doubles while the process does not live as long as the longest."""
_ENDED_BY_TIME = (FailureCode.TIMEOUT, FailureCode.RATE_LIMITED)


class Door:
    """An async context manager: entering it starts the process and raises DoorFailed if that cannot be.

    A lost process is replaced; meanwhile fetches wait a little, then fail with FETCH_UNAVAILABLE.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        is_sealed: bool = True,
        dial_map: Mapping[Endpoint, Endpoint] | None = None,
        entry: Sequence[str] = ENTRY,
    ) -> None:
        """`dial_map` and `entry` are for tests."""
        self.via = secrets.token_hex(8)
        self._settings = settings
        self._is_sealed = is_sealed
        self._dial_map = dial_map or {}
        self._entry = entry
        self._own: list[Listener] = []
        self._policy = Policy(settings)
        self._shared: dict[Want, _Shared] = {}
        self._process: FetchProcess | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._started_at = 0.0
        self._pause = _FIRST_PAUSE_SECONDS

    async def __aenter__(self) -> Self:
        await self._start()
        url.warm()
        return self

    async def __aexit__(self, *_: object) -> None:
        ending: list[asyncio.Task[Any]] = [shared.task for shared in self._shared.values()]
        if self._replacing is not None:
            ending.append(self._replacing)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        if self._process is not None:
            self._process.close()
            self._process = None

    @property
    def layers(self) -> Mapping[str, Any]:
        """What holds around the process; empty while there is none."""
        return self._process.layers if self._process else {}

    @property
    def is_ready(self) -> bool:
        """Whether there is a process to ask."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def owes(self) -> int:
        """How many answers are still to come, with those that nobody waits for any more."""
        return self._process.owes if self._process else 0

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What this URL leads to; equal wants at a time share one fetch. Raises FetchFailed."""
        while True:
            shared = self._shared.get(want) or self._begin(want, deadline)
            try:
                return await shared.wait(deadline)
            except FetchFailed as failed:
                # Somebody with less time has asked for it first.
                had_less = shared.until < deadline and shared.task.done()
                if not (had_less and failed.code in _ENDED_BY_TIME and time.monotonic() < deadline):
                    raise

    async def resolve(self, name: str, kind: str, *, deadline: float) -> Resolved:
        """What name servers say: records of one type as text. Raises FetchFailed."""
        self._see_room()
        process = await self._present(deadline)
        try:
            return await process.resolve(name, kind, deadline)
        except ProcessLost as lost:
            raise FetchFailed(FailureCode.FETCH_UNAVAILABLE) from lost
        except FetchFailed as failed:
            _pass_on(failed)

    def place(self, text: str, base: str = "") -> Place:
        """What a URL says of itself, without asking anybody. Raises WorkFailed, also where none may fetch."""
        target = url.parse(text, url.parse(base) if base else None)
        self._policy.check(target)
        return url.place(target)

    def listens(self, address: str, port: int) -> None:
        """This worker itself listens there: nobody is fetched from it."""
        listener = Listener(address, port)
        self._own.append(listener)
        self._policy.listens(listener)
        if self._process is not None:
            self._process.listens(listener)

    def _begin(self, want: Want, deadline: float) -> "_Shared":
        self._see_room()
        fetching = asyncio.create_task(self._fetch(want, deadline))
        shared = self._shared[want] = _Shared(fetching, deadline, lambda: self._forget(want, shared))
        return shared

    def _forget(self, want: Want, shared: "_Shared") -> None:
        """Who comes from here on asks anew."""
        if self._shared.get(want) is shared:
            del self._shared[want]

    def _see_room(self) -> None:
        if max(self.owes, len(self._shared)) >= self._settings.fetches:
            raise FetchFailed(FailureCode.BUSY, "fetches")

    async def _fetch(self, want: Want, until: float) -> Fetched:
        for is_last in (False, True):
            process = await self._present(until)
            try:
                fetched = await process.fetch(want, until)
            except ProcessLost as lost:
                # A body was posted, perhaps twice then.
                if is_last or want.body or not lost.is_innocent:
                    raise FetchFailed(FailureCode.FETCH_UNAVAILABLE) from lost
            except WorkFailed as failed:
                if isinstance(failed, FetchFailed):
                    _report(failed.hops)
                _pass_on(failed)
            else:
                _report(fetched.hops)
                return fetched
        raise FetchFailed(FailureCode.FETCH_UNAVAILABLE)

    async def _present(self, until: float) -> FetchProcess:
        if self._process is None and self._replacing is not None:
            left = min(_PATIENCE_SECONDS, until - time.monotonic())
            await asyncio.wait([self._replacing], timeout=max(0.0, left))
        if self._process is None:
            raise FetchFailed(FailureCode.FETCH_UNAVAILABLE)
        return self._process

    async def _start(self) -> None:
        hello = Hello(
            settings=self._settings,
            via=self.via,
            own=tuple(self._own),
            dial_map=self._dial_map,
            is_sealed=self._is_sealed,
        )
        process = await FetchProcess.start(hello, entry=self._entry, seconds=_START_SECONDS)
        for listener in self._own[len(hello.own) :]:
            process.listens(listener)
        process.on_loss = self._lost
        self._process = process
        self._started_at = time.monotonic()
        telemetry.emit(Event.FETCHER_READY, pid=process.pid)

    def _lost(self, reason: str) -> None:
        telemetry.emit(Event.FETCHER_LOST, level=logging.WARNING, reason=reason)
        self._process = None
        self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        if time.monotonic() - self._started_at > _LONGEST_PAUSE_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        while self._process is None:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            try:
                await self._start()
            except DoorFailed as failed:
                telemetry.emit(Event.FETCHER_FAILED, level=logging.ERROR, reason=str(failed))


class _Shared:
    """One fetch and those who wait for it. Nobody left: it is cancelled."""

    def __init__(self, task: asyncio.Task[Fetched], until: float, forget: Callable[[], None]) -> None:
        self.task = task
        self.until = until
        self._forget = forget
        self._waiting = 0
        task.add_done_callback(self._ended)

    async def wait(self, deadline: float) -> Fetched:
        """What it leads to, with a document of one's own. Raises FetchFailed."""
        self._waiting += 1
        is_given = False
        try:
            left = deadline + _LATE_SECONDS - time.monotonic()
            await asyncio.wait([self.task], timeout=max(0.0, left))
            if not self.task.done():
                raise FetchFailed(FailureCode.TIMEOUT, "total")
            fetched = self._outcome()
            is_given = self._waiting == 1
            return fetched if is_given else _share(fetched)
        finally:
            self._waiting -= 1
            if not self._waiting and not is_given:
                self._give_up()

    def _outcome(self) -> Fetched:
        if self.task.cancelled():
            raise FetchFailed(FailureCode.FETCH_UNAVAILABLE)
        error = self.task.exception()
        if isinstance(error, FetchFailed):
            # Each gets its own: an error grows with everyone that it passes.
            raise FetchFailed(
                error.code,
                error.detail,
                hops=error.hops,
                status=error.status,
                headers=error.headers,
                retry_seconds=error.retry_seconds,
            ) from error
        return self.task.result()

    def _ended(self, task: asyncio.Task[Fetched]) -> None:
        self._forget()
        if not task.cancelled():
            task.exception()  # Who waited may be about to stop.

    def _give_up(self) -> None:
        self._forget()
        if not self.task.done():
            self.task.cancel()
        elif not self.task.cancelled() and self.task.exception() is None:
            self.task.result().body.close()


def _report(hops: Sequence[Hop]) -> None:
    """Log what the operator's own rules would have refused: what the process logs, nobody reads."""
    for hop in hops:
        for verdict in hop.verdicts:
            if verdict.rule.startswith(REPORTED):
                telemetry.emit(
                    Event.EGRESS_REPORTED,
                    level=logging.WARNING,
                    rule=verdict.rule.removeprefix(REPORTED),
                    url=hop.url,
                    address=verdict.address,
                )


def _share(fetched: Fetched) -> Fetched:
    try:
        body = fetched.body.share()
    except OSError as short:
        raise FetchFailed(FailureCode.BUSY, "descriptors") from short
    return Fetched(
        url=fetched.url,
        status=fetched.status,
        headers=fetched.headers,
        body=body,
        media_type=fetched.media_type,
        is_cut=fetched.is_cut,
        hops=fetched.hops,
        received_bytes=fetched.received_bytes,
        milliseconds=fetched.milliseconds,
    )


def _pass_on(failed: WorkFailed) -> NoReturn:
    """What the process said; a fault of its own is for the log."""
    if failed.code is FailureCode.FETCH_UNAVAILABLE and failed.detail.startswith(messages.ERROR):
        telemetry.emit(
            Event.FETCHER_ERROR, level=logging.ERROR, reason=failed.detail.removeprefix(messages.ERROR)
        )
        raise FetchFailed(FailureCode.FETCH_UNAVAILABLE) from failed
    if isinstance(failed, FetchFailed):
        raise failed
    raise FetchFailed(failed.code, failed.detail, retry_seconds=failed.retry_seconds) from failed
