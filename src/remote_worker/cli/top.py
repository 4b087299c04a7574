"""`remote-worker top`: a worker's queues, children, rates and codes in a terminal, from its `/stats`.

It asks the worker that its user names. No other module of the host asks anybody by HTTP: the client is
loaded only here.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .. import __version__
from ..settings import Settings
from ..telemetry import Listening

FAILED = 1
ASK_SECONDS = 5.0
MOST_ANSWER_BYTES = 256 * 1024
_ROWS = ("pictures", "texts", "fetches")
_BAR_CELLS = 20


class CannotAsk(Exception):
    """The worker does not answer, or not with what it does."""


def top(options: argparse.Namespace, settings: Settings) -> int:
    """Show it until Ctrl-C, or once."""
    try:
        worker = Worker(options.url or _own(settings), _key(options, settings))
        if options.once:
            # No wider than a script's reader takes, and no colours in a file.
            Console(width=None if sys.stdout.isatty() else 100).print(frame(worker.url, worker.stats()))
            return 0
        _watch(worker, options.seconds)
    except CannotAsk as failed:
        print(f"remote-worker: {failed}", file=sys.stderr)
        return FAILED
    return 0


def _watch(worker: "Worker", seconds: float) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # Through the block that gives the terminal its screen and cursor back.
    with Live(screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = frame(worker.url, worker.stats())
                except CannotAsk as failed:
                    shown = Group(Text(worker.url, style="bold"), Text(str(failed), style="red"))
                live.update(shown, refresh=True)
                time.sleep(seconds)
        except KeyboardInterrupt:
            return


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _own(settings: Settings) -> str:
    scheme = "https" if settings.web.tls_cert else "http"
    return f"{scheme}://{Listening(settings.web.host, settings.web.port)}"


def _key(options: argparse.Namespace, settings: Settings) -> str:
    if options.key_file is None:
        return settings.telemetry.top_key
    path: Path = options.key_file
    return path.read_bytes().decode("latin-1").strip()  # What is none is told as every other.


class Worker:
    """One that is asked."""

    def __init__(self, url: str, key: str, *, seconds: float = ASK_SECONDS) -> None:
        """`seconds` has an answer to come. Raises CannotAsk."""
        self._seconds = seconds
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError as bad:
            raise CannotAsk(f"{url!r} is no URL, or has no usable port") from bad
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise CannotAsk(f"{url!r} is not the http or https URL of a worker")
        if not key.isascii() or not key.isprintable():
            raise CannotAsk("the key is not one word of ASCII")
        self.url = url.rstrip("/")
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname
        self._path = parts.path.rstrip("/") + "/stats"
        self._headers = {"accept": "application/json", "user-agent": f"remote-worker-top/{__version__}"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"

    def stats(self) -> Mapping[str, Any]:
        """What it does at the moment. For the main thread, which has the alarm. Raises CannotAsk."""
        import http.client  # noqa: PLC0415  only here does the host ask anybody

        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        try:
            with (
                contextlib.closing(kind(self._host, self._port, timeout=self._seconds)) as connection,
                _within(self._seconds),  # Each read has its timeout, and a worker that drips keeps them all.
            ):
                connection.request("GET", self._path, headers=self._headers)
                answer = connection.getresponse()
                body = answer.read(MOST_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException, UnicodeError) as failed:
            raise CannotAsk(f"{self.url} does not answer: {failed}") from failed
        return _told(self.url, answer.status, body)


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block when that is over."""

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError("timed out")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _told(url: str, status: int, body: bytes) -> Mapping[str, Any]:
    if len(body) > MOST_ANSWER_BYTES:
        raise CannotAsk(f"{url} answers with more than {MOST_ANSWER_BYTES} bytes")
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as bad:
        raise CannotAsk(f"{url} answers {status} without JSON: is it a worker?") from bad
    if status != 200 or not isinstance(members, dict) or "queue" not in members:
        code = members.get("code", "") if isinstance(members, dict) else ""
        raise CannotAsk(f"{url} answers {status} {_plain(code)}".rstrip())
    return members


def frame(url: str, stats: Mapping[str, Any]) -> Group:
    """One look at it. Raises CannotAsk where members are missing."""
    try:
        return Group(_head(url, stats), Text(), _queues(stats), Text(), _numbers(stats))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as bad:
        raise CannotAsk(f"{url} tells something else than this version knows") from bad


def _head(url: str, stats: Mapping[str, Any]) -> Text:
    stage = _plain(stats["stage"])
    style = "green" if stage == "serving" else "yellow"
    up = f"  up {_duration(float(stats['uptime']))}  version {_plain(stats['version'])}"
    return Text.assemble(("remote-worker ", "bold"), _plain(url), "  ", (stage, style), up)


def _queues(stats: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("work", "busy", "", "waiting", "ready", "per second"):
        # Where there is little room, the bar gives way first.
        table.add_column(name, justify="left" if name in ("work", "") else "right", no_wrap=name != "")
    for name in _ROWS:
        queue = stats["queue"][name]
        running, slots = int(queue["running"]), int(queue["slots"])
        waiting = f"{int(queue['waiting'])}/{int(queue['places'])}" if "places" in queue else "-"
        ready = str(int(queue["ready"])) if "ready" in queue else "-"
        rate = f"{float(stats['rates'][name]):.1f}"
        table.add_row(name, f"{running}/{slots}", _bar(running, slots), waiting, ready, rate)
    return table


def _bar(running: int, slots: int) -> Text:
    filled = min(_BAR_CELLS, -(-running * _BAR_CELLS // slots)) if slots > 0 else 0
    cells = "#" * filled + "." * (_BAR_CELLS - filled)
    return Text(cells, "red" if running >= slots > 0 else "green", no_wrap=True, overflow="crop")


def _numbers(stats: Mapping[str, Any]) -> Table:
    totals, jail, latency = stats["totals"], stats["jail"], stats["latency_ms"]
    statuses = "  ".join(f"{_plain(kind)} {int(count)}" for kind, count in totals["by_status"].items())
    worst = sorted(totals["by_code"].items(), key=lambda item: -int(item[1]))[:8]
    codes = "  ".join(f"{_plain(code)} {int(count)}" for code, count in worst) or "none"
    rate, moved = float(stats["rates"]["requests"]), stats["bytes"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in (
        ("requests", f"{rate:.1f} a second, {int(totals['requests'])} in all  {statuses}"),
        ("latency", "  ".join(f"{name} {float(latency[name]):.1f} ms" for name in ("p50", "p90", "p99"))),
        ("failures", codes),
        (
            "jail",
            f"{int(jail['starts'])} children, {int(jail['kills'])} killed, {int(jail['crashes'])} crashed, "
            f"most memory {_size(int(jail['memory_peak_bytes']))}",
        ),
        ("bytes", f"{_size(int(moved['in']))} in, {_size(int(moved['out']))} out"),
    ):
        table.add_row(Text(name, style="bold"), Text(text))
    return table


def _plain(value: object) -> str:
    """A word of the worker's without anything that a terminal would obey."""
    return "".join(letter for letter in str(value)[:200] if letter.isprintable())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m{rest:02d}s" if hours else f"{minutes}m{rest:02d}s"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
