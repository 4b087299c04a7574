"""Log lines: one for each event, whatever the values hold."""

import fcntl
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from remote_worker import telemetry
from remote_worker.settings import BadSettings, effective, read
from remote_worker.telemetry import Event, Listening, LogFormat


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


HOSTILE = ("line\nserving forged=1", "\x1b[31m", 'say "x"', "\u2028é", "a=b", "\ud800", "", "\r", "\x00")
"""Values that would do harm if they were written as they are."""


@pytest.mark.parametrize("value", HOSTILE)
def test_in_json_a_line_is_one_object_whatever_the_values_hold(log: io.StringIO, value: str) -> None:
    telemetry.configure(log, LogFormat.JSON)
    telemetry.emit(Event.SERVING, text=value, port=5000, seconds=0.12345, nothing=None, is_on=True)

    written = log.getvalue()
    assert written.count("\n") == 1
    assert written[:-1].isascii()
    assert written[:-1].isprintable()
    told = json.loads(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "level": "info",
        "event": "serving",
        "text": value,
        "port": 5000,
        "seconds": 0.123,
        "nothing": None,
        "is_on": True,
    }


def test_in_json_a_number_that_json_cannot_say_is_text(log: io.StringIO) -> None:
    telemetry.configure(log, LogFormat.JSON)
    telemetry.emit(Event.SERVING, seconds=float("nan"), ms=float("inf"))

    assert (json.loads(log.getvalue())["seconds"], json.loads(log.getvalue())["ms"]) == ("nan", "inf")


def test_in_json_an_error_and_a_librarys_warning_have_the_same_form(log: io.StringIO) -> None:
    telemetry.configure(log, LogFormat.JSON)
    try:
        raise ValueError("broken")
    except ValueError as error:
        telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=error, request="r1")
    logging.getLogger("library").warning("something\nodd")
    fault, note = map(json.loads, log.getvalue().splitlines())

    assert (fault["level"], fault["event"], fault["request"]) == ("error", "internal_error", "r1")
    assert "ValueError: broken" in fault["trace"]
    assert (note["event"], note["logger"], note["text"]) == ("note", "library", "something\nodd")


@pytest.mark.parametrize("value", HOSTILE)
def test_on_the_console_nothing_gets_through_that_a_terminal_obeys(log: io.StringIO, value: str) -> None:
    telemetry.configure(log, LogFormat.CONSOLE)
    telemetry.emit(Event.SERVING, text=value)

    written = log.getvalue()
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} info     serving text=", written)
    assert written.count("\n") == 1
    assert written[:-1].isascii()
    assert written[:-1].isprintable()


def test_on_the_console_a_trace_follows_set_in_and_cannot_pose_as_a_line(log: io.StringIO) -> None:
    telemetry.configure(log, LogFormat.CONSOLE)
    try:
        raise ValueError("first\n12:00:00.000 info     serving forged=1\x1b[31m")
    except ValueError as error:
        telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=error)
    first, *rest = log.getvalue().splitlines()

    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} error    internal_error", first)
    assert len(rest) >= 3
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in log.getvalue()


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    written = []
    for stream in (Terminal(), io.StringIO()):
        telemetry.configure(stream, LogFormat.CONSOLE)
        telemetry.emit(Event.SERVING, port=1)
        written.append(stream.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    telemetry.configure(stream := Terminal(), LogFormat.CONSOLE)
    telemetry.emit(Event.SERVING, port=1)

    assert ["\x1b[" in text for text in (*written, stream.getvalue())] == [True, False, False]
    assert re.sub(r"\x1b\[[0-9]*m", "", written[0])[12:] == written[1][12:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", Listening("127.0.0.1", 9464)),
        ("[::1]:0", Listening("::1", 0)),
        ("localhost:65535", Listening("localhost", 65535)),
        ("", Listening()),
    ],
)
def test_metrics_have_an_address_with_a_port_or_none(text: str, expected: Listening) -> None:
    assert read({"REMOTE_METRICS": text}).telemetry.metrics == expected
    assert dict(effective(read({"REMOTE_METRICS": text})))["REMOTE_METRICS"] == text


@pytest.mark.parametrize(
    "text", ["9464", ":9464", "127.0.0.1", "::1:9464", "127.0.0.1:65536", "example.org:1", "127.0.0.300:1"]
)
def test_another_address_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(BadSettings, match=r"REMOTE_METRICS must be an address with a port"):
        read({"REMOTE_METRICS": text})


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "[::]"])
def test_metrics_beyond_loopback_need_a_word_that_they_are_open(host: str) -> None:
    with pytest.raises(BadSettings, match="REMOTE_METRICS_OPEN=1"):
        read({"REMOTE_METRICS": f"{host}:9464"})
    opened = read({"REMOTE_METRICS": f"{host}:9464", "REMOTE_METRICS_OPEN": "1"})

    assert opened.telemetry.metrics.port == 9464
    assert read({"REMOTE_METRICS": "127.8.9.1:9464"}).telemetry.metrics.host == "127.8.9.1"


def test_a_log_format_is_one_of_three() -> None:
    with pytest.raises(BadSettings, match="one of `logfmt`, `json`, `console`"):
        read({"REMOTE_LOG_FORMAT": "xml"})

    assert read({"REMOTE_LOG_FORMAT": "json"}).telemetry.log_format is LogFormat.JSON
    assert read({}).telemetry.log_format is LogFormat.LOGFMT


def test_secrets_of_other_makers_are_in_no_text_of_the_settings() -> None:
    settings = read({"SENTRY_DSN": "http://secret@s/1", "REMOTE_TOP_KEY": "rw_secret"})

    assert settings.outside.sentry_dsn == "http://secret@s/1"
    assert "secret@s" not in repr(settings)
    assert dict(effective(settings))["REMOTE_TOP_KEY"] == "(hidden)"


TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be"),
        ({**TRACED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be"),
        ({**TRACED, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "TRACES_PROTOCOL must be"),
        ({**TRACED, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization Bearer word"}, "OTLP_HEADERS must be"),
        ({**TRACED, "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b,word"}, "TRACES_HEADERS must be"),
        ({**TRACED, "OTEL_EXPORTER_OTLP_HEADERS": 'a="word"'}, "OTLP_HEADERS must be"),
    ],
)
def test_traces_that_would_silently_go_nowhere_stop_the_start(given: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named) as refused:
        read(given)

    assert "word" not in str(refused.value)
    assert read({**given, "OTEL_SDK_DISABLED": "true"}).outside.traces is False


@pytest.mark.parametrize(
    "given",
    [
        TRACED,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"},
        {**TRACED, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {**TRACED, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer rw_1=, x-tenant=a%20b,"},
    ],
)
def test_traces_that_are_sent_are_taken(given: dict[str, str]) -> None:
    assert read(given).outside.traces is True


def test_a_terminal_that_nobody_reads_holds_nothing_up() -> None:
    """Ctrl-S, or a window that is not looked at: a terminal takes some kilobytes, and then waits."""
    program = (
        "from remote_worker import telemetry\n"
        "telemetry.configure()\n"
        "for number in range(2000): telemetry.emit(telemetry.Event.SERVING, port=number, words='x' * 90)\n"
    )
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run([sys.executable, "-c", program], stderr=theirs, timeout=20, check=False)
        told = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == 0
    assert b" info serving port=0 " in told
