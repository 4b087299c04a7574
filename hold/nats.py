"""Bulk work by three machines that die, are cut off, and lose their broker: as if nothing had been."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import nats

from benchmarks.servers import PROJECT
from remote_worker.bulk.folder import Folder, opened
from remote_worker.engines import streams
from remote_worker.engines.engine import Kind
from remote_worker.jobs.settings import JobSettings
from remote_worker.stores.opening import open_store

from .bulk_worker import CRASH, POISON
from .namespaces import Namespaces
from .nats_bucket import Look
from .nats_server import BINARY, NatsServer
from .point import Given, Row

IMAGES, IN_A_BUCKET, BESIDE_POISON = 3000, 1000, 600
EVERY_BROKEN, EVERY_CRASHING = 100, 250
"""One in so many is broken, and one in so many crashes its decoder."""
POISONS = (130, 170)
"""Two of one shard."""
WORKERS = 3
BROKER, RUN = WORKERS, WORKERS + 1
"""The machines after those of the workers: that of the broker and the bucket, and that of `bulk run`."""
CUT_OFF_SECONDS = 20.0
LONGEST_SECONDS = 900.0
START_SECONDS = 120.0
LEASE_SECONDS = JobSettings().policies[Kind.SHARD].lease_seconds
RECIPE = "/images/fit/128?format=webp"
REMOTE_WORKER = str(Path(sys.executable).with_name("remote-worker"))


def measure(given: Given) -> Sequence[Row]:
    """3,000 pictures on three machines: once in peace, once with one worker killed, one cut off, no broker.

    So with 1,000 in a bucket, from which the one is cut off, too. Then 600 with two among them that kill each
    worker that takes them; workers are started again at once.
    """
    if BINARY is None or os.geteuid() != 0:
        raise SystemExit("nats: it needs a nats-server, and root for network namespaces")
    with tempfile.TemporaryDirectory(prefix="hold-nats-") as name:
        folder, picture = Path(name), (given.shared / "inputs" / "200px.jpg").read_bytes()
        return [
            *_upset(OneFolder(folder / "folder"), IMAGES, 100, picture),
            *_upset(Bucket(folder / "bucket"), IN_A_BUCKET, 25, picture),
            *_poisoned(OneFolder(folder / "poisoned"), picture),
        ]


class Place(Protocol):
    """Where pictures and outputs lie, for all machines."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path:
        """For logs; the pictures are made in `in`."""
        ...

    @property
    def address(self) -> str:
        """What workers may open; the pictures are in `in` there, too."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """By which it is found."""
        ...

    def ready(self, machines: Namespaces) -> AbstractContextManager[object]:
        """It is there until the block ends, with the pictures."""
        ...

    def watching(self, job: str) -> "AbstractContextManager[Watching]":
        """Looks after the parts of a job until the block ends."""
        ...

    def look(self, job: str, machines: Namespaces) -> Look:
        """What has become of a job."""
        ...


class Watching(Protocol):
    """Looks after the parts of a job."""

    def written(self) -> Mapping[str, int]:
        """How often each was written so far."""
        ...


@dataclass(frozen=True, slots=True)
class OneFolder:
    """A folder that all machines see, also when they are cut off."""

    folder: Path
    name: str = "in a shared folder"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Its own."""
        return str(self.folder)

    def ready(self, _: Namespaces) -> AbstractContextManager[object]:
        """It is."""
        return nullcontext()

    def watching(self, job: str) -> "Listing":
        """Lists them."""
        return Listing(_folder(job))

    def look(self, job: str, _: Namespaces) -> Look:
        """From here."""
        return Look.at(_folder(job))


