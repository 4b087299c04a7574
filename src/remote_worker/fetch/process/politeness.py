"""How much one site and one address are asked: a place in line for each request. The clock is given."""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from ...contract.addresses import special
from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import Purpose, Want
from ..settings import FetchSettings
from ..url import Target

Address = IPv4Address | IPv6Address

MOST_SITES = 20_000
"""That are remembered. Those not heard of for longest are forgotten first."""
LONGEST_CLOSED_SECONDS = 3600.0
"""However long a server asks to be left alone."""
MOST_FAILURES = 4
"""In a row of one origin. One more, and it is left alone for a while."""
CIRCUIT_SECONDS = 60.0

_COUNTED = (Purpose.PAGE, Purpose.IMAGE)
_TOLD = "webhooks:"
"""Before the site that gets them: they have places of their own."""


@dataclass(slots=True)
class _Site:
    full_at: float = 0.0
    """When its bucket is full again."""
    closed_until: float = 0.0
    failures: int = 0
    guests: int = 0
    """Requests that wait here or are in flight."""
    in_flight: int = 0
    waiting: "deque[_Waiter]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Waiter:
    addresses: tuple[Address, ...]
    admitted: asyncio.Future[None]


class Gate:
    """One token per site for each preview, some requests per site and per public address at once, in order.

    Who would have to wait longer than it has is refused at once with RATE_LIMITED.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        most_sites: int = MOST_SITES,
    ) -> None:
        self._settings = settings
        self._most_sites = most_sites
        self._clock = clock
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        """And origins that fail: who asks for `https://a.test:80/` closes nothing else of that site."""
        self._addresses: dict[Address, int] = {}
        self._held_up: dict[Address, dict[str, None]] = {}
        self._paid: dict[int, set[str]] = {}

    @contextlib.contextmanager
    def preview(self, want: Want) -> Iterator[None]:
        """While it is open, all requests of this want pay once for each site."""
        self._paid[id(want)] = set()
        try:
            yield
        finally:
            del self._paid[id(want)]

    @contextlib.asynccontextmanager
    async def admit(
        self, target: Target, want: Want, addresses: Sequence[Address], *, until: float
    ) -> AsyncIterator[Callable[[Address], None]]:
        """Wait for a turn and hold it. Raises WorkFailed when it would come after `until`.

        What it gives is told which of the addresses answers: the others' places are free from then on.
        """
        if want.purpose is Purpose.CHECK:
            # The operator's own: no stranger's previews of the same site may stand in its way.
            yield lambda _: None
            return
        is_webhook = want.purpose is Purpose.WEBHOOK
        name = f"{_TOLD}{target.site}" if is_webhook else target.site
        site = self._site(name)
        # What the operator opened is the operator's to load.
        counted = tuple({address for address in addresses if not special(address, self._settings.nat64)})
        site.guests += 1
        try:
            if not is_webhook:
                await self._take_turn(target, site, want, until)
            await self._take_place(name, site, counted, until)
            held = set(counted)

            def reached(address: Address) -> None:
                left = held - {address}
                held.intersection_update({address})
                self._free(left)

            try:
                yield reached
            finally:
                self._leave(name, site, held)
        finally:
            site.guests -= 1

    def told(self, target: Target, status: int, retry_after: float | None) -> None:
        """What came of a request: its status, 0 without a connection, and how long to stay away."""
        origin = _origin(target)
        if status == 0:
            failing = self._site(origin)
            failing.failures += 1
            if failing.failures > MOST_FAILURES:
                failing.failures = 0
                self._close(failing, CIRCUIT_SECONDS)
            return
        if origin in self._sites:
            self._sites[origin].failures = 0
        site = self._site(target.site)
        if status in (429, 503) and retry_after is not None and retry_after > 0:
            self._close(site, min(retry_after, LONGEST_CLOSED_SECONDS))

    @property
    def in_flight(self) -> int:
        """How many hold a place now."""
        return sum(site.in_flight for site in self._sites.values()) + sum(self._addresses.values())

    async def _take_turn(self, target: Target, site: _Site, want: Want, until: float) -> None:
        now = self._clock()
        name = target.site
        failing = self._sites.get(_origin(target), site)
        paid = self._paid.get(id(want), set())
        costs = want.purpose in _COUNTED and not want.site_of and name not in paid
        interval = 1 / self._settings.site_per_second
        turn = max(now, site.closed_until)
        full_at = site.full_at
        if costs:
            full_at = max(full_at, turn) + interval
            turn = max(turn, full_at - self._settings.site_burst * interval)
        turn = max(turn, failing.closed_until)
        if turn > until:
            raise WorkFailed(FailureCode.RATE_LIMITED, "site", retry_seconds=max(1, math.ceil(turn - now)))
        if costs:
            site.full_at = full_at
            paid.add(name)
        if turn > now:
            try:
                await asyncio.sleep(turn - now)
            except BaseException:
                if costs:
                    site.full_at -= interval
                raise

    async def _take_place(self, name: str, site: _Site, addresses: tuple[Address, ...], until: float) -> None:
        if not site.waiting and site.in_flight < self._settings.site_in_flight and not self._full(addresses):
            self._enter(site, addresses)
            return
        waiter = _Waiter(addresses, asyncio.get_running_loop().create_future())
        site.waiting.append(waiter)
        self._let_in(name, site)
        if waiter.admitted.done():
            return
        try:
            async with asyncio.timeout(max(0.0, until - self._clock())):
                await waiter.admitted
        except BaseException as ended:
            if waiter.admitted.done() and not waiter.admitted.cancelled():
                self._leave(name, site, addresses)
            elif waiter in site.waiting:
                site.waiting.remove(waiter)
                self._let_in(name, site)
            if isinstance(ended, TimeoutError):
                raise WorkFailed(FailureCode.RATE_LIMITED, "in flight", retry_seconds=1) from ended
            raise

    def _let_in(self, name: str, site: _Site) -> None:
        while site.waiting and site.in_flight < self._settings.site_in_flight:
            waiter = site.waiting[0]
            if waiter.admitted.cancelled():
                site.waiting.popleft()
                continue
            full = self._full(waiter.addresses)
            if full is not None:
                self._held_up.setdefault(full, {})[name] = None
                return
            site.waiting.popleft()
            self._enter(site, waiter.addresses)
            waiter.admitted.set_result(None)

    def _enter(self, site: _Site, addresses: tuple[Address, ...]) -> None:
        site.in_flight += 1
        for address in addresses:
            self._addresses[address] = self._addresses.get(address, 0) + 1

    def _leave(self, name: str, site: _Site, addresses: Collection[Address]) -> None:
        site.in_flight -= 1
        self._free(addresses)
        self._let_in(name, site)

    def _free(self, addresses: Collection[Address]) -> None:
        for address in addresses:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
        # Those who have waited at an address go before the site that has just been there.
        for address in addresses:
            for held_up in self._held_up.pop(address, ()):
                if held_up in self._sites:
                    self._let_in(held_up, self._sites[held_up])

    def _full(self, addresses: tuple[Address, ...]) -> Address | None:
        most = self._settings.address_in_flight
        return next((address for address in addresses if self._addresses.get(address, 0) >= most), None)

    def _close(self, site: _Site, seconds: float) -> None:
        site.closed_until = max(site.closed_until, self._clock() + seconds)

    def _site(self, name: str) -> _Site:
        site = self._sites.get(name)
        if site is None:
            if len(self._sites) >= self._most_sites:
                self._forget()
            site = self._sites[name] = _Site()
        self._sites.move_to_end(name)
        return site

    def _forget(self) -> None:
        for name, site in self._sites.items():
            if not site.guests:
                del self._sites[name]
                return


def _origin(target: Target) -> str:
    return f"{target.scheme}://{target.authority}"
