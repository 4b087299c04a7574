"""One fetch from a URL to what it leads to: every hop judged anew, asked empty-handed, and on the clock."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import Fetched, FetchFailed, Hop, Purpose, Verdict, Want
from .. import url
from ..policy import Policy
from ..settings import FetchSettings
from ..url import Target
from . import tls
from .dialer import MOST_DIALLED, PROXY, Address, Dialer, Spot, by_turns
from .http import Answer, Speaker
from .line import Due, Line

LEAST_RATE = 1024
"""Bytes a second of a body."""
RATE_SECONDS = 2.0
"""From which on the rate counts."""
LONGEST_RETRY_SECONDS = 3600
"""That a server may ask to be left alone."""


class Resolver(Protocol):
    """Asks name servers."""

    async def addresses(self, host: str, *, until: float) -> tuple[Address, ...]:
        """All that the name has. Raises WorkFailed."""
        ...


class Gate(Protocol):
    """Knows whose turn it is."""

    def admit(
        self, target: Target, want: Want, addresses: Sequence[Address], *, until: float
    ) -> contextlib.AbstractAsyncContextManager[Callable[[Address], None]]:
        """Waits for a turn, and keeps a place in flight. Raises WorkFailed.

        What it gives wants to know which address was reached.
        """
        ...

    def told(self, target: Target, status: int, retry_after: float | None) -> None:
        """What a server answered; 0 when it did not."""
        ...


class Fetcher:
    """All fetches of the process. `dial_map` is for tests: it applies when every verdict is given."""

    def __init__(
        self,
        settings: FetchSettings,
        policy: Policy,
        resolver: Resolver,
        gate: Gate,
        *,
        dial_map: Mapping[Spot, Spot] | None = None,
        via: str = "",
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.resolver = resolver
        self.gate = gate
        self.dialer = Dialer(settings.egress_proxy, dial_map)
        self.tls = tls.client_context(settings.egress_ca_file)
        self.speaker = Speaker(contact=settings.contact, language=settings.accept_language, via=via)

    async def fetch(self, want: Want, *, until: float) -> Fetched:
        """What it leads to; the caller closes it. Raises FetchFailed. Cancelling closes the connection."""
        return await _Fetch(self, want, until).run()


@dataclass(slots=True, kw_only=True)
class _Step:
    """A hop while it happens."""

    url: str
    verdicts: tuple[Verdict, ...] = ()
    dialled: str = ""
    milliseconds: dict[str, float] = field(default_factory=dict)
    answer: Answer | None = None

    def hop(self, failure: WorkFailed | None = None) -> Hop:
        return Hop(
            url=self.url,
            verdicts=self.verdicts,
            dialled=self.dialled,
            status=self.answer.status if self.answer is not None else 0,
            milliseconds=self.milliseconds,
            code=failure.code.value if failure is not None else "",
            detail=failure.detail if failure is not None else "",
        )


class _Lap:
    """Writes down how long something took, however it ended."""

    __slots__ = ("_start", "_step", "_word")

    def __init__(self, step: _Step, word: str) -> None:
        self._step = step
        self._word = word
        self._start = time.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._step.milliseconds[self._word] = round((time.monotonic() - self._start) * 1000, 3)


class _Fetch:
    def __init__(self, fetcher: Fetcher, want: Want, until: float) -> None:
        self._fetcher = fetcher
        self._settings = fetcher.settings
        self._want = want
        self._until = until
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._end = self._start + fetcher.settings.fetch_seconds
        """Without the time that the gate takes: who waits for a turn does not lose it by that."""
        self._hops: list[Hop] = []
        self._received_bytes = 0

    async def run(self) -> Fetched:
        step = _Step(url=self._want.url)
        try:
            target = url.parse(self._want.url)
            seen = {target.href}
            while True:
                step = _Step(url=target.href)
                answer = await self._ask(step, target)
                if answer.location is None:
                    return self._fetched(step, target, answer)
                following = self._follow(target, answer.location, seen)
                self._hops.append(step.hop())
                target = following
        except WorkFailed as failure:
            self._hops.append(step.hop(failure))
            raise self._failed(failure, step.answer) from failure
        finally:
            if step.answer is not None:
                step.answer.close()

    async def _ask(self, step: _Step, target: Target) -> Answer:
        """Everything from the name to the answer."""
        fetcher = self._fetcher
        fetcher.policy.check(target, self._want.purpose)
        addresses = await self._resolve(step, target)
        step.verdicts = fetcher.policy.judge(target, addresses, self._want.purpose)
        refusal = fetcher.policy.refusal(step.verdicts)
        if refusal is not None:
            raise refusal
        request = fetcher.speaker.request(self._want, target.authority, target.path)
        asked = self._loop.time()
        # A name may have addresses that are somebody else's.
        dialled = by_turns(addresses)[:MOST_DIALLED]
        async with fetcher.gate.admit(target, self._want, dialled, until=self._until) as reached:
            self._end += self._loop.time() - asked
            try:
                answer = await self._exchange(step, target, dialled, request, reached)
            except WorkFailed as failure:
                # That its caller had no more time, or that our own proxy fails, says nothing of a server.
                has_answered = step.answer is not None and step.answer.status
                if has_answered or not (failure.detail == PROXY or self._is_out_of_time(failure)):
                    self._tell(target, step.answer)
                raise
            self._tell(target, answer)
            return answer

    async def _resolve(self, step: _Step, target: Target) -> tuple[Address, ...]:
        if target.address is not None:
            return (target.address,)
        now = self._loop.time()
        due = min(self._total, Due(now + self._settings.dns_seconds, "dns"))
        if now >= due.at:
            raise due.late()
        with _Lap(step, "dns"):
            return await self._fetcher.resolver.addresses(target.host, until=due.at)

    async def _exchange(
        self,
        step: _Step,
        target: Target,
        addresses: Sequence[Address],
        request: bytes,
        reached: Callable[[Address], None],
    ) -> Answer:
        settings = self._settings
        total = self._total
        due = min(total, Due(self._loop.time() + settings.connect_seconds, "connect"))
        with _Lap(step, "connect"):
            line, address = await self._fetcher.dialer.dial(addresses, target.port, due)
        reached(address)
        with line:
            step.dialled = (
                f"[{address}]:{target.port}" if address.version == 6 else f"{address}:{target.port}"
            )
            if target.scheme == "https":
                due = min(total, Due(self._loop.time() + settings.tls_seconds, "tls"))
                with _Lap(step, "tls"):
                    await self._begin_tls(line, target, due)
            answer = step.answer = Answer(
                self._want.purpose,
                self._most_bytes,
                is_conditional=bool(self._want.etag or self._want.last_modified),
            )
            try:
                due = min(total, Due(self._loop.time() + settings.first_byte_seconds, "ttfb"))
                with _Lap(step, "ttfb"):
                    await line.send(request, due)
                    await self._read_head(line, answer, due)
                with _Lap(step, "body"):
                    await self._read_body(line, answer, total)
            except OSError as broken:
                raise WorkFailed(FailureCode.BAD_HTTP, "connection lost") from broken
            finally:
                self._received_bytes += answer.received_bytes
            return answer

    async def _begin_tls(self, line: Line, target: Target, due: Due) -> None:
        try:
            await line.begin_tls(self._fetcher.tls, target.host, due)
        except OSError as refused:
            raise tls.refusal(refused) from refused

    async def _read_head(self, line: Line, answer: Answer, due: Due) -> None:
        while not answer.is_headed:
            data = await line.receive(due)
            if not data:
                answer.end()
                return
            answer.feed(data)

    async def _read_body(self, line: Line, answer: Answer, total: Due) -> None:
        start = self._loop.time()
        while not answer.is_done:
            now = self._loop.time()
            idle = Due(now + self._settings.fetch_idle_seconds, "idle")
            # The moment at which what has come will be too little.
            rate = Due(start + max(RATE_SECONDS, answer.body_bytes / LEAST_RATE), "rate")
            data = await line.receive(min(idle, rate, total))
            if data:
                answer.feed(data)
            else:
                answer.end()

    @property
    def _total(self) -> Due:
        return Due(min(self._until, self._end), "total")

    def _is_out_of_time(self, failure: WorkFailed) -> bool:
        return failure.code is FailureCode.TIMEOUT and failure.detail == "total" and self._until <= self._end

    @property
    def _most_bytes(self) -> int:
        if self._want.purpose is Purpose.PAGE:
            return self._settings.page_bytes
        if self._want.purpose is Purpose.IMAGE:
            return self._settings.fetched_image_bytes
        return self._settings.oembed_bytes

    def _follow(self, target: Target, location: str, seen: set[str]) -> Target:
        following = url.parse(location, target)
        if target.scheme == "https" and following.scheme == "http" and not self._settings.https_to_http:
            raise WorkFailed(FailureCode.DOWNGRADE)
        if following.href in seen:
            raise WorkFailed(FailureCode.REDIRECT_LOOP)
        if len(seen) > self._settings.redirects:
            raise WorkFailed(FailureCode.REDIRECT_LIMIT)
        seen.add(following.href)
        return following

    def _fetched(self, step: _Step, target: Target, answer: Answer) -> Fetched:
        body = answer.take()
        return Fetched(
            url=target.href,
            status=answer.status,
            headers=answer.headers,
            body=body,
            media_type=answer.media_type,
            is_cut=answer.is_cut,
            hops=(*self._hops, step.hop()),
            received_bytes=self._received_bytes,
            milliseconds=round((self._loop.time() - self._start) * 1000, 3),
        )

    def _failed(self, failure: WorkFailed, answer: Answer | None) -> FetchFailed:
        headers = answer.headers if answer is not None else {}
        retry = failure.retry_seconds
        if not retry and failure.code in (FailureCode.HTTP_4XX, FailureCode.HTTP_5XX):
            retry = math.ceil(retry_after(headers) or 0)
        return FetchFailed(
            failure.code,
            failure.detail,
            hops=tuple(self._hops),
            status=answer.status if answer is not None else 0,
            headers=headers,
            retry_seconds=retry,
        )

    def _tell(self, target: Target, answer: Answer | None) -> None:
        if self._want.purpose is Purpose.WEBHOOK:
            # Webhooks have a schedule of their own, and who gets them decides nothing about previews.
            return
        if answer is None:
            self._fetcher.gate.told(target, 0, None)
        else:
            self._fetcher.gate.told(target, answer.status, retry_after(answer.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks for, in either of its two spellings, at most an hour."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), LONGEST_RETRY_SECONDS))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), LONGEST_RETRY_SECONDS)
