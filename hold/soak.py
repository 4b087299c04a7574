"""Mixed load for half an hour: what every process holds, and whether that grows."""

import math
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks import processes

from .chaos import awkward, census, chaos
from .chaos.census import Census
from .chaos.load import Load, Record, pinned
from .chaos.questions import Verdict, learn, questions
from .chaos.service import SETTINGS, WORK_SECONDS, Service, Surroundings, started
from .point import Given, Row

SEED = 5
SAMPLE_SECONDS = 5.0
PAUSE_SECONDS = 0.15
"""Of each of the eight callers: some 45 requests a second, a third of what one core does."""
ROTATIONS = 6
"""Templates are replaced so many times in the run."""
LEAST_ROTATIONS = 2
GROWTH_BAR_PERCENT = 1.0
"""Of the host that is 2 bytes a request: less than any object which a request could leave behind."""
REST_SECONDS = 30.0
_READY = re.compile(r" template_ready pid=(\d+) template=(\w+)")


@dataclass(slots=True)
class Series:
    """One figure over time."""

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        """Append a sample."""
        self.seconds.append(at)
        self.values.append(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of least squares through the second half of a series."""

    middle: float
    """The mean."""
    slope: float
    """An hour."""
    error: float
    """The standard error of the slope. Neighbours are alike, so there are fewer independent samples."""

    @property
    def percent(self) -> float:
        """The slope in hundredths of the mean, an hour."""
        return 100 * self.slope / self.middle if self.middle else 0.0

    @property
    def noise_percent(self) -> float:
        """Two standard errors, in hundredths of the mean."""
        return 200 * self.error / self.middle if self.middle else 0.0


def fit(series: Series) -> Line:
    """The line through the second half. Raises ValueError when there are fewer than four samples in it."""
    half = len(series.values) // 2
    hours = [at / 3600 for at in series.seconds[half:]]
    values = series.values[half:]
    count = len(values)
    if count < 4:
        raise ValueError("too few samples")
    slope, intercept = statistics.linear_regression(hours, values)
    rest = [value - slope * at - intercept for at, value in zip(hours, values, strict=True)]
    squares = sum(one * one for one in rest)
    # Of a first-order autoregression: the share of independent samples is (1 - r) / (1 + r).
    alike = sum(one * other for one, other in pairwise(rest)) / squares if squares else 0.0
    alike = min(0.99, max(0.0, alike))
    spread = sum((at - statistics.fmean(hours)) ** 2 for at in hours)
    error = math.sqrt(squares / (count - 2) / spread * (1 + alike) / (1 - alike))
    return Line(middle=statistics.fmean(values), slope=slope, error=error)


class Sampler:
    """Takes samples of every process until told to stop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._log = service.log.open()
        self._kinds: dict[int, str] = {}
        self._zombies: set[int] = set()
        self.lasting_zombies = 0
        self.starts = {"raster": 0, "svg": 0}
        self.series: dict[str, Series] = {}

    def run(self, stop: threading.Event) -> None:
        """Sample every five seconds."""
        while not stop.wait(SAMPLE_SECONDS):
            self._sample(time.monotonic())

    def _sample(self, now: float) -> None:
        self._read_log()
        service = self._service
        self._note("host", now, [service.pid])
        children: list[int] = []
        newest = {kind: pid for pid, kind in self._kinds.items()}
        for template in service.templates():
            children += service.children(template)
            kind = self._kinds.get(template)
            if kind is not None and newest[kind] == template:
                self._note(f"{kind} template", now, [template])
        self._note("a child", now, children)
        self._add("descriptors of the host", now, census.descriptors(service.pid).total())
        zombies = {pid for pid in (*service.templates(), *children) if processes.state(pid) == "Z"}
        self.lasting_zombies += len(zombies & self._zombies)
        self._zombies = zombies

    def _read_log(self) -> None:
        for line in self._log:
            if found := _READY.search(line):
                self._kinds[int(found[1])] = found[2]
                self.starts[found[2]] += 1

    def _note(self, role: str, now: float, pids: Sequence[int]) -> None:
        """The mean over these processes; root alone sees the proportional sizes of jailed ones."""
        for name in ("RSS", "PSS"):
            sizes = [size for pid in pids if (size := census.memory_kb(pid, name.title()))]
            if sizes:
                self._add(f"{role}, {name}", now, statistics.fmean(sizes))

    def _add(self, name: str, now: float, value: float) -> None:
        self.series.setdefault(name, Series()).add(now, value)


def measure(given: Given) -> Sequence[Row]:
    """Valid, hostile and disconnecting clients at a steady rate below capacity, for `soak_minutes`.

    Templates are replaced several times on the way. Every five seconds the memory, descriptors and zombies of
    every process are noted, and a line of least squares goes through the second half. Bars: memory of no kind
    of process grows by 1 % an hour, as far as its noise tells (two standard errors); no descriptor more; no
    zombie that lasts; templates replaced at least twice; no answer wrong, none of 5xx.
    """
    seconds = given.soak_minutes * 60
    rotation = max(10.0, seconds / ROTATIONS)
    surroundings = Surroundings(
        settings={**SETTINGS, "REMOTE_TEMPLATE_SECONDS": f"{rotation:g}"}, cores=frozenset(given.server_cores)
    )
    record = Record()
    with (
        pinned(given.load_core),
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), surroundings) as service,
    ):
        before = census.at_rest(service, within=REST_SECONDS)
        learnt = learn(service.address, questions(everything=True))
        sampler = Sampler(service)
        disconnecting = awkward.behaviours(service.address, learnt, record, awkward.DISCONNECTING, SEED)
        load = Load(service.address, learnt, record, work_seconds=WORK_SECONDS)
        callers = chaos.callers(list(learnt), pause_seconds=PAUSE_SECONDS)
        with load.running(callers, [*disconnecting, sampler.run], SEED):
            time.sleep(seconds)
        after = census.at_rest(service, like=before, within=REST_SECONDS)
    return [*_growth(sampler), *_leaks(sampler, before, after), *_work(sampler, record, seconds)]


