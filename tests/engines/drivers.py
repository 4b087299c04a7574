"""Every engine driver, for the tests of what all of them promise: how to open it, and how to upset it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from hold.nats_server import NatsServer
from remote_worker.engines.engine import Engine, Handler, Kind, Policies, Policy, Unit
from remote_worker.engines.local import LocalEngine

TESTS = Path(__file__).parents[1]
PATIENCE_SECONDS = 30.0


def policies(**changes: object) -> Policies:
    """The same for every kind; leases that no test outlives, unless it is about them."""
    policy = Policy(**{"most_attempts": 3, "lease_seconds": 60.0, "places": 1000} | changes)
    return dict.fromkeys(Kind, policy)


class Driver(Protocol):
    """One driver with a queue of its own, empty at first."""

    @property
    def address(self) -> str:
        """Says to `open_engine`, in any process, where the queue is."""
        ...

    @property
    def tells_later_from_leased(self) -> bool:
        """What its depth tells of those that are to be handed out again later."""
        ...

    def restart(self) -> None:
        """Kill what keeps the units, where that is a process, and start it again."""
        ...


def open_engine(address: str, policies: Policies) -> Engine:
    """An engine that has not been entered yet."""
    if address.startswith("nats://"):
        from remote_worker.engines.nats import NatsEngine

        return NatsEngine(address, policies)
    return LocalEngine(Path(address), policies)


@dataclass(frozen=True)
class LocalDriver:
    """A file; there is no process but those of the workers."""

    address: str
    tells_later_from_leased: bool = True

    def restart(self) -> None:
        """Nothing to restart: whoever opens the file next finds what is there."""


@contextmanager
def local(folder: Path) -> Iterator[Driver]:
    """The engine that is a file."""
    yield LocalDriver(str(folder / "queue" / "units"))


@contextmanager
def nats(folder: Path) -> Iterator[Driver]:
    """NATS JetStream: a server with a folder of its own, which only this test uses."""
    with NatsServer(folder / "jetstream") as server:
        yield NatsDriver(server)


class NatsDriver:
    """A server of its own."""

    tells_later_from_leased = False

    def __init__(self, server: NatsServer) -> None:
        self._server = server

    @property
    def address(self) -> str:
        return self._server.url

    def restart(self) -> None:
        self._server.restart()


DRIVERS: dict[str, Callable[[Path], AbstractContextManager[Driver]]] = {"local": local, "nats": nats}
"""By name: makes a driver that keeps what it keeps in this folder."""


async def until(is_so: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition; one that takes longer than this fails the test."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def working(
    engine: Engine, handler: Handler, *, kind: Kind = Kind.JOB, slots: int = 1
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker in this process, stopped in the end: those in hand end first."""
    stop = asyncio.Event()
    work = asyncio.create_task(engine.work(kind, handler, slots=slots, stop=stop))
    try:
        yield work
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([work])
    if not work.cancelled():
        work.result()


@dataclass(frozen=True)
class Call:
    """One call of a handler in some process."""

    id: str
    attempt: int
    is_beyond: bool
    at: float
    """By the monotonic clock, which all processes share."""
    pid: int


class Processes:
    """Worker processes with one log of what their handlers were called with."""

    def __init__(self, address: str, policies: Policies, folder: Path) -> None:
        self._order = {
            "address": address,
            "policies": {kind: asdict(policy) for kind, policy in policies.items()},
            "log": str(folder / "calls"),
        }
        self._log = folder / "calls"
        self._log.touch()
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def start(
        self, *, slots: int = 1, submit: Unit | None = None, inside: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """A worker, or one that submits this unit, says so, and then does nothing."""
        order = {**self._order, "slots": slots, "submit": submit and [submit.id, submit.kind]}
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", "engines.worker_process", json.dumps(order)],
            env={**os.environ, "PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}"},
            stdout=subprocess.PIPE,
        )
        self._running.append(process)
        return process

    @property
    def done(self) -> set[str]:
        """The units over which a handler has napped to the end."""
        path = self._log.with_suffix(".done")
        return set(path.read_text().split()) if path.exists() else set()

    @property
    def calls(self) -> list[Call]:
        """In the order in which they began."""
        return [Call(**json.loads(line)) for line in self._log.read_text().splitlines()]


def note(log: Path, unit: Unit, attempt: int, is_beyond: bool) -> None:
    """Add a call to the log: a line at once, so those of several processes do not mix."""
    call = Call(id=unit.id, attempt=attempt, is_beyond=is_beyond, at=time.monotonic(), pid=os.getpid())
    with log.open("ab", buffering=0) as file:
        file.write(json.dumps(asdict(call)).encode() + b"\n")


def done(log: Path, unit: Unit) -> None:
    """Note that a handler has come to its end."""
    with log.with_suffix(".done").open("ab", buffering=0) as file:
        file.write(f"{unit.id}\n".encode())
