"""Tells Sentry of our own faults, and of nothing else: no request, no header, no body, no local variable.

Nothing of Sentry is loaded unless SENTRY_DSN is set. It gets the type of the error and where it was raised,
with the request's id. What the error says stays in the log: it may quote a stranger.
"""

import asyncio
import logging
from importlib import import_module
from typing import Any

from .telemetry import Event

EXTRA = "telemetry"
END_SECONDS = 2.0
"""For the last reports to leave at a stop."""
_OURS = {Event.INTERNAL_ERROR, Event.FETCHER_ERROR, Event.TEMPLATE_FAILED, Event.FETCHER_FAILED}


class CannotReport(Exception):
    """Sentry's package is not installed, or the DSN is none."""


class Reporter(logging.Handler):
    """Listens to our own log. An async context manager; making it raises CannotReport."""

    def __init__(self, dsn: str, *, version: str, worker: str) -> None:
        super().__init__(logging.ERROR)
        try:
            sentry = import_module("sentry_sdk")
        except ImportError as missing:
            raise CannotReport(
                f"SENTRY_DSN is set, and Sentry's SDK is not installed: install remote-worker[{EXTRA}]"
            ) from missing
        try:
            # A client of its own, with nothing hung into the interpreter.
            self._client = sentry.Client(
                dsn=dsn,
                release=f"remote-worker@{version}",
                server_name=worker,
                default_integrations=False,
                auto_enabling_integrations=False,
                auto_session_tracking=False,
                include_local_variables=False,
                include_source_context=False,
                send_client_reports=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                shutdown_timeout=END_SECONDS,
            )
        except Exception as bad:
            raise CannotReport("SENTRY_DSN must be the DSN of a Sentry project") from bad
        self._exceptions = import_module("sentry_sdk.utils").exceptions_from_error_tuple

    async def __aenter__(self) -> "Reporter":
        logging.getLogger("remote_worker").addHandler(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        logging.getLogger("remote_worker").removeHandler(self)
        await asyncio.to_thread(self._client.close, END_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Report it if it is a fault of ours. The sending is done by a thread of Sentry's."""
        event = record.getMessage()
        if event not in _OURS:
            return
        fields = getattr(record, "fields", {})
        told: dict[str, Any] = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": event,
            "tags": {"request_id": str(fields["request_id"])} if "request_id" in fields else {},
        }
        if record.exc_info:
            told["exception"] = {"values": [_wordless(one) for one in self._exceptions(record.exc_info)]}
        self._client.capture_event(told)


def _wordless(raised: dict[str, Any]) -> dict[str, Any]:
    frames = raised.get("stacktrace", {}).get("frames", ())
    return {
        "type": raised.get("type"),
        "module": raised.get("module"),
        "value": "",
        "stacktrace": {
            "frames": [
                {key: frame.get(key) for key in ("filename", "module", "function", "lineno", "in_app")}
                for frame in frames
            ]
        },
    }
