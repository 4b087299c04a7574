"""Asks name servers, over UDP and TCP, within one deadline: addresses to dial, and records for people."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import cycle

import ada_url
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename

from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import Resolved
from ..settings import Nameserver
from . import dns_message
from .dns_message import AAAA, NOERROR, NXDOMAIN, A, Answer

Address = IPv4Address | IPv6Address

MOST_ADDRESSES = 16
MOST_CACHED = 4096
LONGEST_CACHED_SECONDS = 60.0
MOST_ASKED_AT_ONCE = 64
"""Lookups: more at once overrun the buffer of a name server, and what is lost there is asked again late."""
KINDS = ("A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "CAA", "SRV", "PTR")
"""What people may ask for."""

_TURN_SECONDS = 0.1
"""Past this an unanswered lookup is in nobody's buffer any more: silent servers hold nobody up."""
_ATTEMPTS = 3
"""A datagram is lost now and then: the time for a name is shared by this many."""
_SECOND_FAMILY_SECONDS = 0.3
"""With addresses of one family at hand, no longer for the other: some servers never answer for IPv6."""


def system_nameservers(resolv_conf: str) -> tuple[Nameserver, ...]:
    """Those that the text of /etc/resolv.conf names; the local one where it names none."""
    words = [line.split() for line in resolv_conf.splitlines()]
    # A scope is of no use to one that may not look at interfaces.
    named = [Nameserver(line[1]) for line in words if len(line) > 1 and line[0] == "nameserver"]
    return tuple(server for server in named if "%" not in server.address) or (Nameserver("127.0.0.1"),)


def warm() -> None:
    """Load what is loaded late: behind the seal there are no files."""
    for kind in (*KINDS, "OPT"):
        # It carries no type.
        dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(kind))  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Lookup:
    """What is known so far of one name, by type."""

    answers: dict[int, Answer] = field(default_factory=dict)
    failures: dict[int, int] = field(default_factory=dict)

    def missing(self) -> list[int]:
        return [kind for kind in (A, AAAA) if kind not in self.answers]

    def has_addresses(self) -> bool:
        return any(answer.addresses for answer in self.answers.values())

    def failed(self, kind: int) -> None:
        self.failures[kind] = self.failures.get(kind, 0) + 1


