"""What the worker logs: one line an event, words from a closed list, request ids, and never contents."""

import logging
import os
import re
import select
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO


class Event(StrEnum):
    """A stable word for each thing that is logged."""

    SERVING = "serving"
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
    EGRESS_REPORTED = "egress_reported"
    KEYS_READ = "keys_read"
    KEYS_FAILED = "keys_failed"
    CERTIFICATE_FAILED = "certificate_failed"
    LINES_LOST = "lines_lost"
    NOTE = "note"  # A line of a library that we run.


Field = str | int | float | bool | None

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
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
    _logger.handle(
        _logger.makeRecord(_logger.name, level, "", 0, event.value, (), trace, extra={"fields": fields})
    )


def configure(stream: TextIO | None = None) -> None:
    """Send every log line, those of libraries too, to this stream (standard error) in our form."""
    handler = logging.StreamHandler(stream or Unhurried(sys.stderr.fileno()))
    handler.setFormatter(Line())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # No line says these, and to find them out is half of what a record costs.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    _logger.setLevel(logging.INFO)


class Unhurried:
    """A stream over a descriptor that never waits and never fails, so that no log can hold up the worker.

    A line for which a pipe or a disk has no room is lost; the next one that is taken is followed by a count.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._lost = 0

    def write(self, line: str) -> None:
        """Write the line, or lose it."""
        if not self._take(line.encode()):
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            emit(Event.LINES_LOST, level=logging.WARNING, lines=lost)
            self._lost = lost if self._lost else 0

    def flush(self) -> None:
        """Fill the protocol: nothing is kept back."""

    def _take(self, data: bytes) -> bool:
        # A pipe or socket that is writable takes so much without waiting: pipe(7).
        for start in range(0, len(data), select.PIPE_BUF):
            try:
                if not self._ready.poll(0):
                    return False
                os.write(self._descriptor, data[start : start + select.PIPE_BUF])
            except OSError:
                return False
        return True


class Line(logging.Formatter):
    """`2026-01-31T12:00:00.000Z info request id=4f2a status=200 ms=12`, whatever the values hold."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._at = ""
        """That second, as lines begin."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields: dict[str, Field]
        if hasattr(record, "fields"):
            event, fields = record.getMessage(), dict(record.fields)
        else:
            event, fields = Event.NOTE.value, {"logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        words = [self._time(record.created), record.levelname.lower(), event]
        return " ".join(words + [f"{name}={_word(value)}" for name, value in fields.items()])

    def _time(self, created: float) -> str:
        second, milliseconds = divmod(int(created * 1000), 1000)
        if second != self._second:
            self._second = second
            self._at = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._at}.{milliseconds:03d}Z"


def _word(value: Field) -> str:
    """The value as it is when it is one plain word, else quoted with everything unprintable escaped."""
    if type(value) is int:
        return str(value)
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
