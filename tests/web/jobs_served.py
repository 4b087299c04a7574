"""A server that takes jobs into a folder and, if it shall, works them off; and one to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service.doors import Door, Sight
from web.linking import request
from web.serving import BOUNDARY, Answer, Reader, Service, form, serving
from web.small_links import small_links

from remote_worker.contract.limits import Limits
from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.jobs.working import Worker
from remote_worker.stores.opening import open_store
from remote_worker.web.app import App
from remote_worker.web.jobs import JobUses
from remote_worker.web.replay import Replay

SLOTS = 2
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Jobbing:
    """The server."""

    service: Service
    door: Door

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with self.service.connect() as connection:
            connection.sendall(request(method, target, *headers, body=body))
            return Reader(connection).answer(has_body=method != "HEAD")

    def submit(self, target: str, *headers: str, body: bytes | None = None, more: str = "") -> Answer:
        """Submit a request with an upload."""
        body = form(b"some bytes") if body is None else body
        return self.ask("POST", submission(target, more), FORM, *headers, body=body)

    def done(self, submitted: Answer, *headers: str) -> Any:
        """The job, once it has ended."""
        assert submitted.status == 202, submitted.body
        told = self.ask("GET", f"{submitted.headers['location']}?wait=30", *headers)
        assert told.status == 200, told.body
        assert told.json["state"] in ("done", "failed")
        return told.json


def submission(target: str, more: str = "") -> str:
    """Where a request is submitted to."""
    return f"/jobs?request={quote(target, safe='')}{more}"


@contextmanager
def serving_jobs(
    folder: Path,
    *,
    is_working: bool = True,
    check_callback: Callable[[str], object] | None = None,
    limits: Limits | None = None,
    jobs: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Jobbing]:
    """Until the block ends."""
    own = JobSettings(jobs=str(folder), **(jobs or {}))
    store, engine = open_store(str(folder)), LocalEngine(folder / "units.sqlite", own.policies)
    taken = Jobs(store, engine, own)
    door = Door()

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async with engine:
            stop = asyncio.Event()
            replay = Replay(app, app.gate, limits or Limits())
            worker = Worker(store, engine, replay, own, fail=Replay.failed, heard=taken.hear)
            working = asyncio.create_task(worker.run(stop, SLOTS) if is_working else stop.wait())
            yield
            stop.set()
            await working

    uses = JobUses(jobs=taken, settings=own, check_callback=check_callback)
    links = small_links(door, Sight())
    with serving(limits, links=links, jobs=uses, lifespan=lifespan, **settings) as service:
        yield Jobbing(service, door)


def told(answer: Answer) -> tuple[int, str]:
    """The status and the code of a failure."""
    return answer.status, json.loads(answer.body)["code"]