class Listing(threading.Thread):
    """Lists the parts of a job again and again, and notes what it has seen of each."""

    def __init__(self, job: Folder) -> None:
        super().__init__(daemon=True)
        self._job = job
        self._ended = threading.Event()
        self._seen: dict[str, set[str]] = {}

    def __enter__(self) -> "Listing":
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

    def written(self) -> Mapping[str, int]:
        """By their keys, how many versions there were."""
        return {key: len(versions) for key, versions in list(self._seen.items())}

    def _look(self) -> None:
        for key, meta in self._job.store.list(f"jobs/{self._job.id}/parts/"):
            self._seen.setdefault(key, set()).add(meta.version)


class Bucket:
    """A bucket on the broker's machine, which nobody sees who is cut off."""

    name = "in a bucket"
    address = "s3://pictures"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: Mapping[str, str] = {}

    @contextmanager
    def ready(self, machines: Namespaces) -> Iterator[None]:
        """A server, filled."""
        host = machines.addresses[BROKER]
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:5000",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "an-id",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "NO_PROXY": "*",
        }
        program = str(Path(sys.executable).with_name("moto_server"))
        with self._log.open("wb") as log:
            server = machines.popen(BROKER, [program, "-H", host, "-p", "5000"], stdout=log, stderr=log)
        try:
            _until(lambda: "Running on" in self._log.read_text(), START_SECONDS, "the bucket")
            self._ask(machines, "fill", f"{self.address}/in", str(self.folder / "in"))
            yield
        finally:
            server.kill()
            server.wait()

    @contextmanager
    def watching(self, job: str) -> Iterator["Requests"]:
        """Reads the server's log."""
        yield Requests(self._log, job.removeprefix("s3:/"))

    def look(self, job: str, machines: Namespaces) -> Look:
        """From the server's own machine."""
        return Look(**json.loads(self._ask(machines, "look", job)))

    def _ask(self, machines: Namespaces, *command: str) -> str:
        return subprocess.run(
            [*machines.inside(BROKER), sys.executable, "-m", "hold.nats_bucket", *command],
            cwd=PROJECT,
            env=_environment(self.environment),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    @property
    def _log(self) -> Path:
        return self.folder / "bucket.log"


@dataclass(frozen=True, slots=True)
class Requests:
    """What a bucket's log says of the parts of a job."""

    log: Path
    job: str

    def written(self) -> Mapping[str, int]:
        """By their keys, how often a put went through."""
        puts = rf'"PUT {re.escape(self.job)}/parts/(\S+) HTTP/1\.1" 200 '
        return Counter(re.findall(puts, self.log.read_text()))


@dataclass(slots=True)
class Site:
    """Three machines with a worker each, one with a broker, and one for `bulk run`."""

    machines: Namespaces
    broker: NatsServer
    place: Place
    workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    deaths: int = 0
    """Of workers that nobody here has killed."""

    def start(self, number: int) -> None:
        """A worker on that machine."""
        settings = {
            "REMOTE_BULK_STORES": self.place.address,
            "REMOTE_ENGINE": self.broker.url,
            "REMOTE_FORMATS": "png,jpeg,webp",
            "REMOTE_CHILDREN": "1",
        }
        with self._log(number).open("ab") as log:
            self.workers[number] = self.machines.popen(
                number,
                [sys.executable, "-m", "hold.bad_command", "worker"],
                cwd=PROJECT,
                env=_environment({**self.place.environment, **settings}),
                stdout=log,
                stderr=log,
            )

    def wait_until_working(self) -> None:
        """All of them. Raises SystemExit."""
        _until(
            lambda: all(" working " in self._log(number).read_text() for number in self.workers),
            START_SECONDS,
            "workers to start",
        )

    def _log(self, number: int) -> Path:
        return self.place.folder / f"worker-{number}.log"

    def raise_the_dead(self) -> None:
        """Start workers again that have died."""
        for number, worker in self.workers.items():
            if worker.poll() is not None:
                self.deaths += 1
                self.start(number)

    def plan(self, name: str, shard_items: int) -> str:
        """A job over all pictures; its address."""
        source, out = f"{self.place.address}/in", f"{self.place.address}/{name}"
        options = ["--recipe", RECIPE, "--shard-items", str(shard_items)]
        planned = self._bulk("plan", source, out, *options)
        if planned.returncode:
            raise SystemExit(f"nats: nothing was planned: {planned.stderr}")
        return planned.stdout.strip()

    def status(self, job: str) -> int:
        """How `bulk status` ends."""
        return self._bulk("status", job).returncode

    def _bulk(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.machines.inside(RUN), REMOTE_WORKER, "bulk", *command],
            env=_environment(self.place.environment),
            capture_output=True,
            text=True,
        )

    @contextmanager
    def run(self, job: str) -> Iterator[subprocess.Popen[bytes]]:
        """`bulk run` on its own machine."""
        with (self.place.folder / "run.log").open("ab") as log:
            running = self.machines.popen(
                RUN,
                [REMOTE_WORKER, "bulk", "run", job, "--engine", self.broker.url],
                env=_environment(self.place.environment),
                stdout=log,
                stderr=log,
            )
        try:
            yield running
        finally:
            running.kill()
            running.wait()

    def redelivered(self) -> int:
        """Deliveries of units past the first. Of its last moments before a kill the broker knows nothing."""
        return self.machines.run(BROKER, _redelivered(self.broker.url))


