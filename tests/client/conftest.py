"""Both clients, one after the other, and a worker with a site to look at."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import servers
from benchmarks.origin import origin

from .scripted import CALLS, Call


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """The method of a client."""
    return request.param


@dataclass(frozen=True)
class Working:
    """A worker with its seal, and a site that it may fetch from."""

    url: str
    site: str


@pytest.fixture(scope="session")
def working() -> Iterator[Working]:
    """One for all tests of the client."""
    cores = os.sched_getaffinity(0)
    port, site = servers.free_port(), servers.free_port()
    opened = {"REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{site}"}
    with origin(site, min(cores)), servers.worker(port, cores, **opened) as server:
        yield Working(server.address, f"http://127.0.0.1:{site}")


@pytest.fixture
def photo(samples: Path) -> Path:
    """A photo that is large enough for every avatar, with metadata."""
    return samples / "jpeg" / "all-avatars.jpg"
