"""When traces are wanted, what a trace holds at most, and what happens without the packages."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from remote_worker import tracing
from remote_worker.metrics import Step
from remote_worker.tracing import MOST_STEPS, Past, Request, Tracer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environment", "is_wanted"),
    [
        ({}, False),
        ({ENDPOINT: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "false"}, True),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(
    environment: dict[str, str], is_wanted: bool
) -> None:
    assert tracing.is_wanted(environment) is is_wanted


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> Tracer:
    """One that keeps its spans."""
    made = Tracer("1")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    made._tracer = provider.get_tracer("remote_worker")
    return made


def ended(**more: Any) -> Request:
    given: dict[str, Any] = {
        "journey": [],
        "started": time.perf_counter(),
        "method": "GET",
        "route": "/ping",
        "status": 200,
        "code": "",
        "request_id": "r1",
    }
    return Request(**given | more)


PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        (f"00-{'1' * 32}-{PARENT}-01", True),
        (f"00-{'1' * 32}-{PARENT}-03", True),
        ("", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{'1' * 32}-{'0' * 16}-01", False),
        (f"00-{'1' * 31}-{PARENT}-01", False),
        (f"00-{'A' * 32}-{PARENT}-01", False),
        (f"ff-{'1' * 32}-{PARENT}-01", False),
        (f"00-{'1' * 32}-{PARENT}-01-more", False),
        (f"00-{'1' * 32}-{PARENT}-01\n", False),
    ],
)
def test_a_callers_traceparent_is_taken_up_as_w3c_writes_it(
    tracer: Tracer, exported: InMemorySpanExporter, given: str, is_taken: bool
) -> None:
    trace = tracer.tell(ended(traceparent=given))
    (span,) = exported.get_finished_spans()

    assert (trace == "1" * 32) is is_taken
    assert (span.parent is not None) is is_taken
    assert len(trace) == 32


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (422, False), (499, False), (500, True)])
def test_only_what_is_the_workers_fault_is_an_error(
    tracer: Tracer, exported: InMemorySpanExporter, status: int, is_error: bool
) -> None:
    tracer.tell(ended(status=status, code="some_code"))
    (span,) = exported.get_finished_spans()

    assert (span.status.status_code.name == "ERROR") is is_error
    assert span.attributes is not None
    assert span.attributes["error.type"] == "some_code"


def test_a_trace_has_so_many_steps_and_not_one_more(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    async def one(steps: int) -> int:
        exported.clear()
        journey = tracing.begin()
        for _ in range(steps):
            tracing.took(Step.READ, time.perf_counter())
        tracer.tell(ended(journey=journey))
        return len(exported.get_finished_spans()) - 1

    assert asyncio.run(one(MOST_STEPS)) == 64
    assert asyncio.run(one(MOST_STEPS + 1)) == 64


def test_steps_of_one_kind_are_added_up() -> None:
    journey = [Past(Step.FETCH, 1.0, 0.5), Past(Step.READ, 2.0, 0.25), Past(Step.FETCH, 3.0, 1.0)]

    assert tracing.seconds_of(journey) == {Step.FETCH: 1.5, Step.READ: 0.25}


def test_what_one_task_goes_through_is_not_told_of_another() -> None:
    async def one(steps: int) -> int:
        journey = tracing.begin()
        for _ in range(steps):
            await asyncio.sleep(0)
            tracing.took(Step.QUEUE, time.perf_counter())
        return len(journey)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(asyncio.create_task(one(steps)) for steps in (3, 0, 5)))

    assert asyncio.run(all_of_them()) == [3, 0, 5]


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from remote_worker.cli import main
sys.exit(main(["serve", "--port", "0"]))
"""


@pytest.mark.parametrize(
    ("package", "variable", "value"),
    [
        ("opentelemetry", ENDPOINT, "http://127.0.0.1:9"),
        ("sentry_sdk", "SENTRY_DSN", "http://public@127.0.0.1:9/1"),
    ],
)
def test_without_the_package_the_start_is_refused_and_the_extra_named(
    package: str, variable: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names={package})],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 78
    assert variable in done.stderr
    assert "remote-worker[telemetry]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dsn_that_is_none_stops_the_start_and_is_not_echoed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remote_worker", "serve", "--port", "0"],
        env={**os.environ, "SENTRY_DSN": "secret-nonsense"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 78
    assert "SENTRY_DSN must be" in done.stderr
    assert "secret" not in done.stderr


def test_nothing_of_the_packages_is_loaded_unless_they_are_asked_for() -> None:
    program = (
        "import sys, remote_worker.cli.serving\nfrom remote_worker import wiring, settings, asgi\n"
        "wiring.Whole(settings.read({}))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('opentelemetry', 'sentry_sdk', 'prometheus_client', 'requests', 'urllib3', 'rich', 'Crypto', "
        "'maxminddb')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_collector_that_hangs_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(tracing, "END_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

        async def stop() -> None:
            async with Tracer("1") as tracer:
                tracer.tell(ended())

        asyncio.run(asyncio.wait_for(stop(), 10))
        is_behind = [thread for thread in threading.enumerate() if thread.name == "last-spans"]
        for thread in is_behind:  # With its connection, which other tests would count among theirs.
            thread.join(30)

    assert is_behind


@pytest.mark.parametrize("told", [0.001, 3600.0])
def test_a_child_says_how_its_time_is_shared_but_not_how_long_it_was(told: float) -> None:
    journey = tracing.begin()
    began = time.perf_counter() - 5.0

    tracing.worked(began, told)

    whole = time.perf_counter() - began
    spent = tracing.seconds_of(journey)
    assert 5.0 <= spent[Step.DECODE] + spent[Step.ENCODE] <= whole
    assert spent[Step.ENCODE] == pytest.approx(min(told, whole), abs=whole - 5.0)
    assert spent[Step.DECODE] >= 0
