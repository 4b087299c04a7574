"""Many callers at once, each with a marker of its own, and a search for every marker in what the others get.

Run as a program of its own, because it looks at all that its process holds:
`python callers.py {"callers": 6, "words": ["dump"]}` prints one JSON object (`Findings`). A caller's
pixels, metadata and trailing bytes are its marker; the service is the real one, with hijacked children
(`hijacked.py`) that answer a fit into 7 x 7 pixels with all memory that they can read.
"""

import base64
import io
import json
import os
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image, PngImagePlugin

sys.path.insert(0, str(Path(__file__).parents[1]))

from isolation import hijacked
from web.serving import BOUNDARY, END, part, post
from whole_service import whole_service

from remote_worker.contract.document import Document
from remote_worker.contract.limits import MIB, Limits
from remote_worker.contract.messages import Reply, Task
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings
from remote_worker.web.server import Address
from remote_worker.web.settings import WebSettings

NONCE = os.urandom(8)
"""Begins every marker; only this process and what callers send know it."""
TAGS: list[bytes] = []
"""The other half of each caller's marker. A picture's rows may cut a marker anywhere, and what follows the
cut is no caller's tag."""
MARKER = re.compile(re.escape(NONCE) + rb"(.{8})", re.DOTALL)
LIMITS = Limits(input_bytes=4 * MIB, output_bytes=256 * MIB, decode_seconds=60, cpu_seconds=60)
RAW = "Accept: image/*"


@dataclass(kw_only=True)
class Findings:
    """What was sent, what was searched, and whose markers were found where they should not be."""

    callers: int
    requests: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    """By status; `cut` where the caller itself went away."""
    searched_bytes: int = 0
    dumps: int = 0
    dumps_with_own_marker: int = 0
    """Shows that the search finds what is there: a child holds its own document."""
    foreign_markers: int = 0
    unclean_output_bytes: int = 0
    documents: int = 0
    strange_documents: int = 0
    """Documents that are not, byte for byte, a file that a caller sent."""
    memory_left: int = 0
    """Documents and outputs that the worker still holds at the end."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request of one caller, as bytes; `is_cut` when it goes away instead of waiting for the answer."""

    caller: int
    wire: bytes
    is_cut: bool = False
    is_dump: bool = False


def marker(caller: int) -> bytes:
    """Sixteen bytes that are this caller's alone."""
    while len(TAGS) <= caller:
        TAGS.append(os.urandom(8))
    return NONCE + TAGS[caller]


