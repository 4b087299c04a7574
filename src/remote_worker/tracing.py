"""What one request went through, step by step; with an OTLP endpoint in the environment, its spans.

Nothing of OpenTelemetry is loaded unless the operator names where spans go. Steps are noted as they end, and
spans are made of them when the request is over: no part of the worker carries a tracer. They hold words from
closed lists, numbers and ids, never an address or a body, and no third party is sent a trace's id.
"""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import metrics
from .contract.links import Hop
from .metrics import Step

EXTRA = "telemetry"
"""The extra that brings OpenTelemetry and Sentry."""
MOST_STEPS = 64
"""Of one request that become spans; a batch of previews has more."""
END_SECONDS = 3.0
"""For the last spans to leave at a stop."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
PROTOCOL = "http/protobuf"
HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_URL = re.compile(r"https?://[^/]", re.IGNORECASE)
_HEADER = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*=[ !#-+\--:<-\[\]-~]*)?")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 0x01


class MissingPackage(Exception):
    """What the environment asks for is in an extra that is not installed."""


@dataclass(slots=True)
class Past:
    """A step that is over. `began` is a `time.perf_counter` value."""

    step: Step
    began: float
    seconds: float
    hops: Sequence[Hop] = ()
    code: str = ""


Journey = list[Past]
"""One request's steps, as they end."""


def seconds_of(journey: Journey) -> dict[Step, float]:
    """How long each took, those of one kind together."""
    spent: dict[Step, float] = {}
    for past in journey:
        spent[past.step] = spent.get(past.step, 0.0) + past.seconds
    return spent


_journey: ContextVar[Journey | None] = ContextVar("journey", default=None)


def begin() -> Journey:
    """From now on, what this task and those it starts go through belongs to this one."""
    journey: Journey = []
    _journey.set(journey)
    return journey


def took(step: Step, began: float, hops: Sequence[Hop] = (), code: str = "") -> None:
    """A step ends that began at this `time.perf_counter` value."""
    _note(Past(step, began, time.perf_counter() - began, hops, code))


def worked(began: float, encode_seconds: float) -> None:
    """A child is done with a picture that it got at `began`.

    How long it took is what our clock says; how much of that was writing is the child's word.
    """
    took = time.perf_counter() - began
    encode = min(encode_seconds, took)
    _note(Past(Step.DECODE, began, took - encode))
    if encode:
        _note(Past(Step.ENCODE, began + took - encode, encode))


def _note(past: Past) -> None:
    metrics.SPAN_SECONDS.observe(past.seconds, past.step)
    journey = _journey.get()
    if journey is not None and len(journey) < MOST_STEPS:
        journey.append(past)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that is over, as its span tells it. `started` is a `time.perf_counter` value."""

    journey: Journey
    started: float
    method: str
    route: str
    status: int
    code: str
    request_id: str
    traceparent: str = ""
    """Of the caller."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for spans."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_none = environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp"
    return not (is_off or is_none) and any(environment.get(name, "").strip() for name in ENDPOINTS)


def problems(environment: Mapping[str, str]) -> Iterator[str]:
    """What the SDK would take without a word, or log with a secret in it, and then send nothing."""
    if not is_wanted(environment):
        return
    for name in ENDPOINTS:
        url = environment.get(name, "").strip()
        if url and not _URL.match(url):
            yield f"{name} must be an http or https URL, such as http://127.0.0.1:4318"
    for name in PROTOCOLS:
        protocol = environment.get(name, "").strip()
        if protocol not in ("", PROTOCOL):
            yield f"{name} must be {PROTOCOL}, not {protocol!r}: port 4318 of most collectors"
    for name in HEADERS:
        if not all(_HEADER.fullmatch(pair.strip()) for pair in environment.get(name, "").split(",")):
            yield f"{name} must be name=value pairs, with commas between them"


