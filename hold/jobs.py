"""Jobs while workers come and go: every one that was accepted ends in its answer or an honest failure, once.

Clients submit, are cut off, submit again and wait, while processes are killed, stopped and started again: on
one machine with a file as the queue, and with NATS, which is killed too.
"""

import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import free_port
from remote_worker.jobs.settings import MOST_ATTEMPTS

from . import nats_server
from .chaos.load import pinned
from .chaos.service import all_but
from .job_clients import FAILS, Book, Plan, Submission, calling
from .job_questions import PRESETS, Essence, learn, questions
from .job_receiver import SECRET, Message, Receiver, receiving
from .job_workers import ENTRY, End, Worker, working
from .overload import percentile
from .point import Given, Row

CLIENTS = 200
SECONDS = 75.0
"""Of submitting, while processes come and go."""
BOUND_SECONDS = 150.0
"""From the acceptance of a job to its answer: leases of 30 s run out over workers that are killed."""
TELLING_SECONDS = 300.0
"""From the last answer until everybody is told: pauses of 5, 30 and 120 s, and a fifth more."""
WEBHOOK_ATTEMPTS = 6
PAUSE_SECONDS = (1.0, 4.0)
"""That a process works before it is ended, from and to."""
QUEUE = 150
"""Fewer than there are clients, so that some are refused."""
SEED = 7
SETTINGS = {
    "REMOTE_CHILDREN": "2",
    "REMOTE_READY": "2",
    "REMOTE_TEXT_CHILDREN": "2",
    "REMOTE_JOBS_QUEUE": str(QUEUE),
    "REMOTE_WEBHOOK_KEYS": SECRET,
    "REMOTE_WEBHOOK_ATTEMPTS": str(WEBHOOK_ATTEMPTS),
}
HONEST = {"worker_killed", "deadline"}
"""Codes that a job may end with which the direct answer has not."""

KILL, TERM = signal.SIGKILL, signal.SIGTERM
Step = tuple[int, signal.Signals]
"""Which of the processes is ended next, and how."""
ON_ONE_MACHINE: Sequence[Step] = ((1, KILL), (0, KILL), (1, KILL), (1, TERM), (1, KILL), (0, TERM), (1, KILL))
"""`serve` is the first, `worker` the second."""
WITH_NATS: Sequence[Step] = (
    (2, KILL),
    (3, TERM),
    (4, KILL),
    (0, KILL),
    (3, KILL),
    (2, TERM),
    (1, TERM),
    (4, KILL),
)
"""Two of `serve`, then three of `worker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Processes with jobs in a folder, and what is done to them."""

    workers: Sequence[Worker]
    steps: Sequence[Step]
    jobs: Path
    pause_seconds: tuple[float, float] = PAUSE_SECONDS
    half_way: Callable[[], object] = lambda: None
    """Done once, in the middle."""

    @property
    def ports(self) -> list[int]:
        """Of those that serve."""
        return [worker.port for worker in self.workers if worker.port]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is known when it is over."""

    clients: int
    book: Book
    learnt: Mapping[str, Essence]
    messages: Sequence[Message]
    workers: Sequence[Worker]
    jobs: Path

    @property
    def ends(self) -> list[End]:
        """Of all processes."""
        return [end for worker in self.workers for end in worker.ends]


def measure(given: Given) -> Sequence[Row]:
    """Each scene with 200 clients for 75 seconds; the processes have all cores but the load's."""
    cores = all_but(given.load_core)
    rows: list[Row] = []
    with pinned(given.load_core):
        for case, setting in (("one machine", on_one_machine), ("NATS", with_nats)):
            if setting == with_nats and nats_server.BINARY is None:
                print("NATS is left out: there is no nats-server")
                continue
            with tempfile.TemporaryDirectory() as name, receiving() as receiver:
                with setting(Path(name), cores, receiver) as scene:
                    seen = watch(scene, receiver, clients=CLIENTS, seconds=SECONDS)
                rows += found(case, seen)
    return rows


@contextmanager
def on_one_machine(
    folder: Path, cores: frozenset[int], receiver: Receiver, *, entry: Sequence[str] = ENTRY, **more: str
) -> Iterator[Scene]:
    """`serve` and a `worker` on one folder, both of which do jobs; `more` are settings."""
    jobs = folder / "jobs"
    settings = _settings(folder, receiver) | {"REMOTE_JOBS": str(jobs)} | more
    yield Scene(
        workers=[
            Worker("serve", folder, settings, cores=cores, port=free_port(), entry=entry),
            Worker("worker", folder, settings, cores=cores, entry=entry),
        ],
        steps=ON_ONE_MACHINE,
        jobs=jobs,
    )


