"""A start in which one part cannot get ready, while the others are about to."""

import asyncio
import os

import pytest

from benchmarks import processes
from remote_worker.fetch.door import Door, DoorFailed
from remote_worker.fetch.settings import FetchSettings
from remote_worker.settings import read
from remote_worker.wiring import Whole


def test_where_one_process_cannot_start_none_is_left() -> None:
    async def start() -> None:
        async with Whole(read({}), Door(FetchSettings(), entry=("-c", "raise SystemExit(3)"))):
            pass

    before = processes.children(os.getpid())

    with pytest.raises(DoorFailed, match="with status 3"):
        asyncio.run(start())

    assert processes.children(os.getpid()) == before
