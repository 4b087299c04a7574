"""What is kept of a body: so much of a page as a preview needs, the sign of a picture, or all of it."""

from ...contract.document import Document
from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import Purpose
from . import sniff
from .page_end import PageEnd, has_title

SIGN_BYTES = 4 * 1024
"""Of a picture where a page was wanted."""
FALLBACK_BYTES = 256 * 1024
"""Of a page whose head has no title, for a reader that looks further."""


class Body:
    """Owns the document that it fills, until `take` gives it away. `is_full` once it wants no more."""

    def __init__(self, purpose: Purpose, essence: str, most_bytes: int) -> None:
        self.media_type = ""
        self.is_full = False
        self._purpose = purpose
        self._essence = essence
        self._most_bytes = most_bytes
        self._first = bytearray()
        self._page: bytearray | None = None
        self._page_end = PageEnd()
        self._has_head = False
        self._document: Document | None = None

    def add(self, piece: bytes) -> None:
        """Bytes, decoded. Raises WorkFailed when they are not what was wanted, or too many."""
        if self.media_type:
            self._keep(piece)
            return
        self._first += piece
        if len(self._first) >= sniff.SNIFFED_BYTES:
            self._begin()

    def end(self) -> None:
        """That was all."""
        if not self.media_type and self._first:
            self._begin()

    @property
    def size_bytes(self) -> int:
        """Kept so far."""
        if self._page is not None:
            return len(self._page)
        return self._document.size_bytes if self._document is not None else len(self._first)

    def take(self) -> Document:
        """What was kept. The caller closes it."""
        document = self._document or Document()
        self._document = None
        try:
            document.write(bytes(self._page or b""))
        except BaseException:
            document.close()
            raise
        return document

    def close(self) -> None:
        """Let go of what nobody took."""
        if self._document is not None:
            self._document.close()
            self._document = None

    def _begin(self) -> None:
        first = bytes(self._first)
        self.media_type = sniff.media_type(self._purpose, self._essence, first[: sniff.SNIFFED_BYTES])
        self._first.clear()
        if self.media_type in sniff.HTML:
            self._page = bytearray()
        self._keep(first)

    def _keep(self, piece: bytes) -> None:
        if self._page is not None:
            self._keep_page(self._page, piece)
            return
        document = self._document = self._document or Document()
        if self._purpose is Purpose.PAGE:
            room = min(SIGN_BYTES, self._most_bytes) - document.size_bytes
            self.is_full = len(piece) >= room
            piece = piece[:room]
        elif document.size_bytes + len(piece) > self._most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE, "body")
        document.write(piece)

    def _keep_page(self, page: bytearray, piece: bytes) -> None:
        page += piece
        limit = self._most_bytes
        if not self._has_head:
            end = self._page_end.find(page)
            self._has_head = end >= 0
            if self._has_head and has_title(page, end):
                limit = min(limit, end)
                self.is_full = True
            elif self._has_head:
                limit = min(limit, max(end, FALLBACK_BYTES))
            self._most_bytes = limit
        if len(page) > limit:
            self.is_full = True
            del page[limit:]
