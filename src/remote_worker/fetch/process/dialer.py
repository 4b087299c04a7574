"""Connects to judged addresses, directly or through the operator's proxy, and looks who is there."""

import asyncio
import errno
import re
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import zip_longest

from ...contract.failures import FailureCode, WorkFailed
from .line import Due, Line

Address = IPv4Address | IPv6Address
Spot = tuple[str, int]
"""An address and a port, as sockets take them."""

STAGGER_SECONDS = 0.25
"""Before the next address is tried beside those that have not answered (RFC 8305)."""
MOST_DIALLED = 6
"""Addresses of a name that are tried."""
MOST_PROXY_BYTES = 16 * 1024
"""Of a proxy's answer."""

PROXY = "proxy"
"""The detail of a failure that is the operator's own proxy's."""

_WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EAFNOSUPPORT: "unreachable",
    errno.ETIMEDOUT: "unreachable",
}


class Dialer:
    """Gets addresses that somebody judged, never a name.

    `dial_map` is for tests alone: it sends the connection elsewhere after all has been decided.
    """

    def __init__(self, proxy: str = "", dial_map: Mapping[Spot, Spot] | None = None) -> None:
        self._proxy = _spot(proxy) if proxy else None
        self._dial_map = dial_map or {}

    async def dial(self, addresses: Sequence[Address], port: int, due: Due) -> tuple[Line, Address]:
        """A connection to one of them, and to which."""
        ordered = by_turns(addresses)[:MOST_DIALLED]
        if self._proxy is not None:
            return await self._through(self._proxy, ordered, port, due)
        by_spot = {(str(address), port): address for address in ordered}
        connected, spot = await self._connect(list(by_spot), due)
        return Line(connected), by_spot[spot]

    async def _connect(self, spots: Sequence[Spot], due: Due) -> tuple[socket.socket, Spot]:
        asked = {self._dial_map.get(spot, spot): spot for spot in spots}
        race = _Race(list(asked), due)
        connected = await race.run()
        try:
            peer = connected.getpeername()
            reached = race.spot
            # The kernel says who is there, and only whoever was judged will do.
            if not _is_same(peer[:2], reached):
                raise WorkFailed(FailureCode.BLOCKED_ADDRESS, "peer")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as broken:
            connected.close()
            raise WorkFailed(FailureCode.CONNECT_FAILED, _word(broken.errno)) from broken
        except WorkFailed:
            connected.close()
            raise
        return connected, asked[reached]

    async def _through(
        self, proxy: Spot, addresses: Sequence[Address], port: int, due: Due
    ) -> tuple[Line, Address]:
        loop = asyncio.get_running_loop()
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            # One that does not answer leaves time for the others.
            now = loop.time()
            share = min(due, Due(now + max(0.0, due.at - now) / left, due.word))
            try:
                connected, _ = await self._connect([proxy], share)
                line = Line(connected)
                try:
                    await _ask(line, address, port, share)
                except BaseException:
                    line.close()
                    raise
            except WorkFailed:
                if left == 1:
                    raise
            else:
                return line, address
        raise WorkFailed(FailureCode.CONNECT_FAILED, "no address")


def by_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families by turns, beginning with that of the first: one that is dead here costs one step."""
    if not addresses:
        return []
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]


class _Race:
    """Connects to one spot after the other without waiting for the ends of those before; one wins."""

    def __init__(self, spots: list[Spot], due: Due) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = spots
        self._due = due
        self._won: asyncio.Future[socket.socket] = self._loop.create_future()
        self._trying: dict[socket.socket, Spot] = {}
        self._stagger: asyncio.TimerHandle | None = None
        self._why = "no address"
        self.spot: Spot = ("", 0)
        """Of the one that won."""

    async def run(self) -> socket.socket:
        """The connected socket. The others are closed, whatever happens."""
        if self._loop.time() >= self._due.at:
            raise self._due.late()
        clock = self._loop.call_at(self._due.at, self._expire)
        won: socket.socket | None = None
        try:
            self._start()
            won = await self._won
            return won
        finally:
            clock.cancel()
            if self._stagger is not None:
                self._stagger.cancel()
            for one in self._trying:
                self._loop.remove_writer(one.fileno())
                if one is not won:
                    one.close()
            # Cancelled in the turn in which one had won.
            if won is None and self._won.done() and not self._won.cancelled() and not self._won.exception():
                self._won.result().close()

    def _start(self) -> None:
        self._stagger = None
        while self._left and not self._won.done():
            spot = self._left.pop(0)
            family = socket.AF_INET6 if ":" in spot[0] else socket.AF_INET
            try:
                one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            except OSError as broken:
                self._why = _word(broken.errno)
                continue
            self._trying[one] = spot
            error = one.connect_ex(spot)
            if error == errno.EINPROGRESS:
                # By its number: the loop looks up objects that it does not know by their text.
                self._loop.add_writer(one.fileno(), self._decide, one)
                if self._left:
                    self._stagger = self._loop.call_later(STAGGER_SECONDS, self._start)
                return
            self._settle(one, error)
        if not self._trying and not self._won.done():
            self._won.set_exception(WorkFailed(FailureCode.CONNECT_FAILED, self._why))

    def _decide(self, one: socket.socket) -> None:
        self._loop.remove_writer(one.fileno())
        error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._settle(one, error)
        if error:
            if self._stagger is not None:
                self._stagger.cancel()
            self._start()

    def _settle(self, one: socket.socket, error: int) -> None:
        if not error and not self._won.done():
            self.spot = self._trying[one]
            self._won.set_result(one)
        elif error:
            self._why = _word(error)
            del self._trying[one]
            one.close()

    def _expire(self) -> None:
        if not self._won.done():
            self._won.set_exception(self._due.late())


async def _ask(line: Line, address: Address, port: int, due: Due) -> None:
    """Have a proxy connect to this address."""
    spot = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    head = b""
    try:
        await line.send(f"CONNECT {spot} HTTP/1.1\r\nHost: {spot}\r\n\r\n".encode(), due)
        while b"\r\n\r\n" not in head and len(head) < MOST_PROXY_BYTES:
            data = await line.receive(due)
            if not data:
                break
            head += data
    except OSError as broken:
        raise WorkFailed(FailureCode.CONNECT_FAILED, PROXY) from broken
    first, end, rest = head[:MOST_PROXY_BYTES].partition(b"\r\n\r\n")
    # The other side speaks second, in HTTP and in TLS.
    if not end or rest or first[:9] not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or first[9:10] != b"2":
        raise WorkFailed(FailureCode.CONNECT_FAILED, PROXY)


def _spot(proxy: str) -> Spot:
    """Of `http://address:port`. Raises ValueError."""
    address, _, port = proxy.removeprefix("http://").rstrip("/").rpartition(":")
    host = address.strip("[]")
    try:
        ip_address(host)
    except ValueError:
        port = ""
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        # What was given may hold a password: it is not told.
        raise ValueError("REMOTE_EGRESS_PROXY must be http://address:port, without a name or a user")
    return host, int(port)


def _word(error: int | None) -> str:
    return _WORDS.get(error or 0, errno.errorcode.get(error or 0, "unknown").lower())


def _is_same(peer: Spot, asked: Spot) -> bool:
    # One address may be spelled in two ways.
    return peer == asked or (peer[1] == asked[1] and ip_address(peer[0]) == ip_address(asked[0]))
