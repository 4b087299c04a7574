"""The real server on loopback with a small decoder in place of the jail, and raw sockets to talk to it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Lifespan
from web.small_links import small_links
from web.small_network import small_network

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.formats import FormatName, FormatReport
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import AVATAR_SIZES, Avatars, Info, Picture, Recipe, Reply, Task
from remote_worker.contract.texts import Rendered, RenderMarkdown
from remote_worker.decoder import markdown
from remote_worker.service.check import Check
from remote_worker.service.images import Decoder, Images
from remote_worker.service.presets import Preset, Presets
from remote_worker.service.texts import Renderer, Texts
from remote_worker.web.app import Uses, create_app
from remote_worker.web.jobs import JobUses
from remote_worker.web.links import Links
from remote_worker.web.network import NetworkUses
from remote_worker.web.server import Address, Server
from remote_worker.web.settings import WebSettings

BOUNDARY = "----a-boundary-of-the-tests"
INFO = {
    "width": 3,
    "height": 2,
    "display_width": 2,
    "display_height": 3,
    "frames": 1,
    "orientation": 6,
    "has_alpha": False,
    "color_space": "rgb",
    "bit_depth": 8,
    "has_icc_profile": False,
    "has_exif": True,
    "has_gps": False,
    "loop": None,
    "duration_ms": None,
}


FACTS: dict[str, Any] = {
    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
    "colors": ["#112233", "#445566"],
    "phash": "c3a5963cc35aa569",
}
"""What the small decoder says of every picture."""
METADATA: dict[str, Any] = {
    "exif": {"Make": "Some maker", "FNumber": 2.8},
    "gps": {"latitude": 52.5, "longitude": 13.4, "altitude": None},
    "xmp": True,
    "iptc": False,
    "comment": False,
    "icc": None,
}

FORMATS = {
    str(name): FormatReport(
        word="ok", mime=f"image/{name}", is_written=name != "psd", keeps_frames=name == "gif"
    )
    for name in FormatName
}
"""What the templates of a worker tell; not all is as it is."""


class SmallDecoder:
    """Does what the uploaded text says; anything else becomes a picture of the same bytes."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.callers: list[str] = []
        self.asked: list[str] = []
        self.has_room = True
        self.uploads: list[bytes] = []
        self.began = threading.Event()
        self.cancelled = threading.Event()
        self.release = threading.Event()

    def check_room(self, caller: str) -> None:
        """Fill the protocol."""
        self.asked.append(caller)
        if not self.has_room:
            raise WorkFailed(FailureCode.BUSY, retry_seconds=7)

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Fill the protocol."""
        self.tasks.append(task)
        self.callers.append(caller)
        fd = document.read_only_fd()
        with open(fd, "rb") as file:
            data = file.read()
        self.uploads.append(data)
        word, _, rest = data[:64].decode("latin-1").partition(":")
        match word:
            case "fail":
                raise WorkFailed(FailureCode(rest))
            case "bug":
                raise ZeroDivisionError
            case "hang":
                await self._hang()
            case "pause":
                self.began.set()
                await asyncio.to_thread(self.release.wait, 10)
            case "large":
                data = bytes(range(256)) * (int(rest) // 256)
        return Reply(
            format="png",
            mime="image/png",
            pictures=_pictures(task, data),
            info={**INFO, **FACTS, "metadata": METADATA},
        )

    async def _hang(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


class SmallRenderer:
    """Does what the text says; anything else is rendered here instead of in the jail."""

    def __init__(self) -> None:
        self.callers: list[str] = []
        self.began = threading.Event()
        self.cancelled = threading.Event()

    async def render(
        self, text: bytes, task: RenderMarkdown, *, deadline: float, caller: str = ""
    ) -> Rendered:
        """Fill the protocol."""
        self.callers.append(caller)
        word, _, rest = text[:64].decode("latin-1").partition(":")
        if word == "fail":
            raise WorkFailed(FailureCode(rest))
        if word == "hang":
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        read = markdown.render(task, text)
        return Rendered(
            html=read.parts[markdown.HTML].decode(), image_sources=tuple(read.facts[markdown.IMAGES])
        )


def small_uses(
    decoder: Decoder,
    renderer: Renderer | None = None,
    *,
    links: Links | None = None,
    network: NetworkUses | None = None,
    proxies_images: bool = True,
    presets: Mapping[str, Preset] | None = None,
    check: Check | None = None,
    jobs: JobUses | None = None,
) -> Uses:
    """All use cases, on this decoder and small parts."""
    return Uses(
        images=Images(decoder, check),
        presets=Presets(presets or {}),
        texts=Texts(renderer or SmallRenderer(), _sign if proxies_images else None),
        links=links or small_links(),
        network=network or small_network(),
        jobs=jobs or JobUses(),
    )


def _sign(address: str) -> str:
    return f"/signed?{address}"


def _pictures(task: Task, data: bytes) -> dict[str, Picture]:
    if isinstance(task, Info):
        return {}
    names = ["output"]
    if isinstance(task, Avatars):
        names = [f"avatar{side}" for side in AVATAR_SIZES]
    elif isinstance(task, Recipe):
        names = [output.name for output in task.outputs]
    picture = Picture(format="png", width=3, height=2, frames=1, body=memoryview(data).toreadonly())
    return dict.fromkeys(names, picture)


@dataclass
class Probe:
    """Health as the tests want it."""

    ok: bool = True
    reason: str = ""
    templates: Mapping[str, Mapping[str, Any]] = None
    formats: Mapping[str, FormatReport] = field(default_factory=lambda: dict(FORMATS))
    asked: int = 0

    async def __call__(self) -> "Probe":
        """Fill the probe of the app."""
        self.asked += 1
        self.templates = {"raster": {"layers": {"seccomp": "ok"}}}
        return self


@dataclass(frozen=True)
class Service:
    """A server that runs."""

    address: Address
    decoder: SmallDecoder
    renderer: SmallRenderer
    probe: Probe
    server: Server
    thread: threading.Thread

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def connect(self, caller: str = "127.0.0.1") -> socket.socket:
        """A connection of one's own, from this address of the loopback network."""
        return socket.create_connection(self.address, timeout=10, source_address=(caller, 0))

    @property
    def connections(self) -> int:
        """How many the server has at the moment."""
        return len(self.server.server_state.connections)

    def in_loop(self, do: Callable[[], object]) -> None:
        """Have the server's event loop do this before anything that is sent from now on."""
        self.server.servers[0].get_loop().call_soon_threadsafe(do)

    def stop(self) -> None:
        """As a SIGTERM does it."""
        self.in_loop(self.server.stop)

    def ended(self) -> bool:
        """Wait until the server is gone."""
        self.thread.join(10)
        return not self.thread.is_alive()


@contextmanager
def serving(
    limits: Limits | None = None,
    *,
    links: Links | None = None,
    network: NetworkUses | None = None,
    proxies_images: bool = True,
    presets: Mapping[str, Preset] | None = None,
    check: Callable[[Decoder], Check] | None = None,
    jobs: JobUses | None = None,
    lifespan: Lifespan[Any] | None = None,
    **settings: Any,
) -> Iterator[Service]:
    """The server in a thread, until the block ends."""
    web = WebSettings(port=0, **settings)
    decoder, renderer, probe = SmallDecoder(), SmallRenderer(), Probe()
    uses = small_uses(
        decoder,
        renderer,
        links=links,
        network=network,
        proxies_images=proxies_images,
        presets=presets,
        check=check(decoder) if check else None,
        jobs=jobs,
    )
    app = create_app(uses, probe, web, limits or Limits(), lifespan=lifespan)
    listening = threading.Event()
    addresses: list[Address] = []

    def note(address: Address) -> None:
        addresses.append(address)
        listening.set()

    server = Server(app, web, note)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert listening.wait(10)
        service = Service(addresses[0], decoder, renderer, probe, server, thread)
        yield service
    finally:
        decoder.release.set()
        with suppress(RuntimeError):  # The loop may be closed already.
            server.last_call_seconds = 0.0  # The test is over: nobody comes any more.
            service.stop()
        thread.join(30)
        assert not thread.is_alive()


def part(data: bytes, *, head: str = 'form-data; name="file"; filename="a.png"') -> bytes:
    """One part of a form."""
    return f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def form(data: bytes) -> bytes:
    """A form with one file."""
    return part(data) + END


def post(path: str, body: bytes, *headers: str, length: int | None = None, version: str = "1.1") -> bytes:
    """A request with a form, as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Answer:
    """One answer, read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Reader:
    """Reads answers off a connection, one behind the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting = b""

    def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer. Raises EOFError when the connection ends first."""
        while b"\r\n\r\n" not in self._waiting:
            self._more()
        head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if headers.get("transfer-encoding") == "chunked" and has_body:
            return Answer(int(first.split()[1]), headers, self._chunks())
        length = int(headers.get("content-length", 0)) if has_body else 0
        while len(self._waiting) < length:
            self._more()
        body, self._waiting = self._waiting[:length], self._waiting[length:]
        return Answer(int(first.split()[1]), headers, body)

    def line(self) -> bytes:
        """What comes up to the next CRLF."""
        while b"\r\n" not in self._waiting:
            self._more()
        line, self._waiting = self._waiting.split(b"\r\n", 1)
        return line

    def chunk(self) -> bytes:
        """The next chunk of a body in chunks; the last one is empty."""
        size = int(self.line(), 16)
        while len(self._waiting) < size + 2:
            self._more()
        data, self._waiting = self._waiting[:size], self._waiting[size + 2 :]
        return data

    def _chunks(self) -> bytes:
        body = b""
        while data := self.chunk():
            body += data
        return body

    @property
    def is_empty(self) -> bool:
        """Nothing has come that was not read."""
        return not self._waiting

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        while True:
            try:
                self._more()
            except EOFError:
                return self._waiting

    def _more(self) -> None:
        data = self._connection.recv(65536)
        if not data:
            raise EOFError
        self._waiting += data


def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def ask(service: Service, request: bytes, caller: str = "127.0.0.1") -> Answer:
    """One request on a connection of its own."""
    with service.connect(caller) as connection:
        connection.sendall(request)
        return Reader(connection).answer(has_body=not request.startswith(b"HEAD"))
