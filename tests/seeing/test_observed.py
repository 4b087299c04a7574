"""A whole worker with everything on: what it tells of known requests, and what it keeps to itself."""

import contextlib
import fcntl
import gzip
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from seeing.receivers import Received, receiving

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "src" / "remote_worker" / "decoder" / "samples" / "sample.png"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "a-word-that-nobody-may-hear"


@dataclass
class Worker:
    """One that serves, and its log, an object a line."""

    process: subprocess.Popen[str]
    told: Received
    """What its traces are sent to, and its pages fetched from."""
    log: list[dict[str, Any]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def event(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line like this, once it is there."""
        with self.news:
            assert self.news.wait_for(lambda: any(map(is_it, self.log)), timeout=30)
            return next(filter(is_it, self.log))

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self.event(lambda line: line["event"] == "serving")["url"])

    @property
    def metrics_url(self) -> str:
        """Where it is scraped."""
        return str(self.event(lambda line: line["event"] == "metrics")["url"])

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, given)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, dict(refused.headers), refused.read()

    def fit(self, **headers: str) -> dict[str, str]:
        """An upload that goes well. Gives the answer's headers."""
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        status, answered, _ = self.ask(
            f"/images/fit/16?quality=80&{SECRET}=1",
            head + SAMPLE.read_bytes() + b"\r\n--x--\r\n",
            Content_Type="multipart/form-data; boundary=x",
            **headers,
        )
        assert status == 200
        return {name.lower(): value for name, value in answered.items()}

    def scrape(self, accept: str = "text/plain") -> tuple[str, str]:
        """The metrics, and their media type."""
        request = urllib.request.Request(self.metrics_url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode(), answer.headers["content-type"]

    def value(self, name: str, **labels: str) -> float:
        """One number of them, 0 where it is not told."""
        text, _ = self.scrape()
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        for line in text.splitlines():
            found = re.fullmatch(rf"remote_worker_{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and wanted <= set(re.findall(r'[a-z_]+="[^"]*"', found[1] or "")):
                return float(found[2])
        return 0.0

    def spans(self) -> list[Any]:
        """All that were sent until now."""
        found = []
        for _, _, headers, body in [one for one in self.told.requests if one[1] == "/v1/traces"]:
            packed = headers.get("content-encoding") == "gzip"
            message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found

    def trace(self, root: Callable[[Any], bool]) -> tuple[Any, list[Any]]:
        """A request's span that is like this, and all spans below it, once they are there."""
        self.told.wait_for(lambda: any(map(root, self.spans())))
        spans = self.spans()
        top = next(filter(root, spans))
        return top, [span for span in spans if span.trace_id == top.trace_id and span is not top]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One for the module."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("REMOTE_", "OTEL_"))}
    with receiving() as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "remote_worker", "serve", "--port", "0"],
            env={
                **clean,
                "REMOTE_LOG_FORMAT": "json",
                "REMOTE_METRICS": "127.0.0.1:0",
                "REMOTE_CHILDREN": "2",
                "REMOTE_READY": "1",
                "REMOTE_EGRESS_ALLOW": "127.0.0.1/32:*",
                "OTEL_EXPORTER_OTLP_ENDPOINT": told.url,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=seven",
                "OTEL_SERVICE_NAME": "pictures",
                "OTEL_BSP_SCHEDULE_DELAY": "50",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Worker(process, told)
        reading = threading.Thread(target=_read, args=(running,))
        reading.start()
        try:
            yield running
        finally:
            process.terminate()
            assert process.wait(30) == 0
            reading.join()
            assert process.stderr is not None
            process.stderr.close()


def _read(worker: Worker) -> None:
    assert worker.process.stderr is not None
    for line in worker.process.stderr:
        with worker.news:
            worker.log.append(json.loads(line))  # A line that is no object fails the tests that wait.
            worker.news.notify_all()


def test_an_upload_is_a_tree_of_spans_below_its_callers(worker: Worker) -> None:
    worker.fit(traceparent=f"00-{TRACE}-b7ad6b7169203331-01", X_Request_Id="traced-1")
    root, below = worker.trace(lambda span: attributes(span).get("remote_worker.request_id") == "traced-1")

    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    assert root.name == "POST /images/fit/{box}"
    assert attributes(root) == {
        "http.request.method": "POST",
        "http.route": "/images/fit/{box}",
        "http.response.status_code": 200,
        "remote_worker.request_id": "traced-1",
    }
    assert [span.name for span in sorted(below, key=lambda span: span.start_time_unix_nano)] == [
        "upload",
        "queue",
        "sandbox",
        "decode",
        "encode",
    ]
    assert {span.parent_span_id for span in below} == {root.span_id}
    inside = [root.start_time_unix_nano, root.end_time_unix_nano]
    for span in below:
        moments = [*inside, span.start_time_unix_nano, span.end_time_unix_nano]
        assert (min(moments), max(moments)) == tuple(inside)


def test_a_caller_that_does_not_sample_has_no_spans_made(worker: Worker) -> None:
    worker.fit(traceparent=f"00-{'12' * 16}-b7ad6b7169203331-00", X_Request_Id="unsampled")
    worker.fit(X_Request_Id="sampled")
    worker.trace(lambda span: attributes(span).get("remote_worker.request_id") == "sampled")

    assert {span.trace_id.hex() for span in worker.spans()} & {"12" * 16} == set()


def test_a_preview_is_a_tree_with_its_hops(worker: Worker) -> None:
    page = f"{worker.told.url}/page?{SECRET}=2"
    status, _, _ = worker.ask(
        "/links/preview", f"url={page}".encode(), X_Request_Id="preview-1", User_Agent=SECRET
    )
    root, below = worker.trace(lambda span: attributes(span).get("remote_worker.request_id") == "preview-1")
    (fetch,) = [span for span in below if span.name == "fetch"]
    (hop,) = [span for span in below if span.name == "hop"]

    assert status == 200
    assert worker.value("fetches_total", purpose="page", outcome="ok") >= 1
    assert fetch.parent_span_id == root.span_id
    assert hop.parent_span_id == fetch.span_id
    assert attributes(hop)["http.response.status_code"] == 200
    assert {"remote_worker.connect_ms", "remote_worker.ttfb_ms"} <= attributes(hop).keys()
    assert "read" in {span.name for span in below}


def test_nothing_of_what_callers_sent_leaves_and_no_third_party_hears_of_traces(worker: Worker) -> None:
    worker.ask("/links/preview", f"url={worker.told.url}/other?{SECRET}=3".encode(), X_Request_Id="last")
    worker.trace(lambda span: attributes(span).get("remote_worker.request_id") == "last")
    fetched = [headers for method, _, headers, _ in worker.told.requests if method == "GET"]
    exported = [one for one in worker.told.requests if one[1] == "/v1/traces"]

    assert fetched
    assert exported
    assert not [headers for headers in fetched if "traceparent" in headers or "tracestate" in headers]
    for span in worker.spans():
        assert SECRET not in str(span)
        assert "127.0.0.1" not in str(span)
    assert {headers["x-tenant"] for _, _, headers, _ in exported} == {"seven"}
    assert b"pictures" in exported[0][3] or exported[0][2].get("content-encoding") == "gzip"
    assert SECRET not in json.dumps(worker.log)
    assert SECRET not in worker.scrape()[0]


def test_a_line_of_the_log_names_its_trace(worker: Worker) -> None:
    worker.fit(traceparent=f"00-{'34' * 16}-b7ad6b7169203331-01", X_Request_Id="logged")
    line = worker.event(lambda line: line.get("request_id") == "logged")

    assert line["trace_id"] == "34" * 16
    assert (line["level"], line["event"], line["status"]) == ("info", "request", 200)


def test_templates_are_renewed_and_work_beside_the_exporters_thread(worker: Worker) -> None:
    before = worker.value("template_starts_total", template="raster")
    worker.process.send_signal(signal.SIGHUP)
    worker.event(lambda line: line["event"] == "renewed")
    threads = len(os.listdir(f"/proc/{worker.process.pid}/task"))
    worker.fit()

    assert threads > 1
    assert worker.value("template_starts_total", template="raster") == before + 1


def test_an_answer_says_what_its_time_went_into(worker: Worker) -> None:
    timing = worker.fit()["server-timing"]

    names = [entry.partition(";")[0] for entry in timing.split(", ")]
    spent = {name: float(took) for name, took in re.findall(r"(\w+);dur=([0-9.]+)", timing)}
    assert names == ["upload", "queue", "sandbox", "decode", "encode", "total"]
    assert sum(spent.values()) - spent["total"] <= spent["total"] + 0.5


def test_known_requests_are_counted(worker: Worker) -> None:
    counted = {
        "requests_total": {"route": "/images/fit/{box}", "method": "POST", "status": "200"},
        "decode_outcomes_total": {"format": "png", "outcome": "ok"},
        "request_duration_seconds_count": {"route": "/images/fit/{box}"},
        "request_span_duration_seconds_count": {"span": "encode"},
    }
    before = {name: worker.value(name, **labels) for name, labels in counted.items()}
    worker.fit()
    worker.fit()

    assert {name: worker.value(name, **labels) for name, labels in counted.items()} == {
        name: count + 2 for name, count in before.items()
    }


def test_what_is_refused_is_counted_by_what_it_looks_like(worker: Worker) -> None:
    before = worker.value("decode_outcomes_total", format="gif", outcome="reject")
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + b"GIF89a, but no more\r\n--x--"
    status, _, _ = worker.ask("/images/info", body, Content_Type="multipart/form-data; boundary=x")

    assert status in (415, 422)
    assert worker.value("decode_outcomes_total", format="gif", outcome="reject") == before + 1


def test_what_a_child_took_is_what_the_kernel_says(worker: Worker) -> None:
    before = worker.value("child_memory_peak_bytes_count", template="raster")
    worker.fit()
    limit = time.monotonic() + 10
    while worker.value("child_memory_peak_bytes_count", template="raster") == before:
        assert time.monotonic() < limit
    peak = worker.value("child_memory_peak_bytes_sum", template="raster") / worker.value(
        "child_memory_peak_bytes_count", template="raster"
    )

    assert 8 * 2**20 < peak < 512 * 2**20


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest", "metadata"),
        ("http://10.0.0.1/", "private"),
        ("http://metadata.google.internal/", "metadata"),
        ("http://8.8.8.8:8443/", "port"),
    ],
)
def test_what_the_door_refuses_is_counted_by_its_rule(worker: Worker, url: str, reason: str) -> None:
    before = worker.value("egress_denied_total", reason=reason)
    status, _, body = worker.ask("/links/preview", f"url={url}".encode())

    assert status in (400, 403), body
    assert worker.value("egress_denied_total", reason=reason) == before + 1


def test_the_worker_does_not_fetch_its_own_metrics(worker: Worker) -> None:
    status, _, body = worker.ask("/links/preview", f"url={worker.metrics_url}".encode())

    assert (status, json.loads(body)["code"]) == (508, "self")


def test_strangers_paths_and_methods_make_no_labels(worker: Worker) -> None:
    for number in range(3):
        worker.ask(f"/made-up-{number}")
    request = urllib.request.Request(worker.url + "/ping", method="PROPFIND")
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=10)
    text, _ = worker.scrape()

    assert "made-up" not in text
    assert "PROPFIND" not in text
    assert worker.value("requests_total", route="none", method="GET", status="404") >= 3


@pytest.mark.needs_promtool
def test_prometheus_own_tool_finds_no_fault(worker: Worker) -> None:
    worker.fit()
    text, _ = worker.scrape()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.needs_promtool
def test_prometheus_own_tool_takes_the_alerts() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(ROOT / "deploy" / "alerts.yml")], capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("accept", "media_type", "end"),
    [
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", "# EOF\n"),
        ("text/plain;version=0.0.4", "text/plain", ""),
        ("*/*", "text/plain", ""),
        ("", "text/plain", ""),
    ],
)
def test_the_scraper_chooses_the_form(worker: Worker, accept: str, media_type: str, end: str) -> None:
    text, told = worker.scrape(accept)

    assert told.startswith(media_type)
    assert text.endswith(end)
    assert text.endswith("# EOF\n") is bool(end)


