"""A JSON body, received within bounds of size, time and memory, and of how much it may turn into."""

import json
import re
from typing import Any, NoReturn

from starlette.requests import Request

from ..contract import nesting
from ..contract.failures import FailureCode, WorkFailed
from .body import read_in_time
from .budget import Lease
from .settings import WebSettings

DEEPEST = 16
"""Arrays and objects within each other."""
MOST_VALUES = 10_000
"""Commas and opening brackets outside strings: each costs up to 70 bytes of memory for one byte sent."""

_MEDIA_TYPE = re.compile(r"\s*application/(?:json|[\w.-]+\+json)\s*(?:;.*)?", re.IGNORECASE | re.ASCII)
_TOO_LARGE = "the body has too many bytes"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


async def read_json(request: Request, settings: WebSettings, lease: Lease, *, most_bytes: int) -> Any:
    """The value that the body is. Its bytes are taken from the lease, as it comes.

    Raises WorkFailed, or ClientGone when the body is cut.
    """
    told = dict(reversed([*request.scope["headers"]]))  # Of several with one name the first.
    if not _MEDIA_TYPE.fullmatch(told.get(b"content-type", b"").decode("latin-1")):
        raise WorkFailed(FailureCode.UNSUPPORTED_MEDIA_TYPE)
    # The server has checked that these are digits.
    if int(told.get(b"content-length", b"0")) > most_bytes:
        raise WorkFailed(FailureCode.TOO_LARGE, _TOO_LARGE)
    body = bytearray()

    def take(buffer: bytes | bytearray, start: int, end: int) -> None:
        if len(body) + end - start > most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE, _TOO_LARGE)
        lease.take(end - start)
        body.extend(memoryview(buffer)[start:end])

    await read_in_time(request, settings, take)
    return parse(body)


def parse(body: bytes | bytearray) -> Any:
    """The value that these bytes are. Raises WorkFailed."""
    opening = body.count(b"[") + body.count(b"{")
    if opening + body.count(b",") > MOST_VALUES:
        bare = nesting.without_strings(body)
        if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > MOST_VALUES:
            raise WorkFailed(FailureCode.BAD_REQUEST, "the body has too many values")
    if nesting.is_deeper(body, DEEPEST):
        raise WorkFailed(FailureCode.BAD_REQUEST, "the body is nested too deep")
    try:
        return _DECODER.decode(body.decode())
    except ValueError as broken:
        raise WorkFailed(FailureCode.BAD_REQUEST, "the body is not JSON") from broken
