"""Well-behaved callers, each a thread of its own, and a record of what every answer was worth."""

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .questions import FAILURES, Essence, Question, Verdict, ask, connect, judge

HANG_SECONDS = 8.0
"""Past its own time an answer may take so much longer on a machine that is busy otherwise."""
BACK_OFF_SECONDS = 0.1
"""After a refusal. Retry-After would be kinder: then there would be no load while the service recovers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One answer, or that none came."""

    who: str
    verdict: Verdict
    said: str
    question: str
    template: str
    """That of a well-behaved caller's valid picture; else empty."""
    asked: float
    came: float


class Record:
    """What all callers got, written by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self.memory_is_short = False
        """While it is, a decode may end for want of memory."""
        self.threads_are_short = False
        """While they are, no HEIC can be decoded."""
        self.others_are_gone = False
        """While they are, no preview can be made."""

    def add(self, event: Event) -> None:
        """Note it."""
        with self._lock:
            self._events.append(event)

    def events(self, *, since: float = 0.0) -> list[Event]:
        """What was asked from that moment on."""
        with self._lock:
            return [event for event in self._events if event.asked >= since]

    def verdicts(self) -> Counter[Verdict]:
        """How many of each."""
        return Counter(event.verdict for event in self.events())

    def failures(self) -> list[Event]:
        """Everything that should not be."""
        return [event for event in self.events() if event.verdict in FAILURES]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process and its threads run on one core until the block ends."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


Learnt = Mapping[Question, Essence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One who asks, question behind question, from an address of its own."""

    name: str
    source: str
    questions: Sequence[Question]
    pause_seconds: float
    """Between an answer and the next question."""
    keeps_connection: bool = True


class Load:
    """Callers that ask until they are told to stop."""

    def __init__(
        self, address: tuple[str, int], learnt: Learnt, record: Record, *, work_seconds: float
    ) -> None:
        self._address = address
        self._learnt = learnt
        self._record = record
        self._most_seconds = work_seconds + HANG_SECONDS

    @contextmanager
    def running(
        self, callers: Sequence[Caller], others: Sequence[Callable[[threading.Event], None]], seed: int
    ) -> Iterator[None]:
        """The callers, and whatever else takes an event that says when to stop, until the block ends."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._call, args=(caller, random.Random(f"{seed} {caller.name}"), stop))
            for caller in callers
        ]
        threads += [threading.Thread(target=other, args=(stop,)) for other in others]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _call(self, caller: Caller, choice: random.Random, stop: threading.Event) -> None:
        connection = self._connect(caller)
        while not stop.is_set():
            if not caller.keeps_connection:
                connection.close()
                connection = self._connect(caller)
            event = self._ask(caller, connection, choice.choice(caller.questions))
            self._record.add(event)
            if event.verdict in (Verdict.LOST, Verdict.HANG):
                connection.close()
                connection = self._connect(caller)
            is_refused = event.verdict is not Verdict.RIGHT
            stop.wait(choice.uniform(0.5, 1.5) * (BACK_OFF_SECONDS if is_refused else caller.pause_seconds))
        connection.close()

    def _connect(self, caller: Caller) -> http.client.HTTPConnection:
        return connect(self._address, source=caller.source, seconds=self._most_seconds)

    def _ask(self, caller: Caller, connection: http.client.HTTPConnection, question: Question) -> Event:
        asked = time.monotonic()
        record = self._record
        was_short, were_gone = record.memory_is_short, record.others_are_gone
        were_short = record.threads_are_short
        try:
            answer = ask(connection, question)
            verdict, said = judge(
                answer,
                self._learnt[question],
                memory_is_short=was_short or record.memory_is_short,
                threads_are_short=were_short or record.threads_are_short,
                others_are_gone=were_gone or record.others_are_gone,
            )
        except TimeoutError as late:
            verdict, said = Verdict.HANG, repr(late)
        except (OSError, http.client.HTTPException) as cut:
            verdict, said = Verdict.LOST, repr(cut)
        return Event(
            who=caller.name,
            verdict=verdict,
            said=said,
            question=f"{question.path} {question.name}",
            template="" if question.is_hostile else question.template,
            asked=asked,
            came=time.monotonic(),
        )
