"""A stranger's document: bytes in anonymous memory that a child gets as a read-only descriptor."""

import fcntl
import os
from types import TracebackType
from typing import Self

from .signatures import PREFIX_BYTES


class Document:
    """Owns a memfd that is filled once and then only read. Close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("document", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.size_bytes = 0

    @classmethod
    def of(cls, data: bytes) -> Self:
        """A document of these bytes."""
        document = cls()
        document.write(data)
        return document

    @classmethod
    def adopt(cls, descriptor: int) -> Self:
        """A document of memory that somebody else has filled. Raises OSError when it is not sealed memory.

        Nobody can change it any more. The descriptor belongs to the document from here on, also if it fails.
        """
        document = cls.__new__(cls)
        document._fd = descriptor
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _FINAL != _FINAL:
                raise OSError("memory that can still change")
            document.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)
        except BaseException:
            document.close()
            raise
        return document

    def seal(self) -> None:
        """Nobody changes it from here on, whoever holds a descriptor. Raises OSError."""
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _FINAL | fcntl.F_SEAL_SEAL)

    def share(self) -> Self:
        """The same sealed memory once more, closed on its own. Raises OSError."""
        document = type(self).__new__(type(self))
        document._fd = os.dup(self._fd)
        document.size_bytes = self.size_bytes
        return document

    def fileno(self) -> int:
        """The descriptor, which stays the document's."""
        return self._fd

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


_FINAL = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
