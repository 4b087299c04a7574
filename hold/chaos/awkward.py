"""Clients that are slow, cut off, rude or lying; each wants an honest answer or an end in time."""

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .load import Event, Learnt, Record
from .questions import BOUNDARY, Answer, Question, Verdict, form, judge

PAUSE_SECONDS = 0.5
MOST_SECONDS = 40.0
"""The longest any of them may be kept: a body, a decode, an answer not read, and a busy machine."""
PIPELINED = 6
PARTS = 10_000
NOISE_SIDE = 400


class Client:
    """One connection and the bytes that came over it."""

    def __init__(
        self,
        address: tuple[str, int],
        source: str,
        stop: threading.Event,
        choice: random.Random,
        record: Record,
    ) -> None:
        self.choice = choice
        self.record = record
        self.stop = stop
        self.asked = time.monotonic()
        self.socket = socket.create_connection(address, timeout=MOST_SECONDS, source_address=(source, 0))
        self._ports = self.socket.getsockname()[1], address[1]
        self._waiting = b""

    def answer(self) -> Answer | None:
        """The next answer; None when the service ended the connection before it. Raises TimeoutError."""
        while b"\r\n\r\n" not in self._waiting:
            if not self._more():
                return None
        head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        while len(self._waiting) < length:
            if not self._more():
                return None
        body, self._waiting = self._waiting[:length], self._waiting[length:]
        status = int(first.split()[1])
        return Answer(status=status, headers=headers, body=body, asked=self.asked, came=time.monotonic())

    def drip(self, data: bytes, seconds: float) -> None:
        """Send one byte at a time until the service answers, ends, or all is sent."""
        for at in range(len(data)):
            self.socket.send(data[at : at + 1])
            self.socket.settimeout(seconds)
            with contextlib.suppress(TimeoutError):
                if not self._more() or self._waiting:
                    break
        self.socket.settimeout(MOST_SECONDS)

    def pour(self, data: bytes) -> None:
        """Send it again and again until the service answers, ends, or nobody wants it any longer."""
        self.socket.settimeout(0.01)
        deadline = time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline and not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                self.socket.sendall(data)
                if not self._more() or self._waiting:
                    break
        self.socket.settimeout(MOST_SECONDS)

    def is_held(self) -> bool:
        """Whether the service still has its end: proc(5), an orphan in /proc/net/tcp has no inode."""
        ours, theirs = self._ports
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[1].endswith(f":{theirs:04X}") and cells[2].endswith(f":{ours:04X}"):
                return cells[9] != "0"
        return False

    def reset(self) -> None:
        """End the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._waiting += data
        return bool(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awkward:
    """A way to be awkward. `behave` gives what was wrong with the service's answer, empty for nothing."""

    name: str
    behave: Callable[[Client, Question, Learnt], str]


def behaviours(
    address: tuple[str, int], learnt: Learnt, record: Record, kinds: Sequence[Awkward], seed: int
) -> list[Callable[[threading.Event], None]]:
    """A client of each kind as something that goes on until its event is set."""
    valid = [q for q in learnt if not q.is_hostile and q.template in ("raster", "svg")]
    return [
        partial(
            _go_on,
            kind,
            f"127.0.1.{number + 1}",
            address,
            valid,
            learnt,
            record,
            random.Random(f"{seed} {kind.name}"),
        )
        for number, kind in enumerate(kinds)
    ]


