"""Log lines: one for each event, whatever the values hold."""

import fcntl
import io
import logging
import os
import re
from collections.abc import Iterator

import pytest

from remote_worker import telemetry
from remote_worker.telemetry import Event


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged while a test runs, with the former handlers put back after it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    telemetry.configure(stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def test_an_event_is_one_line_of_time_level_word_and_fields(log: io.StringIO) -> None:
    telemetry.emit(Event.SERVING, host="127.0.0.1", port=5000, seconds=0.12345)

    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info serving host=127\.0\.0\.1 port=5000 seconds=0\.123\n"
    assert re.fullmatch(line, log.getvalue())


def test_a_line_begins_with_its_time_in_milliseconds_cut_off() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    line = telemetry.Line()
    written = []
    for record.created in (1769860800.0, 1769860800.25, 1769860800.9996, 1769860801.0, 1769860799.5):
        written.append(line.format(record).split()[0])

    assert written == [
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00.250Z",
        "2026-01-31T12:00:00.999Z",
        "2026-01-31T12:00:01.000Z",
        "2026-01-31T11:59:59.500Z",
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("line\nserving forged=1", '"line\\nserving forged=1"'),
        ("\x1b[31m", '"\\x1b[31m"'),
        ("\u2028é", '"\\u2028\\xe9"'),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_a_value_cannot_end_its_line_or_pose_as_another_field(
    log: io.StringIO, value: str, written: str
) -> None:
    telemetry.emit(Event.SERVING, text=value)

    assert log.getvalue().endswith(f" serving text={written}\n")
    assert log.getvalue().count("\n") == 1


def test_an_error_brings_its_trace_on_the_same_line(log: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=error, request="r1")

    assert log.getvalue().count("\n") == 1
    assert " error internal_error request=r1 trace=" in log.getvalue()
    assert "ValueError: broken" in log.getvalue()


def test_a_warning_of_a_library_has_the_same_form_and_its_chatter_is_left_out(log: io.StringIO) -> None:
    logging.getLogger("library").warning("something\nodd")
    logging.getLogger("library").info("chatter")

    assert log.getvalue().endswith(' warning note logger=library text="something\\nodd"\n')
    assert log.getvalue().count("\n") == 1


def test_a_log_that_nobody_reads_loses_lines_and_says_how_many_once_it_is_read(log: io.StringIO) -> None:
    reader, writer = os.pipe()
    stream = telemetry.Unhurried(writer)
    telemetry.configure(stream)
    line = "x" * 999 + "\n"
    room = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    for _ in range(room // len(line) + 100):
        stream.write(line)
    taken = os.read(reader, room).count(b"\n")
    stream.write("heard\n")

    lost = room // len(line) + 100 - taken
    assert lost >= 100
    heard, notice = os.read(reader, room).decode().splitlines()
    assert heard == "heard"
    assert notice.endswith(f" warning lines_lost lines={lost}")
    os.close(reader)
    stream.write("to nobody\n")
    os.close(writer)


def test_a_log_on_a_full_disk_fails_nobody() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = telemetry.Unhurried(full.fileno())
        stream.write("nowhere\n")


def test_a_line_longer_than_a_pipe_takes_at_once_is_written_whole() -> None:
    reader, writer = os.pipe()
    telemetry.Unhurried(writer).write("y" * 20_000 + "\n")
    os.close(writer)

    with open(reader, "rb") as read:
        assert read.read() == b"y" * 20_000 + b"\n"
