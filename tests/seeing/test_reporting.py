"""Faults of our own reach Sentry, without a word of what was sent to us."""

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from seeing.receivers import Received, receiving
from web.serving import Service, ask, form, post, serving

from remote_worker import telemetry
from remote_worker.reporting import Reporter
from remote_worker.telemetry import Event

SECRET = "a-word-that-nobody-may-hear"


@pytest.fixture(scope="module")
def sentry() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture(scope="module")
def reported(sentry: Received) -> Iterator[None]:
    """A reporter at work, in a loop of its own."""
    dsn = sentry.url.replace("http://", "http://public@") + "/7"
    reporter = Reporter(dsn, version="1.2.3", worker="w1")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(reporter.__aenter__(), loop).result(10)
    yield
    asyncio.run_coroutine_threadsafe(reporter.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def envelopes(sentry: Received) -> list[str]:
    """What came, unpacked."""
    return [
        (gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body).decode()
        for _, path, headers, body in sentry.requests
        if path == "/api/7/envelope/"
    ]


def event(sentry: Received, request_id: str) -> dict[str, object]:
    sentry.wait_for(lambda: any(request_id in text for text in envelopes(sentry)))
    text = next(text for text in envelopes(sentry) if request_id in text)
    told: dict[str, object] = json.loads(text.splitlines()[2])
    return told


@pytest.mark.usefixtures("reported")
def test_a_fault_is_reported_with_its_place_and_id_and_nothing_that_was_sent(
    service: Service, sentry: Received
) -> None:
    request = post(
        f"/images/fit/10?q={SECRET}",
        form(f"bug:{SECRET}".encode()),
        "X-Request-Id: fault-1",
        f"Cookie: {SECRET}",
        f"User-Agent: {SECRET}",
    )
    assert ask(service, request).status == 500
    told = event(sentry, "fault-1")

    assert told["message"] == "internal_error"
    assert told["release"] == "remote-worker@1.2.3"
    assert told["tags"] == {"request_id": "fault-1"}
    (raised,) = told["exception"]["values"]
    assert raised["type"] == "ZeroDivisionError"
    assert raised["value"] == ""
    last = raised["stacktrace"]["frames"][-1]
    assert (last["function"], "vars" in last, "context_line" in last) == ("decode", False, False)
    assert told.keys() & {"request", "user", "breadcrumbs", "extra"} == set()
    assert not [text for text in envelopes(sentry) if SECRET in text]


@pytest.mark.usefixtures("reported")
def test_what_is_no_fault_of_ours_is_not_reported(service: Service, sentry: Received) -> None:
    assert ask(service, post("/images/fit/10", form(b"fail:damaged"), "X-Request-Id: theirs")).status == 422
    telemetry.emit(Event.CHILD_CRASHED, level=logging.ERROR, request_id="crashed")
    logging.getLogger("library").error("theirs")
    ask(service, post("/images/fit/10", form(b"bug:x"), "X-Request-Id: fault-2"))
    event(sentry, "fault-2")

    assert not [text for text in envelopes(sentry) if "theirs" in text or "crashed" in text]


@pytest.mark.usefixtures("reported")
def test_what_an_error_says_stays_in_the_log(sentry: Received) -> None:
    try:
        raise ValueError(f"invalid literal: {SECRET}") from KeyError(SECRET)
    except ValueError as error:
        telemetry.emit(Event.INTERNAL_ERROR, level=logging.ERROR, error=error, request_id="fault-3")
    told = event(sentry, "fault-3")

    assert {raised["type"] for raised in told["exception"]["values"]} == {"KeyError", "ValueError"}
    assert SECRET not in json.dumps(told)
