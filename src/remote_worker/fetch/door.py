"""The one door out, as the rest of the host sees it: wants go in, sealed documents come back."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from .. import telemetry, tracing
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, Place, Purpose, Resolved, Verdict, Want
from ..metrics import QueueLoad, Step
from ..telemetry import Event
from . import outcomes, url
from .messages import Endpoint, Hello
from .policy import Listener, Policy
from .running import ENTRY, DoorFailed, FetchProcess, ProcessLost
from .settings import FetchSettings
from .sharing import Shared

__all__ = ["Door", "DoorFailed"]

_START_SECONDS = 30.0
_PATIENCE_SECONDS = 3.0
"""For a process that is being replaced."""
_SETTLED_SECONDS = 1.0
"""Who lived so long has worked, and is replaced at once: that costs a third of a core in starts at most."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 10.0
"""Before the next start of one that was lost before, or did not come up; it doubles each time."""
_CHECK_SECONDS = 2.0
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dial_map`, `entry` and `clock`, which says how long a process has lived, are for tests."""
        self.via = secrets.token_hex(8)
        self._settings = settings
        self._is_sealed = is_sealed
        self._dial_map = dial_map or {}
        self._entry = entry
        self._clock = clock
        self._own: list[Listener] = []
        self._policy = Policy(settings)
        self._shared: dict[Want, Shared] = {}
        self._process: FetchProcess | None = None
        self._former: list[FetchProcess] = []
        """Those that still owe answers."""
        self._starting = asyncio.Lock()
        self._replacing: asyncio.Task[None] | None = None
        self._ready_at = 0.0
        self._pause = 0.0

    async def __aenter__(self) -> Self:
        await self._start()
        url.warm()
        return self

    async def __aexit__(self, *_: object) -> None:
        ending: list[asyncio.Future[Any]] = [shared.work for shared in self._shared.values()]
        if self._replacing is not None:
            ending.append(self._replacing)
        for work in ending:
            work.cancel()
        if ending:
            await asyncio.wait(ending)
        for process in self._processes():
            process.close()
        self._process = None

    async def renew(self) -> None:
        """Replace the process by a freshly started one; what the former has in hand it finishes.

        It reads its certificates and name servers anew. Raises DoorFailed; the former then stays.
        """
        async with self._starting:
            await self._start()

    async def check(self) -> str:
        """What is wrong with the process, if anything is."""
        if self._process is None:
            return "fetch: its process is being replaced"
        try:
            # A question that it refuses without asking anybody.
            await self._process.resolve("", "", time.monotonic() + _CHECK_SECONDS)
        except FetchFailed as refused:
            return "" if refused.code is FailureCode.BAD_PARAMETER else f"fetch: {refused.code}"
        except ProcessLost:
            return "fetch: its process was lost"
        return "fetch: it answers what it does not know"

    @property
    def layers(self) -> Mapping[str, Any]:
        """What holds around the process; empty while there is none."""
        return self._process.layers if self._process else {}

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def owes(self) -> int:
        """How many answers are still to come, with those that nobody waits for any more."""
        return sum(process.owes for process in self._processes())

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What this URL leads to; equal wants at a time share one fetch. Raises FetchFailed."""
        began = time.perf_counter()
        try:
            fetched = await self._fetch(want, deadline)
        except FetchFailed as failed:
            tracing.took(Step.FETCH, began, failed.hops, failed.code)
            raise
        tracing.took(Step.FETCH, began, fetched.hops)
        return fetched

    async def _fetch(self, want: Want, deadline: float) -> Fetched:
        while True:
            shared = self._shared.get(want) or self._begin(want, deadline)
            try:
                return await shared.wait(deadline)
            except FetchFailed as failed:
                # Somebody with less time has asked for it first.
                had_less = shared.until < deadline and shared.is_over
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

    def place(self, text: str, base: str = "", *, purpose: Purpose = Purpose.PAGE) -> Place:
        """What a URL says of itself, without asking anybody. Raises WorkFailed, also where none may fetch."""
        target = url.parse(text, url.parse(base) if base else None)
        try:
            self._policy.check(target, purpose)
        except WorkFailed as refused:
            outcomes.count_denial(refused)
            raise FetchFailed(refused.code, refused.detail, hops=(_unasked(target, refused),)) from refused
        return url.place(target)

    def listens(self, address: str, port: int) -> None:
        """This worker itself listens there: nobody is fetched from it."""
        listener = Listener(address, port)
        self._own.append(listener)
        self._policy.listens(listener)
        for process in self._processes():
            process.listens(listener)

    def _begin(self, want: Want, deadline: float) -> Shared:
        self._see_room()
        shared = Shared(
            self._asked(want, deadline),
            deadline,
            want.purpose,
            again=lambda lost: asyncio.create_task(self._once_more(want, deadline, lost)),
            forget=lambda: self._forget(want, shared),
        )
        self._shared[want] = shared
        return shared

    def _asked(self, want: Want, until: float) -> "asyncio.Future[Fetched]":
        # A task of its own would be a tenth of what a fetch costs here.
        if self._process is None:
            return asyncio.create_task(self._late(want, until))
        try:
            return self._process.fetch(want, until)
        except WorkFailed as failed:
            _pass_on(failed)

    def load(self) -> QueueLoad:
        """What is being fetched."""
        return QueueLoad(running=max(self.owes, len(self._shared)), slots=self._settings.fetches)

    def _forget(self, want: Want, shared: Shared) -> None:
        """Who comes from here on asks anew."""
        if self._shared.get(want) is shared:
            del self._shared[want]

    def _see_room(self) -> None:
        if max(self.owes, len(self._shared)) >= self._settings.fetches:
            raise FetchFailed(FailureCode.BUSY, "fetches")

    async def _late(self, want: Want, until: float) -> Fetched:
        """When there is a process again."""
        answer = (await self._present(until)).fetch(want, until)
        try:
            return await answer
        except asyncio.CancelledError:
            # It may have come in the very turn in which nobody wanted it any more.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                answer.result().body.close()
            raise

    async def _once_more(self, want: Want, until: float, lost: ProcessLost) -> Fetched:
        # A body was posted, perhaps twice then.
        if want.body or not lost.is_innocent:
            raise FetchFailed(FailureCode.FETCH_UNAVAILABLE) from lost
        return await self._late(want, until)

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
        process.on_loss = lambda reason: self._lost(process, reason)
        former, self._process = self._process, process
        self._ready_at = self._clock()
        telemetry.emit(Event.FETCHER_READY, pid=process.pid)
        self._former = [one for one in self._former if one.alive]
        if former is not None:
            self._former.append(former)
            former.retire()

    def _processes(self) -> list[FetchProcess]:
        present = [self._process] if self._process else []
        return [*present, *self._former]

    def _lost(self, process: FetchProcess, reason: str) -> None:
        pause = 0.0
        if process is self._process:
            pause = self._pause = next_pause(self._pause, self._clock() - self._ready_at)
        telemetry.emit(Event.FETCHER_LOST, level=logging.WARNING, reason=reason, pause=pause)
        if process is self._process:
            self._process = None
            if self._replacing is None or self._replacing.done():
                self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        while self._process is None:
            await asyncio.sleep(self._pause)
            try:
                async with self._starting:
                    # A renewal may have been quicker.
                    if self._process is None:
                        await self._start()
            except DoorFailed as failed:
                self._pause = next_pause(self._pause, 0.0)
                telemetry.emit(
                    Event.FETCHER_FAILED, level=logging.ERROR, reason=str(failed), pause=self._pause
                )


def next_pause(former: float, lived_seconds: float) -> float:
    """How long to wait before the next start, when the former one waited so long and came to live so long."""
    if lived_seconds >= _SETTLED_SECONDS:
        return 0.0
    return min(max(2 * former, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _unasked(target: url.Target, refused: WorkFailed) -> Hop:
    """What an explanation tells of a URL that is refused before anybody is asked."""
    address = str(target.address) if target.address else ""
    verdicts = (Verdict(address=address, allowed=False, rule=refused.detail),) if address else ()
    return Hop(url=target.href, verdicts=verdicts, code=refused.code, detail=refused.detail)


def _pass_on(failed: WorkFailed) -> NoReturn:
    raise outcomes.told(failed) from failed
