"""Shows the metrics to Prometheus, on an address of their own, in the event loop that all else runs in.

A whole page takes the client library 10 to 25 ms, so it is made in pieces: others have their turn between.
"""

import asyncio
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import chain
from typing import Any

from .. import __version__, metrics
from ..metrics import Counter, Gauge, Histogram, Load, QueueLoad
from ..telemetry import Listening
from .auth import is_loopback
from .listening import CannotListen

PATH = "/metrics"
MOST_HEAD_BYTES = 8 * 1024
MOST_SCRAPES = 8
"""Connections at once."""
SECONDS = 5.0
"""For a request to come, and for its answer to leave."""
_PIECE_LINES = 64
"""What is written without a pause takes about a millisecond."""
_TEXT = "text/plain; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrapes:
    """An async context manager that listens until it is left. Entering it raises CannotListen."""

    def __init__(
        self, at: Listening, load: Callable[[], Load], *, host_names: tuple[str, ...], is_open: bool
    ) -> None:
        self._at = at
        # The client library loads clients of HTTP: it stays out of workers that nobody scrapes.
        self._render: Any = import_module("prometheus_client.exposition").choose_encoder
        process = import_module("prometheus_client.process_collector")
        self._exposed = Exposed(load)
        self._process: Any = process.ProcessCollector(registry=None)
        self._host_names = {name.lower() for name in host_names}
        self._is_open = is_open
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Scrapes":
        try:
            self._server = await asyncio.start_server(
                self._answer, self._at.host, self._at.port, limit=MOST_HEAD_BYTES
            )
        except OSError as refused:
            raise CannotListen(f"cannot listen on REMOTE_METRICS={self._at}: {refused.strerror}") from refused
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        sockets = self._server.sockets if self._server else ()
        return [listening.getsockname()[:2] for listening in sockets]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MOST_SCRAPES:
                async with asyncio.timeout(SECONDS):
                    writer.transport.set_write_buffer_limits(0)
                    writer.write(await self._answer_to(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()  # Until all of it has left.
            writer.close()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Whoever does not ask gets no answer.
        finally:
            self._connections -= 1
            # Without the rest of an answer that nobody takes: for that it would stay open.
            writer.transport.abort()

    async def _answer_to(self, head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        if not self._is_ours(fields.get("host", "localhost")):
            return _answer("403 Forbidden", _TEXT, b"the Host header names another host\n", method)
        if path != PATH:
            return _answer("404 Not Found", _TEXT, b"the metrics are at /metrics\n", method)
        if method not in ("GET", "HEAD"):
            return _answer("405 Method Not Allowed", _TEXT, b"", method, "Allow: GET, HEAD\r\n")
        # Of what came the client library would take the version, whatever it is, for its answer's head.
        asked = _OPENMETRICS if _wants_openmetrics(fields.get("accept", "")) else ""
        render, media_type = self._render(asked)
        return _answer("200 OK", media_type, await self._page(render), method)

    async def _page(self, render: Callable[[Any], bytes]) -> bytes:
        lines: list[bytes] = []
        family = ""
        for piece in chain(self._exposed.collect(), self._process.collect()):
            written = render(_Piece(piece)).removesuffix(_END)
            # The second piece of a family goes on where the first one ended.
            lines.append(_without_head(written) if piece.name == family else written)
            family = piece.name
            await asyncio.sleep(0)
        end = render(_Piece())
        return b"".join([*lines, end])

    def _is_ours(self, host: str) -> bool:
        """A page whose name was made to lead to loopback reads nothing."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return self._is_open or is_loopback(name) or name in self._host_names


def _wants_openmetrics(accept: str) -> bool:
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        versions = [word for word in parameters if word.startswith("version=")]
        if media_type == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            return True
    return False


def _answer(status: str, media_type: str, body: bytes, method: str, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}"
        "Vary: Accept\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)


_END = b"# EOF\n"


def _without_head(written: bytes) -> bytes:
    return b"".join(line for line in written.splitlines(keepends=True) if not line.startswith(b"# "))


class _Piece:
    """As much as the client library writes at once, in the place of a registry."""

    def __init__(self, *families: Any) -> None:
        self._families = families

    def collect(self) -> tuple[Any, ...]:
        """What it has."""
        return self._families


class Exposed:
    """The metrics in the client library's words; asked at each scrape."""

    def __init__(self, load: Callable[[], Load]) -> None:
        self._load = load
        self._core: Any = import_module("prometheus_client.core")

    def collect(self) -> Iterator[Any]:
        """Every family, a large one in pieces."""
        gauges = self._gauges()
        for metric in metrics.EVERY:
            rows: list[Any]
            if isinstance(metric, Counter):
                kind, rows, lines = self._core.CounterMetricFamily, list(metric.items()), 1
            elif isinstance(metric, Histogram):
                kind, lines = self._core.HistogramMetricFamily, len(metric.bounds) + 3
                rows = [
                    (values, (_cumulative(metric, cell), cell.sum)) for values, cell in metric.cells.items()
                ]
            else:
                kind, rows, lines = self._core.GaugeMetricFamily, gauges[metric.name], 1
            many = max(1, _PIECE_LINES // lines)
            for start in range(0, len(rows) or 1, many):
                family = kind(metric.name, metric.about, labels=list(metric.labels))
                for values, told in rows[start : start + many]:
                    family.add_metric(values, *(told if isinstance(told, tuple) else (told,)))
                yield family

    def _gauges(self) -> dict[str, list[tuple[Sequence[str], float]]]:
        load = self._load()
        waiting = {"pictures": load.pictures, "texts": load.texts}
        running = waiting | {"fetches": load.fetches}

        def told(metric: Gauge, queues: dict[str, QueueLoad], member: str) -> Any:
            return metric.name, [([name], getattr(queue, member)) for name, queue in queues.items()]

        noted: dict[str, list[tuple[Sequence[str], float]]] = {
            metric.name: list(metric.values.items()) for metric in metrics.EVERY if isinstance(metric, Gauge)
        }
        return noted | {
            metrics.IN_PROGRESS.name: [([], metrics.IN_PROGRESS.value)],
            metrics.BUILD.name: [([__version__, platform.python_version()], 1)],
            **dict(
                (
                    told(metrics.QUEUE_WAITING, waiting, "waiting"),
                    told(metrics.QUEUE_PLACES, waiting, "places"),
                    told(metrics.READY, waiting, "ready"),
                    told(metrics.QUEUE_RUNNING, running, "running"),
                    told(metrics.QUEUE_SLOTS, running, "slots"),
                )
            ),
        }


def _cumulative(metric: Histogram, cell: metrics.Cell) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in metric.bounds), "+Inf"]
    total, rows = 0, []
    for bound, count in zip(bounds, cell.counts, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows
