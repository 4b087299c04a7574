"""The service as `serve` runs it, on an event loop that times its own turns; writes them down at its end.

`python -m benchmarks.watched_loop PORT CORE RESULT`. A turn is what lies between two waits for events: nobody
else is served in it. The loop runs on CORE, the templates stay where this process was started.
"""

import asyncio
import json
import os
import selectors
import sys
import time
from pathlib import Path

from remote_worker import telemetry, wiring
from remote_worker.settings import read
from remote_worker.web import server
from remote_worker.web.app import create_app


class Turns(selectors.EpollSelector):
    """A selector that knows how long the loop was away from it, by the clock and by the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float, float]] = []
        """Of each turn its end on the system's monotonic clock, its CPU and its wall seconds."""
        self._woke_at = time.monotonic()
        self._cpu_at = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events; the turn since the last wait is over."""
        now = time.monotonic()
        self.seen.append((now, time.thread_time() - self._cpu_at, now - self._woke_at))
        events = super().select(timeout)
        self._woke_at = time.monotonic()
        self._cpu_at = time.thread_time()
        return events


def main(port: str, core: int, result: Path) -> None:
    """Serve until SIGTERM, then write the turns as JSON."""
    turns = Turns()
    telemetry.configure()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        runner.run(_serve(port, core))
    result.write_text(json.dumps(turns.seen))


async def _serve(port: str, core: int) -> None:
    settings = read({"REMOTE_PORT": port})
    async with wiring.open_pool(settings) as pool, wiring.open_door(settings) as door:
        os.sched_setaffinity(0, {core})
        app = create_app(
            wiring.uses(pool, door, settings), wiring.health(pool), settings.web, settings.limits
        )
        await server.serve(app, settings.web)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
