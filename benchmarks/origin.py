"""A web server for the benchmark of links: the same gzip page at every address, as cheaply as it can.

A process of its own: `python -m benchmarks.origin PORT`.
"""

import asyncio
import gzip
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .servers import PROJECT

PAGE_BYTES = 30_000
HEAD_BYTES = 6_000
TITLE = "A page about nothing"

_WORDS = (
    "about above after again because before below between could during every first found great house large "
    "learn little never number other people place point right small sound spell still study their there "
    "these thing think three water where which world would write"
).split()


def page() -> bytes:
    """The page: 30 kB of HTML, its head a fifth of that."""
    words = random.Random(7)
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{TITLE} - Example</title>",
        f'<meta property="og:title" content="{TITLE}">',
        '<meta property="og:type" content="article">',
        '<meta property="og:site_name" content="Example">',
        f'<meta property="og:description" content="{_text(words, 160)}">',
        '<meta property="og:image" content="/static/large.jpg">',
        '<meta property="og:image:width" content="1200"><meta property="og:image:height" content="630">',
        '<meta name="twitter:card" content="summary_large_image">',
        '<meta name="theme-color" content="#336699">',
        '<link rel="canonical" href="/canonical"><link rel="icon" href="/favicon.svg" sizes="any">',
        '<script type="application/ld+json">{"@type": "NewsArticle", "headline": "A page", '
        '"datePublished": "2026-01-31T12:00:00Z", "author": {"name": "A. Writer"}}</script>',
    ]
    head = "\n".join(lines)
    style = "".join(f".c{number:04}{{margin:{number % 50}px;color:#{number:06x}}}\n" for number in range(400))
    head += f"<style>{style[: HEAD_BYTES - len(head) - 30]}</style></head>\n<body>\n"
    body = ""
    while len(head) + len(body) < PAGE_BYTES:
        body += f"<p class=c{words.randrange(400):04}>{_text(words, 400)}</p>\n"
    return (head + body).encode()[: PAGE_BYTES - len(_END)] + _END


def answer() -> bytes:
    """The whole answer, as it goes over the wire."""
    body = gzip.compress(page(), 6)
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def origin(port: int, core: int) -> Iterator[int]:
    """The server on that core; gives its process id. Raises SystemExit when it does not come up."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.origin", str(port)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "listening":
            raise SystemExit(f"the origin did not come up on port {port}")
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


_END = b"</p></body></html>\n"


class _Connection(asyncio.Protocol):
    """Answers every head, whatever it asks for; a client sends the next when it has the answer."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            _, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
            assert isinstance(self._transport, asyncio.WriteTransport)
            self._transport.write(self._whole)


async def _serve(port: int) -> None:
    whole = answer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(whole), "127.0.0.1", port, backlog=4096)
    print("listening", flush=True)
    await server.serve_forever()


def _text(words: random.Random, characters: int) -> str:
    text = ""
    while len(text) < characters:
        text += words.choice(_WORDS) + " "
    return text[:characters].strip()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
