"""What a fetch stands on in tests: names as they are told, a gate that lets all through, and a whole run."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, FetchFailed, Purpose, Want
from remote_worker.fetch import url
from remote_worker.fetch.policy import Policy
from remote_worker.fetch.process.follow import Fetcher
from remote_worker.fetch.settings import FetchSettings
from remote_worker.fetch.url import Target

from .origin import Origin

Address = IPv4Address | IPv6Address
# Reading the list of suffixes is no part of what a fetch may take.
url.warm()

PUBLIC = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1::1"


class Names:
    """A resolver that answers each call as it was told; the last answer stays."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(calls) for name, calls in answers.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str, *, until: float) -> tuple[Address, ...]:
        self.asked.append(host)
        calls = self._answers.get(host)
        if not calls:
            raise WorkFailed(FailureCode.DNS_NOT_FOUND, host)
        answer = calls.pop(0) if len(calls) > 1 else calls[0]
        return tuple(map(ip_address, answer))


class OpenGate:
    """Lets everybody through, and remembers what it was told."""

    def __init__(self) -> None:
        self.told_of: list[tuple[str, int, float | None]] = []
        self.inside = 0
        self.reached: list[Address] = []

    @contextlib.asynccontextmanager
    async def admit(
        self, target: Target, want: Want, addresses: Sequence[Address], *, until: float
    ) -> AsyncIterator[Callable[[Address], None]]:
        self.inside += 1
        try:
            yield self.reached.append
        finally:
            self.inside -= 1

    def told(self, target: Target, status: int, retry_after: float | None) -> None:
        self.told_of.append((target.host, status, retry_after))


class World:
    """Names with public addresses behind which stand servers of the test, and a fetcher that finds them.

    `origins` are server by name; all names have addresses of their own. `answers` tells names otherwise.
    """

    def __init__(
        self,
        origins: Mapping[str, Origin],
        *,
        answers: Mapping[str, Sequence[Sequence[str]]] | None = None,
        dial_map: Mapping[tuple[str, int], tuple[str, int]] | None = None,
        via: str = "",
        **settings: Any,
    ) -> None:
        addresses = {name: f"93.184.216.{34 + at}" for at, name in enumerate(origins)}
        self.dial_map = {
            (address, port): (origins[name].host, origins[name].port)
            for name, address in addresses.items()
            for port in (80, 443)
        } | dict(dial_map or {})
        self.names = Names({name: [[address]] for name, address in addresses.items()} | dict(answers or {}))
        self.gate = OpenGate()
        self.settings = FetchSettings(**settings)
        self.policy = Policy(self.settings)
        self.fetcher = Fetcher(
            self.settings, self.policy, self.names, self.gate, dial_map=self.dial_map, via=via
        )

    def fetch(
        self, href: str, purpose: Purpose = Purpose.PAGE, *, seconds: float = 10.0, **want: Any
    ) -> Fetched:
        """Fetch it in a loop of its own. The caller closes what it gets."""
        wanted = Want(url=href, purpose=purpose, **want)
        return asyncio.run(self.fetcher.fetch(wanted, until=time.monotonic() + seconds))

    def read(self, href: str, purpose: Purpose = Purpose.PAGE, **want: Any) -> tuple[Fetched, bytes]:
        """The same with its bytes, closed."""
        with self.fetch(href, purpose, **want) as fetched:
            return fetched, content(fetched)

    def failure(self, href: str, purpose: Purpose = Purpose.PAGE, **want: Any) -> FetchFailed:
        """How it fails, which it has to."""
        try:
            fetched = self.fetch(href, purpose, **want)
        except FetchFailed as failed:
            return failed
        with fetched:
            raise AssertionError(f"{href} was fetched: {fetched}")


def content(fetched: Fetched) -> bytes:
    """All bytes of a body."""
    with open(fetched.body.read_only_fd(), "rb") as file:
        return file.read()
