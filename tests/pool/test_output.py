"""The memory that a child writes its output to, as the host reads it."""

import os

import pytest

from remote_worker.pool.child import read_body

MEMORY = 1024 * 1024


def written(data: bytes) -> int:
    fd = os.memfd_create("output")
    os.ftruncate(fd, MEMORY)
    os.pwrite(fd, data, 0)
    return fd


@pytest.mark.parametrize("length", [0, 1, 4096, 131_072, 131_073, 500_000, MEMORY])
def test_the_body_is_what_was_written(length: int) -> None:
    data = os.urandom(length)
    fd = written(data)
    body = read_body(fd, length, MEMORY)
    os.close(fd)

    assert bytes(body) == data
    assert body.readonly


def test_memory_written_behind_the_body_is_not_held_with_it() -> None:
    fd = written(os.urandom(MEMORY))
    body = read_body(fd, 200_000, MEMORY)
    held = os.fstat(fd).st_blocks * 512
    os.close(fd)

    assert len(body) == 200_000
    assert held <= 200_000 + os.sysconf("SC_PAGE_SIZE")
