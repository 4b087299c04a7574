"""A document can be filled by its owner and only read by whom it is lent to."""

import os

import pytest

from remote_worker.contract.document import Document


def test_what_was_written_in_chunks_is_read_as_one() -> None:
    with Document() as document:
        document.write(b"first ")
        document.write(memoryview(b"second"))
        fd = document.read_only_fd()

        assert document.size_bytes == 12
        assert os.pread(fd, 100, 0) == b"first second"
        os.close(fd)


def test_the_prefix_is_at_most_four_kibibytes() -> None:
    with Document.of(b"x" * 4097) as document:
        assert document.prefix() == b"x" * 4096


def test_the_lent_descriptor_cannot_write_or_grow() -> None:
    with Document.of(b"picture") as document:
        fd = document.read_only_fd()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(OSError, match="Invalid argument"):
            os.ftruncate(fd, 0)
        os.close(fd)


def test_closing_gives_the_descriptor_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    document = Document.of(b"x")
    document.close()
    document.close()

    assert len(os.listdir("/proc/self/fd")) == before
