"""How much each key may ask for: requests and bytes a minute, and requests at once."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from ..contract.failures import FailureCode, WorkFailed
from .keys import Allowance, Key

MINUTE = 60.0
BURST_SECONDS = 10.0
"""So much of a minute's requests may come at a stroke where the key does not say."""


@dataclass(slots=True)
class _Bucket:
    """Fills at a rate up to a size. It may be overdrawn by what nobody knew in advance."""

    size: float
    rate: float
    level: float = field(init=False)
    at: float

    def __post_init__(self) -> None:
        self.level = self.size

    def fill(self, now: float) -> None:
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now

    def wait_seconds(self, least: float) -> float:
        """Until there is so much in it; 0 when there is, but for what a sum of fractions is off by."""
        return max(0.0, (least - self.level - 1e-9) / self.rate)


@dataclass(slots=True)
class _State:
    allowance: Allowance
    requests: _Bucket | None
    size: _Bucket | None


class Quotas:
    """Counts by the names of keys, of which there are as many as in the file."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._running: Counter[str] = Counter()

    def charge(self, key: Key, body_bytes: int, *, has_body: bool = False) -> None:
        """Take one request of so many bytes, as far as its head tells. Raises WorkFailed with when to retry.

        `has_body` is told of one whose length is not known yet.

        A body is let in while anything is left for it, so that one larger than what is left is late and not
        lost: the next one waits until it is paid for.
        """
        allowance = key.allowance
        if allowance == _FREE:
            return
        self._check_running(key)
        state = self._state(key)
        now = self._clock()
        wait = 0.0
        if state.requests is not None:
            state.requests.fill(now)
            wait = state.requests.wait_seconds(1.0)
        if state.size is not None and (body_bytes or has_body):
            state.size.fill(now)
            wait = max(wait, state.size.wait_seconds(1.0))
        if wait > 0:
            raise WorkFailed(FailureCode.QUOTA_EXCEEDED, retry_seconds=ceil(wait))
        if state.requests is not None:
            state.requests.level -= 1
        self.count(key, body_bytes)

    def count(self, key: Key, body_bytes: int) -> None:
        """Take bytes that have come, or give back those that will not."""
        state = self._states.get(key.identity.name)
        # What began before the key was changed does not count by its new quota, nor brings back the old one.
        if state is not None and state.size is not None and state.allowance == key.allowance:
            state.size.level = min(state.size.size, state.size.level - body_bytes)

    @contextmanager
    def running(self, key: Key) -> Iterator[None]:
        """One request of the key is under way. Raises WorkFailed when so many are already."""
        self._check_running(key)
        name = key.identity.name
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    def keep_only(self, names: Collection[str]) -> None:
        """Forget keys that are gone."""
        for name in self._states.keys() - set(names):
            del self._states[name]

    def _check_running(self, key: Key) -> None:
        most = key.allowance.at_once
        if most and self._running[key.identity.name] >= most:
            raise WorkFailed(FailureCode.QUOTA_EXCEEDED, "so many requests of this key are under way")

    def _state(self, key: Key) -> _State:
        state = self._states.get(key.identity.name)
        if state is None or state.allowance != key.allowance:
            state = self._states[key.identity.name] = self._new(key.allowance)
        return state

    def _new(self, allowance: Allowance) -> _State:
        now = self._clock()
        requests = size = None
        if allowance.requests_per_minute:
            rate = allowance.requests_per_minute / MINUTE
            requests = _Bucket(
                size=float(allowance.burst or max(1.0, rate * BURST_SECONDS)), rate=rate, at=now
            )
        if allowance.bytes_per_minute:
            size = _Bucket(
                size=float(allowance.bytes_per_minute), rate=allowance.bytes_per_minute / MINUTE, at=now
            )
        return _State(allowance, requests, size)


_FREE = Allowance()
