"""Bodies of requests: JSON, and forms with a picture that is read from the disk while it is sent."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol, cast

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A picture: the path of a file, its bytes, or a binary file, read from where it stands."""

PIECE_BYTES = 64 * 1024
SPOOL_BYTES = 1024 * 1024
"""A pipe cannot be read twice: what comes out of it is kept, in memory up to this size and then in a file."""


class Body(Protocol):
    """What is sent, as often as it takes: every time the same."""

    @property
    def length(self) -> int:
        """Bytes in all."""

    @property
    def media_type(self) -> str:
        """Its Content-Type."""

    def pieces(self) -> Iterator[bytes]:
        """All of it, from the start."""


class Content(Protocol):
    """What a body is made from."""

    def opened(self) -> AbstractContextManager[Body]:
        """The body, for as long as the block."""


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON object."""

    members: Mapping[str, object]

    @contextmanager
    def opened(self) -> Iterator[Body]:
        """The body, for as long as the block."""
        yield _Bytes(json.dumps(self.members).encode(), "application/json")


@dataclass(frozen=True, slots=True)
class PictureOf:
    """A form with a picture, or with the URL of one."""

    source: Source | None
    url: str | None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.url is None):
            raise ValueError("give a picture or the url of one")

    @contextmanager
    def opened(self) -> Iterator[Body]:
        """The body, for as long as the block."""
        boundary = secrets.token_hex(16)
        if self.source is None:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="url"'
            yield _Bytes(
                f"{head}\r\n\r\n{self.url}\r\n--{boundary}--\r\n".encode(),
                f"multipart/form-data; boundary={boundary}",
            )
            return
        with _file(self.source) as file:
            yield _Upload(file, boundary)


@dataclass(frozen=True, slots=True)
class _Bytes:
    data: bytes
    media_type: str

    @property
    def length(self) -> int:
        return len(self.data)

    def pieces(self) -> Iterator[bytes]:
        yield self.data


class _Upload:
    """A form with one file, from where that stands to its end."""

    def __init__(self, file: BinaryIO, boundary: str) -> None:
        self._file = file
        self._start = file.tell()
        self._size = file.seek(0, os.SEEK_END) - self._start
        # The worker takes no notice of the name, but there has to be one.
        disposition = 'Content-Disposition: form-data; name="file"; filename="picture"'
        self._head = (
            f"--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        )
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self.media_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + self._size + len(self._end)

    def pieces(self) -> Iterator[bytes]:
        yield self._head
        self._file.seek(self._start)
        left = self._size
        while left and (piece := self._file.read(min(left, PIECE_BYTES))):
            yield piece
            left -= len(piece)
        yield self._end


@contextmanager
def _file(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            yield file
    elif source.seekable():
        yield source
    else:
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as kept:
            shutil.copyfileobj(source, kept)
            kept.seek(0)
            yield cast(BinaryIO, kept)