def _go_on(
    kind: Awkward,
    source: str,
    address: tuple[str, int],
    questions: list[Question],
    learnt: Learnt,
    record: Record,
    choice: random.Random,
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        question = choice.choice(questions)
        asked = time.monotonic()
        client = Client(address, source, stop, choice, record)
        try:
            wrong = kind.behave(client, question, learnt)
            verdict = Verdict.RIGHT if not wrong else Verdict.INTERNAL if "500" in wrong else Verdict.WRONG
        except TimeoutError:
            verdict, wrong = Verdict.HANG, "kept open"
        except ConnectionError as ended:
            # It stopped listening to somebody who misbehaved.
            verdict, wrong = Verdict.RIGHT, repr(ended)
        finally:
            client.socket.close()
        record.add(
            Event(
                who=kind.name,
                verdict=verdict,
                said=wrong,
                question=f"{question.path} {question.name}",
                template="",
                asked=asked,
                came=time.monotonic(),
            )
        )
        stop.wait(PAUSE_SECONDS)


def _drips_body(client: Client, question: Question, _: Learnt) -> str:
    head, body = question.request().split(b"\r\n\r\n", 1)
    client.socket.sendall(head + b"\r\n\r\n")
    client.drip(body, 1.0)
    return _is_one_of(client.answer(), 408)


def _drips_head(client: Client, question: Question, _: Learnt) -> str:
    client.drip(question.request(), 1.0)
    return _is_one_of(client.answer(), 408)


def _stops_in_the_middle(client: Client, question: Question, _: Learnt) -> str:
    request = question.request()
    client.socket.sendall(request[: len(request) - len(question.body) // 2])
    return _is_one_of(client.answer(), 408)


def _resets(client: Client, question: Question, _: Learnt) -> str:
    request = question.request()
    where = client.choice.choice([len(request) // 2, len(request)])
    client.socket.sendall(request[:where])
    client.stop.wait(client.choice.uniform(0.0, 0.02))
    client.reset()
    return ""


def _never_reads(client: Client, _: Question, __: Learnt) -> str:
    """Some answers stay in the kernel's buffers; then the service has to let go by itself.

    We may not hear of it: with all buffers full the kernel tells the end to nobody.
    """
    request = Question(name="noise", path="/images/fit/4096?format=png", body=form(_noise())).request()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.settimeout(0.5)
    deadline = time.monotonic() + MOST_SECONDS
    while not client.stop.is_set() and client.is_held():
        try:
            client.socket.sendall(request)
        except TimeoutError:
            pass  # It reads no more requests while an answer waits.
        except ConnectionError:
            return ""
        if time.monotonic() > deadline:
            raise TimeoutError
    return ""


def _pipelines(client: Client, question: Question, learnt: Learnt) -> str:
    client.socket.sendall(question.request() * PIPELINED)
    for number in range(PIPELINED):
        answer = client.answer()
        if answer is None:
            return f"answer {number + 1} of {PIPELINED} did not come"
        verdict, said = judge(
            answer,
            learnt[question],
            memory_is_short=client.record.memory_is_short,
            threads_are_short=client.record.threads_are_short,
        )
        if verdict not in (Verdict.RIGHT, Verdict.REFUSED):
            return f"answer {number + 1} is {verdict}: {said}"
        if answer.headers.get("connection") == "close":
            return ""
    return ""


def _says_too_little(client: Client, question: Question, _: Learnt) -> str:
    request = question.request()
    length = len(question.body)
    client.socket.sendall(
        request.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length // 2), 1)
    )
    return _is_one_of(client.answer(), 400)


def _says_too_much(client: Client, question: Question, _: Learnt) -> str:
    request = question.request()
    length = len(question.body)
    client.socket.sendall(
        request.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length * 2), 1)
    )
    return _is_one_of(client.answer(), 408)


def _sends_many_parts(client: Client, question: Question, _: Learnt) -> str:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n'.encode()
    _send_what_it_takes(client, _with_body(question, part * PARTS + question.body))
    return _is_one_of(client.answer(), 400)


def _sends_giant_headers(client: Client, question: Question, _: Learnt) -> str:
    head, body = question.request().split(b"\r\n\r\n", 1)
    _send_what_it_takes(client, head + b"\r\nX-Giant: " + b"a" * 200_000 + b"\r\n\r\n" + body)
    return _is_one_of(client.answer(), 431)


def _sends_chunks_without_end(client: Client, question: Question, _: Learnt) -> str:
    head = re.sub(
        rb"Content-Length: \d+", b"Transfer-Encoding: chunked", question.request().split(b"\r\n\r\n", 1)[0]
    )
    start = form(b"")[: -len(f"\r\n--{BOUNDARY}--\r\n")]
    client.socket.sendall(head + b"\r\n\r\n" + b"%x\r\n" % len(start) + start + b"\r\n")
    client.pour(b"1000\r\n" + b"a" * 4096 + b"\r\n")
    if client.stop.is_set():
        return ""
    return _is_one_of(client.answer(), 408, 413)


DISCONNECTING = (
    Awkward(name="stops in the middle", behave=_stops_in_the_middle),
    Awkward(name="resets", behave=_resets),
)
KINDS = (
    *DISCONNECTING,
    Awkward(name="sends a byte of the body a second", behave=_drips_body),
    Awkward(name="sends a byte of the head a second", behave=_drips_head),
    Awkward(name="never reads the answer", behave=_never_reads),
    Awkward(name="pipelines", behave=_pipelines),
    Awkward(name="states too small a length", behave=_says_too_little),
    Awkward(name="states too large a length", behave=_says_too_much),
    Awkward(name="sends 10,000 parts", behave=_sends_many_parts),
    Awkward(name="sends giant headers", behave=_sends_giant_headers),
    Awkward(name="sends chunks without end", behave=_sends_chunks_without_end),
)


def _noise() -> bytes:
    """A bitmap that no format makes smaller."""
    pixels = random.randbytes(3 * NOISE_SIDE**2)
    header = struct.pack("<2sIII", b"BM", 54 + len(pixels), 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, NOISE_SIDE, NOISE_SIDE, 1, 24, *[0] * 6) + pixels


def _with_body(question: Question, body: bytes) -> bytes:
    head = question.request().split(b"\r\n\r\n", 1)[0]
    return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body


def _send_what_it_takes(client: Client, data: bytes) -> None:
    """The service may answer and end before all is sent; what it said still lies in the socket."""
    with contextlib.suppress(ConnectionError):
        client.socket.sendall(data)


def _is_one_of(answer: Answer | None, *statuses: int) -> str:
    """What is wrong with this answer to a misbehaving client; an end without one is its own fault."""
    if answer is None or answer.status in (*statuses, 503):
        return ""
    return f"{answer.status} {answer.json.get('code', '')} instead of {' or '.join(map(str, statuses))}"
