"""Bulk work by three machines that die, are cut off, and lose their broker: as if nothing had been."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats

from benchmarks.servers import PROJECT
from remote_worker.bulk.folder import Folder
from remote_worker.bulk.plan import Wanted, freeze, listed
from remote_worker.contract.messages import Fit
from remote_worker.engines import streams
from remote_worker.engines.engine import Kind
from remote_worker.jobs.settings import JobSettings
from remote_worker.stores.opening import open_store

from .bulk_worker import CRASH, POISON
from .namespaces import Namespaces
from .nats_server import BINARY, NatsServer
from .point import Given, Row

IMAGES = 3000
EVERY_BROKEN, EVERY_CRASHING = 100, 250
"""One in so many is broken, and one in so many crashes its decoder."""
SHARD_ITEMS = 100
WORKERS = 3
BROKER, RUN = WORKERS, WORKERS + 1
"""The machines after those of the workers: the broker's, and that of `bulk run`."""
CUT_OFF_SECONDS = 20.0
LONGEST_SECONDS = 900.0
POISON_ITEMS = 600
POISONS = (130, 170)
"""Two of one shard."""
LEASE_SECONDS = JobSettings().policies[Kind.SHARD].lease_seconds


def measure(given: Given) -> Sequence[Row]:
    """3,000 pictures on three machines: once in peace, once with one worker killed, one cut off, no broker.

    Then 600 with two among them that kill each worker that takes them; workers are started again at once.
    """
    if BINARY is None or os.geteuid() != 0:
        raise SystemExit("nats: it needs a nats-server, and root for network namespaces")
    with tempfile.TemporaryDirectory(prefix="hold-nats-") as name:
        picture = (given.shared / "inputs" / "200px.jpg").read_bytes()
        return [*_upset(Path(name) / "upset", picture), *_poisoned(Path(name) / "poisoned", picture)]


@dataclass(slots=True)
class Site:
    """Three machines with a worker each, one with a broker, and one for `bulk run`."""

    machines: Namespaces
    broker: NatsServer
    folder: Path
    workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    deaths: int = 0
    """Of workers that nobody here has killed."""

    def start(self, number: int) -> None:
        """A worker on that machine."""
        environment = {
            "REMOTE_BULK_STORES": str(self.folder),
            "REMOTE_ENGINE": self.broker.url,
            "REMOTE_FORMATS": "png,jpeg,webp",
            "REMOTE_CHILDREN": "1",
        }
        with self._log(number).open("ab") as log:
            command = [sys.executable, "-m", "hold.bad_command", "worker"]
            self.workers[number] = self.machines.popen(
                number, command, cwd=PROJECT, env=_environment(environment), stdout=log, stderr=log
            )

    def wait_until_working(self) -> None:
        """All of them. Raises SystemExit."""
        _until(
            lambda: all(" working " in self.told(number) for number in self.workers), 120, "workers to start"
        )

    def told(self, number: int) -> str:
        """The log of that machine's workers."""
        return self._log(number).read_text()

    def _log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def raise_dead(self) -> None:
        """Start workers again that have died."""
        for number, worker in self.workers.items():
            if worker.poll() is not None:
                self.deaths += 1
                self.start(number)

    @contextmanager
    def run(self, job: Folder) -> Iterator[subprocess.Popen[bytes]]:
        """`bulk run` on its own machine."""
        command = [str(Path(sys.executable).with_name("remote-worker")), "bulk", "run", job.url]
        with (self.folder / "run.log").open("ab") as log:
            running = self.machines.popen(
                RUN, [*command, "--engine", self.broker.url], env=_environment({}), stdout=log, stderr=log
            )
        try:
            yield running
        finally:
            running.kill()
            running.wait()

    def redelivered(self) -> int:
        """Deliveries of units past the first one, by all that the broker knows."""
        return self.machines.run(BROKER, _redelivered(self.broker.url))


@contextmanager
def _site(folder: Path) -> Iterator[Site]:
    with (
        Namespaces(WORKERS + 2) as machines,
        NatsServer(
            folder / "jetstream", host=machines.addresses[BROKER], namespace=machines.names[BROKER]
        ) as broker,
    ):
        site = Site(machines=machines, broker=broker, folder=folder)
        try:
            for number in range(WORKERS):
                site.start(number)
            site.wait_until_working()
            yield site
        finally:
            for worker in site.workers.values():
                worker.kill()
                worker.wait()