@contextmanager
def with_nats(folder: Path, cores: frozenset[int], receiver: Receiver) -> Iterator[Scene]:
    """Two that only submit, three that work, and a server of NATS that is killed half way."""
    jobs = folder / "jobs"
    with nats_server.NatsServer(folder / "nats") as server:
        settings = _settings(folder, receiver) | {"REMOTE_JOBS": str(jobs), "REMOTE_ENGINE": server.url}
        serving = [
            Worker(f"serve {number}", folder, settings, cores=cores, port=free_port(), works=False)
            for number in (1, 2)
        ]
        workers = [Worker(f"worker {number}", folder, settings, cores=cores) for number in (1, 2, 3)]
        yield Scene(workers=[*serving, *workers], steps=WITH_NATS, jobs=jobs, half_way=server.restart)


def _settings(folder: Path, receiver: Receiver) -> dict[str, str]:
    file = folder / "settings.toml"
    file.write_text(PRESETS)
    own = f"127.0.0.1/32:{receiver.server_port}"
    return {
        **SETTINGS,
        "REMOTE_SETTINGS_FILE": str(file),
        "REMOTE_EGRESS_ALLOW": own,
        "REMOTE_WEBHOOK_ALLOW": own,
    }


def watch(
    scene: Scene,
    receiver: Receiver,
    *,
    clients: int,
    seconds: float,
    bound_seconds: float = BOUND_SECONDS,
    telling_seconds: float = TELLING_SECONDS,
    fails: Sequence[int] = FAILS,
) -> Seen:
    """Have clients submit while processes come and go, until all that was promised is there, or late."""
    asked = questions(receiver.origin)
    book = Book()
    with working(scene.workers):
        learnt = learn(scene.ports[0], asked)
        plan = Plan(
            ports=scene.ports,
            questions=asked,
            callback=receiver.callback,
            bound_seconds=bound_seconds,
            fails=fails,
        )
        with calling(plan, book, clients) as stop:
            _disturb(scene, seconds)
            stop()
        _wait_until_told(book, receiver, telling_seconds)
    return Seen(
        clients=clients,
        book=book,
        learnt=learnt,
        messages=receiver.messages(),
        workers=scene.workers,
        jobs=scene.jobs,
    )


def _disturb(scene: Scene, seconds: float) -> None:
    choice = random.Random(SEED)
    began = time.monotonic()
    is_half_done = False
    for number in range(10**6):
        which, how = scene.steps[number % len(scene.steps)]
        worker = scene.workers[which]
        worker.wait_until_ready()
        time.sleep(choice.uniform(*scene.pause_seconds))
        gone = time.monotonic() - began
        if gone > seconds and number >= len(scene.steps):
            return
        if gone > seconds / 2 and not is_half_done:
            scene.half_way()
            is_half_done = True
        worker.restart(how)


def _wait_until_told(book: Book, receiver: Receiver, seconds: float) -> None:
    awaited = {one.id for one in book.accepted if one.callback and one.is_over}
    last = time.monotonic() + seconds
    while awaited - {message.told for message in receiver.messages() if message.status < 300}:
        if time.monotonic() > last:
            return
        time.sleep(0.2)


def found(case: str, seen: Seen, bound_seconds: float = BOUND_SECONDS) -> list[Row]:
    """What a scene has shown."""
    rows = [*_endings(seen, bound_seconds), *_once(seen), *_telling(seen), *_processes(seen)]
    return [
        Row(case=f"{case}: {row.case}", bar=row.bar, measured=row.measured, holds=row.holds) for row in rows
    ]


def _endings(seen: Seen, bound_seconds: float) -> Iterator[Row]:
    accepted = seen.book.accepted
    over = [one for one in accepted if one.is_over]
    yield Row(
        case=f"jobs that were accepted, of {seen.clients} clients",
        bar="each has its answer",
        measured=f"{len(over)} of {len(accepted)}{_listed(_kinds(over))}",
        holds=bool(accepted) and len(over) == len(accepted),
    )
    took = [_last(one)["finished"] - _last(one)["created"] for one in over]
    longest = max(took, default=float("inf"))
    yield Row(
        case="from acceptance to answer",
        bar=f"at most {bound_seconds:g} s",
        measured=f"p50 {percentile(took, 50):.2f}, p99 {percentile(took, 99):.1f}, longest {longest:.1f} s",
        holds=longest < bound_seconds,
    )
    wrong = Counter(
        f"{one.question.name}: {one.answer}"
        for one in over
        if one.answer != seen.learnt[one.question.name] and _code(one) not in HONEST
    )
    yield Row(
        case="answers other than the direct one, to the byte",
        bar="0, but for workers that were killed",
        measured=f"{wrong.total()}{_listed(wrong)}",
        holds=not wrong,
    )
    killed = [one for one in over if _code(one) == "worker_killed"]
    slandered = [one for one in killed if _kills(seen, one) < MOST_ATTEMPTS]
    yield Row(
        case="worker_killed",
        bar=f"only where {MOST_ATTEMPTS} workers were killed meanwhile",
        measured=f"{len(killed)}, of which {len(slandered)} without",
        holds=not slandered,
    )
    yield Row(
        case="answers to clients that should not be, 500s among them",
        bar="0",
        measured=f"{seen.book.odd.total()}{_listed(seen.book.odd)}",
        holds=not seen.book.odd,
    )


