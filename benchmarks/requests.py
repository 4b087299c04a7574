"""Small requests over kept connections, one after the other on each, and how long each answer took.

A process of its own, so that it has a core to itself: `python -m benchmarks.requests '{"port": ..., ...}'`
prints a `Seen` as JSON. It reads no more of an answer than it must.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from urllib.parse import quote

from .servers import PROJECT

COLD = "cold"
CACHED = "cached"
MARKDOWN = "markdown"

CACHED_URLS = 200
"""So many previews are asked for again and again."""
POST_BYTES = 1300
_OVERTIME_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many connections ask for one kind of thing for so long."""

    port: int
    kind: str
    connections: int
    seconds: float
    origin: str = ""
    """Its pages are previewed, from the one with this number on."""
    first: int = 0


@dataclass(slots=True)
class Seen:
    """What the connections met; times are seconds from the request to the last byte of its answer."""

    seconds: list[float] = field(default_factory=list)
    """Of the answers with status 200."""
    took: float = 0.0
    """From the first request to the last answer."""
    others: dict[str, int] = field(default_factory=dict)
    """Other statuses, and connections that were lost."""
    sample: str = ""
    """The first answer's body."""
    last: int = 0
    """The number of the next page."""


def post() -> str:
    """Markdown of 1.3 kB, as people write it."""
    text = (
        "# A question about *caches*\n\n@livid and @someone said that **all** of it, see "
        "https://example.org/topic/42?p=1#reply7, is `O(1)`.\n\n"
        "> It depends on the size of the working set,\n> as always.\n\n"
        "```python\ndef f(x):\n    return {key: value for key, value in x.items()}\n```\n\n"
        "- one\n- two with a [link](https://example.com/a/b)\n- ![a picture](https://example.com/i.png)\n\n"
        "| a | b |\n|---|---|\n| 1 | ~~2~~ |\n\n"
    )
    filler = "Some more words, so that it has the length of a usual post on a forum for developers. "
    return (text + filler * POST_BYTES)[:POST_BYTES]


def request(load: Load, number: int) -> bytes:
    """The request with this number."""
    if load.kind == MARKDOWN:
        body = json.dumps({"text": post()}).encode()
        head = f"POST /text/render_markdown HTTP/1.1\r\nContent-Type: application/json\r\n{_HOST}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    if load.kind == CACHED:
        number = load.first + number % CACHED_URLS
    url = quote(f"{load.origin}/page/{number}", safe="")
    return f"GET /links/preview?url={url} HTTP/1.1\r\n{_HOST}\r\n".encode()


_HOST = "Host: localhost\r\n"


class Answers:
    """Takes the bytes of a connection; an answer ends where its `Content-Length` says."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = -1
        self.status = ""
        self.body = bytearray()

    def take(self, data: bytes) -> bool:
        """Whether the answer is whole now. The next one begins with the next bytes."""
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self._head[:end]).lower()
            self.status = head[9:12].decode()
            at = head.index(b"\r\ncontent-length: ") + 18
            length = int(head[at:].split(b"\r\n", 1)[0])
            self.body = self._head[end + 4 :]
            self._left = length - len(self.body)
            self._head = bytearray()
        else:
            self.body += data
            self._left -= len(data)
        if self._left > 0:
            return False
        self._left = -1
        return True


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, next_request: Callable[[], bytes | None], seen: Seen, done: Callable[[], None]
    ) -> None:
        self._next, self._seen, self._done = next_request, seen, done
        self._answers = Answers()
        self._start = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if not self._answers.take(data):
            return
        status = self._answers.status
        if status == "200":
            self._seen.seconds.append(time.perf_counter() - self._start)
        else:
            self._seen.others[status] = self._seen.others.get(status, 0) + 1
        self._seen.sample = self._seen.sample or self._answers.body.decode()
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        if self._start:
            self._seen.others["lost"] = self._seen.others.get("lost", 0) + 1
        self._done()

    def _send(self) -> None:
        message = self._next()
        if message is None:
            self._start = 0.0
            self._transport.close()
            return
        self._start = time.perf_counter()
        self._transport.write(message)


async def run(load: Load) -> Seen:
    """Load until the time is over, then until every request that is under way has its answer."""
    seen, began = Seen(), time.perf_counter()
    number = load.first if load.kind == COLD else 0
    running, over = load.connections, asyncio.Event()

    def next_request() -> bytes | None:
        nonlocal number
        if time.perf_counter() - began >= load.seconds:
            return None
        number += 1
        return request(load, number - 1)

    def done() -> None:
        nonlocal running
        running -= 1
        if not running:
            over.set()

    loop = asyncio.get_running_loop()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Caller(next_request, seen, done), "127.0.0.1", load.port)
    async with asyncio.timeout(load.seconds + _OVERTIME_SECONDS):
        await over.wait()
    seen.took = time.perf_counter() - began
    seen.last = number
    return seen


def driven(load: Load, core: int) -> Seen:
    """The load from a process on that core. Raises SystemExit when it fails."""
    command = [
        "taskset",
        "-c",
        str(core),
        sys.executable,
        "-m",
        "benchmarks.requests",
        json.dumps(asdict(load)),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the load failed: {done.stderr.strip()[-500:]}")
    return Seen(**json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(run(Load(**json.loads(sys.argv[1])))))))