class Resolver:
    """Its own questions to its own servers: no search domains, no hosts file except for `localhost`.

    Addresses are kept as long as their records say, at most a minute.
    """

    def __init__(
        self,
        servers: Sequence[Nameserver],
        seconds: float,
        *,
        localhost: Sequence[Address] = (),
        clock: Callable[[], float] = time.monotonic,
        most_cached: int = MOST_CACHED,
    ) -> None:
        self._servers = tuple(servers)
        self._seconds = seconds
        self._localhost = tuple(localhost)
        self._clock = clock
        self._most_cached = most_cached
        self._kept: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._asking = asyncio.Semaphore(MOST_ASKED_AT_ONCE)

    async def addresses(self, host: str, *, until: float) -> tuple[Address, ...]:
        """All of them, asked for once. Raises WorkFailed."""
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            if not self._localhost:
                raise WorkFailed(FailureCode.DNS_NOT_FOUND)
            return self._localhost
        expires, kept = self._kept.get(name, (0.0, ()))
        if self._clock() < expires:
            return kept
        lookup = _Lookup()
        try:
            await self._look_up(name, lookup, min(until, time.monotonic() + self._seconds))
        except dns_message.LongChain as long:
            raise WorkFailed(FailureCode.DNS_CHAIN) from long
        found = _outcome(lookup)
        self._keep(name, found, min(answer.ttl for answer in lookup.answers.values()))
        return found

    async def resolve(self, name: str, kind: str, *, until: float) -> Resolved:
        """Records of one of `KINDS` as text; for PTR the name may be an address. Raises WorkFailed."""
        asked = _name(name, kind)
        rdtype = dns.rdatatype.from_text(kind)
        until = min(until, time.monotonic() + self._seconds)
        response = await self._records(asked, rdtype, until)
        try:
            chain = response.resolve_chaining()
        except dns.message.ChainTooLong as circle:
            raise WorkFailed(FailureCode.DNS_CHAIN) from circle
        except dns.exception.DNSException as odd:
            raise WorkFailed(FailureCode.DNS_FAILED) from odd
        if len(chain.cnames) > dns_message.MOST_CNAMES:
            raise WorkFailed(FailureCode.DNS_CHAIN)
        if chain.answer is None:
            raise WorkFailed(FailureCode.DNS_NOT_FOUND)
        answers = tuple(record.to_text() for record in chain.answer)
        if len(answers) > dns_message.MOST_RECORDS:
            raise WorkFailed(FailureCode.DNS_FAILED, "too many records")
        return Resolved(answers=answers, ttl=float(chain.minimum_ttl), servers=tuple(map(str, self._servers)))

    async def _look_up(self, name: str, lookup: _Lookup, until: float) -> None:
        """Fill the lookup as far as servers answer."""
        servers = cycle(self._servers)
        most_failures = max(len(self._servers), 2)
        while (missing := lookup.missing()) and (left := until - time.monotonic()) > 0:
            if min(lookup.failures.get(kind, 0) for kind in missing) >= most_failures:
                return
            attempt = min(left, self._seconds / _ATTEMPTS)
            server = next(servers)
            try:
                async with self._turn(), asyncio.timeout(attempt) as timeout:
                    await _ask_addresses(server, name, missing, lookup, timeout)
            except TimeoutError:
                if lookup.has_addresses():
                    return
            except (OSError, EOFError):
                for kind in lookup.missing():
                    lookup.failed(kind)
            except dns_message.BadAnswer as bad:
                raise WorkFailed(FailureCode.DNS_FAILED, str(bad)) from bad

    async def _records(
        self, asked: dns.name.Name, kind: dns.rdatatype.RdataType, until: float
    ) -> dns.message.QueryMessage:
        servers = cycle(self._servers)
        failures = 0
        detail = ""
        while (left := until - time.monotonic()) > 0 and failures < max(len(self._servers), 2):
            server = next(servers)
            query = dns.message.make_query(asked, kind, use_edns=0, payload=dns_message.UDP_BYTES)
            query.id = secrets.randbits(16)
            try:
                async with self._turn(), asyncio.timeout(min(left, self._seconds / _ATTEMPTS)):
                    response = await _ask_records(server, query)
            except TimeoutError:
                continue
            except (OSError, EOFError, dns.exception.DNSException, ValueError):
                failures += 1
                continue
            if response.rcode() == dns.rcode.NXDOMAIN:
                raise WorkFailed(FailureCode.DNS_NOT_FOUND)
            if response.rcode() == dns.rcode.NOERROR:
                return response
            failures += 1
            detail = dns.rcode.to_text(response.rcode()).lower()
        if failures:
            raise WorkFailed(FailureCode.DNS_FAILED, detail)
        raise WorkFailed(FailureCode.TIMEOUT, "dns")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One's turn to ask."""
        await self._asking.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._asking.release()

        timer = asyncio.get_running_loop().call_later(_TURN_SECONDS, end)
        try:
            yield
        finally:
            timer.cancel()
            end()

    def _keep(self, name: str, addresses: tuple[Address, ...], ttl: int) -> None:
        if ttl <= 0:
            return
        while len(self._kept) >= self._most_cached:
            del self._kept[next(iter(self._kept))]
        self._kept.pop(name, None)
        self._kept[name] = (self._clock() + min(ttl, LONGEST_CACHED_SECONDS), addresses)


def _outcome(lookup: _Lookup) -> tuple[Address, ...]:
    """The addresses. Raises WorkFailed when there are none, or more than anybody dials."""
    answers = lookup.answers.values()
    found = tuple(address for answer in answers for address in answer.addresses)
    if len(found) > MOST_ADDRESSES:
        raise WorkFailed(FailureCode.DNS_FAILED, "too many addresses")
    if found:
        return found
    if not lookup.missing():
        raise WorkFailed(FailureCode.DNS_NOT_FOUND)
    if lookup.failures:
        raise WorkFailed(FailureCode.DNS_FAILED)
    raise WorkFailed(FailureCode.TIMEOUT, "dns")


