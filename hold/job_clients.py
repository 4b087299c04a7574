"""Callers who submit jobs, each a thread of its own: what they were promised, and what became of it."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .job_questions import Essence, Question, essence

WAIT_SECONDS = 20
"""Of one long poll."""
PATIENCE_SECONDS = 60.0
"""For one answer: past that it is lost."""
CALLBACK_SHARE = 0.3
FAILS = (0, 0, 0, 1, 1, 2)
"""How often a receiver fails at first."""
AGAIN_SHARE = 0.1
"""Of accepted jobs that are submitted once more, as by one who did not get the answer."""
CUT_SHARE = 0.05
"""Of submissions whose caller hangs up before the answer."""
_RETRY = (0.1, 0.5)
"""Seconds after a connection was lost or refused, from and to."""


@dataclass(slots=True, kw_only=True)
class Submission:
    """One job as its caller sees it. Times are Unix seconds."""

    question: Question
    key: str
    callback: str
    fails: int
    ids: set[str] = field(default_factory=set)
    """That a 202 has told."""
    accepted: float = 0.0
    """When it came, 0 without one."""
    last: Mapping[str, Any] | None = None
    """What looking at it told the last time."""
    answer: Essence | None = None

    @property
    def id(self) -> str:
        """The first that was told."""
        return next(iter(self.ids), "")

    @property
    def is_over(self) -> bool:
        """It has ended, and its answer was read."""
        return self.answer is not None


class Book:
    """What all callers have seen, written by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.submissions: list[Submission] = []
        self.counts: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        """Answers that nobody should get."""

    def enter(self, submission: Submission) -> None:
        """A new one."""
        with self._lock:
            self.submissions.append(submission)

    def count(self, what: str) -> None:
        """One more."""
        with self._lock:
            self.counts[what] += 1

    def wonder(self, what: str) -> None:
        """One more that should not be."""
        with self._lock:
            self.odd[what] += 1

    @property
    def accepted(self) -> list[Submission]:
        """Those that were promised an answer."""
        return [one for one in self.submissions if one.ids]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What callers do."""

    ports: Sequence[int]
    """Of the services; who finds one gone goes to the next."""
    questions: Sequence[Question]
    callback: Callable[[str, int], str]
    """The URL of a callback by a name, and how often it fails."""
    bound_seconds: float
    """How long callers wait for an answer after the last submission."""
    fails: Sequence[int] = FAILS


@contextmanager
def calling(plan: Plan, book: Book, clients: int) -> Iterator[Callable[[], None]]:
    """Callers who submit until they are told to stop, and then wait for what they were promised."""
    stop = threading.Event()
    callers = [_Caller(number, plan, book, stop) for number in range(clients)]
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        yield stop.set
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Caller:
    """One, with an address of its own."""

    def __init__(self, number: int, plan: Plan, book: Book, stop: threading.Event) -> None:
        self._number = number
        self._plan = plan
        self._book = book
        self._stop = stop
        self._choice = random.Random(number)
        self._turn = number
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Until told to stop, and the last job is over or has had its time."""
        shares = [question.share for question in self._plan.questions]
        for number in range(10**9):
            if self._stop.is_set():
                break
            name = f"{self._number}-{number}"
            fails = self._choice.choice(self._plan.fails)
            is_told = self._choice.random() < CALLBACK_SHARE
            submission = Submission(
                question=self._choice.choices(self._plan.questions, shares)[0],
                key=name,
                callback=self._plan.callback(name, fails) if is_told else "",
                fails=fails,
            )
            self._book.enter(submission)
            self._submit(submission)
            if submission.ids:
                self._follow(submission)
        self._hang_up()

    def _submit(self, submission: Submission) -> None:
        if self._choice.random() < CUT_SHARE:
            self._book.count("hung up on purpose")
            self._ask_and_hang_up(submission)
        while not submission.ids and not self._stop.is_set():
            self._submit_once(submission)
        if submission.ids and self._choice.random() < AGAIN_SHARE:
            self._book.count("submitted again on purpose")
            self._submit_once(submission)

    def _submit_once(self, submission: Submission) -> None:
        got = self._got("POST", *_asked(submission))
        if got is None:
            return
        status, headers, body = got
        if status == 202:
            told = json.loads(body)["id"]
            if headers["location"] != f"/jobs/{told}":
                self._book.wonder("a Location of another job")
            submission.ids.add(told)
            submission.accepted = submission.accepted or time.time()
        else:
            self._refused("submitting", status, headers, body)

    def _follow(self, submission: Submission) -> None:
        end = 0.0
        while not submission.is_over:
            if self._stop.is_set():
                end = end or time.monotonic() + self._plan.bound_seconds
                if time.monotonic() > end:
                    return
            got = self._got("GET", f"/jobs/{submission.id}?wait={WAIT_SECONDS}", b"", {})
            if got is None:
                continue
            status, headers, body = got
            if status != 200:
                self._refused("looking", status, headers, body)
                continue
            submission.last = told = json.loads(body)
            if told["state"] in ("done", "failed"):
                self._read(submission)

    def _read(self, submission: Submission) -> None:
        got = self._got("GET", f"/jobs/{submission.id}/result", b"", {})
        if got is None:
            return
        status, headers, body = got
        if "x-job-id" in headers:
            submission.answer = essence(status, headers.get("content-type", ""), body)
        else:
            self._refused("the result", status, headers, body)

    def _refused(self, where: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        seconds = headers.get("retry-after", "")
        if status == 503 and seconds.isdigit() and int(seconds) > 0:
            self._book.count(f"503 at {where}")
            self._stop.wait(int(seconds))
            if self._stop.is_set():
                time.sleep(self._choice.uniform(*_RETRY))
            return
        self._book.wonder(f"{where}: {status} {body[:200]!r}")
        time.sleep(1)

    def _got(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes] | None:
        """The answer; None where the connection ended, and after a pause."""
        try:
            connection = self._connected()
            connection.request(method, path, body or None, dict(headers))
            response = connection.getresponse()
            read = response.read()
        except TimeoutError:
            self._book.wonder(f"{method} without an answer for {PATIENCE_SECONDS:g} s")
        except (OSError, http.client.HTTPException):
            self._book.count("connections lost or refused")
        else:
            if response.will_close:
                self._hang_up()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, read
        self._hang_up()
        self._turn += 1
        time.sleep(self._choice.uniform(*_RETRY))
        return None

    def _ask_and_hang_up(self, submission: Submission) -> None:
        try:
            connection = self._connected()
            path, body, headers = _asked(submission)
            connection.request("POST", path, body, dict(headers))
            time.sleep(self._choice.uniform(0, 0.05))
        except (OSError, http.client.HTTPException):
            self._turn += 1
        self._hang_up()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            port = self._plan.ports[self._turn % len(self._plan.ports)]
            # Keys are those of an address, where there are no others.
            source = f"127.0.{1 + self._number // 250}.{1 + self._number % 250}"
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=PATIENCE_SECONDS, source_address=(source, 0)
            )
            self._connection.connect()
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _asked(submission: Submission) -> tuple[str, bytes, Mapping[str, str]]:
    question = submission.question
    callback = f"&callback={quote(submission.callback, safe='')}" if submission.callback else ""
    path = f"/jobs?request={quote(question.target, safe='')}{callback}"
    return path, question.body, {**question.headers, "Idempotency-Key": f'"{submission.key}"'}