def _once(seen: Seen) -> Iterator[Row]:
    several = sum(len(one.ids) > 1 for one in seen.book.accepted)
    owners: Counter[str] = Counter()
    unanswered = bodies = unknown = 0
    known = {one.id for one in seen.book.accepted}
    for folder in (seen.jobs / "jobs").iterdir():
        if not (folder / "job.json").exists():
            continue
        owners[json.loads((folder / "job.json").read_bytes())["idempotency"]] += 1
        unknown += folder.name not in known
        unanswered += not (folder / "result").exists()
        bodies += (folder / "body").exists()
    many = sum(count > 1 for count in owners.values())
    again = seen.book.counts["submitted again on purpose"] + seen.book.counts["hung up on purpose"]
    yield Row(
        case=f"keys with more than one job, {again} submitted again on purpose",
        bar="0",
        measured=f"{several} that clients saw, {many} of {len(owners)} in the store",
        holds=several == many == 0,
    )
    yield Row(
        case=f"jobs in the store without an answer, with {unknown} whose 202 was lost",
        bar="0",
        measured=f"{unanswered}, and {bodies} bodies that are not needed any more",
        holds=unanswered == bodies == 0,
    )
    yield Row(
        case="refusals with Retry-After, and connections that were cut",
        bar="honest ones only",
        measured=", ".join(f"{count} {what}" for what, count in sorted(seen.book.counts.items())),
        holds=True,
    )


def _telling(seen: Seen) -> Iterator[Row]:
    awaited = {one.id: one for one in seen.book.accepted if one.callback and one.is_over}
    attempts = Counter(message.name for message in seen.messages)
    told = {message.told for message in seen.messages if message.status < 300}
    delivered = Counter(message.told for message in seen.messages if message.status < 300)
    untold = sum(id not in told for id in awaited)
    most = max(attempts.values(), default=0)
    forged = sum(not message.is_genuine for message in seen.messages)
    names = {one.key: one.id for one in awaited.values()}
    mixed = sum(
        message.id != message.told or message.told != names.get(message.name, message.told)
        for message in seen.messages
    )
    yield Row(
        case=f"callbacks of {len(awaited)} jobs",
        bar="each is told",
        measured=f"{len(awaited) - untold}, {sum(count > 1 for count in delivered.values())} more than once",
        holds=bool(awaited) and not untold,
    )
    yield Row(
        case=f"attempts to tell, {len(seen.messages)} in all",
        bar=f"at most {WEBHOOK_ATTEMPTS} a job",
        measured=f"at most {most}{_listed(Counter(f'{count} times' for count in attempts.values()))}",
        holds=most <= WEBHOOK_ATTEMPTS,
    )
    yield Row(
        case="attempts with a wrong signature, or the id of another",
        bar="0",
        measured=f"{forged} and {mixed}",
        holds=forged == mixed == 0,
    )


def _processes(seen: Seen) -> Iterator[Row]:
    kinds = Counter("killed" if end.is_killed else "stopped" for end in seen.ends)
    bad = [end for worker in seen.workers for end in worker.bad_ends]
    yield Row(
        case=f"{kinds['killed']} processes killed, {kinds['stopped']} stopped",
        bar="none ends otherwise, or not in time",
        measured=", ".join(bad) or "none",
        holds=not bad,
    )
    events = Counter(
        word
        for worker in seen.workers
        for line in worker.log.read_text(errors="replace").splitlines()
        for word in line.split()[:4]
        if word in ("internal_error", "job_damaged", "unit_failed", "unit_dropped", "job_expired")
    )
    yield Row(
        case="failures of our own in the logs",
        bar="0",
        measured=f"{events.total()}{_listed(events)}",
        holds=not events,
    )


def _kinds(over: Sequence[Submission]) -> Counter[str]:
    return Counter(_code(one) or "done" for one in over)


def _last(one: Submission) -> Mapping[str, float]:
    if one.last is None:
        raise ValueError("nobody has looked at it")
    return one.last


def _code(one: Submission) -> str:
    return str((one.last or {}).get("code") or "")


def _kills(seen: Seen, one: Submission) -> int:
    began, ended = _last(one)["created"], _last(one)["finished"]
    return sum(end.is_killed and end.works and began <= end.at <= ended for end in seen.ends)


def _listed(counted: Counter[str]) -> str:
    listed = ", ".join(f"{count} {what}" for what, count in counted.most_common(12))
    return f": {listed}" if listed else ""