async def _redelivered(url: str) -> int:
    client = await nats.connect(url)
    try:
        stream = streams.stream_name(Kind.SHARD)
        told = await client.jetstream().consumer_info(stream, streams.CONSUMER)
        assert told.delivered is not None
        return int(told.delivered.consumer_seq) - int(told.delivered.stream_seq)
    finally:
        await client.close()


class Watching(threading.Thread):
    """Lists the parts of a job again and again, and notes what it has seen of each."""

    def __init__(self, job: Folder) -> None:
        super().__init__(daemon=True)
        self._job = job
        self._ended = threading.Event()
        self.seen: dict[str, set[str]] = {}
        """By the part, its versions. One more means that it was written again."""

    def __enter__(self) -> "Watching":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
        self._look()

    def run(self) -> None:
        """Until the block ends."""
        while not self._ended.wait(0.05):
            self._look()

    def _look(self) -> None:
        for key, meta in self._job.store.list(f"jobs/{self._job.id}/parts/"):
            self.seen.setdefault(key, set()).add(meta.version)


def _upset(folder: Path, picture: bytes) -> Sequence[Row]:
    source = folder / "in"
    source.mkdir(parents=True)
    for number in range(IMAGES):
        (source / f"{number:05d}.jpg").write_bytes(_image(picture, number))
    with _site(folder) as site:
        whole = _planned(source, folder / "whole")
        began = time.monotonic()
        with site.run(whole) as running:
            statuses = [running.wait(LONGEST_SECONDS)]
        peace_seconds = time.monotonic() - began
        before = site.redelivered()

        job = _planned(source, folder / "out")
        began = time.monotonic()
        with Watching(job) as watching, site.run(job) as running:
            _disturb(site, job)
            statuses.append(running.wait(LONGEST_SECONDS))
        seconds = time.monotonic() - began
        again = site.redelivered() - before
        statuses.append(_status(job))

    expected, rows = _rows(whole), _rows(job)
    wanted, made = _outputs(whole), _outputs(job)
    same = sum(made.get(key) == body for key, body in wanted.items())
    codes = Counter(row.get("code", "") for row in rows)
    broken = len(range(0, IMAGES, EVERY_BROKEN))
    crashing = len([n for n in range(0, IMAGES, EVERY_CRASHING) if n % EVERY_BROKEN])
    written = Counter(len(versions) for versions in watching.seen.values())
    shards = job.plan().shards
    return [
        Row(
            case=f"{IMAGES} pictures in {shards} shards: a worker killed -9, one cut off for "
            f"{CUT_OFF_SECONDS:.0f} s, the broker killed -9 and back; leases of {LEASE_SECONDS:.0f} s",
            bar="it finishes; `run` and `status` end with 1, as some failed",
            measured=f"{seconds:.0f} s (in peace {peace_seconds:.0f} s), {again} units handed out again, "
            f"statuses {', '.join(map(str, statuses))}",
            holds=statuses == [1, 1, 1],
        ),
        Row(
            case="its rows",
            bar="one for each picture, the same as in peace but for times",
            measured=f"{len(rows)} rows, {len({row['key'] for row in rows})} keys, "
            + ("the same" if rows == expected else "others"),
            holds=rows == expected and len({row["key"] for row in rows}) == len(rows) == IMAGES,
        ),
        Row(
            case="its parts, listed all the time",
            bar="each created once, and never changed",
            measured=", ".join(f"{count} seen in {of} version(s)" for of, count in sorted(written.items())),
            holds=written == Counter({1: shards}),
        ),
        Row(
            case="its outputs",
            bar="the same as in peace, byte for byte",
            measured=f"{same} of {len(wanted)} the same, {len(made.keys() - wanted.keys())} more",
            holds=made == wanted and len(wanted) == IMAGES - broken - crashing,
        ),
        Row(
            case=f"errors: {broken} broken, {crashing} crashing",
            bar="each recorded once",
            measured=_told(codes),
            holds=codes == Counter({"": len(wanted), "damaged": broken, "decoder_crashed": crashing}),
        ),
    ]


