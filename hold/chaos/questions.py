"""What is asked of the service, the answer that it gives alone, and what an answer under faults is worth."""

import hashlib
import http.client
import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from remote_worker.contract.signatures import PREFIX_BYTES, template_of
from tests.conformance.corpora import samples

from .others import sites

BOUNDARY = "chaos-boundary"
PATHS = ("/images/info", "/images/fit/24", "/images/fit/4096", "/images/rescale_avatar")
PREPARE = "/images/prepare_jpeg"
MOST_PIXELS = 640 * 512
MOST_BYTES = 64 * 1024
MOST_SECONDS_ALONE = 0.2
"""A hostile picture that takes longer would be a load test of its own."""

NUMBER = b"4711471147114711"
"""Stands in a question and its answer for a number that is another one each time, so that no cache helps."""

_PASSING = {"start", "end", "cost", "request_id", "fetch"}
"""Members of an answer that differ each time."""
_HONEST = {(503, "busy"), (503, "jail_unavailable"), (503, "fetch_unavailable"), (504, "deadline")}
"""What a request may be told that is lost to no fault of its own, as status and code."""
_WITHOUT_THREADS = (415, "format_unavailable")
"""HEIC, which is decoded in a thread of its own."""
_WITHOUT_MEMORY = {(422, "too_much_memory"), (422, "decoder_crashed"), (422, "damaged")}
"""Honest too while we keep memory from the decoders: they cannot know why there is none, and some libraries
abort without it, or call the picture broken."""
_WITHOUT_OTHERS = {(502, "dns_failed"), (502, "connect_failed"), (502, "bad_http"), (504, "timeout")}
"""Honest too while those who are asked are gone."""
_TIMING = re.compile(r"dur=(-?[0-9.]+)")

Essence = tuple[int, str]
"""An answer without its clock and its request id: the status and a digest of the rest."""


class Verdict(StrEnum):
    """What one answer was worth."""

    RIGHT = "right"
    REFUSED = "refused honestly"
    WRONG = "wrong"
    INTERNAL = "500"
    LOST = "cut without an answer"
    HANG = "no answer in time"


FAILURES = (Verdict.WRONG, Verdict.INTERNAL, Verdict.LOST, Verdict.HANG)


HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "application/json"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request with a body. `template` is the kind of process that has to do with it."""

    name: str
    path: str
    body: bytes = field(repr=False)
    is_hostile: bool = False
    template: str = "raster"
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS, hash=False)

    def request(self) -> bytes:
        """The whole request as it goes over the wire."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: localhost", *map(": ".join, self.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


_numbers = itertools.count(10**15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as it came, with the moments of `time.monotonic` at which it was asked for and complete."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    asked: float
    came: float

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def essence(self) -> Essence:
        """What has to be the same each time: of a failure its status and code, else all but the clock."""
        members = self.json
        if self.status != 200:
            return self.status, str(members.get("code"))
        kept = {name: value for name, value in members.items() if name not in _PASSING}
        return 200, hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def has_sound_times(self) -> bool:
        """No time in it runs backwards, whatever the wall clock does."""
        timings = [float(value) for value in _TIMING.findall(self.headers.get("server-timing", ""))]
        members = self.json
        cost, end = members.get("cost", 0), members.get("end", 0) - members.get("start", 0)
        return bool(timings) and min(*timings, cost, end) >= 0


def judge(
    answer: Answer,
    alone: Essence,
    *,
    memory_is_short: bool = False,
    threads_are_short: bool = False,
    others_are_gone: bool = False,
) -> tuple[Verdict, str]:
    """What the answer is worth to whom got `alone` from the quiet service, and what it was in short."""
    code = str(answer.json.get("code", "")) if answer.status != 200 else ""
    said = f"{answer.status} {code}".strip()
    if answer.status == 500:
        return Verdict.INTERNAL, said
    if not answer.has_sound_times():
        return Verdict.WRONG, f"{said}, a time that runs backwards"
    if answer.essence() == alone:
        return Verdict.RIGHT, said
    if memory_is_short and (answer.status, code) in _WITHOUT_MEMORY:
        return Verdict.REFUSED, said
    if threads_are_short and (answer.status, code) == _WITHOUT_THREADS:
        return Verdict.REFUSED, said
    if others_are_gone and (answer.status, code) in _WITHOUT_OTHERS:
        return Verdict.REFUSED, said
    if (answer.status, code) not in _HONEST:
        return Verdict.WRONG, said
    if answer.status == 503 and not re.fullmatch("[1-9][0-9]*", answer.headers.get("retry-after", "")):
        return Verdict.WRONG, f"{said} without Retry-After"
    return Verdict.REFUSED, said


def ask(connection: http.client.HTTPConnection, question: Question) -> Answer:
    """Ask on this connection. Raises OSError, or HTTPException when the connection ends in the middle."""
    asked = time.monotonic()
    number = str(next(_numbers)).encode()
    body = question.body.replace(NUMBER, number)
    connection.request("POST", question.path, body, dict(question.headers))
    response = connection.getresponse()
    body = response.read().replace(number, NUMBER)
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(status=response.status, headers=headers, body=body, asked=asked, came=time.monotonic())


def connect(
    address: tuple[str, int], *, source: str = "127.0.0.1", seconds: float
) -> http.client.HTTPConnection:
    """A connection from this address of loopback, so that callers count as different ones."""
    return http.client.HTTPConnection(*address, timeout=seconds, source_address=(source, 0))


def learn(address: tuple[str, int], questions: Sequence[Question]) -> dict[Question, Essence]:
    """Ask each alone, twice, and keep those that are answered soon, never by 5xx, and the same both times.

    Raises AssertionError for a 500, and for a valid one that is not answered alike twice.
    """
    learnt = {}
    connection = connect(address, seconds=60)
    for question in questions:
        first = ask(connection, question)
        is_slow = first.came - first.asked > MOST_SECONDS_ALONE
        if first.status == 500:
            raise AssertionError(f"{question.name} is answered 500")
        if question.is_hostile and (is_slow or first.status > 500):
            continue
        is_same = ask(connection, question).essence() == first.essence()
        if not question.is_hostile and not (is_same and first.status == 200):
            raise AssertionError(f"{question.name} is answered {first.status}, or not the same twice")
        if is_same:
            learnt[question] = first.essence()
    connection.close()
    return learnt


def questions(*, everything: bool) -> list[Question]:
    """Small valid pictures of every format and our hostile ones; `everything` adds shared hostile ones."""
    found = []
    for number, sample in enumerate(samples()):
        is_own = sample.id.startswith("own/")
        is_valid = is_own and sample.expected == "ok" and not sample.is_hostile
        pixels = (sample.width or 0) * (sample.height or 0)
        if (is_valid and pixels > MOST_PIXELS) or not (is_own or (everything and sample.is_hostile)):
            continue
        body = sample.read()
        if len(body) > MOST_BYTES:
            continue
        paths = [*PATHS, PREPARE] if sample.format == "jpeg" else PATHS
        found.append(
            Question(
                name=sample.id,
                path=paths[number % len(paths)],
                body=form(body),
                is_hostile=not is_valid,
                template=template_of(body[:PREFIX_BYTES]).value,
            )
        )
    return [*found, *_texts(), *_links()]


def _texts() -> list[Question]:
    posts = {
        "plain": "A *post* with a [link](https://example.com/) and @somebody.",
        "table": "|a|b|\n|-|-|\n" + "|1|`2`|\n" * 200,
        "hostile": "<script>alert(1)</script>" + "[" * 500 + "![x](javascript:alert(1))",
    }
    return [
        Question(
            name=f"post {name}",
            path="/text/render_markdown",
            body=json.dumps({"text": text}).encode(),
            template="text",
            headers=JSON,
        )
        for name, text in posts.items()
    ]


def _links() -> list[Question]:
    """Each time another name, which is another site."""
    return [
        Question(
            name=f"page of a {kind} site",
            path="/links/preview",
            body=json.dumps({"url": f"http://{kind}-{NUMBER.decode()}.example:{sites().port}/page"}).encode(),
            is_hostile=is_hostile,
            template="fetch",
            headers=JSON,
        )
        for kind, is_hostile in (("good", False), ("wall", True), ("garbage", True), ("loop", True))
    ]


def form(picture: bytes) -> bytes:
    """A form with this file."""
    head = 'Content-Disposition: form-data; name="file"; filename="upload.bin"'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
