"""Name servers and web servers of others that the service asks, which may die and come back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache

from benchmarks.servers import PROJECT, free_port

from ..strangers import Strangers


@cache
def names() -> Strangers:
    """Where names are asked for, the same as long as this process lives."""
    return Strangers(dns_port=free_port(), port=free_port())


@cache
def sites() -> Strangers:
    """Where the sites are that these names lead to."""
    return Strangers(dns_port=free_port(), port=free_port())


@dataclass(slots=True)
class Other:
    """One process of others."""

    where: Strangers
    _process: "subprocess.Popen[str] | None" = field(default=None)

    def start(self) -> None:
        """Start it, and wait until it listens. Raises AssertionError."""
        command = [sys.executable, "-m", "hold.strangers", json.dumps(asdict(self.where))]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "listening"

    def kill(self) -> None:
        """End it at once: its connections are reset, and new ones refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or continue it."""
        if self._process is not None:
            os.kill(self._process.pid, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Both processes."""

    names: Other
    sites: Other

    @property
    def settings(self) -> Mapping[str, str]:
        """What lets the service ask them."""
        return {
            "REMOTE_NAMESERVERS": f"127.0.0.1:{self.names.where.dns_port}",
            "REMOTE_EGRESS_ALLOW": f"127.0.1.0/24:{self.sites.where.port}",
        }


@contextmanager
def others() -> Iterator[Others]:
    """They run until the block ends."""
    both = Others(names=Other(names()), sites=Other(sites()))
    try:
        both.names.start()
        both.sites.start()
        yield both
    finally:
        both.names.kill()
        both.sites.kill()
