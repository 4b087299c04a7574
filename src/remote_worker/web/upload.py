"""The uploaded file, parsed out of multipart/form-data as it streams, straight into a document."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)
from starlette.requests import Request

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB, Limits
from .auth import ceilings_of
from .body import read_in_time
from .budget import Lease, Share
from .by_url import ByUrl
from .exchange import exchange_of
from .fields import read_field
from .settings import WebSettings

FIELD = "file"
URL_FIELD = "url"
LONGEST_URL_BYTES = 8 * 1024
"""Of the field; what is a URL and how long one may be is told by the rules for URLs."""
OVERHEAD_BYTES = MIB
"""What a body may have besides the file: the other parts, and the heads of all."""
MOST_PARTS = 64
MOST_PART_HEADERS = 16
LONGEST_PART_HEADER_BYTES = 4096
LONGEST_BOUNDARY = 200

# RFC 7578 forbids `filename*`, some clients send nothing else. Only whether there is a name matters.
_EXTENDED_FILENAME = re.compile(r";\s*filename\*\s*=\s*[^;\s']*'[^;\s']*'[^;\s]+", re.IGNORECASE)


class Uploads:
    """Receives uploads within the limits."""

    def __init__(self, limits: Limits, settings: WebSettings, by_url: ByUrl) -> None:
        self._limits = limits
        self._settings = settings
        self._by_url = by_url

    @asynccontextmanager
    async def receive(self, request: Request, share: Share) -> AsyncIterator[Document]:
        """The whole body read, and its file as a document that lives as long as the block.

        In place of a file there may be a URL, in the form or in the address, which is fetched then.
        The bytes are taken out of the caller's share.

        Raises WorkFailed, or ClientGone when the body is cut.
        """
        began = time.perf_counter()
        url = request.query_params.get(URL_FIELD, "")
        if not _is_multipart(request):
            with share.lease() as lease:
                url = url or await read_field(request, self._settings, lease, URL_FIELD)
            if url:
                async with self._by_url.document(request, url, share) as document:
                    exchange_of(request).upload_seconds = time.perf_counter() - began
                    yield document
                return
        boundary = _boundary(request)
        ceiling = ceilings_of(request.scope["state"]).input_bytes
        most_file_bytes = min(self._limits.input_bytes, ceiling or self._limits.input_bytes)
        most_bytes = most_file_bytes + OVERHEAD_BYTES
        # The server has checked that these are digits.
        if int(request.headers.get("content-length", "0")) > most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE)
        with share.lease() as lease, _document() as document:
            form = _Form(boundary, document, lease, most_file_bytes)
            await self._read(request, form, most_bytes)
            url = form.url or url
            if url:
                if form.has_file:
                    raise WorkFailed(FailureCode.BAD_PARAMETER, "there is a file and a url")
                async with self._by_url.document(request, url, share) as fetched:
                    exchange_of(request).upload_seconds = time.perf_counter() - began
                    yield fetched
                return
            form.check_file()
            exchange_of(request).upload_seconds = time.perf_counter() - began
            yield document

    async def _read(self, request: Request, form: "_Form", most_bytes: int) -> None:
        exchange = exchange_of(request)

        def take(buffer: bytes | bytearray, start: int, end: int) -> None:
            if exchange.received_bytes > most_bytes:
                raise WorkFailed(FailureCode.TOO_LARGE)
            form.feed(buffer, start, end)

        await read_in_time(request, self._settings, take)
        form.finish()


class _Form:
    """A parse under way: takes chunks, writes the first file into the document, drops all other parts."""

    def __init__(self, boundary: str, document: Document, lease: Lease, most_bytes: int) -> None:
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=LONGEST_PART_HEADER_BYTES,
            max_header_count=MOST_PART_HEADERS,
            max_segment_count=MOST_PARTS,
            header_charset="latin-1",  # A file name in any encoding is as good as another: it is ignored.
        )
        self._delimiter = b"\r\n--" + boundary.encode()
        self._document = document
        self._lease = lease
        self._most_bytes = most_bytes
        self._in_file = False
        self._in_url = False
        self._url = bytearray()
        self._found = False
        self._is_empty = True

    def feed(self, buffer: bytes | bytearray, start: int, end: int) -> None:
        """Parse the bytes from `start` to `end`. Raises WorkFailed.

        The parser sees no byte of the file that cannot be the end of it: it takes copies only.
        """
        if start == end or self._parser.closed:
            return
        self._is_empty = False
        if self._in_file and not self._parser._buffer:  # Else it holds what may begin a delimiter.
            stop = self._end_of_file(buffer, start, end)
            with _bad_form():  # The parser counts along: a part may state its length.
                self._write(self._parser._on_segment_payload(memoryview(buffer)[start:stop]))
            start = stop
        if start < end:
            self._parse(bytes(memoryview(buffer)[start:end]))

    def _end_of_file(self, buffer: bytes | bytearray, start: int, end: int) -> int:
        """Where a delimiter begins, or may begin: at the end, whose rest is still to come."""
        found = buffer.find(self._delimiter, start, end)
        if found >= 0:
            return found
        last = buffer.rfind(b"\r", max(start, end - len(self._delimiter) + 1), end)
        return last if last >= 0 and self._delimiter.startswith(buffer[last:end]) else end

    def _parse(self, chunk: bytes) -> None:
        with _bad_form():
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._in_file = not self._found and _is_file(event)
                    self._found = self._found or self._in_file
                    self._in_url = event.name == URL_FIELD and not event.filename and not self._url
                elif event is None:
                    self._in_file = self._in_url = False
                elif self._in_file:
                    self._write(memoryview(event))
                elif self._in_url:
                    self._url += event
                    if len(self._url) > LONGEST_URL_BYTES:
                        raise WorkFailed(FailureCode.TOO_LONG)

    def finish(self) -> None:
        """The body is complete: is the form? Raises WorkFailed."""
        if not self._is_empty:
            with _bad_form():
                self._parser.close()

    @property
    def has_file(self) -> bool:
        """There is a file."""
        return self._found

    @property
    def url(self) -> str:
        """The field `url`, empty where there is none."""
        return self._url.decode(errors="replace").strip()

    def check_file(self) -> None:
        """There is a file, and something in it. Raises WorkFailed."""
        if not self._found:
            raise WorkFailed(FailureCode.NO_FILE)
        if self._document.size_bytes == 0:
            raise WorkFailed(FailureCode.EMPTY_FILE)

    def _write(self, data: memoryview) -> None:
        if self._document.size_bytes + len(data) > self._most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE)
        self._lease.take(len(data))
        try:
            self._document.write(data)
        except OSError as full:
            raise WorkFailed(FailureCode.BUSY, "there is no memory for the upload") from full


def _is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _boundary(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data":
        raise WorkFailed(FailureCode.NO_FILE)
    boundary: str = options.get("boundary", "")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise WorkFailed(FailureCode.BAD_REQUEST, "the form has no usable boundary")
    return boundary


def _is_file(segment: MultipartSegment) -> bool:
    if segment.name != FIELD:
        return False
    if segment.filename:
        return True
    return bool(_EXTENDED_FILENAME.search(segment.header("Content-Disposition", "")))


@contextmanager
def _bad_form() -> Iterator[None]:
    try:
        yield
    except MultipartError as error:
        raise WorkFailed(FailureCode.BAD_REQUEST, "the form is malformed or cut") from error


@contextmanager
def _document() -> Iterator[Document]:
    try:
        document = Document()
    except OSError as full:
        raise WorkFailed(FailureCode.BUSY, "no more uploads can be held") from full
    with document:
        yield document
