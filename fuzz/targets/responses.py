"""Answers of servers: any bytes, in any pieces, end in a bounded result or in a failure that has a code."""

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Purpose
from remote_worker.fetch.process.http import MOST_HEAD_BYTES, Answer

from ..choices import Choices

MOST_BYTES = 20_000
CODES = {
    FailureCode.BAD_HTTP,
    FailureCode.BAD_ENCODING,
    FailureCode.TOO_LARGE,
    FailureCode.HTTP_STATUS,
    FailureCode.HTTP_4XX,
    FailureCode.HTTP_5XX,
    FailureCode.REDIRECT_INVALID,
    FailureCode.NOT_HTML,
    FailureCode.TYPE_MISMATCH,
    FailureCode.ATTACHMENT,
}


def ends(data: bytes) -> None:
    """It ends, with no more than was allowed, and no piece changes whether the same bytes are a page."""
    choices = Choices(data)
    purpose = choices.one_of(tuple(Purpose))
    is_conditional = choices.one_of((False, True))
    sizes = [choices.one_of((1, 2, 3, 7, 16, 50, 200, 4000)) for _ in range(choices.number(1, 5))]
    stream = choices.rest()

    in_pieces = _result(purpose, is_conditional, stream, sizes)
    whole = _result(purpose, is_conditional, stream, [len(stream) + 1])

    # A page that is complete may be cut at once, or refused for what comes behind its end.
    if isinstance(whole, bytes) and isinstance(in_pieces, bytes):
        assert whole == in_pieces, "other bytes"


def _result(purpose: Purpose, is_conditional: bool, stream: bytes, sizes: list[int]) -> bytes | FailureCode:
    answer = Answer(purpose, MOST_BYTES, is_conditional=is_conditional)
    at = turn = 0
    try:
        while at < len(stream) and not answer.is_done:
            size = sizes[turn % len(sizes)]
            answer.feed(stream[at : at + size])
            at, turn = at + size, turn + 1
        answer.end()
        assert answer.is_done
        assert answer.status >= 200, "an interim answer counted"
        assert all(name.islower() and "\r" not in value for name, value in answer.headers.items())
        with answer.take() as document:
            assert document.size_bytes <= MOST_BYTES
            assert document.size_bytes or answer.location is not None or answer.status == 304
            return document.prefix()
    except WorkFailed as failed:
        assert failed.code in CODES, failed.code
        assert answer.received_bytes <= max(MOST_HEAD_BYTES, len(stream)) + 4096
        return failed.code
    finally:
        answer.close()
