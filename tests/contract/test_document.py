"""A document can be filled by its owner and only read by whom it is lent to."""

import os
from pathlib import Path

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


def test_a_sealed_document_changes_no_more_and_can_be_adopted() -> None:
    with Document.of(b"abc") as document:
        document.seal()
        with pytest.raises(PermissionError):
            document.write(b"d")
        with Document.adopt(os.dup(document.fileno())) as adopted, adopted.share() as shared:
            adopted.close()

            assert (adopted.size_bytes, shared.size_bytes) == (3, 3)
            assert shared.prefix() == b"abc"


def test_what_can_still_change_is_not_adopted_and_not_kept() -> None:
    with Document.of(b"abc") as document:
        descriptor = os.dup(document.fileno())
        with pytest.raises(OSError, match="still change"):
            Document.adopt(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_what_is_no_memory_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)

    with pytest.raises(OSError, match="Invalid argument"):
        Document.adopt(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