def _growth(sampler: Sampler) -> Iterator[Row]:
    for name, series in sampler.series.items():
        line = fit(series)
        unit = "" if name.startswith("descriptors") else " kB"
        slope = f"{line.slope / 60:+.2f} ± {2 * line.error / 60:.2f}{unit} a minute"
        share = f"{line.percent:+.1f} ± {line.noise_percent:.1f} % an hour"
        yield Row(
            case=name,
            bar=f"grows by less than {GROWTH_BAR_PERCENT:g} % an hour, or within noise",
            measured=f"{line.middle:.0f}{unit}, {slope}, {share}",
            holds=line.percent - line.noise_percent < GROWTH_BAR_PERCENT,
        )


def _leaks(sampler: Sampler, before: Census, after: Census) -> Iterator[Row]:
    yield Row(
        case="descriptors, memfds and processes at rest",
        bar="as before",
        measured="as before" if before.counts() == after.counts() else f"{before.counts()}, {after.counts()}",
        holds=before.counts() == after.counts(),
    )
    zombies = sampler.lasting_zombies + after.zombies
    yield Row(case="zombies in two samples running", bar="0", measured=str(zombies), holds=zombies == 0)


def _work(sampler: Sampler, record: Record, seconds: float) -> Iterator[Row]:
    rotations = {kind: count - 1 for kind, count in sampler.starts.items()}
    yield Row(
        case="templates replaced",
        bar=f"at least {LEAST_ROTATIONS} times each",
        measured=", ".join(f"{kind} {count}" for kind, count in rotations.items()),
        holds=min(rotations.values()) >= LEAST_ROTATIONS,
    )
    counted = record.verdicts()
    others = {verdict: count for verdict, count in counted.items() if verdict is not Verdict.RIGHT}
    for event in [event for event in record.events() if event.verdict is not Verdict.RIGHT][:20]:
        print(event)
    yield Row(
        case=f"{counted.total()} answers, {counted.total() / seconds:.0f} a second",
        bar="none wrong, none of 5xx",
        measured=", ".join(f"{count} {verdict}" for verdict, count in others.items()) or "all right",
        holds=not others,
    )
