"""What the worker counts: every metric there is, in one closed list. `web/scrape.py` shows them.

They are plain numbers, and the event loop alone adds to them: the client library's own take two to four
times as long (docs/decisions/0025-observing.md).
"""

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, product

from .contract.addresses import V4, V6
from .contract.failures import FailureCode
from .contract.formats import FormatName
from .contract.links import Purpose
from .contract.signatures import Template

PREFIX = "remote_worker_"
OTHER = "other"
"""The label for every value that is not on its list: no stranger makes a new one."""
NONE = "none"
"""The route of what leads nowhere."""


class Outcome(StrEnum):
    """How a sealed child's work ended."""

    OK = "ok"
    REJECT = "reject"
    """The document is damaged, too large, or not of a format that is read."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    UNAVAILABLE = "unavailable"
    """There was no child for it."""
    GONE = "gone"
    """Nobody waited for it any more."""


_OUTCOMES = {
    FailureCode.DEADLINE: Outcome.TIMEOUT,
    FailureCode.PARSE_LIMIT: Outcome.TIMEOUT,
    FailureCode.TOO_MUCH_MEMORY: Outcome.MEMORY,
    FailureCode.DECODER_CRASHED: Outcome.CRASH,
    FailureCode.JAIL_UNAVAILABLE: Outcome.UNAVAILABLE,
    FailureCode.BUSY: Outcome.UNAVAILABLE,
}


def outcome_of(code: FailureCode) -> Outcome:
    """What the failure of a child's work comes to."""
    return _OUTCOMES.get(code, Outcome.REJECT)


class Step(StrEnum):
    """What a request's time goes into."""

    UPLOAD = "upload"
    FETCH = "fetch"
    QUEUE = "queue"
    SANDBOX = "sandbox"
    """Until there is a sealed child for it."""
    DECODE = "decode"
    """A picture, in its child, until it is written."""
    ENCODE = "encode"
    """Still pictures, written by the child. Both are the host's measure together; the shares, its word."""
    READ = "read"
    """A page or a post, in its child."""


METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
STATUSES = tuple(map(str, range(100, 600)))
ROUTES: set[str] = {NONE}
"""Filled by the application with the paths of its routes, as they are written there."""
UNITS = ("job", "webhook", "shard")
"""What the engine hands out."""
PHASES = ("wait", "dns", "connect", "tls", "ttfb", "body")
LOOKUPS = ("hit", "stale", "revalidated", "miss", "failure")
KILLS = ("deadline", "talk", "linger", "stopped", "cpu", "lie")
TEXTS = ("page", "oembed", "markdown")
DENIALS = (
    *sorted({word for _, word in (*V4, *V6) if word}),
    "isatap",
    "metadata",
    "localhost",
    "local",
    "internal",
    "no_dns",
    "single_label",
    "denied",
    "mixed",
    "port",
    "self",
)
"""Why an address, a name or a port is not dialled: the words of the rules."""

Label = str | int
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BYTES = tuple(float(mib * 1024 * 1024) for mib in (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048))


class Metric:
    """A name, and a value for each combination of its labels. The labels' values are on closed lists."""

    kind = ""

    def __init__(self, name: str, about: str, **labels: Collection[str]) -> None:
        self.name = PREFIX + name
        self.about = about
        self.labels = labels
        EVERY.append(self)

    def _closed(self, values: tuple[Label, ...]) -> tuple[str, ...]:
        """The values, with those that are not on their list replaced."""
        return tuple(
            text if (text := str(value)) in known else OTHER
            for value, known in zip(values, self.labels.values(), strict=True)
        )


EVERY: list[Metric] = []
"""All of them, in order."""


class Counter(Metric):
    """A number that grows."""

    kind = "counter"

    def __init__(self, name: str, about: str, *, from_zero: bool = False, **labels: Collection[str]) -> None:
        """`from_zero` tells of every combination from the start: else its first one is no increase."""
        super().__init__(name, about, **labels)
        self._counts: dict[tuple[Label, ...], float] = {}
        if from_zero or not labels:
            self._counts = dict.fromkeys(product(*labels.values()), 0)

    def add(self, *values: Label, by: float = 1) -> None:
        """Add to the one with these labels."""
        try:
            self._counts[values] += by
        except KeyError:
            closed = self._closed(values)
            key = closed if OTHER in closed else values
            self._counts[key] = self._counts.get(key, 0) + by

    def items(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Labels and number."""
        for values, count in self._counts.items():
            yield tuple(map(str, values)), count

    @property
    def total(self) -> float:
        """Over all labels."""
        return sum(self._counts.values())


@dataclass(slots=True)
class Cell:
    """One histogram: how many were up to each bound and not to the one before, then how many were above."""

    counts: list[int]
    sum: float = 0.0
    largest: float = 0.0


class Histogram(Metric):
    """How often there was how much."""

    kind = "histogram"

    def __init__(
        self, name: str, about: str, bounds: tuple[float, ...] = _SECONDS, **labels: Collection[str]
    ) -> None:
        super().__init__(name, about, **labels)
        self.bounds = bounds
        self.cells: dict[tuple[str, ...], Cell] = {}

    def observe(self, value: float, *values: str) -> None:
        """Note one."""
        cell = self.cells.get(values) or self._cell(values)
        cell.counts[bisect_left(self.bounds, value)] += 1
        cell.sum += value
        if value > cell.largest:
            cell.largest = value

    def _cell(self, values: tuple[str, ...]) -> Cell:
        key = self._closed(values)
        return self.cells.setdefault(key, Cell([0] * (len(self.bounds) + 1)))

    def counts(self) -> tuple[int, ...]:
        """Over all labels, each bound by itself."""
        columns = zip(*(cell.counts for cell in self.cells.values()), strict=True)
        return tuple(map(sum, columns)) or (0,) * (len(self.bounds) + 1)

    @property
    def largest(self) -> float:
        """Of all there were."""
        return max((cell.largest for cell in self.cells.values()), default=0.0)

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts())


class Gauge(Metric):
    """A number that goes up and down; those that are asked of the parts are told by a `Load`."""

    kind = "gauge"

    def __init__(self, name: str, about: str, **labels: Collection[str]) -> None:
        super().__init__(name, about, **labels)
        self.value = 0
        self.values: dict[tuple[str, ...], float] = {}
        """By labels, of those that are noted from time to time."""


REQUESTS = Counter("requests", "Requests answered.", route=ROUTES, method=METHODS, status=STATUSES)
REQUEST_SECONDS = Histogram(
    "request_duration_seconds", "From a request's head to the end of its answer.", route=ROUTES
)
IN_PROGRESS = Gauge("requests_in_progress", "Requests without their whole answer.")
ERRORS = Counter(
    "errors", "Requests that failed, by code.", from_zero=True, code=(*FailureCode, "client_gone")
)
SPAN_SECONDS = Histogram(
    "request_span_duration_seconds", "What the time of requests went into.", span=tuple(Step)
)
RECEIVED = Counter("received_bytes", "Bytes of uploads.")
SENT = Counter("sent_bytes", "Bytes of answers' bodies.")
DECODES = Counter(
    "decode_outcomes",
    "Pictures worked on, by the format of what came.",
    from_zero=True,
    format=(*FormatName, "unknown"),
    outcome=tuple(Outcome),
)
TEXT_OUTCOMES = Counter(
    "text_outcomes", "Pages and posts read.", from_zero=True, kind=TEXTS, outcome=tuple(Outcome)
)
SANDBOX_SECONDS = Histogram(
    "sandbox_start_seconds", "From asking for a sealed child until it is there.", template=tuple(Template)
)
TEMPLATE_STARTS = Counter(
    "template_starts", "Templates that got warm and sealed.", from_zero=True, template=tuple(Template)
)
TEMPLATE_LOSSES = Counter(
    "template_losses",
    "Templates that were lost without being replaced on purpose.",
    from_zero=True,
    template=tuple(Template),
)
SANDBOX_KILLS = Counter(
    "sandbox_kills", "Children that the host killed at work, by why.", from_zero=True, reason=KILLS
)
SANDBOX_RETRIES = Counter("sandbox_retries", "Work that was lost to nothing it did, and tried again.")
CHILD_MEMORY = Histogram(
    "child_memory_peak_bytes",
    "Most memory that a child held, with what it shares with its template.",
    _BYTES,
    template=tuple(Template),
)
CHILD_CPU = Histogram(
    "child_cpu_seconds", "Processor time of a child over its life.", template=tuple(Template)
)
FETCHES = Counter("fetches", "Fetches that ended.", purpose=tuple(Purpose), outcome=("ok", *FailureCode))
FETCH_SECONDS = Histogram("fetch_phase_seconds", "Phases of each request to a third party.", phase=PHASES)
EGRESS_DENIED = Counter(
    "egress_denied", "URLs that were not dialled, by the rule.", from_zero=True, reason=DENIALS
)
EGRESS_REPORTED = Counter(
    "egress_reported",
    "Addresses that REMOTE_EGRESS_REPORT let through, by the rule.",
    from_zero=True,
    reason=DENIALS,
)
CACHE_LOOKUPS = Counter(
    "cache_lookups", "Previews asked for, by what was known.", from_zero=True, result=LOOKUPS
)
JOBS_ACCEPTED = Counter("jobs_accepted", "Jobs taken.")
JOBS_ENDED = Counter(
    "jobs_ended", "Jobs that this worker ended, by code.", from_zero=True, code=("ok", *FailureCode)
)
JOBS_REPAIRED = Counter("jobs_repaired", "Units that were lost, and submitted again.", kind=UNITS)
JOB_WAIT = Histogram(
    "job_wait_seconds",
    "From a unit's submission until it is handed out the first time.",
    (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
    kind=UNITS,
)
UNITS_THERE = Gauge("units", "Units in the engine.", kind=UNITS, state=("pending", "leased"))
UNITS_OLDEST = Gauge("units_oldest_seconds", "How long the unit that is next has waited.", kind=UNITS)
JOBS_BYTES = Gauge("jobs_bytes", "Bytes of jobs in the store, at the last look.")
LOOP_LAG = Histogram("event_loop_lag_seconds", "How late a timer of the event loop rang, once a second.")
QUEUE_WAITING = Gauge("queue_depth", "Work that waits for its turn.", queue=("pictures", "texts"))
QUEUE_RUNNING = Gauge("workers_busy", "Work that has its child.", queue=("pictures", "texts", "fetches"))
QUEUE_SLOTS = Gauge("workers", "Work that may run at once.", queue=("pictures", "texts", "fetches"))
QUEUE_PLACES = Gauge("queue_places", "Places to wait.", queue=("pictures", "texts"))
READY = Gauge("sandboxes_ready", "Sealed children that wait for work.", queue=("pictures", "texts"))
BUILD = Gauge("build_info", "1, with the versions.", version=(), python=())

PROCESS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""What the client library tells of the host's process besides, without our prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """One queue, now."""

    waiting: int = 0
    running: int = 0
    slots: int = 0
    places: int = 0
    ready: int = 0
    """Sealed children that wait for work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the parts have in hand, now."""

    pictures: QueueLoad = field(default_factory=QueueLoad)
    texts: QueueLoad = field(default_factory=QueueLoad)
    fetches: QueueLoad = field(default_factory=QueueLoad)


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    requests: float
    pictures: float
    texts: float
    fetches: float
    latencies: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The last seconds: how many of each a second, and how long requests took."""

    seconds: float
    requests: float
    pictures: float
    texts: float
    fetches: float
    latencies: tuple[int, ...]

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered, as Prometheus estimates it."""
        return quantile(REQUEST_SECONDS.bounds, self.latencies, share)


TICK_SECONDS = 1.0
WINDOW_TICKS = 10


class Pulse:
    """An async context manager that looks at the counters and at the loop's lateness once a second."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque([_mark()], maxlen=WINDOW_TICKS + 1)
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Pulse":
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])

    def rates(self) -> Rates:
        """From the oldest look until now."""
        first, last = self._marks[0], _mark()
        seconds = max(last.at - first.at, 1e-3)
        return Rates(
            seconds=seconds,
            requests=(last.requests - first.requests) / seconds,
            pictures=(last.pictures - first.pictures) / seconds,
            texts=(last.texts - first.texts) / seconds,
            fetches=(last.fetches - first.fetches) / seconds,
            latencies=tuple(
                after - before for after, before in zip(last.latencies, first.latencies, strict=True)
            ),
        )

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            LOOP_LAG.observe(max(0.0, loop.time() - due))
            self._marks.append(_mark())


def quantile(bounds: tuple[float, ...], counts: tuple[int, ...], share: float) -> float:
    """Within the bucket that holds it by rule of three; 0 where there is nothing to tell."""
    total = sum(counts)
    if not total:
        return 0.0
    wanted = share * total
    for place, until in enumerate(accumulate(counts)):
        if until >= wanted and counts[place]:
            if place == len(bounds):
                return bounds[-1]
            lower = bounds[place - 1] if place else 0.0
            before = until - counts[place]
            return lower + (bounds[place] - lower) * (wanted - before) / counts[place]
    return bounds[-1]


def _mark() -> _Mark:
    return _Mark(
        time.monotonic(),
        REQUESTS.total,
        DECODES.total,
        TEXT_OUTCOMES.total,
        FETCHES.total,
        REQUEST_SECONDS.counts(),
    )
