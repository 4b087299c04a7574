"""The engine on NATS JetStream, and the only module that knows its client."""

import asyncio
import json
import logging
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.errors import TimeoutError as NoAnswer

from .. import telemetry
from ..telemetry import Event
from . import streams
from .address import Address
from .engine import Again, Depth, EngineFailed, Full, Handler, Kind, Policies, Unit
from .retries import Line, seconds_until_again
from .streams import NANOSECONDS, Config

CONNECT_SECONDS = 10.0
"""At the start, for a connection and all streams; later it is tried again for ever."""
ANSWER_SECONDS = 5.0
"""For one question to the server, and for a submission, however often it has to be repeated."""
_PING_SECONDS = 5
"""A server that is cut off is noticed after three of these."""
_PULL_SECONDS = 20.0
"""A request for a unit is made anew after that."""
_REPEAT_SECONDS = 1.0
"""Before a question that had no answer is asked again."""
_SETTLE_SECONDS = 2.0
"""For one try to tell the server how a unit ended."""
_GIVE_BACK_SECONDS = 1.0
"""To give back what is in hand, for one that is cancelled."""
_FIRST_PAUSE_SECONDS, _PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 1.0, 5.0
_TOGETHER = 64
"""So many units are published before the answer for the first is waited for."""
_RENEWALS = 3
"""So often a lease is renewed within its time."""
_RATE_SECONDS = 10.0
"""Over so long, and more, it is counted how fast units are done."""

_ACK, _NAK, _TERM, _PROGRESS = b"+ACK", b"-NAK", b"+TERM", b"+WPI"

_NOT_THERE = {10059, 10014}
"""No such stream, no such consumer."""
_THERE_ALREADY = {10058, 10013, 10148}
"""Another process has made it since it was looked for."""
_NOT_STORED = 10077
_DENIED = 0
"""Ours, for what the server says to the connection and not to the one who asks."""

_denied_subject = re.compile(r'permissions violation for publish to "([^"]+)"').search
"""In the words of the server, which its client makes small letters of."""


