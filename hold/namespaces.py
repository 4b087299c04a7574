"""Several machines on one: network namespaces with an address each, on a bridge in a namespace of its own.

Nothing of the machine's own network is touched: no interface is ever made in it.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

PREFIX = "rwtest"
IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000

_T = TypeVar("_T")


class Namespaces:
    """So many namespaces while it is entered; the first is number 0 and has the address 10.77.0.1."""

    def __init__(self, count: int) -> None:
        self._own = f"{PREFIX}-{os.getpid()}-{id(self):x}"
        self._hub = f"{self._own}-hub"
        self.names = [f"{self._own}-{number}" for number in range(count)]
        self.addresses = [f"10.77.{number // 250}.{number % 250 + 1}" for number in range(count)]

    def __enter__(self) -> Self:
        _sweep()
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        _ip("netns", "add", self._hub)
        _ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "bridge", "up")
        for number, name in enumerate(self.names):
            port = f"port{number}"
            _ip("netns", "add", name)
            # Both ends are made where they belong.
            _ip("-n", self._hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", self._hub, "link", "set", port, "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{self.addresses[number]}/16", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def __exit__(self, *_: object) -> None:
        """Kill what still runs in them, and remove them."""
        for name in [*self.names, self._hub]:
            _remove(name)

    def inside(self, number: int) -> list[str]:
        """What to write ahead of a command, so that it runs there."""
        return [IP, "netns", "exec", self.names[number]]

    def popen(self, number: int, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process there."""
        return subprocess.Popen([*self.inside(number), *command], **options)

    def run(self, number: int, work: Coroutine[Any, Any, _T]) -> _T:
        """What a coroutine returns that opens its connections there, in a thread of its own."""
        outcome: list[_T] = []
        errors: list[BaseException] = []

        def enter_and_run() -> None:
            try:
                with (FOLDER / self.names[number]).open() as namespace:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                outcome.append(asyncio.run(work))
            except BaseException as error:  # noqa: BLE001  raised in the thread that waits
                errors.append(error)

        thread = threading.Thread(target=enter_and_run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return outcome[0]

    def cut_off(self, number: int) -> None:
        """Pull its cable: nothing arrives, and nobody is told."""
        _ip("-n", self._hub, "link", "set", f"port{number}", "down")

    def let_back(self, number: int) -> None:
        """Plug it in again."""
        _ip("-n", self._hub, "link", "set", f"port{number}", "up")


def _sweep() -> None:
    """Remove those of test runs that were killed."""
    for path in FOLDER.glob(f"{PREFIX}-*"):
        owner = re.match(rf"{PREFIX}-(\d+)-", path.name)
        if owner and not Path("/proc", owner[1]).exists():
            _remove(path.name)


def _remove(name: str) -> None:
    if not (FOLDER / name).exists():
        return
    last = time.monotonic() + 10
    while (found := _ip("netns", "pids", name).split()) and time.monotonic() < last:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.02)
    _ip("netns", "delete", name)


def _ip(*arguments: str) -> str:
    done = subprocess.run([IP, *arguments], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout
