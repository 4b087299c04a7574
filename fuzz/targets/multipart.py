"""Forms: our way past the parser gives what the parser alone gives of the same pieces, and of one piece."""

import os
from collections.abc import Callable, Iterator
from itertools import chain, cycle

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web import upload
from remote_worker.web.budget import Budget

from ..choices import Choices

BOUNDARY = "b-9"
"""Short, so that mutations meet it."""
MOST_BYTES = 4096
_BUFFER_FRONT = 7
"""The server reads into one buffer again and again, and a body begins anywhere in it."""

Outcome = bytes | FailureCode
Feed = Callable[[upload._Form, bytearray, int, int], None]


def same_as_the_parser(data: bytes, feed: Feed = upload._Form.feed) -> None:
    """The same file, or the same failure.

    Of a form that is malformed before its first delimiter, the parser itself sees less in small pieces.
    """
    choices = Choices(data)
    sizes = [choices.one_of((1, 1, 2, 3, 5, 8, 40, 300, 5000)) for _ in range(choices.number(1, 6))]
    body = choices.rest()

    ours = _ours(list(_cut(body, sizes)), feed)
    theirs = _theirs(list(_cut(body, sizes)))
    whole = _theirs([body])

    # Which of two failures comes first may differ: the file is measured as it comes.
    both_fail = isinstance(ours, FailureCode) and isinstance(theirs, FailureCode)
    assert ours == theirs or (both_fail and ours is FailureCode.TOO_LARGE), (ours, theirs)
    if isinstance(ours, bytes) and isinstance(whole, bytes):
        assert ours == whole, "another file in one piece"


def _cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in cycle(sizes):
        if at >= len(body):
            return
        yield body[at : at + size]
        at += size


def _ours(body: list[bytes], feed: Feed) -> Outcome:
    with Document() as document, Budget(1 << 20).share("").lease() as lease:
        form = upload._Form(BOUNDARY, document, lease, MOST_BYTES)
        buffer = bytearray(_BUFFER_FRONT + max(map(len, body), default=0))
        try:
            for piece in body:
                buffer[_BUFFER_FRONT : _BUFFER_FRONT + len(piece)] = piece
                feed(form, buffer, _BUFFER_FRONT, _BUFFER_FRONT + len(piece))
            form.finish()
            form.check_file()
        except WorkFailed as failed:
            return failed.code
        return os.pread(document._fd, document.size_bytes, 0)


def _theirs(body: list[bytes]) -> Outcome:
    parser = PushMultipartParser(
        BOUNDARY,
        max_header_size=upload.LONGEST_PART_HEADER_BYTES,
        max_header_count=upload.MOST_PART_HEADERS,
        max_segment_count=upload.MOST_PARTS,
        header_charset="latin-1",
    )
    pieces: list[bytes] = []
    found = is_file = False
    try:
        for event in chain.from_iterable(
            parser.parse(piece) for piece in body if piece and not parser.closed
        ):
            if isinstance(event, MultipartSegment):
                is_file = not found and upload._is_file(event)
                found = found or is_file
            elif event is not None and is_file:
                pieces.append(bytes(event))
        if any(body):
            parser.close()
    except MultipartError:
        return FailureCode.BAD_REQUEST
    file = b"".join(pieces)
    if not found:
        return FailureCode.NO_FILE
    if not file:
        return FailureCode.EMPTY_FILE
    return file if len(file) <= MOST_BYTES else FailureCode.TOO_LARGE