class Tracer:
    """Hands spans to OpenTelemetry's exporter, which sends them in a thread of its own.

    Making it raises MissingPackage. Enter it before use.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._api = _load("opentelemetry.trace")
        self._sdk = _load("opentelemetry.sdk.trace")
        self._resources = _load("opentelemetry.sdk.resources")
        self._exporting = _load("opentelemetry.sdk.trace.export")
        self._otlp = _load("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        self._provider: Any = None
        self._tracer: Any = None

    async def __aenter__(self) -> "Tracer":
        """Start the exporter's thread."""
        # The SDK reads the rest of the OTEL_ variables: names, headers, sampler, batches.
        resource = self._resources.Resource.create(
            {"service.name": "remote-worker", "service.version": self._version}
        )
        # Exactly what is told here is told, unless OTEL_ variables say more.
        named = self._resources.OTELResourceDetector().detect()
        self._provider = self._sdk.TracerProvider(resource=resource.merge(named), shutdown_on_exit=False)
        self._provider.add_span_processor(self._exporting.BatchSpanProcessor(self._otlp.OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("remote_worker", self._version)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what is left, for so long; a collector that hangs holds up no stop."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # The loop may be closed by then.
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=end, daemon=True, name="last-spans").start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), END_SECONDS)

    def tell(self, request: Request) -> str:
        """Make the request's spans, which ends now. Gives the trace's id; empty when it is not sampled."""
        now, ends_ns = time.perf_counter(), time.time_ns()

        def at(moment: float) -> int:
            return ends_ns - int((now - moment) * 1e9)

        api = self._api
        root = self._tracer.start_span(
            f"{request.method} {request.route}".strip(),
            context=self._parent(request.traceparent),
            kind=api.SpanKind.SERVER,
            start_time=at(request.started),
            attributes={
                "http.request.method": request.method,
                "http.route": request.route,
                "http.response.status_code": request.status,
                "remote_worker.request_id": request.request_id,
            },
        )
        if root.is_recording():
            if request.code:
                root.set_attribute("error.type", request.code)
            if request.status >= 500:
                root.set_status(api.StatusCode.ERROR)
            context = api.set_span_in_context(root)
            for past in request.journey:
                self._tell_step(past, context, at)
        root.end(ends_ns)
        told = root.get_span_context()
        return api.format_trace_id(told.trace_id) if told.trace_flags.sampled else ""

    def _tell_step(self, past: Past, context: Any, at: Any) -> None:
        span = self._tracer.start_span(past.step.value, context=context, start_time=at(past.began))
        if past.code:
            span.set_attribute("error.type", past.code)
            span.set_status(self._api.StatusCode.ERROR)
        within = self._api.set_span_in_context(span)
        began = past.began
        for hop in past.hops:
            # One behind the other: the process that fetches tells how long each took, not when.
            ended = began + sum(hop.milliseconds.values()) / 1e3
            child = self._tracer.start_span(
                "hop",
                context=within,
                kind=self._api.SpanKind.CLIENT,
                start_time=at(began),
                attributes={
                    **({"http.response.status_code": hop.status} if hop.status else {}),
                    **({"error.type": hop.code} if hop.code else {}),
                    **{f"remote_worker.{name}_ms": spent for name, spent in hop.milliseconds.items()},
                },
            )
            child.end(at(ended))
            began = ended
        span.end(at(past.began + past.seconds))

    def _parent(self, traceparent: str) -> Any:
        """The caller's span as a context, or a context without one."""
        api = self._api
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is None or not int(found[1], 16) or not int(found[2], 16):
            return api.set_span_in_context(api.INVALID_SPAN)
        parent = api.SpanContext(
            trace_id=int(found[1], 16),
            span_id=int(found[2], 16),
            is_remote=True,
            trace_flags=api.TraceFlags(int(found[3], 16) & _SAMPLED),
        )
        return api.set_span_in_context(api.NonRecordingSpan(parent))


def _load(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as missing:
        raise MissingPackage(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: "
            f"install remote-worker[{EXTRA}], or set OTEL_SDK_DISABLED=true"
        ) from missing
