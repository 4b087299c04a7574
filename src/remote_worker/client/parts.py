"""multipart/mixed as it comes in: parts out of chunks, however these are cut. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_PART_HEAD = 16 * 1024
_BOUNDARY = re.compile(r'boundary="?([^";,]{1,200})"?', re.IGNORECASE)
_NAME = re.compile(r';\s*name="?([^";]*)"?', re.IGNORECASE)


class BadParts(ValueError):
    """This is no multipart/mixed."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part; names of headers are in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """What its Content-Disposition calls it."""
        found = _NAME.search(self.headers.get("content-disposition", ""))
        return found[1] if found else ""


class Parts:
    """Takes chunks; `done` has the parts that are whole."""

    def __init__(self, content_type: str) -> None:
        found = _BOUNDARY.search(content_type)
        if not content_type.lower().startswith("multipart/mixed") or found is None:
            raise BadParts("the answer is not multipart/mixed")
        self.done: list[Part] = []
        self._delimiter = f"\r\n--{found[1]}".encode()
        self._waiting = bytearray(b"\r\n")  # The first delimiter may stand at the very start.
        self._seen = 0
        """So many bytes of what waits cannot begin a delimiter."""
        self._headers: dict[str, str] | None = None
        self._in_part = False
        self._is_over = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BadParts."""
        self._waiting += chunk
        while not self._is_over and self._step():
            pass

    def finish(self) -> list[Part]:
        """All parts. Raises BadParts when the end is missing."""
        if not self._is_over:
            raise BadParts("the last part is cut")
        return self.done

    def _step(self) -> bool:
        """Read one head or one body; False when more bytes are needed."""
        if self._in_part and self._headers is None:
            return self._read_head()
        at = self._waiting.find(self._delimiter, self._seen)
        after = at + len(self._delimiter)
        if at < 0:
            self._seen = max(0, len(self._waiting) - len(self._delimiter) + 1)
            return False
        if len(self._waiting) < after + 2:
            return False
        if self._headers is not None:
            self.done.append(Part(self._headers, bytes(memoryview(self._waiting)[:at])))
            self._headers = None
        self._is_over = self._waiting[after : after + 2] == b"--"
        self._in_part = True
        # The line break stays: a part without headers begins with an empty line.
        del self._waiting[:after]
        self._seen = 0
        return not self._is_over

    def _read_head(self) -> bool:
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0:
            if len(self._waiting) > LONGEST_PART_HEAD:
                raise BadParts("the head of a part is too long")
            return False
        lines = self._waiting[:end].decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines if line.strip()]
        self._headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        del self._waiting[: end + 4]
        return True
