"""A name server on loopback, over UDP and TCP on one port, that answers each call as it was told to."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from itertools import pairwise
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from remote_worker.fetch.settings import Nameserver

Answer = Callable[[dns.message.Message], bytes | None]
"""A query becomes what is sent, or None for silence."""


class Names:
    """An async context manager. A name that it was not told of does not exist.

    A lookup asks for A and for AAAA: what a name `rebinds` to counts for each type apart, so both questions
    of one lookup get the same row. The last row stays. `asked` has every question that came, as
    `("a.test", "A")`; `lookups` counts the lookups of a name.
    """

    def __init__(self, *, ttl: int = 0, port: int = 0) -> None:
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []
        self.over_tcp = 0
        self._port = port
        self._rows: dict[tuple[str, str], list[Answer]] = {}
        self._any: dict[str, Answer] = {}
        self._calls: Counter[tuple[str, str]] = Counter()

    @property
    def nameserver(self) -> Nameserver:
        """For `FetchSettings.nameservers`."""
        return Nameserver("127.0.0.1", self._port)

    def has(self, name: str, *addresses: str, ttl: int | None = None) -> None:
        """These addresses, of both families, in this order."""
        self.rebinds(name, addresses, ttl=ttl)

    def rebinds(self, name: str, *rows: Sequence[str], ttl: int | None = None) -> None:
        """These addresses at the first lookup, those at the second, and so on."""
        for kind, version in (("A", 4), ("AAAA", 6)):
            self._rows[name, kind] = [
                self._records(
                    name, kind, [text for text in row if ip_address(text).version == version], ttl=ttl
                )
                for row in rows
            ]

    def record(self, name: str, kind: str, *texts: str, ttl: int | None = None) -> None:
        """Records in presentation format."""
        self._rows[name, kind] = [self._records(name, kind, texts, ttl=ttl)]

    def chain(self, *names: str, addresses: Sequence[str], ttl: int | None = None) -> None:
        """Every name is a CNAME of the next one; the last one has the addresses. Told in one answer."""
        for kind, version in (("A", 4), ("AAAA", 6)):
            mine = [text for text in addresses if ip_address(text).version == version]
            self._rows[names[0], kind] = [self._chained(names, kind, mine, ttl)]

    def fails(self, name: str, rcode: str) -> None:
        """`NXDOMAIN`, `SERVFAIL`, `REFUSED`."""

        def answer(query: dns.message.Message) -> bytes:
            response = _response(query)
            response.set_rcode(dns.rcode.from_text(rcode))
            return response.to_wire()

        self._any[name] = answer

    def is_silent(self, name: str, kind: str = "") -> None:
        """No answer at all, or none to questions for this type."""
        if kind:
            self._rows[name, kind] = [lambda _: None]
        else:
            self._any[name] = lambda _: None

    def sends(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """An answer to the question whose bytes are changed before they leave."""
        self._any[name] = lambda query: change(_response(query).to_wire())

    @property
    def lookups(self) -> Counter[str]:
        """How many times each name was asked for its IPv4 addresses."""
        return Counter(name for name, kind in self.asked if kind == "A")

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._answer), local_addr=("127.0.0.1", self._port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        for serving in list(self._serving):
            serving.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await asyncio.sleep(0)

    def _records(self, name: str, kind: str, texts: Sequence[str], *, ttl: int | None) -> Answer:
        return self._chained((name,), kind, texts, ttl)

    def _chained(self, names: Sequence[str], kind: str, texts: Sequence[str], ttl: int | None) -> Answer:
        seconds = self.ttl if ttl is None else ttl

        def answer(query: dns.message.Message) -> bytes:
            response = _response(query)
            for name, target in pairwise(names):
                response.answer.append(
                    dns.rrset.from_text(_absolute(name), seconds, "IN", "CNAME", _absolute(target))
                )
            if texts:
                response.answer.append(dns.rrset.from_text(_absolute(names[-1]), seconds, "IN", kind, *texts))
            return response.to_wire(max_size=65535)

        return answer

    def _answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self._any:
            return self._any[name](query)
        rows = self._rows.get((name, kind))
        if rows is None:
            response = _response(query)
            if not any(known == name for known, _ in self._rows):
                response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        at = min(self._calls[name, kind], len(rows) - 1)
        self._calls[name, kind] += 1
        return rows[at](query)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    answer = self._answer(await reader.readexactly(length))
                    self.over_tcp += 1
                    if answer is not None:
                        writer.write(struct.pack("!H", len(answer)) + answer)
                        await writer.drain()
        finally:
            writer.close()
            self._serving.discard(task)


class _Datagrams(asyncio.DatagramProtocol):
    """Answers that do not fit are cut, with the bit that says so."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        answer = self._answer(data)
        if answer is None:
            return
        if len(answer) > _MOST_DATAGRAM:
            cut = _response(dns.message.from_wire(data))
            cut.flags |= dns.flags.TC
            answer = cut.to_wire()
        self._transport.sendto(answer, peer)


_MOST_DATAGRAM = 1232


def _absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _response(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    # The question goes back with the letters that it came with.
    response.question = query.question
    return response
