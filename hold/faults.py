"""Faults under load: what is killed, stopped, starved, filled up or cut off, and what callers get."""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .chaos import chaos, faults, service
from .chaos.chaos import Report
from .chaos.faults import Fault
from .chaos.load import pinned
from .chaos.questions import FAILURES, Verdict, questions
from .chaos.service import Errors, Surroundings
from .point import Given, Row

SEED = 4
RECOVERY_BAR_SECONDS = 1.0
GROWTH_BAR_KB = 32 * 1024
"""Of the host: what its allocator keeps of the largest bodies that it held at once."""
SHORT_SECONDS = 30.0
"""For each of the surroundings in which nothing can be written, or the clock jumps."""


def measure(given: Given) -> Sequence[Row]:
    """Every kind of fault again and again in random order for `fault_minutes`, under load from 19 clients.

    Bars: not one answer that is wrong, a 500, missing or late; within a second of a fault's end every answer
    right again; at the end the same process with as many descriptors, memfds and processes, and no zombie.
    Then the same with a log that cannot be written, a clock that jumps, and disks that can only be read. The
    service has all cores but the load's, and a pool of two.
    """
    rows: list[Row] = []
    asked = questions(everything=True)
    cores = service.all_but(given.load_core)
    with pinned(given.load_core), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything = chaos.run(
            folder,
            Surroundings(cores=cores),
            schedule(faults.KINDS, seconds=given.fault_minutes * 60),
            asked,
            seed=SEED,
        )
        retried = f"all these, {everything.logged['child_retried']} documents tried again"
        rows += [*_recoveries(everything), _answers(retried, everything), *_leftovers(everything)]
        for case, surroundings, kinds in _surroundings(cores):
            report = chaos.run(
                folder,
                surroundings,
                schedule(kinds, seconds=SHORT_SECONDS),
                asked,
                seed=SEED,
                learnt=everything.learnt,
            )
            longest = max(recovery.seconds for recovery in report.recoveries)
            rows += [_answers(case, report), _recovery(f"{case}: {len(report.recoveries)} kills", longest)]
    return rows


def schedule(kinds: Sequence[Fault], *, seconds: float) -> Iterator[Fault]:
    """Each kind once in a random order, and again, until the time is over; each at least once."""
    choice = random.Random(SEED)
    end = time.monotonic() + seconds
    first = True
    while first or time.monotonic() < end:
        for kind in choice.sample(kinds, len(kinds)):
            if first or time.monotonic() < end:
                yield kind
        first = False


def _surroundings(cores: frozenset[int]) -> Iterator[tuple[str, Surroundings, Sequence[Fault]]]:
    kills = [kind for kind in faults.KINDS if kind.name.endswith("killed")]
    yield (
        "log on a full disk, clock jumping by days",
        Surroundings(errors=Errors.FULL, jumping_clock=True, cores=cores),
        kills,
    )
    yield "log on a pipe that nobody reads", Surroundings(errors=Errors.UNREAD, cores=cores), kills
    if reason := service.why_not_read_only():
        print(f"read-only disks are left out: {reason}")
    else:
        yield "every disk read-only", Surroundings(read_only=True, cores=cores), kills


def _recoveries(report: Report) -> Iterator[Row]:
    longest: dict[str, list[float]] = {}
    for recovery in report.recoveries:
        longest.setdefault(recovery.fault, []).append(recovery.seconds)
    for fault in faults.KINDS:
        seconds = longest[fault.name]
        yield _recovery(f"{fault.name}, {len(seconds)} times", max(seconds))


def _recovery(case: str, seconds: float) -> Row:
    return Row(
        case=case,
        bar=f"every answer right after {RECOVERY_BAR_SECONDS:g} s",
        measured=f"after {seconds:.2f} s at the latest",
        holds=seconds < RECOVERY_BAR_SECONDS,
    )


def _answers(case: str, report: Report) -> Row:
    counted = report.record.verdicts()
    for failure in report.record.failures()[:20]:
        print(failure)
    return Row(
        case=f"{case}: {counted.total()} answers",
        bar="none wrong, 500, cut or late",
        measured=", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict),
        holds=not any(counted[verdict] for verdict in FAILURES),
    )


def _leftovers(report: Report) -> Iterator[Row]:
    before, after = report.before, report.after
    for case, was, now in (
        ("descriptors of the host", before.host_descriptors.total(), after.host_descriptors.total()),
        ("memfds of the host", before.host_descriptors["memfd"], after.host_descriptors["memfd"]),
        ("descriptors of templates", before.all_template_descriptors, after.all_template_descriptors),
        ("templates", before.templates, after.templates),
        ("children", before.children, after.children),
        ("zombies", before.zombies, after.zombies),
    ):
        yield Row(case=case, bar="as before", measured=f"{was} before, {now} after", holds=was == now)
    for case, was, now in (
        ("memory of the host (PSS)", before.host_pss_kb, after.host_pss_kb),
        ("memory of templates and children (PSS)", before.jailed_pss_kb, after.jailed_pss_kb),
    ):
        yield Row(
            case=case,
            bar=f"at most {GROWTH_BAR_KB // 1024} MiB more",
            measured=f"{was / 1024:.1f} MiB before, {now / 1024:.1f} after",
            holds=now - was <= GROWTH_BAR_KB,
        )
    yield Row(
        case="the process that was started",
        bar="serves, and is ready",
        measured="is ready" if report.is_alive else "is not",
        holds=report.is_alive,
    )
