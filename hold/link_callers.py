"""Asks for many previews at the same moment, one by one or in batches, and tells when each was there.

A process of its own, for a core to itself: `python -m hold.link_callers '{"port": ..., ...}'` prints the
`Told` as JSON.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from benchmarks.servers import PROJECT

_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """URLs that are asked for at once. With `batch`, so many go into one request."""

    port: int
    urls: list[str]
    batch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was said of one URL, and after how many seconds from the common start."""

    url: str
    seconds: float
    code: str
    """Empty for a preview; of a failure its code, or what became of the connection."""
    title: str = ""


async def run(calls: Calls) -> list[Told]:
    """All of them."""
    start = time.perf_counter()
    if calls.batch:
        urls = calls.urls
        batches = [urls[at : at + calls.batch] for at in range(0, len(urls), calls.batch)]
        told = await asyncio.gather(*(_batch(calls.port, batch, start) for batch in batches))
        return [one for batch in told for one in batch]
    return list(await asyncio.gather(*(one(calls.port, url, start=start) for url in calls.urls)))


def asked(calls: Calls, core: int) -> list[Told]:
    """The calls from a process on that core. Raises SystemExit when it fails."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "hold.link_callers"]
    done = subprocess.run(
        command, cwd=PROJECT, input=json.dumps(asdict(calls)), capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"the callers failed: {done.stderr.strip()[-500:]}")
    return [Told(**one) for one in json.loads(done.stdout)]


async def one(port: int, url: str, *, start: float = 0.0, seconds: float = _LONGEST_SECONDS) -> Told:
    """One preview on a connection of its own."""
    path = f"/links/preview?url={quote(url, safe='')}"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with closing(writer):
                writer.write(request.encode())
                answer = await reader.read(-1)
        members = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError, TimeoutError) as lost:
        return Told(url=url, seconds=time.perf_counter() - start, code=type(lost).__name__)
    return _told(url, members, start)


async def _batch(port: int, urls: Sequence[str], start: float) -> list[Told]:
    """One NDJSON line for each URL, as they come."""
    body = json.dumps({"urls": urls}).encode()
    head = (
        "POST /links/previews HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    told: dict[str, Told] = {}
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            writer.write(head.encode() + body)
            async for line in reader:
                if line.startswith(b"{"):  # Others are of the head, or sizes of chunks.
                    members = json.loads(line)
                    url = members.get("url", "")
                    told[url] = _told(url, members, start)
            writer.close()
    except (OSError, ValueError, TimeoutError):
        pass  # What did not come is told as that.
    late = time.perf_counter() - start
    return [told.get(url) or Told(url=url, seconds=late, code="nothing") for url in urls]


def _told(url: str, members: dict[str, Any], start: float) -> Told:
    return Told(
        url=url,
        seconds=time.perf_counter() - start,
        code=str(members.get("code", "")),
        title=str(members.get("title") or ""),
    )


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in asyncio.run(run(Calls(**json.load(sys.stdin))))]))
