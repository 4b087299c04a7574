"""A small internet on loopback for the documentation's examples: names, a proxy, and one site behind it."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import mmdb
from fetch.certificates import Authority
from fetch.names import Names
from fetch.origin import answer, page

from remote_worker.cli.diagnosis import SAMPLES

PUBLIC = "93.184.216.34"
NAMES = (
    "example.com",
    "example.org",
    "www.kernel.org",
    "www.python.org",
    "img.example.org",
    "shop.example.com",
    "node.example.org",
)
"""The hosts that the documentation looks at, and a node of Ethereum."""
OWNER = "0x" + "d8da6bf26964af9d7eed9e03e53415d37aa96045".rjust(64, "0")
PLACES = {"8.8.8.0/24": {"country": {"iso_code": "US", "names": {"en": "United States"}}}}


@contextlib.contextmanager
def world(folder: Path) -> Iterator[Mapping[str, str]]:
    """Gives the settings of a worker that lives in it."""
    is_up = threading.Event()
    told: dict[str, str] = {}
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        authority, over = Authority(), asyncio.Event()
        stops.append((asyncio.get_running_loop(), over))
        async with Names() as names:
            for name in NAMES:
                names.has(name, PUBLIC)
            names.record("example.com", "MX", "10 mail.example.com.", ttl=300)
            site = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=authority.server(*NAMES))
            plain = await asyncio.start_server(_answer, "127.0.0.1", 0)
            ports = {"443": _port(site), "80": _port(plain)}
            proxy = await asyncio.start_server(lambda r, w: _tunnel(r, w, ports), "127.0.0.1", 0)
            server = names.nameserver
            told.update(
                REMOTE_NAMESERVERS=f"{server.address}:{server.port}",
                REMOTE_EGRESS_PROXY=f"http://127.0.0.1:{_port(proxy)}",
                REMOTE_EGRESS_CA_FILE=authority.write(folder / "ca.pem"),
                REMOTE_IPIP_DB_PATH=str(folder / "places.mmdb"),
                REMOTE_ENS_RPC_URL="https://node.example.org/",
            )
            is_up.set()
            await over.wait()
            for listening in (site, plain, proxy):
                listening.close()

    (folder / "places.mmdb").write_bytes(mmdb.database(PLACES))
    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        if not is_up.wait(30):
            raise RuntimeError("the small internet is not up")
        yield told
    finally:
        for loop, over in stops:
            loop.call_soon_threadsafe(over.set)
        thread.join(30)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        if path == "/robots.txt":
            writer.write(answer(b"", status="404 Not Found"))
        elif head.startswith(b"POST"):
            said = {"jsonrpc": "2.0", "id": 1, "result": OWNER}
            writer.write(answer(json.dumps(said).encode(), media_type="application/json"))
        elif path.endswith((".png", ".jpg")):
            name = "sample.png" if path.endswith(".png") else "sample.jpg"
            kind = "image/png" if path.endswith(".png") else "image/jpeg"
            writer.write(answer((SAMPLES / name).read_bytes(), media_type=kind))
        else:
            writer.write(answer(page("Example Domain")))
        await writer.drain()
    writer.close()


async def _tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ports: Mapping[str, int]
) -> None:
    """Connect whoever asks for a port of the site to it."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        port = head.split()[1].decode().rpartition(":")[2]
        there = await asyncio.open_connection("127.0.0.1", ports[port])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pass(reader, there[1]), _pass(there[0], writer))
    writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