def pictures(caller: int) -> dict[str, bytes]:
    """Files whose pixels, metadata and trailing bytes are the marker; four pixels of RGBA are one marker."""
    own = marker(caller)
    words = own.hex()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", words)
    text.add(b"prVt", own * 20, after_idat=True)
    exif = Image.Exif()
    exif[0x010E] = words
    exif[0x927C] = own * 20

    def filled(mode: str, side: int) -> Image.Image:
        count = side * side * len(mode)
        return Image.frombytes(mode, (side, side), (own * (count // 16 + 1))[:count])

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue() + own * 50

    return {
        "small.png": saved(filled("RGBA", 64), "PNG", pnginfo=text),
        # Larger than one read, and its picture than what is copied out of the child's memory.
        "large.png": saved(filled("RGBA", 400), "PNG", pnginfo=text, compress_level=0),
        "gray.bmp": saved(filled("L", 500), "BMP"),
        "photo.jpg": saved(filled("RGB", 320), "JPEG", quality=95, exif=exif, comment=own * 20),
        "still.webp": saved(filled("RGBA", 200), "WEBP", lossless=True, exact=True, exif=exif),
        "page.tif": saved(filled("RGBA", 200), "TIFF"),
        "still.gif": saved(filled("L", 100), "GIF", comment=own * 10),
    }


def requests(caller: int) -> Iterator[Request]:
    """Good uploads, and such as fail at each step, every one full of the marker."""
    files = pictures(caller)

    def asked(path: str, body: bytes, *headers: str, length: int | None = None, **more: bool) -> Request:
        return Request(
            caller=caller, wire=post(path, body, "Connection: close", *headers, length=length), **more
        )

    for name, data in files.items():
        form = part(data) + END
        yield asked("/images/fit/4000", form, RAW)
        yield asked("/images/fit/4000?format=png", form)
        yield asked("/images/fit/50", form)
        yield asked("/images/rescale_avatar", form)
        yield asked("/images/info", form)
        if name == "photo.jpg":
            yield asked("/images/prepare_jpeg?metadata=keep", form, RAW)
            yield asked("/images/prepare_jpeg", form)
    for name in ("small.png", "large.png"):
        yield asked("/images/fit/7", part(files[name]) + END, RAW, is_dump=True)
    own, large = marker(caller), files["large.png"]
    garbage = own * 20_000
    form = part(large) + END
    yield asked("/images/fit/50", part(garbage) + END)
    yield asked("/images/fit/50", part(large[: len(large) // 2]) + END)
    yield asked("/images/fit/50", part(garbage)[:-2])  # a form without its end
    yield asked("/images/fit/50", part(own * (LIMITS.input_bytes // 16 + 1)) + END)
    yield asked("/images/fit/50", form[: len(form) // 2], length=len(form), is_cut=True)
    yield asked("/images/fit/50", form, length=len(form) + 1, is_cut=True)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(form[at : at + 9000]), form[at : at + 9000])
        for at in range(0, len(form), 9000)
    )
    head = (
        f"POST /images/fit/4000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{RAW}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    yield Request(caller=caller, wire=head + chunks + b"0\r\n\r\n")
    yield Request(caller=caller, wire=head + chunks[: len(chunks) // 2], is_cut=True)
    yield Request(caller=caller, wire=b"GET /" + own.hex().encode() + b" HTTP/1.1\r\nX: " + own)
    yield Request(caller=caller, wire=b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


class Watched:
    """The pool, and beside it whether each document is a file that was sent."""

    def __init__(self, pool: Pool, files: set[bytes], findings: Findings) -> None:
        self._pool = pool
        self._files = files
        self._findings = findings

    def check_room(self, caller: str) -> None:
        """Fill the protocol."""
        self._pool.check_room(caller)

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Fill the protocol."""
        fd = document.read_only_fd()
        with open(fd, "rb") as file:
            self._findings.documents += 1
            self._findings.strange_documents += file.read() not in self._files
        return await self._pool.decode(task, document, deadline=deadline, caller=caller)


def answered(address: Address, request: Request) -> bytes:
    """All that comes back until the connection ends."""
    with socket.create_connection(address, timeout=120) as connection:
        try:
            connection.sendall(request.wire)
            if request.is_cut:
                return b""
            if not request.wire.startswith(b"POST"):
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1 << 20), b""))
        except ConnectionError:  # refused before it was read
            return b""


def layers(answer: bytes) -> Iterator[bytes | memoryview]:
    """The answer as it came, the files within it, and their pixels."""
    yield answer
    _, _, body = answer.partition(b"\r\n\r\n")
    files = [body]
    if body.startswith(b"{"):
        words = json.loads(body)
        texts = [
            words.get("output"),
            *(value["body"] for name, value in words.items() if name.startswith("avatar")),
        ]
        files = [base64.b64decode(text) for text in texts if text]
    for file in files:
        if file != body:
            yield file
        if file.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF", b"GIF8", b"II*\0")):
            with Image.open(io.BytesIO(file)) as image:
                yield image.tobytes()


def search(findings: Findings, request: Request, answer: bytes) -> None:
    """Look through one answer for the markers of others."""
    findings.requests += 1
    status = "cut" if request.is_cut else answer[9:12].decode() or "closed"
    findings.answers[status] = findings.answers.get(status, 0) + 1
    seen: set[bytes] = set()
    for layer in layers(answer):
        findings.searched_bytes += len(layer)
        seen.update(MARKER.findall(layer))
    own = TAGS[request.caller]
    findings.foreign_markers += len(seen & set(TAGS) - {own})
    picture = answer.partition(b"\r\n\r\n")[2]
    if request.is_dump and picture.startswith(b"BM"):
        findings.dumps += 1
        findings.dumps_with_own_marker += own in seen
        findings.unclean_output_bytes += hijacked.unclean_output_bytes(picture)


def memory_left() -> int:
    """Anonymous files that this process maps or holds open."""
    held = Path("/proc/self/maps").read_text().count("/memfd:")
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            held += "memfd:" in str(link.readlink())
    return held


def run(callers: int, words: Sequence[str], rounds: int = 1) -> Findings:
    """Send every request of every caller, mixed, and search all answers."""
    findings = Findings(callers=callers)
    files = {data for caller in range(callers) for data in sent_files(caller)}
    todo = [request for caller in range(callers) for request in requests(caller)] * rounds
    random.Random(4).shuffle(todo)
    lock = threading.Lock()
    worker = whole_service(
        LIMITS,
        PoolSettings(children=3, ready=3, waiting_per_child=1000, crash_burst=10_000),
        WebSettings(port=0, work_seconds=120, bodies_bytes=4096 * MIB),
        entry=hijacked.entry(*words),
        around=lambda pool: Watched(pool, files, findings),
    )
    with worker as address, ThreadPoolExecutor(callers) as clients:

        def do(request: Request) -> None:
            answer = answered(address, request)
            with lock:
                search(findings, request, answer)

        for done in [clients.submit(do, request) for request in todo]:
            done.result()
        findings.memory_left = memory_left()
        until = time.monotonic() + 10  # The last answers arrive before the worker has put their memory away.
        while findings.memory_left and time.monotonic() < until:
            time.sleep(0.05)
            findings.memory_left = memory_left()
    return findings


def sent_files(caller: int) -> Iterator[bytes]:
    """The files of all uploads of a caller, also of those that are no picture."""
    files = pictures(caller)
    yield from files.values()
    yield files["large.png"][: len(files["large.png"]) // 2]
    yield marker(caller) * 20_000


if __name__ == "__main__":
    print(json.dumps(asdict(run(**json.loads(sys.argv[1])))))
