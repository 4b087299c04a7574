"""Bodies of answers: JSON as clients know it, and pictures in slices that never hold up the event loop."""

import asyncio
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .budget import Budget
from .problems import JSON_TYPE

SLICE_BYTES = 192 * 1024
"""Of a picture handled at once, about 0.3 ms of work; divisible by 3, so that base64 joins without gaps."""

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "jp2": "image/jp2",
    "jxl": "image/jxl",
}
"""The media type of each format that is written."""

Piece = bytes | memoryview
"""Text as it is, or a picture that becomes base64."""


def json_answer(
    members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A small JSON object: sorted keys, ASCII, blanks behind commas and colons."""
    body = json.dumps(members, sort_keys=True).encode()
    return Response(body, status, {"content-type": JSON_TYPE, **(headers or {})})


def pictures_in_json(members: Mapping[str, Any], budget: Budget) -> Response:
    """A JSON object in which each memoryview becomes a base64 string."""
    pieces = list(_joined(_json_pieces(members)))
    length = sum(_base64_length(p) if isinstance(p, memoryview) else len(p) for p in pieces)
    return _Sliced((part for piece in pieces for part in _encoded(piece)), length, JSON_TYPE, budget)


def picture_as_text(picture: memoryview, budget: Budget) -> Response:
    """The base64 of one picture and nothing else."""
    return _Sliced(_encoded(picture), _base64_length(picture), "text/plain", budget)


def raw_picture(picture: memoryview, format_name: str, budget: Budget) -> Response:
    """A picture's own bytes."""
    return _Sliced(_slices(picture), len(picture), MEDIA_TYPES[format_name], budget)


class _Sliced(Response):
    """An answer of known length that is made while it is sent, and counts as held in memory until then."""

    def __init__(
        self, parts: Iterable[bytes | memoryview], length: int, media_type: str, budget: Budget
    ) -> None:
        super().__init__(headers={"content-type": media_type, "content-length": str(length)})
        self._parts = parts
        self._length = length
        self._budget = budget

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - ASGI's signature
        receive: Receive,  # noqa: ARG002
        send: Send,
    ) -> None:
        """Send small parts together and large ones one by one, letting other requests run in between.

        Raises WorkFailed, before anything is sent, when too much is held already.
        """
        with self._budget.lease() as lease:
            lease.take(self._length)
            await self._send(send)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        waiting: list[bytes | memoryview] = []
        size = 0
        for part in self._parts:
            if size + len(part) > 2 * SLICE_BYTES:
                await send({"type": "http.response.body", "body": b"".join(waiting), "more_body": True})
                await asyncio.sleep(0)
                waiting, size = [], 0
            waiting.append(part)
            size += len(part)
        await send({"type": "http.response.body", "body": b"".join(waiting)})


def _json_pieces(value: object) -> Iterator[Piece]:
    if isinstance(value, Mapping):
        opening = b"{"
        for key in sorted(value):
            yield opening + json.dumps(key).encode() + b": "
            yield from _json_pieces(value[key])
            opening = b", "
        yield b"}" if value else b"{}"
    elif isinstance(value, memoryview):
        yield b'"'
        yield value
        yield b'"'
    else:
        yield json.dumps(value).encode()


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    text = b""
    for piece in pieces:
        if isinstance(piece, memoryview):
            yield text
            yield piece
            text = b""
        else:
            text += piece
    yield text


def _encoded(piece: Piece) -> Iterator[bytes]:
    if isinstance(piece, memoryview):
        for part in _slices(piece):
            yield binascii.b2a_base64(part, newline=False)
    else:
        yield piece


def _slices(picture: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(picture), SLICE_BYTES):
        yield picture[start : start + SLICE_BYTES]


def _base64_length(picture: memoryview) -> int:
    return (len(picture) + 2) // 3 * 4
