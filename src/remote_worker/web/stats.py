"""`GET /stats`: what the worker does at the moment, for the console, `top` and scripts."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import __version__, metrics
from ..metrics import Load, Pulse
from .answers import json_answer
from .stopping import stage_of

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Watch:
    """What is looked at: the parts, and the counters over the last seconds."""

    load: Callable[[], Load]
    pulse: Pulse


class StatsEndpoint:
    """Told from what is counted anyway; nothing is tried for it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._started = time.monotonic()

    async def tell(self, request: Request) -> Response:
        """All of it."""
        load, rates = self._watch.load(), self._watch.pulse.rates()
        queue = asdict(load)
        for member in ("waiting", "places", "ready"):
            del queue["fetches"][member]  # They wait with their site, in the process that fetches.
        return json_answer(
            {
                "status": "ok",
                "success": True,
                "version": __version__,
                "uptime": round(time.monotonic() - self._started, 3),
                "stage": stage_of(request.scope["state"]).value,
                "queue": queue,
                "rates": {
                    "seconds": round(rates.seconds, 3),
                    "requests": round(rates.requests, 3),
                    "pictures": round(rates.pictures, 3),
                    "texts": round(rates.texts, 3),
                    "fetches": round(rates.fetches, 3),
                },
                "totals": _totals(),
                "latency_ms": {
                    name: round(rates.quantile(share) * 1e3, 3) for name, share in _QUANTILES.items()
                },
                "jail": {
                    "starts": int(metrics.SANDBOX_SECONDS.total),
                    "kills": int(metrics.SANDBOX_KILLS.total),
                    "crashes": int(_crashes()),
                    "memory_peak_bytes": int(metrics.CHILD_MEMORY.largest),
                },
                "bytes": {"in": int(metrics.RECEIVED.total), "out": int(metrics.SENT.total)},
            }
        )


def _totals() -> dict[str, Any]:
    by_status: dict[str, int] = {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0}
    for (_, _, status), count in metrics.REQUESTS.items():
        kind = f"{status[0]}xx"
        if kind in by_status:
            by_status[kind] += int(count)
    return {
        "requests": int(metrics.REQUESTS.total),
        "by_status": by_status,
        "by_code": {code: int(count) for (code,), count in sorted(metrics.ERRORS.items()) if count},
    }


def _crashes() -> float:
    every = (*metrics.DECODES.items(), *metrics.TEXT_OUTCOMES.items())
    return sum(count for (_, outcome), count in every if outcome == metrics.Outcome.CRASH)
