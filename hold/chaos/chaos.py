"""A run: the service in given surroundings, load on it, faults one behind the other, and what came of it."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import awkward, census
from .census import Census
from .faults import Fault, Scene
from .load import Caller, Event, Learnt, Load, Record
from .others import others
from .questions import Question, Verdict, learn
from .service import WORK_SECONDS, Surroundings, started

RECOVERY_SECONDS = 10.0
"""A fault is not waited for any longer."""
CALM_SECONDS = 1.0
"""Load goes on for so long once right answers come again."""
SLOW_SECONDS = 0.5
"""Who waits longer for a right answer to a small picture still feels the fault."""
REST_SECONDS = 30.0
WARM_SECONDS = 2.0
PAUSE_SECONDS = 0.03
"""Of each caller between an answer and the next question: the load stays below what two children can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How one fault ended: seconds from its end (or its stroke) to the last answer that it spoilt."""

    fault: str
    seconds: float
    spoilt: int
    """Answers to questions asked after its end that were refusals, or slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run found."""

    learnt: Learnt
    record: Record
    recoveries: Sequence[Recovery]
    before: Census
    after: Census
    is_alive: bool
    """The same process serves and is ready."""
    logged: Counter[str]
    """How often each event stands in the log, where that is a file."""
    seconds: float


def run(
    folder: Path,
    surroundings: Surroundings,
    faults: Iterable[Fault],
    questions: Sequence[Question],
    *,
    seed: int,
    learnt: Learnt | None = None,
    load_seconds: float = 0.0,
) -> Report:
    """Start the service, put it under load, do the faults (then nothing for `load_seconds`), and stop it.

    What another service has learnt is as good: `Report.learnt`.
    """
    began = time.monotonic()
    record = Record()
    recoveries = []
    with others() as asked, started(folder, surroundings, asked.settings) as service:
        learnt = learnt or learn(service.address, questions)
        load = Load(service.address, learnt, record, work_seconds=WORK_SECONDS)
        crowd = callers(list(learnt), pause_seconds=PAUSE_SECONDS)
        with load.running(crowd, [], seed):  # What is kept once used is there before the first count.
            time.sleep(WARM_SECONDS)
        before = census.at_rest(service, within=REST_SECONDS)
        rude = awkward.behaviours(service.address, learnt, record, awkward.KINDS, seed)
        with load.running(crowd, rude, seed + 1):
            scene = Scene(service=service, others=asked, record=record, choice=random.Random(seed))
            for fault in faults:
                recoveries.append(_do(fault, scene))
            time.sleep(load_seconds)
        after = census.at_rest(service, like=before, within=REST_SECONDS)
        is_alive = service.process.poll() is None and service.is_ready()
    return Report(
        learnt=learnt,
        record=record,
        recoveries=recoveries,
        before=before,
        after=after,
        is_alive=is_alive,
        logged=Counter(line.split(maxsplit=3)[2] for line in (folder / "log").read_text().splitlines()),
        seconds=time.monotonic() - began,
    )


def _do(fault: Fault, scene: Scene) -> Recovery:
    fault.inject(scene)
    struck = time.monotonic()
    while True:
        time.sleep(0.05)
        now = time.monotonic()
        answers = [event for event in scene.record.events(since=struck) if event.template in fault.hits]
        spoilt = [event.came for event in answers if not _is_good(event)]
        good = [
            [event.came for event in answers if event.template == kind and _is_good(event)]
            for kind in fault.hits
        ]
        settled = max([*spoilt, *(min(came, default=now) for came in good)])
        is_calm = all(came and max(came) > settled + CALM_SECONDS for came in good)
        if is_calm or now - struck > RECOVERY_SECONDS:
            return Recovery(fault=fault.name, seconds=settled - struck, spoilt=len(spoilt))


def _is_good(event: Event) -> bool:
    return event.verdict is Verdict.RIGHT and event.came - event.asked < SLOW_SECONDS


def callers(questions: Sequence[Question], *, pause_seconds: float) -> list[Caller]:
    """Each from an address of its own; some ask for one kind alone, so that every kind of process works."""
    valid = [question for question in questions if not question.is_hostile]
    raster = [question for question in valid if question.template == "raster"]
    svg = [question for question in valid if question.template == "svg"]
    posts = [question for question in valid if question.template == "text"]
    links = [question for question in valid if question.template == "fetch"]
    hostile = [question for question in questions if question.is_hostile]
    kinds = [
        ("raster", raster, True, 3),
        ("svg", svg, True, 2),
        ("posts", posts, True, 1),
        ("links", links, True, 2),
        ("newly connected", valid, False, 2),
        ("hostile", hostile, True, 1),
    ]
    crowd: list[Caller] = []
    for name, asked, keeps_connection, count in kinds:
        for number in range(count):
            crowd.append(
                Caller(
                    name=f"{name} {number + 1}",
                    source=f"127.0.0.{len(crowd) + 2}",
                    questions=asked,
                    pause_seconds=pause_seconds,
                    keeps_connection=keeps_connection,
                )
            )
    return crowd