class NatsEngine:
    """Units in streams of NATS JetStream, one stream a kind, shared by all who connect to it."""

    def __init__(self, url: str, policies: Policies) -> None:
        self._address = Address.parse(url)
        self._policies = policies
        self._connection = _Connection(self._address, self._provide)
        self._paces = {kind: _Pace() for kind in Kind}

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def submit(self, units: Sequence[Unit]) -> int:
        """Publish them and wait until the server has them; EngineFailed after some seconds."""
        taken = 0
        for start in range(0, len(units), _TOGETHER):
            publications = [self._publish(unit) for unit in units[start : start + _TOGETHER]]
            for outcome in await asyncio.gather(*publications, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
                taken += outcome
        return taken

    async def _publish(self, unit: Unit) -> bool:
        headers = {
            "Nats-Msg-Id": streams.message_id(unit.kind, unit.id),
            # Another stream may have taken the subject while ours was missing.
            "Nats-Expected-Stream": streams.stream_name(unit.kind),
        }
        deadline = time.monotonic() + ANSWER_SECONDS
        is_repeated = False
        while True:
            link = await self._connection.link(deadline - time.monotonic())
            left = max(0.0, deadline - time.monotonic())
            try:
                answer = await link.ask(streams.subject(unit.kind), unit.body, left, headers)
            except _Refused as refused:
                # The code stands for every failure to store; only the text tells this one.
                if refused.code == _NOT_STORED and "maximum messages" in refused.reason:
                    raise Full(await self._retry_seconds(link, unit.kind)) from refused
                raise EngineFailed(f"NATS did not take a unit: {refused.reason}") from refused
            except NoRespondersError as missing:
                # The server has come back empty, or the stream has no leader for a moment.
                if left < _FIRST_PAUSE_SECONDS:
                    raise EngineFailed("NATS has no stream for units, and none could be made") from missing
                await self._mend(link, unit.kind)
            except Error as lost:
                if left < _FIRST_PAUSE_SECONDS or link.is_connected:
                    raise EngineFailed(f"NATS does not answer: {_reason(lost)}") from lost
                is_repeated = True
                await asyncio.sleep(_FIRST_PAUSE_SECONDS)
            else:
                # Known already may be by our own first try, the answer to which was lost.
                return is_repeated or not answer.get("duplicate")

    async def _retry_seconds(self, link: "_Link", kind: Kind) -> int:
        pace = self._paces[kind]
        if pace.is_due(time.monotonic()):
            with suppress(_Refused, Error):
                told = await link.ask_api(f"STREAM.INFO.{streams.stream_name(kind)}")
                pace.note(time.monotonic(), told)
        return pace.line.retry_seconds(pace.done_a_second, time.monotonic())

    async def _mend(self, link: "_Link", kind: Kind) -> None:
        try:
            await self._provide_kind(link, kind)
        except EngineFailed as failed:
            if not link.is_closed:
                _warn(failed)
                await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)

    async def work(self, kind: Kind, handler: Handler, *, slots: int, stop: asyncio.Event) -> None:
        """Pull units, one for each free slot, and hand them to the handler."""
        held: set[str] = set()
        renewing = asyncio.create_task(self._renew(kind, held))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(slots):
                    group.create_task(self._fill(kind, handler, held, stop))
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _fill(self, kind: Kind, handler: Handler, held: set[str], stop: asyncio.Event) -> None:
        """One slot."""
        while (link := await self._connection.link_unless(stop)) is not None:
            try:
                async with _inbox(link, stop) as inbox:
                    while not stop.is_set() and not link.is_closed:
                        if (message := await inbox.pull(kind)) is not None:
                            await self._handle(kind, handler, message, held)
            except NoRespondersError:
                await self._mend(link, kind)
            except (Error, _Refused) as failed:
                if not link.is_closed:
                    _warn(failed)
                    await asyncio.sleep(_PAUSE_SECONDS)
                await self._mend(link, kind)

    async def _handle(self, kind: Kind, handler: Handler, message: Msg, held: set[str]) -> None:
        """One unit, until the server knows how it ended."""
        policy, delivery = self._policies[kind], message.metadata
        unit, attempt = _unit(kind, message), delivery.num_delivered
        fate = streams.fate(attempt, policy)
        if unit is None or fate.is_dropped:
            name = unit.id if unit else None
            telemetry.emit(Event.UNIT_DROPPED, level=logging.ERROR, kind=kind, unit=name, attempt=attempt)
            await self._settle(message.reply, _TERM, policy.lease_seconds)
            return
        waited = time.time() - delivery.timestamp.timestamp() if attempt == 1 else 0.0
        lease = NatsLease(attempt=attempt, is_beyond=fate.is_beyond, waited_seconds=max(0.0, waited))
        held.add(message.reply)
        try:
            error, is_cancelled = await _ended(handler(unit, lease))
            if error is not None and not isinstance(error, Again | asyncio.CancelledError):
                telemetry.emit(
                    Event.UNIT_FAILED,
                    level=logging.ERROR,
                    error=error,
                    kind=kind,
                    unit=unit.id,
                    attempt=attempt,
                )
            ending = _ending(error, attempt, policy.most_attempts)
            if is_cancelled:
                await self._settle(message.reply, ending, _GIVE_BACK_SECONDS)
                raise asyncio.CancelledError
            try:
                await self._settle(message.reply, ending, policy.lease_seconds)
            except asyncio.CancelledError:
                await self._settle(message.reply, ending, _GIVE_BACK_SECONDS)
                raise
        finally:
            held.discard(message.reply)

    async def _settle(self, reply: str, ending: bytes, seconds: float) -> None:
        """Tell the server how a unit ended until it says that it knows, while the unit may still be ours."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                link = await self._connection.link(left)
                await link.request(reply, ending, timeout=min(left, _SETTLE_SECONDS))
                return
            except NoAnswer:
                if await link.is_answering():
                    break  # New servers say nothing of a delivery that they do not know, as after a restart.
            except (Error, EngineFailed):
                await asyncio.sleep(min(max(0.0, deadline - time.monotonic()), _FIRST_PAUSE_SECONDS))
        _warn("the end of a unit was not taken, so it may be handed out again")

    async def _renew(self, kind: Kind, held: set[str]) -> None:
        while True:
            await asyncio.sleep(self._policies[kind].lease_seconds / _RENEWALS)
            for reply in tuple(held):
                with suppress(Error, EngineFailed):
                    link = await self._connection.link(0)
                    await link.publish(reply, _PROGRESS)

    async def depth(self, kind: Kind) -> Depth:
        """What the server tells. Those that wait to be handed out again are among the leased."""
        link = await self._connection.link(ANSWER_SECONDS)
        name = streams.stream_name(kind)
        with _failing(f"how much is in {name} cannot be told"):
            told: Any = await link.ask_api(f"CONSUMER.INFO.{name}.{streams.CONSUMER}")
            leased = int(told["num_ack_pending"])
            first = int(told["delivered"]["stream_seq"]) + 1
            # The consumer's own count of what waits comes some time after the stream has it. The stream's
            # has what was done just before its server was killed, too (2.9.10).
            there: Any = await link.ask_api(f"STREAM.INFO.{name}")
            gone = max(first, int(there["state"]["first_seq"])) - 1
            pending = max(0, int(there["state"]["last_seq"]) - gone)
        oldest = 0.0
        if pending:
            with suppress(_Refused, Error):  # It may be gone by now, and who only submits may not read it.
                found: Any = await link.ask_api(
                    f"STREAM.MSG.GET.{name}", {"seq": first, "next_by_subj": streams.subject(kind)}
                )
                since = datetime.fromisoformat(found["message"]["time"]).timestamp()
                oldest = max(0.0, time.time() - since)
        return Depth(pending=pending, leased=leased, oldest_seconds=oldest)

    async def _provide(self, link: "_Link") -> None:
        """Make and mend what is needed on the server. Several processes may do so at once."""
        for kind in self._policies:
            await self._provide_kind(link, kind)

    async def _provide_kind(self, link: "_Link", kind: Kind) -> None:
        policy, name = self._policies[kind], streams.stream_name(kind)
        with _failing(f"the stream {name} cannot be used"):
            told = await _have(link, "STREAM", name, streams.stream(kind, policy, self._address.replicas))
            self._paces[kind].note(time.monotonic(), told)
            place = f"{name}.{streams.CONSUMER}"
            await _have(link, "CONSUMER", place, streams.consumer(policy), streams.FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsLease:
    """As JetStream tells of a delivery."""

    attempt: int
    is_beyond: bool
    waited_seconds: float
    """Known at the first attempt only."""


class _Refused(Exception):
    """The server says no."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class _Pace:
    """How fast units of a kind are done, by all workers."""

    line: Line = field(default_factory=Line)
    done_a_second: float = 0.0
    _asked: float = 0.0
    _since: float = 0.0
    _done: int = 0

    def is_due(self, now: float) -> bool:
        """It is not asked more than once a second, however many find no place."""
        return now - self._asked > 1

    def note(self, now: float, told: Config) -> None:
        """What the server tells of the stream. Those that are there no more are done."""
        state: Any = told.get("state") or {}
        done = int(state.get("last_seq", 0)) - int(state.get("messages", 0))
        self._asked = now
        if now - self._since > 1 and self._since:
            self.done_a_second = max(0, done - self._done) / (now - self._since)
        if now - self._since > _RATE_SECONDS:
            self._since, self._done = now, done


