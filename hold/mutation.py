"""Mutation: the corpus's files, broken in their own structure, sent through the whole service."""

import csv
import hashlib
import http.client
import json
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks import processes
from benchmarks.servers import worker
from fuzz.structure.mutate import mutated

from .point import Given, Row

ENDPOINTS = (
    "/images/prepare_jpeg",
    "/images/prepare_jpeg?metadata=keep",
    "/images/fit/320",
    "/images/fit/200x100?format=webp",
    "/images/fit/640?animated=1",
    "/images/fit/64?format=jpeg&quality=50",
    "/images/rescale_avatar",
    "/images/rescale_avatar?animated=1",
    "/images/info",
)
CONNECTIONS = 4
PORT = 6190
LONGEST_FILE_BYTES = 512 * 1024
"""Larger files take the time of many small ones, and break in the same ways."""
ANSWER_SECONDS = 30.0
"""15 s of queue and work, then the answer: what takes longer hangs."""
OVERLOAD = frozenset({503, 504})
CHECKPOINTS = 6
"""Of which the first ends the warm-up: then every kind of work was done once."""
MOST_GROWTH_BYTES = 16 * 1024 * 1024
FOLDER = "remote-worker-mutation"
"""In the user's cache folder: files that crashed a decoder or took too long."""
KEPT_CODES = frozenset({"decoder_crashed", "deadline", "internal"})
_SIGNAL = re.compile(r"child_crashed .*signal=(\d+)")


def measure(given: Given) -> Sequence[Row]:
    """Send mutated files for `mutation_minutes` over 4 connections to every image endpoint.

    Bars: no answer of the 500 class (a 504 `deadline`, the honest end of a picture that takes too long, has
    its own row), every request answered, and between checkpoints at which nothing is under way no
    descriptor, no zombie and under 16 MiB more memory. Files that crash a decoder or take too long are kept
    in a folder that the row names.
    """
    files = _files(given.shared / "corpus")
    seed = secrets.randbits(32)
    print(f"mutation: seed {seed}, {len(files)} files", flush=True)
    cores = set(os.sched_getaffinity(0)) - {given.load_core} or {given.load_core}
    with worker(PORT, cores) as server:
        load = _Load(files, seed)
        states = []
        minutes = given.mutation_minutes
        for checkpoint in range(CHECKPOINTS):
            load.run(60 * minutes / CHECKPOINTS, checkpoint)
            states.append(_settled(server.pid))
            print(f"mutation: {load.told.sent} requests, {states[-1]}", flush=True)
        crashes = Counter(_SIGNAL.findall(_log(server.pid)))
    return rows(load.told, states, crashes)


CALM_SECONDS = 12.0
"""A template that was replaced stays for the 11 s that a decode of it may still take."""


@dataclass(slots=True)
class State:
    """The service while it does nothing."""

    pss_bytes: int
    host_rss_bytes: int
    descriptors: int
    processes: int
    zombies: int


@dataclass(slots=True, kw_only=True)
class Told:
    """What came back."""

    seed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    worst_seconds: float = 0.0

    @property
    def sent(self) -> int:
        """All requests."""
        return self.statuses.total() + self.unanswered


class _Load:
    """Sends mutated files, and counts what comes back."""

    def __init__(self, files: Sequence[bytes], seed: int) -> None:
        self._files = files
        self._seed = seed
        self._lock = threading.Lock()
        self._kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER
        self.told = Told(seed=seed)
        self._kept.mkdir(parents=True, exist_ok=True)

    def run(self, seconds: float, part: int) -> None:
        """All connections for so long, until each has its last answer."""
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._send, args=(until, Random(f"{self._seed} {part} {index}")))
            for index in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, until: float, random: Random) -> None:
        connection = self._connect()
        while time.monotonic() < until:
            data, _ = mutated(random.choice(self._files), random.choice(self._files), random)
            path = random.choice(ENDPOINTS)
            began = time.monotonic()
            try:
                status, code = _ask(connection, path, data)
            except (OSError, http.client.HTTPException) as error:
                self._lost(data, path, str(error))
                connection.close()
                connection = self._connect()
                continue
            self._count(data, path, status, code, time.monotonic() - began)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", PORT, timeout=ANSWER_SECONDS)

    def _count(self, data: bytes, path: str, status: int, code: str, seconds: float) -> None:
        with self._lock:
            self.told.statuses[status] += 1
            self.told.codes[code] += 1
            self.told.worst_seconds = max(self.told.worst_seconds, seconds)
        if code in KEPT_CODES or (status >= 500 and status not in OVERLOAD):
            self._keep(data, path, code)

    def _lost(self, data: bytes, path: str, error: str) -> None:
        with self._lock:
            self.told.unanswered += 1
        self._keep(data, path, f"unanswered {error}")

    def _keep(self, data: bytes, path: str, why: str) -> None:
        name = f"{why}{path}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._kept / re.sub(r"[^A-Za-z0-9.-]+", "_", name)).write_bytes(data)


