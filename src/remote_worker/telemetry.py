"""What the worker logs: one line an event, words from a closed list, request ids, and never contents."""

import json
import logging
import math
import os
import re
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO


class LogFormat(StrEnum):
    """How a line is written."""

    LOGFMT = "logfmt"
    JSON = "json"
    """One object a line."""
    CONSOLE = "console"
    """For people: short times, colours where it is a terminal."""


@dataclass(frozen=True, slots=True)
class Listening:
    """An address to listen on; an empty host is none."""

    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{name}:{self.port}" if self.host else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """What the worker tells of itself, and how. Nothing listens for it unless an address is named."""

    log_format: LogFormat = LogFormat.LOGFMT
    metrics: Listening = Listening()
    metrics_open: bool = False
    """The metrics may be read from other machines."""
    top_key: str = ""
    """What `remote-worker top` shows to the worker that it looks at."""


class Event(StrEnum):
    """A stable word for each thing that is logged."""

    SERVING = "serving"
    WORKING = "working"
    METRICS = "metrics"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RENEWED = "renewed"
    RENEWAL_FAILED = "renewal_failed"
    JAIL_OFF = "jail_off"
    TEMPLATE_READY = "template_ready"
    TEMPLATE_LOST = "template_lost"
    TEMPLATE_FAILED = "template_failed"
    CHILD_CRASHED = "child_crashed"
    CHILD_RETRIED = "child_retried"
    SHARD_FINISHED = "shard_finished"
    SHARD_FAILED = "shard_failed"
    SHARD_REFUSED = "shard_refused"
    DATABASE_READ = "database_read"
    DATABASE_FAILED = "database_failed"
    FETCHER_READY = "fetcher_ready"
    FETCHER_LOST = "fetcher_lost"
    FETCHER_FAILED = "fetcher_failed"
    FETCHER_ERROR = "fetcher_error"
    REQUEST = "request"
    INTERNAL_ERROR = "internal_error"
    CACHE_RECREATED = "cache_recreated"
    CACHE_FAILED = "cache_failed"
    ENGINE_FAILED = "engine_failed"
    ENGINE_READY = "engine_ready"
    UNIT_FAILED = "unit_failed"
    UNIT_DROPPED = "unit_dropped"
    EGRESS_REPORTED = "egress_reported"
    CHECK_FAILED = "check_failed"
    KEYS_READ = "keys_read"
    KEYS_FAILED = "keys_failed"
    CERTIFICATE_FAILED = "certificate_failed"
    JOB_ACCEPTED = "job_accepted"
    JOB_FINISHED = "job_finished"
    JOB_EXPIRED = "job_expired"
    JOB_REPAIRED = "job_repaired"
    JOB_DAMAGED = "job_damaged"
    JOBS_FAILED = "jobs_failed"
    WEBHOOK_GIVEN_UP = "webhook_given_up"
    LINES_LOST = "lines_lost"
    NOTE = "note"  # A line of a library that we run.


Field = str | int | float | bool | None

_is_plain = re.compile(r"[!#-<>-\[\]-~]+").fullmatch
"""Printable ASCII without the blank, the quote, the equals sign and the backslash."""

_logger = logging.getLogger("remote_worker")
"".encode("unicode_escape")  # Loads the codec's file now: a log must not need a descriptor when none is left.


def emit(
    event: Event, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Field
) -> None:
    """Log an event with its fields; `error` adds its traceback to the same line."""
    if not _logger.isEnabledFor(level):
        return
    trace = None if error is None else (type(error), error, error.__traceback__)
    # Without the search for the caller of `log`, whom no line names.
    record = logging.LogRecord(_logger.name, level, "", 0, event, (), trace)
    record.fields = fields
    _logger.handle(record)


def configure(
    stream: "TextIO | Unhurried | None" = None,
    form: LogFormat = LogFormat.LOGFMT,
    *,
    level: int = logging.INFO,
) -> None:
    """Send every log line, those of libraries too, to this stream (standard error) in this form."""
    stream = stream or Unhurried(sys.stderr.fileno())
    is_terminal = stream.isatty() and "NO_COLOR" not in os.environ
    handler = logging.StreamHandler(stream)
    forms: dict[LogFormat, Callable[[], logging.Formatter]] = {
        LogFormat.LOGFMT: Line,
        LogFormat.JSON: JsonLine,
        LogFormat.CONSOLE: lambda: ConsoleLine(is_colored=is_terminal),
    }
    handler.setFormatter(forms[form]())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # No line says these, and to find them out is half of what a record costs.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    _logger.setLevel(level)


class Unhurried:
    """A stream over a descriptor that never waits and never fails, so that no log can hold up the worker.

    A line for which a pipe or a disk has no room is lost; the next one that is taken is followed by a count.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _without_waiting(descriptor) if os.isatty(descriptor) else descriptor
        self._ready = select.poll()
        self._ready.register(self._descriptor, select.POLLOUT)
        self._lost = 0

    def write(self, line: str) -> None:
        """Write the line, or lose it."""
        if not self._take(line.encode()):
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            emit(Event.LINES_LOST, level=logging.WARNING, lines=lost)
            self._lost = lost if self._lost else 0

    def isatty(self) -> bool:
        """A person reads it."""
        return os.isatty(self._descriptor)

    def flush(self) -> None:
        """Fill the protocol: nothing is kept back."""

    def _take(self, data: bytes) -> bool:
        # A pipe or socket that is writable takes so much without waiting: pipe(7).
        for start in range(0, len(data), select.PIPE_BUF):
            piece = data[start : start + select.PIPE_BUF]
            try:
                if not self._ready.poll(0) or os.write(self._descriptor, piece) != len(piece):
                    return False
            except OSError:
                return False
        return True