class _Link(Client):
    """One connection, from its beginning to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.has_ended = asyncio.Event()
        self.noticed: BaseException | None = None
        self._asked: dict[str, set[asyncio.Future[None]]] = {}

    async def notice(self, error: Exception) -> None:
        """What the client tells of errors that belong to no call."""
        self.noticed = error
        denied = _denied_subject(str(error))
        if denied and (asking := self._asked.get(denied[1])):
            for question in asking:
                if not question.done():
                    question.set_result(None)
        elif self.is_connected:
            _warn(error)

    async def end(self) -> None:
        """Close it, whatever state it is in."""
        with suppress(Error, OSError):
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await self.close()

    async def is_answering(self) -> bool:
        """The server is there, whatever it says to other questions."""
        try:
            await self.flush(int(_SETTLE_SECONDS))
        except (Error, OSError):
            return False
        return True

    async def ask(
        self, subject: str, body: bytes, seconds: float, headers: dict[str, Any] | None = None
    ) -> Config:
        """What JetStream answers, or _Refused. That the user may not ask is told beside the answer."""
        name = subject.lower()
        denied = asyncio.get_running_loop().create_future()
        self._asked.setdefault(name, set()).add(denied)
        asking = asyncio.ensure_future(self.request(subject, body, seconds, headers=headers))
        try:
            await asyncio.wait({asking, denied}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise _Refused(_DENIED, f"the user has no right to publish to {subject}")
            answer: dict[str, Any] = json.loads(asking.result().data)
        finally:
            asking.cancel()
            self._asked[name].discard(denied)
            if not self._asked[name]:
                del self._asked[name]
        if error := answer.get("error"):
            raise _Refused(int(error.get("err_code", -1)), str(error.get("description", "")))
        return answer

    async def ask_api(self, question: str, body: Config | None = None) -> Config:
        """What JetStream's own API answers; asked again for a while, for a cluster that elects a leader."""
        data = json.dumps(body).encode() if body else b""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return await self.ask(f"{streams.API}.{question}", data, _REPEAT_SECONDS)
            except NoAnswer:
                if time.monotonic() > deadline:
                    raise

    @property
    def talks_tls(self) -> bool:
        """As the server has said first of all; the client upgrades the connection then, and only then."""
        return bool(self._server_info.get("tls_required"))


