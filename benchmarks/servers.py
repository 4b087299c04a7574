"""Starts the worker and its peer on chosen cores, and stops them by their process id."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is up: `about` is what its status address says."""

    name: str
    pid: int
    address: str
    about: dict[str, Any]


@contextmanager
def worker(port: int, cores: set[int], **settings: str) -> Iterator[Server]:
    """The service as scripts/serve starts it, with these variables and no other `REMOTE_` ones."""
    command = [str(Path(sys.executable).parent / "remote-worker"), "serve", "--port", str(port)]
    environment = _own_environment() | settings
    with _started("remote-worker", command, environment, PROJECT, port, cores, "/readyz") as server:
        if not all(report.get("layers") for report in server.about["templates"].values()):
            raise SystemExit("the jail is off: nothing was measured")
        yield server


@contextmanager
def watched_worker(port: int, core: int, result: Path) -> Iterator[Server]:
    """The service with `watched_loop` on that core, its children elsewhere; it leaves turns in `result`."""
    command = [sys.executable, "-m", "benchmarks.watched_loop", str(port), str(core), str(result)]
    elsewhere = os.sched_getaffinity(0)
    with _started("watched_loop", command, _own_environment(), PROJECT, port, elsewhere, "/readyz") as server:
        yield server


@contextmanager
def sharp(port: int, cores: set[int], folder: Path, *, chain: bool) -> Iterator[Server]:
    """The peer, installed in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CHAIN", "PORT")}
    environment |= {"PORT": str(port)} | ({"CHAIN": "1"} if chain else {})
    command = ["node", "server.js"]
    name = "sharp chain" if chain else "sharp"
    with _started(name, command, environment, folder, port, cores, "/") as server:
        yield server


def install_sharp(source: Path) -> Path:
    """A folder with the peer and its packages, kept in the user's cache. Raises SystemExit."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed, so there is no peer to measure against")
    if not (source / "server.js").is_file():
        raise SystemExit(f"there is no peer in {source}: name the folder with --shared")
    files = [source / "package.json", source / "server.js"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "remote-worker-benchmarks" / f"sharp-{digest}"
    if (folder / "node_modules" / "sharp").is_dir():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
    )
    if installed.returncode:
        shutil.rmtree(folder)
        raise SystemExit(f"npm could not install the peer: {installed.stderr.strip()[-500:]}")
    return folder


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REMOTE_")}


def peer_versions(folder: Path) -> list[str]:
    """What the peer in this folder is made of."""
    script = "console.log(process.version, JSON.stringify(require('sharp').versions))"
    said = subprocess.run(["node", "-e", script], cwd=folder, capture_output=True, text=True, check=True)
    node, _, rest = said.stdout.partition(" ")
    found = json.loads(rest)
    return [f"node {node}", f"sharp {found['sharp']}", f"libvips {found['vips']}"]


@contextmanager
def _started(
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    port: int,
    cores: set[int],
    status_path: str,
) -> Iterator[Server]:
    pinned = ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(pinned, cwd=folder, env=environment, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            about = ready(process, address + status_path)
            if about is None:
                log.seek(0)
                said = log.read()[-1000:].decode(errors="replace").strip()
                raise SystemExit(f"{name} did not come up on port {port}: {said}")
            yield Server(name=name, pid=process.pid, address=address, about=about)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ready(process: subprocess.Popen[bytes], address: str) -> dict[str, Any] | None:
    """What the status address says once it answers 200; None when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                about: dict[str, Any] = json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
        else:
            # Another server may hold the port: then ours has ended by now.
            time.sleep(0.05)
            return about if process.poll() is None else None
    return None
