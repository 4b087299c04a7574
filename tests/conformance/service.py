"""The service as a subprocess, a client of it, and what /proc says about its process tree."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import processes
from benchmarks.servers import free_port

from .corpora import PROJECT

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the service and how long it took."""

    status: int
    mime: str
    body: bytes
    json: dict[str, Any]
    seconds: float

    @property
    def code(self) -> str:
        """The failure's stable word, empty when it is none."""
        return str(self.json.get("code", ""))

    def pictures(self) -> dict[str, bytes]:
        """The pictures of the answer by name."""
        if self.status != 200:
            return {}
        if self.mime.startswith("image/"):
            return {"output": self.body}
        if "output" in self.json:
            return {"output": base64.b64decode(self.json["output"], validate=True)}
        return {
            name: base64.b64decode(value["body"], validate=True)
            for name, value in self.json.items()
            if name.startswith("avatar")
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a service holds while nothing is asked of it."""

    descriptors: int
    processes: int
    resident_bytes: int


class Service:
    """The running service. One client for each thread that calls."""

    def __init__(self, pid: int, address: str) -> None:
        self.pid = pid
        self.address = address
        self._clients: list[httpx.Client] = []
        self._own = threading.local()

    def post(self, path: str, data: bytes, *, name: str = "upload.bin", raw: bool = False) -> Answer:
        """Upload the bytes; `raw` asks for the picture instead of JSON."""
        headers = {"Accept": "image/*" if raw else "application/json"}
        started = time.monotonic()
        response = self._client().post(path, files={"file": (name, data)}, headers=headers)
        seconds = time.monotonic() - started
        mime = response.headers.get("content-type", "")
        return Answer(
            status=response.status_code,
            mime=mime,
            body=response.content,
            json=response.json() if mime.startswith("application/json") else {},
            seconds=seconds,
        )

    def tree(self) -> dict[int, str]:
        """Every process of the service and its state letter."""
        states = {pid: processes.state(pid) for pid in processes.tree(self.pid)}
        return {pid: state for pid, state in states.items() if state != "gone"}

    def resident_bytes(self) -> int:
        """Memory that the host process holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """How many files the host process holds open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def settled(self, *, within: float = 30.0) -> tuple[int, int]:
        """Hang up, wait until nothing runs and nothing changes; descriptors and processes then."""
        self.hang_up()
        deadline = time.monotonic() + within
        before: tuple[int, int] | None = None
        calm = 0
        while time.monotonic() < deadline:
            tree = self.tree()
            now = (self.descriptors(), len(tree))
            calm = calm + 1 if now == before and set(tree.values()) <= {"S", "I"} else 0
            if calm >= 5:
                return now
            before = now
            time.sleep(0.1)
        raise AssertionError(f"the service did not come to rest: {before}, {self.tree()}")

    def at_rest(self) -> Rest:
        """Hang up and wait; what it holds then."""
        descriptors, processes = self.settled()
        return Rest(descriptors=descriptors, processes=processes, resident_bytes=self.resident_bytes())

    def hang_up(self) -> None:
        """Close every connection of every thread; the next call opens a new one."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._own = threading.local()

    def _client(self) -> httpx.Client:
        if not hasattr(self._own, "client"):
            self._own.client = httpx.Client(base_url=self.address, timeout=60.0)
            self._clients.append(self._own.client)
        client: httpx.Client = self._own.client
        return client


@contextmanager
def started(log: Path, *, settings: dict[str, str] | None = None) -> Iterator[Service]:
    """The service on a free port of loopback, ready for work; stopped and gone at the end."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMOTE_")}
    environment |= settings or {}
    environment["PYTHONPATH"] = str(PROJECT / "src")
    command = [sys.executable, "-m", "remote_worker", "serve", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    service = Service(process.pid, f"http://127.0.0.1:{port}")
    try:
        _wait_until_ready(process, service.address, log)
        yield service
    finally:
        service.hang_up()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    answer = "none"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            response = httpx.get(f"{address}/readyz", timeout=20.0)
            answer = response.text
            if response.status_code == 200:
                return
        except httpx.TransportError as error:
            answer = repr(error)
        time.sleep(0.1)
    raise AssertionError(
        f"the service is not ready (exit status {process.poll()}, last answer {answer}): {log.read_text()}"
    )
