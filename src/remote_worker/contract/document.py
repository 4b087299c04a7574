"""A stranger's document: bytes in anonymous memory that a child gets as a read-only descriptor."""

import os
from types import TracebackType
from typing import Self

from .signatures import PREFIX_BYTES


class Document:
    """Owns a memfd that is filled once and then only read. Close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("document", os.MFD_CLOEXEC)
        self.size_bytes = 0

    @classmethod
    def of(cls, data: bytes) -> Self:
        """A document of these bytes."""
        document = cls()
        document.write(data)
        return document

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a chunk. Raises OSError when memory is short."""
        view = memoryview(chunk)
        while len(view):
            written = os.write(self._fd, view)
            self.size_bytes += written
            view = view[written:]

    def prefix(self, length: int = PREFIX_BYTES) -> bytes:
        """The first 4 KiB, or so many bytes."""
        return os.pread(self._fd, min(length, self.size_bytes), 0)

    def read_only_fd(self) -> int:
        """A new descriptor of the same memory that cannot write; the caller closes it."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the memory back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