class _Connection:
    """A connection that comes back by itself, once it was there.

    The client's own reconnecting is left off: it gives up for ever where a server refuses it once, as one
    that is just starting may do, and it does not look whether the streams are still there.
    """

    def __init__(self, address: Address, provide: Callable[[_Link], Awaitable[None]]) -> None:
        self._address = address
        self._where = ",".join(address.servers)
        self._provide = provide
        self._link: _Link | None = None
        self._is_up = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, or EngineFailed within a bound."""
        self._link = await self._dial()
        self._is_up.set()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End it."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        link, self._link = self._link, None
        if link is not None:
            await link.end()

    async def link(self, seconds: float) -> _Link:
        """The one that is up, or EngineFailed after so long without one."""
        if self._link is None or self._link.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._is_up.wait()
        if self._link is None or self._link.is_closed:
            raise EngineFailed(f"the connection to NATS at {self._where} is lost")
        return self._link

    async def link_unless(self, stop: asyncio.Event) -> _Link | None:
        """The one that is up, however long that takes, or None when it is to stop."""
        while not stop.is_set():
            if self._link is not None and not self._link.is_closed:
                return self._link
            await _first_of(self._is_up, stop)
        return None

    async def _keep(self) -> None:
        while self._link is not None:
            await self._link.has_ended.wait()
            self._is_up.clear()
            _warn(f"the connection to NATS at {self._where} is lost")
            self._link = await self._come_back()
            self._is_up.set()
            telemetry.emit(Event.ENGINE_READY, servers=self._where)

    async def _come_back(self) -> _Link:
        pause, told = _FIRST_PAUSE_SECONDS, ""
        while True:
            # All workers lose a server at the same moment, and are not to come back at the same one.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  nothing secret
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            try:
                return await self._dial()
            except EngineFailed as failed:
                if told != (told := str(failed)):
                    _warn(failed)

    async def _dial(self) -> _Link:
        """A connection to a server that has what is needed."""
        tls, link = _tls(self._address.tls_ca), _Link()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(link, tls)
                await self._provide(link)
        except (Error, OSError) as failed:
            await link.end()
            reason = _reason(link.noticed or failed)
            raise EngineFailed(f"no connection to NATS at {self._where}: {reason}") from failed
        except BaseException:
            await link.end()
            raise
        return link

    async def _connect(self, link: _Link, tls: ssl.SSLContext | None) -> None:
        address = self._address

        def checked(secret: str) -> str:
            if address.is_protected and not link.talks_tls:
                raise EngineFailed(f"NATS at {self._where} does not talk TLS")
            return secret

        def told(secret: str) -> Callable[[], str] | None:
            # Asked for when the server has said what it is, and before anything is said to it.
            return partial(checked, secret) if secret else None

        async def ended() -> None:
            link.has_ended.set()

        await link.connect(
            list(address.servers),
            name="remote-worker",
            error_cb=link.notice,
            closed_cb=ended,
            allow_reconnect=False,
            connect_timeout=2,
            reconnect_time_wait=0,
            max_reconnect_attempts=1,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=2,
            tls=tls,
            user=told(address.user),
            password=told(address.password),
            token=told(address.token),
        )
        checked("")


def _tls(authorities: str) -> ssl.SSLContext | None:
    try:
        return ssl.create_default_context(cafile=authorities) if authorities else None
    except OSError as failed:
        raise EngineFailed(f"the certificates in {authorities} cannot be read: {failed}") from failed


class _Inbox:
    """Where the units of one slot come in."""

    def __init__(self, link: _Link, subject: str, arrived: "asyncio.Queue[Msg | None]") -> None:
        self._link = link
        self._subject = subject
        self._arrived = arrived

    async def pull(self, kind: Kind) -> Msg | None:
        """Ask for a unit; None where none came in time, or when it is to stop."""
        if self._arrived.empty():
            request = {"batch": 1, "expires": int(_PULL_SECONDS * NANOSECONDS)}
            question = f"{streams.API}.CONSUMER.MSG.NEXT.{streams.stream_name(kind)}.{streams.CONSUMER}"
            await self._link.publish(question, json.dumps(request).encode(), reply=self._subject)
        try:
            async with asyncio.timeout(_PULL_SECONDS + ANSWER_SECONDS):
                message = await self._arrived.get()
        except TimeoutError:
            return None
        status = (message.headers or {}).get("Status") if message else "408"
        if message is None or status in ("404", "408"):
            return None  # There is none.
        if status == "503":
            raise NoRespondersError
        if status:
            raise _Refused(int(status), (message.headers or {}).get("Description", ""))
        return message


@asynccontextmanager
async def _inbox(link: _Link, stop: asyncio.Event) -> AsyncIterator[_Inbox]:
    """An inbox; what comes into it too late is given back at once."""
    arrived: asyncio.Queue[Msg | None] = asyncio.Queue()

    async def arrive(message: Msg) -> None:
        arrived.put_nowait(message)

    async def wake() -> None:
        await _first_of(stop, link.has_ended)
        arrived.put_nowait(None)

    subject = link.new_inbox()
    subscription = await link.subscribe(subject, cb=arrive)
    waking = asyncio.create_task(wake())
    try:
        yield _Inbox(link, subject, arrived)
    finally:
        waking.cancel()
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await subscription.drain()  # type: ignore[no-untyped-call]
                while not arrived.empty():
                    late = arrived.get_nowait()
                    if late is not None and late.reply:
                        await link.request(late.reply, _NAK, timeout=_GIVE_BACK_SECONDS)


async def _have(link: _Link, what: str, place: str, wanted: Config, first: Config | None = None) -> Config:
    """See to it that a stream or consumer is there and as it is wanted; what is told of it."""
    name = place.partition(".")[0]
    is_stream = what == "STREAM"

    async def put(question: str, config: Config) -> Config:
        return await link.ask_api(question, config if is_stream else {"stream_name": name, "config": config})

    create = f"STREAM.CREATE.{place}" if is_stream else f"CONSUMER.DURABLE.CREATE.{place}"
    try:
        told = await link.ask_api(f"{what}.INFO.{place}")
    except _Refused as refused:
        if refused.code not in _NOT_THERE:
            raise
        try:
            return await put(create, {**(first or {}), **wanted})
        except _Refused as late:
            if late.code == _DENIED:
                raise _Refused(_DENIED, f"{late.reason}: start a worker first, whose user may") from late
            if late.code not in _THERE_ALREADY:
                raise
        told = await link.ask_api(f"{what}.INFO.{place}")
    if better := streams.changed(told, wanted):
        try:
            return await put(f"STREAM.UPDATE.{place}" if is_stream else create, better)
        except _Refused as refused:
            if refused.code != _DENIED:
                raise
            # Who only submits need not be able to: a worker sees to it.
            _warn(f"{place} has other settings than here, and {refused.reason}")
    return told


def _unit(kind: Kind, message: Msg) -> Unit | None:
    """The unit in a message; None where somebody else has published it."""
    id = streams.unit_id((message.headers or {}).get("Nats-Msg-Id", ""))
    try:
        return Unit(id=id or "", kind=kind, body=message.data)
    except ValueError:
        return None


def _ending(error: BaseException | None, attempt: int, most_attempts: int) -> bytes:
    """What the server is told of a unit whose handler ended so."""
    if error is None:
        return _ACK
    seconds = seconds_until_again(error, attempt, most_attempts)
    if seconds is None:
        return _TERM
    return _NAK + b" " + json.dumps({"delay": int(seconds * NANOSECONDS)}).encode() if seconds else _NAK


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except NoRespondersError as missing:
        raise EngineFailed(f"{what}: the server has no JetStream, or not for this user") from missing
    except (Error, _Refused) as failed:
        raise EngineFailed(f"{what}: {_reason(failed)}") from failed


async def _first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _ended(handling: Awaitable[None]) -> tuple[BaseException | None, bool]:
    """What a handler raised, and whether this task was cancelled meanwhile; the handler hears of that.

    It has a task of its own: before Python 3.13, a TaskGroup that fails leaves its task counted as cancelled.
    """
    task, is_cancelled = asyncio.ensure_future(handling), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
            task.cancel()
    return asyncio.CancelledError() if task.cancelled() else task.exception(), is_cancelled


def _reason(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__


def _warn(what: BaseException | str) -> None:
    reason = what if isinstance(what, str) else _reason(what)
    telemetry.emit(Event.ENGINE_FAILED, level=logging.WARNING, reason=reason)