@contextmanager
def _site(place: Place, pictures: Mapping[str, bytes]) -> Iterator[Site]:
    (place.folder / "in").mkdir(parents=True)
    for name, data in pictures.items():
        (place.folder / "in" / name).write_bytes(data)
    with (
        Namespaces(WORKERS + 2) as machines,
        NatsServer(
            place.folder / "jetstream", host=machines.addresses[BROKER], namespace=machines.names[BROKER]
        ) as broker,
        place.ready(machines),
    ):
        site = Site(machines=machines, broker=broker, place=place)
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


def _upset(place: Place, images: int, shard_items: int, picture: bytes) -> Sequence[Row]:
    pictures = {f"{number:05d}.jpg": _image(picture, number) for number in range(images)}
    with _site(place, pictures) as site:
        whole, job = site.plan("whole", shard_items), site.plan("out", shard_items)
        began = time.monotonic()
        with site.run(whole) as running:
            statuses = [running.wait(LONGEST_SECONDS)]
        peace_seconds = time.monotonic() - began
        before = site.redelivered()
        began = time.monotonic()
        with place.watching(job) as watching, site.run(job) as running:
            _disturb(site, watching)
            statuses.append(running.wait(LONGEST_SECONDS))
        seconds = time.monotonic() - began
        again = site.redelivered() - before
        statuses.append(site.status(job))
        wanted, made = place.look(whole, site.machines), place.look(job, site.machines)

    broken = len(range(0, images, EVERY_BROKEN))
    crashing = len([n for n in range(0, images, EVERY_CRASHING) if n % EVERY_BROKEN])
    shards = -(-images // shard_items)
    codes = Counter(row.get("code", "") for row in made.rows)
    keys = {row["key"] for row in made.rows}
    written = Counter(watching.written().values())
    same = sum(made.outputs.get(key) == hash for key, hash in wanted.outputs.items())
    return [
        Row(
            case=f"{images} pictures {place.name}, {shards} shards: a worker killed -9, one cut off for "
            f"{CUT_OFF_SECONDS:.0f} s, the broker killed -9 and back; leases of {LEASE_SECONDS:.0f} s",
            bar="it finishes; `run` and `status` end with 1, as some failed",
            measured=f"{seconds:.0f} s (in peace {peace_seconds:.0f} s), {again} units handed out again "
            f"that the broker knows of, statuses {', '.join(map(str, statuses))}",
            holds=statuses == [1, 1, 1],
        ),
        Row(
            case="its rows",
            bar="one for each picture, the same as in peace but for times",
            measured=f"{len(made.rows)} rows, {len(keys)} keys, "
            + ("the same" if made.rows == wanted.rows else "others"),
            holds=made.rows == wanted.rows and len(keys) == len(made.rows) == images,
        ),
        Row(
            case="its parts, watched all the time",
            bar="each written once",
            measured=", ".join(f"{count} written {times} x" for times, count in sorted(written.items())),
            holds=written == Counter({1: shards}),
        ),
        Row(
            case="its outputs",
            bar="the same as in peace, byte for byte",
            measured=f"{same} of {len(wanted.outputs)} the same, "
            f"{len(made.outputs.keys() - wanted.outputs.keys())} more",
            holds=made.outputs == wanted.outputs and len(made.outputs) == images - broken - crashing,
        ),
        Row(
            case=f"errors: {broken} broken, {crashing} crashing",
            bar="each recorded once",
            measured=_told(codes),
            holds=codes == Counter({"": len(made.outputs), "damaged": broken, "decoder_crashed": crashing}),
        ),
    ]


def _disturb(site: Site, watching: Watching) -> None:
    """A worker dies, another is cut off, the broker dies; all at work."""
    _until(lambda: len(watching.written()) >= 3, START_SECONDS, "the first parts")
    site.workers.pop(0).kill()
    site.machines.cut_off(1)
    cut = time.monotonic()
    _until(lambda: len(watching.written()) >= 8, START_SECONDS, "more parts")
    site.broker.restart()
    time.sleep(max(0.0, cut + CUT_OFF_SECONDS - time.monotonic()))
    site.machines.let_back(1)


def _poisoned(place: Place, picture: bytes) -> Sequence[Row]:
    pictures = {
        f"{number:05d}.jpg": picture + str(number).encode() + (POISON if number in POISONS else b"")
        for number in range(BESIDE_POISON)
    }
    with _site(place, pictures) as site:
        job = site.plan("out", 100)
        began = time.monotonic()
        others = None
        with place.watching(job) as watching, site.run(job) as running:
            while running.poll() is None:
                if time.monotonic() > began + LONGEST_SECONDS:
                    raise SystemExit("nats: the poisoned job does not come to its end")
                site.raise_the_dead()
                if others is None and len(watching.written()) == BESIDE_POISON // 100 - 1:
                    others = time.monotonic() - began, site.deaths
                time.sleep(0.1)
        seconds = time.monotonic() - began
        made = place.look(job, site.machines)
    codes = {row["key"]: row.get("code", "") for row in made.rows}
    killed = {key for key, code in codes.items() if code == "worker_killed"}
    most = 1 + 2 * len(POISONS)
    return [
        Row(
            case=f"{BESIDE_POISON} pictures, {len(POISONS)} of one shard kill each worker that takes them",
            bar="those and no others are worker_killed; all others are made",
            measured=f"{_told(Counter(codes.values()))}, {len(made.outputs)} outputs, in {seconds:.0f} s",
            holds=killed == {f"{number:05d}.jpg" for number in POISONS}
            and set(codes.values()) == {"", "worker_killed"}
            and len(codes) == BESIDE_POISON
            and len(made.outputs) == BESIDE_POISON - len(POISONS),
        ),
        Row(
            case="workers that died over them",
            bar=f"at most {most}: one unawares, two over each",
            measured=str(site.deaths),
            holds=2 * len(POISONS) <= site.deaths <= most,
        ),
        Row(
            case="the shards beside theirs",
            bar="all committed by the death of the third worker",
            measured=f"after {others[0]:.0f} s and {others[1]} deaths" if others else "not before theirs",
            holds=others is not None and others[1] <= 3,
        ),
    ]


def _image(data: bytes, number: int) -> bytes:
    """A picture of its own; some are cut off, some crash the decoder of this point."""
    if number % EVERY_BROKEN == 0:
        return data[:200]
    return data + str(number).encode() + (CRASH if number % EVERY_CRASHING == 0 else b"")


def _folder(job: str) -> Folder:
    return opened(job, open_store)


def _told(codes: Mapping[str, int]) -> str:
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
