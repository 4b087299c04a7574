"""Name servers and web servers of strangers, good and bad, on addresses of loopback.

A process of its own, for a core to itself: `python -m hold.strangers '{"dns_port": ..., "port": ...}'`. A
name says what its server does: `bomb-17.example`.
"""

import asyncio
import functools
import gzip
import json
import random
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from benchmarks.servers import PROJECT

GOOD = "good"
FIRST_ADDRESS = IPv4Address("127.0.1.1")
BOMB_BYTES = 200 * 1024 * 1024
"""What a bomb unpacks to."""
_BLOCK = 64 * 1024
_DRIP_SECONDS = 0.5
_SILENT_SECONDS = 3600.0
"""Longer than anyone waits."""

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request for this name; the connection is closed behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """Where they are."""

    dns_port: int
    port: int
    servers: int = 50

    def address(self, number: int) -> str:
        """The server of the name with this number."""
        return str(FIRST_ADDRESS + number % self.servers)


def title(name: str) -> str:
    """Of the page that a good name has."""
    return f"The page of {name}"


@contextmanager
def strangers(where: Strangers, core: int) -> Iterator[None]:
    """They run on that core until the block ends. Raises SystemExit when they do not come up."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "hold.strangers", json.dumps(asdict(where))]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "listening":
            raise SystemExit("the strangers' servers did not come up")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _good(name: str, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(_page(name), 1)
    await _send(writer, _head("200 OK", f"Content-Encoding: gzip\r\nContent-Length: {len(body)}"), body)


async def _wall(_: str, writer: asyncio.StreamWriter) -> None:
    body = (
        b"<!doctype html><html><head><title>Just a moment...</title></head><body>Checking your browser</body>"
    )
    more = f"Server: cloudflare\r\ncf-mitigated: challenge\r\nContent-Length: {len(body)}"
    await _send(writer, _head("403 Forbidden", more), body)


async def _silent(_: str, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_SILENT_SECONDS)


async def _drip(_: str, writer: asyncio.StreamWriter) -> None:
    for byte in _head("200 OK", "X-Patience: " + "x" * 1000):
        await _send(writer, bytes([byte]))
        await asyncio.sleep(_DRIP_SECONDS)


async def _stall(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, _head("200 OK", "Content-Length: 100000"), b"<!doctype html><html><head><title>Half")
    await asyncio.sleep(_SILENT_SECONDS)


async def _bomb(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, _head("200 OK", "Content-Encoding: gzip"), _packed())


async def _endless(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, _head("200 OK", "X-Length: none"), b"<!doctype html><html><head>")
    while True:
        await _send(writer, b"<div>" * 10_000)


async def _reset(_: str, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _garbage(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, bytes(range(256)) * 16)


async def _loop(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, _head("302 Found", "Location: /page\r\nContent-Length: 0"))


async def _inward(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, _head("302 Found", "Location: http://127.0.0.1/admin\r\nContent-Length: 0"))


async def _lying(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(
        writer, _head("200 OK", "Content-Encoding: gzip\r\nContent-Length: 90"), b"not gzip at all" * 6
    )


async def _long_head(_: str, writer: asyncio.StreamWriter) -> None:
    await _send(writer, b"HTTP/1.1 200 OK\r\n")
    while True:
        await _send(writer, b"X-Filler: " + b"x" * 8000 + b"\r\n")


_ANSWERS: Mapping[str, Answer] = {
    GOOD: _good,
    "wall": _wall,
    "silent": _silent,
    "drip": _drip,
    "stall": _stall,
    "bomb": _bomb,
    "endless": _endless,
    "reset": _reset,
    "garbage": _garbage,
    "loop": _loop,
    "inward": _inward,
    "lying": _lying,
    "longhead": _long_head,
}
_NO_ANSWER, _NO_NAME, _PRIVATE = "dnssilent", "dnsnone", "dnsprivate"
KINDS = (*_ANSWERS, _NO_ANSWER, _NO_NAME, _PRIVATE)
"""All that a name may begin with."""


@functools.cache
def _packed() -> bytes:
    """The bomb, packed once: its server has others to serve."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = b"<!--" + b" " * (_BLOCK - 7) + b"-->"
    return b"".join(packer.compress(block) for _ in range(BOMB_BYTES // _BLOCK)) + packer.flush()


def _page(name: str) -> bytes:
    filler = random.Random(name).randbytes(12_000).hex()
    head = f'<title>x</title><meta property="og:title" content="{title(name)}">'
    return f"<!doctype html><html><head>{head}</head><body>{filler}</body></html>".encode()


def _head(status: str, more: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n{more}\r\n\r\n".encode()


async def _send(writer: asyncio.StreamWriter, *parts: bytes) -> None:
    writer.write(b"".join(parts))
    await writer.drain()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        host = next(line for line in head.split("\r\n") if line.startswith("host:"))[5:].strip()
        name = host.partition(":")[0]
        await _ANSWERS[name.partition("-")[0]](name, writer)
    writer.close()


class _Names(asyncio.DatagramProtocol):
    """Every name that begins with a kind has one IPv4 address."""

    def __init__(self, where: Strangers) -> None:
        self._where = where

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own is none of the abstract ones.
        self._transport = cast(asyncio.DatagramTransport, transport)
        # As name servers do, up to what the system lets anybody have.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind, _, rest = question.name.to_text().lower().partition("-")
        if kind == _NO_ANSWER:
            return
        reply = dns.message.make_response(query, recursion_available=True)
        if kind not in KINDS or kind == _NO_NAME:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            number = int(rest.partition(".")[0])
            address = "10.0.0.1" if kind == _PRIVATE else self._where.address(number)
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", address))
        self._transport.sendto(reply.to_wire(), sender)


async def _run(where: Strangers) -> None:
    loop = asyncio.get_running_loop()
    _packed()
    await loop.create_datagram_endpoint(lambda: _Names(where), ("127.0.0.1", where.dns_port))
    for number in range(where.servers):
        await asyncio.start_server(_serve, where.address(number), where.port, backlog=1024)
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(Strangers(**json.loads(sys.argv[1]))))
