"""The engine without a broker: units wait in a file that the processes of one machine share."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from .. import telemetry
from ..telemetry import Event
from .engine import Again, Depth, EngineFailed, Full, Handler, Kind, Policies, Policy, Unit
from .local_file import RATE_SECONDS, Admission, Ending, Taken, UnitsFile
from .retries import Line, seconds_until_again

POLL_SECONDS = 0.2
"""So often it is looked for units that other processes have submitted, and for those that are due again."""
RENEWALS = 3
"""So often a lease is renewed within its time."""
LONGEST_OPERATION_SECONDS = 30.0
"""A disk that takes longer has failed."""
_PAUSE_SECONDS = 1.0
"""After a failure of the file, before it is tried again."""
_SWEEP_SECONDS = 5.0

_T = TypeVar("_T")


class LocalEngine:
    """Units in a file on this machine's disk, in a folder that is made for its owner alone."""

    def __init__(self, path: Path, policies: Policies) -> None:
        self._file = UnitsFile(path)
        self._policies = policies
        self._thread: ThreadPoolExecutor | None = None
        self._news = {kind: asyncio.Event() for kind in Kind}
        self._waiting: list[tuple[Sequence[Unit], asyncio.Future[Admission]]] = []
        self._admitting: asyncio.Task[None] | None = None
        self._lines = {kind: Line() for kind in Kind}

    async def __aenter__(self) -> Self:
        # One thread, so that the event loop never waits for the disk, and no lock is needed here.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-engine")
        try:
            await self._do(self._file.open)
        except BaseException:
            self._end_thread()
            raise
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweeping.cancel()
        await asyncio.wait([self._sweeping])
        with suppress(EngineFailed):
            await self._do(self._file.close)
        self._end_thread()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        self._thread = None

    async def submit(self, units: Sequence[Unit]) -> int:
        """Take them, on the disk; those that are known are left out."""
        admission: asyncio.Future[Admission] = asyncio.get_running_loop().create_future()
        self._waiting.append((units, admission))
        if self._admitting is None or self._admitting.done():
            self._admitting = asyncio.create_task(self._admit())
        return await self._told(units, await admission)

    async def _admit(self) -> None:
        """Those who come while the disk is busy with others share the next wait for it."""
        while self._waiting:
            many, self._waiting = self._waiting, []
            try:
                told = await self._do(self._file.submit, [units for units, _ in many], self._places)
            except Exception as failed:  # noqa: BLE001  whatever it is, those who wait hear of it
                for _, admission in many:
                    if not admission.done():
                        admission.set_exception(failed)
                continue
            for (_, admission), each in zip(many, told, strict=True):
                if not admission.done():
                    admission.set_result(each)

    async def _told(self, units: Sequence[Unit], admission: Admission) -> int:
        for kind in {unit.kind for unit in units} if admission.taken else ():
            self._news[kind].set()
        if admission.full is not None:
            done = await self._do(self._file.done_lately, admission.full)
            raise Full(self._lines[admission.full].retry_seconds(done / RATE_SECONDS, time.monotonic()))
        return admission.taken

    def _places(self, kind: Kind) -> int:
        return self._policies[kind].places

    async def work(self, kind: Kind, handler: Handler, *, slots: int, stop: asyncio.Event) -> None:
        """Hand units to the handler. A file that fails is tried again, and nothing in hand is lost by it."""
        if slots < 1:
            raise ValueError("there is at least one slot")
        hands = _Hands(kind, self._policies[kind], handler)
        stopping = asyncio.create_task(stop.wait())
        renewing = asyncio.create_task(self._renew(hands))
        try:
            while not (stop.is_set() and hands.are_empty):
                self._news[kind].clear()
                room = 0 if stop.is_set() else slots - len(hands.running)
                is_last = stop.is_set() and not hands.running
                took = await self._turn(hands, room, is_last=is_last) if room or hands.ended else 0
                if not hands.ended and (took < room or (hands.running and not room)):
                    await self._pause(hands, stopping, POLL_SECONDS if room else None)
        finally:
            try:
                await hands.drop()
                if not hands.are_empty:
                    with suppress(EngineFailed):
                        await self._turn(hands, 0, is_last=True)
            finally:
                stopping.cancel()
                renewing.cancel()
                await asyncio.wait([stopping, renewing])

    async def _turn(self, hands: "_Hands", room: int, *, is_last: bool) -> int:
        """Note what has ended, and take up so many. How many were there."""
        endings = tuple(hands.ended)
        turn = asyncio.ensure_future(self._do(self._file.turn, hands.kind, hands.policy, endings, room))
        try:
            taken = await asyncio.shield(turn)
        except EngineFailed as failed:
            if is_last:
                raise
            telemetry.emit(Event.ENGINE_FAILED, level=logging.WARNING, reason=str(failed))
            await asyncio.sleep(_PAUSE_SECONDS)
            return 0
        except asyncio.CancelledError:
            with suppress(EngineFailed):
                hands.let_go(await turn)
                hands.forget(endings)
            raise
        hands.forget(endings)
        for each in taken:
            hands.take(each)
        return len(taken)

    async def _pause(self, hands: "_Hands", stopping: "asyncio.Task[bool]", seconds: float | None) -> None:
        """Until there may be something to do."""
        news = asyncio.create_task(self._news[hands.kind].wait())
        try:
            awaited: set[asyncio.Task[None] | asyncio.Task[bool]] = {*hands.running}
            if seconds is not None:
                awaited.add(news)
            if not stopping.done():
                awaited.add(stopping)
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _renew(self, hands: "_Hands") -> None:
        seconds = hands.policy.lease_seconds
        pause = seconds / RENEWALS
        while True:
            await asyncio.sleep(pause)
            pause = seconds / RENEWALS
            if held := hands.held:
                try:
                    await self._do(self._file.renew, held, seconds)
                except EngineFailed as failed:
                    telemetry.emit(Event.ENGINE_FAILED, level=logging.WARNING, reason=str(failed))
                    pause = min(_PAUSE_SECONDS, pause / 2)

    async def depth(self, kind: Kind) -> Depth:
        """Of what all processes have submitted and taken up."""
        return await self._do(self._file.depth, kind)

    async def _sweep(self) -> None:
        """Keep the file small. That it cannot be written to is told where that matters."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            with suppress(EngineFailed):
                while await self._do(self._file.sweep):
                    pass

    async def _do(self, act: Callable[..., _T], *arguments: object) -> _T:
        if self._thread is None:
            raise EngineFailed("the engine is not open")
        try:
            async with asyncio.timeout(LONGEST_OPERATION_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)
        except TimeoutError as slow:
            raise EngineFailed("the disk of the queue does not answer") from slow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    attempt: int
    is_beyond: bool
    waited_seconds: float


class _Hands:
    """The units of one kind that are in hand here: some run, some have ended and it is not noted yet."""

    def __init__(self, kind: Kind, policy: Policy, handler: Handler) -> None:
        self.kind = kind
        self.policy = policy
        self._handler = handler
        self.running: dict[asyncio.Task[None], Taken] = {}
        self.ended: list[Ending] = []

    @property
    def are_empty(self) -> bool:
        return not self.running and not self.ended

    @property
    def held(self) -> list[Taken]:
        """Whose leases are to be renewed."""
        return [*self.running.values(), *(ending.taken for ending in self.ended)]

    def take(self, taken: Taken) -> None:
        task = asyncio.create_task(self._handle(taken))
        self.running[task] = taken
        task.add_done_callback(self._note)

    async def _handle(self, taken: Taken) -> None:
        lease = _Lease(
            attempt=taken.attempt,
            is_beyond=taken.attempt > self.policy.most_attempts,
            waited_seconds=taken.waited_seconds,
        )
        await self._handler(taken.unit, lease)

    def _note(self, task: "asyncio.Task[None]") -> None:
        taken = self.running.pop(task)
        error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Again | asyncio.CancelledError):
            telemetry.emit(
                Event.UNIT_FAILED,
                level=logging.ERROR,
                error=error,
                kind=self.kind,
                unit=taken.unit.id,
                attempt=taken.attempt,
            )
        again = seconds_until_again(error, taken.attempt, self.policy.most_attempts)
        self.ended.append(Ending(taken=taken, again_seconds=again))

    def let_go(self, taken: Sequence[Taken]) -> None:
        """These have come too late to be begun."""
        self.ended.extend(Ending(taken=each, again_seconds=0.0) for each in taken)

    def forget(self, endings: Sequence[Ending]) -> None:
        """These are noted."""
        del self.ended[: len(endings)]

    async def drop(self) -> None:
        """Cancel those that run, and wait for their ends."""
        while self.running:
            for task in self.running:
                task.cancel()
            await asyncio.wait(list(self.running))
