"""Asks an address again and again, on a new connection each time, and keeps how long each answer took."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PAUSE_SECONDS = 0.05
_LONGEST_SECONDS = 10.0


@dataclass(slots=True)
class Probed:
    """Seconds of every answer with status 200, and how many had another one or none."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


@contextmanager
def probing(port: int, path: str) -> Iterator[Probed]:
    """Probes until the block ends."""
    probed = Probed()
    stop = threading.Event()

    def probe() -> None:
        while not stop.wait(PAUSE_SECONDS):
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_SECONDS)
            try:
                connection.request("GET", path)
                is_right = connection.getresponse().status == 200
            except OSError:
                is_right = False
            finally:
                connection.close()
            if is_right:
                probed.seconds.append(time.monotonic() - started)
            else:
                probed.failed += 1

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probed
    finally:
        stop.set()
        thread.join()
