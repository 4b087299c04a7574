"""A whole worker in a thread of the tests: HTTP, use cases, jail and door, and name servers of the test."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from fetch.names import Names
from web.serving import Answer, Reader

from remote_worker import wiring
from remote_worker.contract.links import Fetched, FetchFailed, Purpose, Want
from remote_worker.fetch.door import Door
from remote_worker.service.previews import Previews
from remote_worker.settings import Settings, read
from remote_worker.web.app import create_app
from remote_worker.web.replay import Replay
from remote_worker.web.server import Server

Spot = tuple[str, int]
Outcome = TypeVar("Outcome")
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Worker:
    """One that runs, seen from outside and from inside."""

    address: Spot
    settings: Settings
    door: Door
    previews: Previews
    names: Names
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with self.connect(method, target, *headers, body=body) as connection:
            return Reader(connection).answer(has_body=method != "HEAD")

    def connect(self, method: str, target: str, *headers: str, body: bytes = b"") -> socket.socket:
        """A connection on which this has been asked."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        connection = socket.create_connection(self.address, timeout=SECONDS)
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return connection

    def preview(self, url: str, *headers: str, **parameters: object) -> Answer:
        """One preview."""
        asked = {"url": url, "explain": 1, **parameters}
        return self.ask("GET", f"/links/preview?{urlencode(asked, errors='surrogatepass')}", *headers)

    def card(self, url: str, **parameters: object) -> dict[str, Any]:
        """One preview that there is."""
        answer = self.preview(url, **parameters)
        assert answer.status == 200, answer.json
        card: dict[str, Any] = answer.json
        return card

    def failure(self, url: str, **parameters: object) -> tuple[str, str]:
        """Why there is no preview: the code and the detail, if there is one."""
        answer = self.preview(url, **parameters)
        assert answer.status != 200, answer.json
        return answer.json["code"], answer.json.get("detail", "")

    def batch(self, *urls: str) -> list[dict[str, Any]]:
        """Many previews in one request, in their order."""
        answer = self.ask("POST", "/links/previews", body=json.dumps({"urls": urls}).encode())
        assert answer.status == 200, answer.json
        lines = [json.loads(line) for line in answer.body.splitlines()]
        return sorted(lines, key=lambda line: line["index"])

    def picture(self, url: str, *headers: str, **parameters: object) -> Answer:
        """A picture by its URL."""
        return self.ask("GET", f"/links/image?{urlencode({'url': url, **parameters})}", *headers)

    def fetch(self, url: str, purpose: Purpose = Purpose.PAGE, *, seconds: float = 10.0) -> Fetched:
        """Straight through the door. The caller closes it. Raises FetchFailed."""
        want = Want(url=url, purpose=purpose)
        return self.run(self.door.fetch(want, deadline=time.monotonic() + seconds))

    def fetch_failure(self, url: str, purpose: Purpose = Purpose.PAGE) -> FetchFailed:
        """How it fails, which it has to."""
        try:
            fetched = self.fetch(url, purpose)
        except FetchFailed as failed:
            return failed
        with fetched:
            raise AssertionError(f"{url} was fetched: {fetched}")

    def run(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Do this in the worker's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    def do(self, act: Callable[[], Outcome]) -> Outcome:
        """Call this in the worker's loop."""

        async def call() -> Outcome:
            return act()

        return self.run(call())

    def most_memory(self) -> int:
        """The most bytes that the process which fetches ever had."""
        status = Path(f"/proc/{self.door.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def running_worker(dial_map: Mapping[Spot, Spot], **environment: object) -> Iterator[Worker]:
    """Until the block ends, with the settings of this environment."""
    begun = threading.Event()
    workers: list[Worker] = []
    stops: list[Callable[[], object]] = []

    async def run() -> None:
        async with Names() as names:
            given = {"REMOTE_PORT": 0, "REMOTE_NAMESERVERS": names.nameserver, **environment}
            settings = read({name: str(value) for name, value in given.items()})
            door = Door(settings.fetch, dial_map=dial_map)
            async with wiring.Whole(settings, door) as whole:
                app = create_app(whole.uses, whole.check, settings.web, settings.limits)
                loop = asyncio.get_running_loop()

                def note(address: Spot) -> None:
                    door.listens(*address)
                    previews = whole.uses.links.previews
                    workers.append(Worker(address, settings, door, previews, names, loop))
                    begun.set()

                server = Server(app, settings.web, note)
                stops.append(lambda: loop.call_soon_threadsafe(server.stop))
                replay = Replay(app, app.gate, settings.limits)
                async with whole.jobs.served(replay):
                    await server.serve()

    def work() -> None:
        try:
            asyncio.run(run())
        finally:
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert begun.wait(SECONDS)
        assert workers, "the worker did not start"
        yield workers[0]
    finally:
        for stop in stops:
            with suppress(RuntimeError):  # The loop may be closed already.
                stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