def _files(corpus: Path) -> list[bytes]:
    """Those of the manifests, small enough. Raises SystemExit."""
    found = []
    for manifest in sorted(corpus.glob("*/MANIFEST.csv")):
        with manifest.open(newline="") as file:
            for row in csv.DictReader(file):
                path = corpus / row["path"]
                if path.is_file() and path.stat().st_size <= LONGEST_FILE_BYTES:
                    found.append(path.read_bytes())
    if not found:
        raise SystemExit(f"there is no corpus in {corpus}: name the folder with --shared")
    return found


def _ask(connection: http.client.HTTPConnection, path: str, data: bytes) -> tuple[int, str]:
    """The status of the answer, and its code when it is a failure."""
    boundary = "mutation-" + hashlib.sha256(data).hexdigest()[:16]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode()
    body = head + data + f"\r\n--{boundary}--\r\n".encode()
    connection.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    answer = connection.getresponse()
    said = answer.read()
    return answer.status, "" if answer.status == 200 else str(json.loads(said).get("code", ""))


def _settled(pid: int) -> State:
    """What the service has once its descriptors and processes stay as they are."""
    state, changed = _state(pid), time.monotonic()
    give_up = changed + 10 * CALM_SECONDS
    while changed + CALM_SECONDS > time.monotonic() < give_up:
        time.sleep(0.3)
        former, state = state, _state(pid)
        if (former.descriptors, former.processes) != (state.descriptors, state.processes):
            changed = time.monotonic()
    return state


def _state(pid: int) -> State:
    members = processes.tree(pid)
    stats = [processes.state(member) for member in members]
    try:
        pss = processes.pss_bytes(pid)
    except PermissionError:
        pss = 0
    rss_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return State(
        pss_bytes=pss,
        host_rss_bytes=rss_pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        processes=len(members),
        zombies=stats.count("Z"),
    )


def _log(pid: int) -> str:
    """What the service wrote to standard error, which is a file without a name."""
    return Path(f"/proc/{pid}/fd/2").read_text(errors="replace")


def rows(told: "Told", states: Sequence[State], crashes: Counter[str]) -> list[Row]:
    """The figures and their bars; `crashes` are counted by signal, and the first state is the warm one."""
    first, last = states[0], states[-1]
    server_errors = (
        sum(count for status, count in told.statuses.items() if status >= 500) - told.codes["deadline"]
    )
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(told.statuses.items()))
    signals = ", ".join(f"{count} by signal {signal}" for signal, count in sorted(crashes.items())) or "none"
    growth = max(last.pss_bytes - first.pss_bytes, last.host_rss_bytes - first.host_rss_bytes)
    memory = [f"{state.pss_bytes / 2**20:.0f}" for state in states]
    host = [f"{state.host_rss_bytes / 2**20:.0f}" for state in states]
    zombies = max(state.zombies for state in states)
    return [
        Row(
            case=f"{told.sent:,} mutated files, {CONNECTIONS} connections, seed {told.seed}",
            bar="0 answers of the 500 class",
            measured=f"{server_errors}; {statuses}",
            holds=server_errors == 0 and told.statuses[200] > 0,
        ),
        Row(
            case="answered in time",
            bar="all",
            measured=f"{told.unanswered} not; slowest {told.worst_seconds:.1f} s",
            holds=told.unanswered == 0,
        ),
        Row(
            case="pictures that take too long (504 `deadline`, or killed)",
            bar="reported",
            measured=f"{told.codes['deadline']}",
            holds=True,
        ),
        Row(
            case="decoders that crashed, contained (422)",
            bar="reported",
            measured=f"{told.codes['decoder_crashed']}; {signals}; files in {FOLDER}",
            holds=True,
        ),
        Row(
            case="memory of all processes, and of the host, at rest (MiB)",
            bar="grows by under 16",
            measured=f"{' '.join(memory)}; host {' '.join(host)}",
            holds=growth < MOST_GROWTH_BYTES,
        ),
        Row(
            case="the host's descriptors, and processes, at rest",
            bar="none more",
            measured=f"{first.descriptors} then {last.descriptors}; {first.processes} then {last.processes}",
            holds=last.descriptors <= first.descriptors and last.processes <= first.processes,
        ),
        Row(case="zombies at rest", bar="0", measured=str(zombies), holds=zombies == 0),
    ]
