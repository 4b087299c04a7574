"""A NATS server with JetStream: a process of its own, which can be killed and started again."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

BINARY = os.environ.get("NATS_SERVER") or shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
LONGEST_START_SECONDS = 20.0


class NatsServer:
    """Runs while it is entered. What it keeps is in the folder, which need not be there."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        namespace: str = "",
        config: str = "",
        has_jetstream: bool = True,
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port or _free_port(host)
        self._inside = ["ip", "netns", "exec", namespace] if namespace else []
        self._config = config
        self._has_jetstream = has_jetstream
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it on the same folder and port, and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        config = self.folder / "config"
        config.write_text(
            f'listen: "{self.host}:{self.port}"\n'
            + (f'jetstream {{ store_dir: "{self.folder / "store"}" }}\n' if self._has_jetstream else "")
            + self._config
        )
        told = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._inside, str(BINARY), "-c", str(config)], stdout=output, stderr=output
            )
        last = time.monotonic() + LONGEST_START_SECONDS
        while b"Server is ready" not in log.read_bytes()[told:]:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < last, log.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """`kill -9`, as if the power of the machine went."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, and start it again on what it has kept."""
        self.kill()
        self.start()

    def empty(self) -> None:
        """Kill it, and start it again with nothing."""
        self.kill()
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        self.start()


def _free_port(host: str) -> int:
    with socket.socket() as listening:
        try:
            listening.bind((host, 0))
        except OSError:  # An address of another namespace, where every port is free.
            return 4222
        return int(listening.getsockname()[1])