def test_stats_tell_what_is_counted(worker: Worker) -> None:
    before = json.loads(worker.ask("/stats")[2])
    worker.fit()
    after = json.loads(worker.ask("/stats")[2])

    assert after["totals"]["requests"] == before["totals"]["requests"] + 2
    assert after["totals"]["by_status"]["2xx"] == before["totals"]["by_status"]["2xx"] + 2
    assert after["bytes"]["in"] > before["bytes"]["in"]
    assert after["jail"]["memory_peak_bytes"] > 2**20
    assert after["queue"]["pictures"] == {
        "waiting": 0,
        "running": 0,
        "slots": 2,
        "places": 32,
        "ready": after["queue"]["pictures"]["ready"],
    }
    assert after["queue"]["fetches"].keys() == {"running", "slots"}
    assert after["rates"]["pictures"] > 0
    assert 0 < after["latency_ms"]["p50"] <= after["latency_ms"]["p99"]
    assert (after["stage"], after["status"], after["success"]) == ("serving", "ok", True)
    assert after.keys() == {
        "status",
        "success",
        "version",
        "uptime",
        "stage",
        "queue",
        "rates",
        "totals",
        "latency_ms",
        "jail",
        "bytes",
    }


def test_top_prints_one_frame_for_scripts(worker: Worker) -> None:
    worker.fit()
    done = subprocess.run(
        [sys.executable, "-m", "remote_worker", "top", worker.url, "--once"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"^pictures +0/2 +\.{20} +0/32 +\d+ +\d+\.\d *$", done.stdout, re.MULTILINE)
    assert re.search(r"^requests +\d+\.\d a second, \d+ in all +2xx \d+", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(("ending", "status"), [("\x03", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_top_shows_frames_in_a_terminal_until_it_is_ended(
    worker: Worker, ending: str | signal.Signals, status: int
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "remote_worker", "top", worker.url, "--seconds", "0.1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "tmux-256color"},
        start_new_session=True,
        preexec_fn=_in_the_foreground,
    )
    os.close(theirs)
    shown = _shown(ours, lambda text: text.count("pictures") >= 2)
    if isinstance(ending, str):
        os.write(ours, ending.encode())  # Ctrl-C, as a terminal sends it.
    else:
        process.send_signal(ending)
    shown += _shown(ours, lambda _: False)
    ended = process.wait(10)
    os.close(ours)

    assert ended == status
    assert shown.startswith("\x1b[?1049h")  # The other screen, and back: what was there stays.
    assert "\x1b[?25h\x1b[?1049l" in shown
    assert "serving" in shown
    assert "Traceback" not in shown


def _in_the_foreground() -> None:
    """Have the terminal for itself, and hear of Ctrl-C even where the tests are a job in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _shown(terminal: int, is_enough: Callable[[str], bool]) -> str:
    """What comes until this holds, or until the end."""
    text = ""
    while not is_enough(text):
        assert len(text) < 1_000_000, "it does not end"
        readable, _, _ = select.select([terminal], [], [], 15)
        assert readable, text
        try:
            data = os.read(terminal, 65536)
        except OSError:  # The other end is closed.
            return text
        if not data:
            return text
        text += data.decode()
    return text