def _without_waiting(terminal: int) -> int:
    """The same terminal, for us alone: one that was stopped (Ctrl-S) says it is ready, and then waits."""
    try:
        return os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return terminal


class _Form(logging.Formatter):
    """What all forms share."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._at = ""
        """That second, as lines begin."""

    def told(self, record: logging.LogRecord) -> tuple[str, dict[str, Field]]:
        """The event and its fields."""
        fields: dict[str, Field]
        if hasattr(record, "fields"):
            event, fields = record.getMessage(), dict(record.fields)
        else:
            event, fields = Event.NOTE.value, {"logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return event, fields

    def time(self, created: float) -> str:
        second, milliseconds = divmod(int(created * 1000), 1000)
        if second != self._second:
            self._second = second
            self._at = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._at}.{milliseconds:03d}Z"


class Line(_Form):
    """`2026-01-31T12:00:00.000Z info request id=4f2a status=200 ms=12`, whatever the values hold."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        event, fields = self.told(record)
        line = f"{self.time(record.created)} {record.levelname.lower()} {event}"
        for name, value in fields.items():
            line += f" {name}={_word(value)}"
        return line


class JsonLine(_Form):
    """One object of `time`, `level`, `event` and the fields, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        event, fields = self.told(record)
        members = {name: _json_value(value) for name, value in fields.items()}
        return json.dumps(
            {"time": self.time(record.created), "level": record.levelname.lower(), "event": event, **members}
        )


class ConsoleLine(_Form):
    """`12:00:00.000 info    request  id=4f2a status=200`; a trace follows on lines of its own, set in."""

    def __init__(self, *, is_colored: bool) -> None:
        super().__init__()
        self._is_colored = is_colored

    def format(self, record: logging.LogRecord) -> str:
        """The record for a person's eye."""
        event, fields = self.told(record)
        trace = str(fields.pop("trace", "") or "")
        level = record.levelname.lower()
        words = [
            self._painted(_DIM, self.time(record.created)[11:-1]),
            self._painted(_COLORS.get(record.levelno, ""), f"{level:<8}"),
            self._painted(_BOLD, event),
            *(f"{self._painted(_DIM, name + '=')}{_word(value)}" for name, value in fields.items()),
        ]
        rest = [f"    {_printable(line)}" for line in trace.splitlines()]
        return "\n".join([" ".join(words), *rest])

    def _painted(self, color: str, text: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._is_colored and color else text


_DIM, _BOLD = "2", "1"
_COLORS = {logging.INFO: "32", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


def _printable(line: str) -> str:
    return line if line.isascii() and line.isprintable() else line.encode("unicode_escape").decode("ascii")


def _json_value(value: Field) -> Field:
    if not isinstance(value, float):
        return value
    return round(value, 3) if math.isfinite(value) else str(value)


def _word(value: Field) -> str:
    """The value as it is when it is one plain word, else quoted with everything unprintable escaped."""
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"  # Digits, `nan` or `inf`: plain in any case.
    text = str(value)
    if not text:
        return '""'
    if _is_plain(text):
        return text
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