def _disturb(site: Site, job: Folder) -> None:
    """A worker dies, another is cut off, the broker dies; all at work."""
    _until(lambda: len(job.committed()) >= 3, 120, "the first parts")
    site.workers.pop(0).kill()
    site.machines.cut_off(1)
    cut = time.monotonic()
    _until(lambda: len(job.committed()) >= 8, 120, "more parts")
    site.broker.restart()
    time.sleep(max(0.0, cut + CUT_OFF_SECONDS - time.monotonic()))
    site.machines.let_back(1)


def _poisoned(folder: Path, picture: bytes) -> Sequence[Row]:
    source = folder / "in"
    source.mkdir(parents=True)
    for number in range(POISON_ITEMS):
        poison = POISON if number in POISONS else b""
        (source / f"{number:05d}.jpg").write_bytes(picture + str(number).encode() + poison)
    with _site(folder) as site:
        job = _planned(source, folder / "out")
        began = time.monotonic()
        others: float | None = None
        with site.run(job) as running:
            while running.poll() is None:
                if time.monotonic() > began + LONGEST_SECONDS:
                    raise SystemExit("nats: the poisoned job does not come to its end")
                site.raise_dead()
                if others is None and len(job.committed()) >= POISON_ITEMS // SHARD_ITEMS - 1:
                    others = time.monotonic() - began
                time.sleep(0.1)
        seconds = time.monotonic() - began
    codes = {row["key"]: row.get("code", "") for row in _rows(job)}
    killed = {key for key, code in codes.items() if code == "worker_killed"}
    most = 1 + 2 * len(POISONS)
    outputs = len(_outputs(job))
    return [
        Row(
            case=f"{POISON_ITEMS} pictures, {len(POISONS)} of one shard kill each worker that takes them",
            bar="those and no others are worker_killed; all others are made",
            measured=f"{_told(Counter(codes.values()))}, {outputs} outputs, in {seconds:.0f} s",
            holds=killed == {f"{number:05d}.jpg" for number in POISONS}
            and len(codes) == POISON_ITEMS
            and outputs == POISON_ITEMS - len(POISONS)
            and set(codes.values()) == {"", "worker_killed"},
        ),
        Row(
            case="workers that died over them",
            bar=f"at most {most}: one unawares, two over each",
            measured=str(site.deaths),
            holds=2 * len(POISONS) <= site.deaths <= most,
        ),
        Row(
            case="all other shards",
            bar="committed before that one",
            measured=f"after {others:.0f} s" if others is not None else "not seen",
            holds=others is not None and others < seconds - LEASE_SECONDS,
        ),
    ]


def _image(data: bytes, number: int) -> bytes:
    """A picture of its own; some are cut off, some crash the decoder of this point."""
    if number % EVERY_BROKEN == 0:
        return data[:200]
    return data + str(number).encode() + (CRASH if number % EVERY_CRASHING == 0 else b"")


def _planned(source: Path, out: Path) -> Folder:
    stores = open_store(str(source)), open_store(str(out))
    task = Fit(width=128, height=128, format="webp")
    return freeze(*stores, Wanted(recipe="", task=task, shard_items=SHARD_ITEMS), listed(*stores))


def _status(job: Folder) -> int:
    command = [str(Path(sys.executable).with_name("remote-worker")), "bulk", "status", job.url]
    return subprocess.run(command, stdout=subprocess.DEVNULL, env=_environment({})).returncode


def _rows(job: Folder) -> Sequence[Mapping[str, Any]]:
    found = []
    for key, _ in job.store.list(f"jobs/{job.id}/parts/"):
        lines = gzip.decompress(job.store.get(key, 1 << 24).data).splitlines()
        found += [{**json.loads(line), "milliseconds": None} for line in lines]
    return found


def _outputs(job: Folder) -> Mapping[str, bytes]:
    return {key: job.store.get(key, 1 << 24).data for key, _ in job.store.list("objects/")}


def _told(codes: Counter[str]) -> str:
    return ", ".join(f"{count} {code or 'made'}" for code, count in sorted(codes.items()))


def _environment(settings: Mapping[str, str]) -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("REMOTE_")}
    return {**own, **settings}


def _until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    last = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > last:
            raise SystemExit(f"nats: waited in vain for {what}")
        time.sleep(0.02)