async def _ask_addresses(
    server: Nameserver, name: str, kinds: Sequence[int], lookup: _Lookup, timeout: asyncio.Timeout
) -> None:
    """One attempt for these types over one socket, whose port the kernel picks at random."""
    loop = asyncio.get_running_loop()
    asked = {secrets.randbits(16): (kind, dns_message.question(name, kind)) for kind in kinds}
    with closing(_socket(server, socket.SOCK_DGRAM)) as channel:
        channel.connect((server.address, server.port))
        for number, (_, question) in asked.items():
            channel.send(dns_message.query(number, question))
        while asked:
            message = await loop.sock_recv(channel, _DATAGRAM_BYTES)
            kind, question = asked.pop(dns_message.number_of(message), (0, b""))
            if not kind:
                continue
            answer = dns_message.read(message, question)
            if answer.is_cut:
                again = dns_message.query(secrets.randbits(16), question)
                whole = await _over_tcp(server, again)
                if whole[:2] != again[:2]:
                    raise dns_message.BadAnswer("to another question")
                answer = dns_message.read(whole, question)
            if answer.rcode in (NOERROR, NXDOMAIN):
                lookup.answers[kind] = answer
            else:
                lookup.failed(kind)
            if asked and lookup.has_addresses():
                timeout.reschedule(min(loop.time() + _SECOND_FAMILY_SECONDS, timeout.when() or loop.time()))


async def _ask_records(server: Nameserver, query: dns.message.Message) -> dns.message.QueryMessage:
    loop = asyncio.get_running_loop()
    with closing(_socket(server, socket.SOCK_DGRAM)) as channel:
        channel.connect((server.address, server.port))
        wire = query.to_wire()
        channel.send(wire)
        while True:
            message = await loop.sock_recv(channel, _DATAGRAM_BYTES)
            if dns_message.number_of(message) == query.id:
                break
    if len(message) > _FLAGS and message[_FLAGS] & _CUT:
        message = await _over_tcp(server, wire)
    if len(message) > _FLAGS and message[_FLAGS] & _OPCODE:
        # The library would load what it reads such ones with, and there are no files any more.
        raise ValueError("no answer")
    response = dns.message.from_wire(message)
    if not query.is_response(response) or not isinstance(response, dns.message.QueryMessage):
        raise ValueError("to another question")
    return response


async def _over_tcp(server: Nameserver, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with closing(_socket(server, socket.SOCK_STREAM)) as channel:
        await loop.sock_connect(channel, (server.address, server.port))
        await loop.sock_sendall(channel, len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await _exactly(channel, 2), "big")
        return await _exactly(channel, length)


async def _exactly(channel: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < length:
        chunk = await loop.sock_recv(channel, length - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)


def _socket(server: Nameserver, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    channel = socket.socket(family, kind)
    channel.setblocking(False)
    return channel


def _name(name: str, kind: str) -> dns.name.Name:
    """The name to ask for. Raises WorkFailed."""
    if kind not in KINDS:
        raise WorkFailed(FailureCode.BAD_PARAMETER, "no type that is resolved")
    if kind == "PTR":
        try:
            return dns.reversename.from_address(str(ip_address(name.strip("[]"))))
        except ValueError:
            pass  # A name of the reverse tree itself.
    try:
        ascii_name = name if name.isascii() else ada_url.idna.encode(name).decode("ascii")
        return dns.name.from_text(ascii_name, idna_codec=None)
    except (dns.exception.DNSException, ValueError) as bad:
        raise WorkFailed(FailureCode.BAD_HOST, "no name") from bad


_DATAGRAM_BYTES = 65535
_FLAGS, _CUT, _OPCODE = 2, 0x02, 0x78
