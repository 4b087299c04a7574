"""Bodies of answers: JSON as clients know it, and pictures in slices that never hold up the event loop."""

import asyncio
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pybase64
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .budget import Share
from .problems import JSON_TYPE

SLICE_BYTES = 384 * 1024
"""Of a picture handled at once, about 0.3 ms of work; divisible by 3, so that base64 joins without gaps."""

TOGETHER_BYTES = 128 * 1024
"""Small parts of an answer are sent together up to this size; a larger one is not worth a copy."""

TEXT_SLICE = 64 * 1024
"""Characters of a text written as JSON at once, about as long."""

# What json.dumps makes of a string; to be asked for nothing else saves most of its time.
_quoted = json.encoder.encode_basestring_ascii
_LEFT_OUT = "\0"
_GAP = json.dumps(_LEFT_OUT).encode().strip(b'"')
"""What the JSON encoder writes between quotes in place of a picture."""

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


async def texts_in_json(members: Mapping[str, str | bool], share: Share) -> Response:
    """A JSON object with strings of any length; other requests run while the long ones are written."""
    if sum(len(value) for value in members.values() if isinstance(value, str)) <= TEXT_SLICE:
        written = ", ".join(f"{_quoted(name)}: {_scalar(value)}" for name, value in sorted(members.items()))
        return Response(f"{{{written}}}".encode(), headers={"content-type": JSON_TYPE})
    pieces: list[bytes] = []
    for name, value in sorted(members.items()):
        pieces.append(f"{', ' if pieces else '{'}{json.dumps(name)}: ".encode())
        if isinstance(value, bool):
            pieces.append(json.dumps(value).encode())
            continue
        pieces.append(b'"')
        for start in range(0, len(value), TEXT_SLICE):
            pieces.append(json.dumps(value[start : start + TEXT_SLICE])[1:-1].encode())
            await asyncio.sleep(0)
        pieces.append(b'"')
    pieces.append(b"}")
    return _Sliced(pieces, sum(map(len, pieces)), JSON_TYPE, share)


def _scalar(value: str | bool) -> str:
    return _quoted(value) if isinstance(value, str) else ("true" if value else "false")


def pictures_in_json(members: Mapping[str, Any], share: Share) -> Response:
    """A JSON object in which each memoryview becomes a base64 string."""
    pieces = _json_pieces(members)
    length = sum(_base64_length(p) if isinstance(p, memoryview) else len(p) for p in pieces)
    return _Sliced(_encoded(pieces), length, JSON_TYPE, share)


def picture_as_text(picture: memoryview, share: Share) -> Response:
    """The base64 of one picture and nothing else."""
    return _Sliced(_encoded([picture]), _base64_length(picture), "text/plain", share)


def raw_picture(
    picture: memoryview, format_name: str, share: Share, headers: Mapping[str, str] | None = None
) -> Response:
    """A picture's own bytes."""
    answer = _Sliced(_slices(picture), len(picture), MEDIA_TYPES[format_name], share)
    answer.headers.update(headers or {})
    return answer


def kept_answer(body: memoryview, status: int, headers: Mapping[str, str], share: Share) -> Response:
    """An answer that was given before."""
    answer = _Sliced(_slices(body), len(body), "", share)
    answer.status_code = status
    del answer.headers["content-type"]
    answer.headers.update(headers)
    return answer


def pictures_in_parts(
    members: Mapping[str, Any], pictures: Mapping[str, tuple[memoryview, str]], share: Share
) -> Response:
    """A multipart/mixed answer: a JSON object, then each picture's own bytes; with the name of its format."""
    # No picture has it in it: nobody who makes one can know it.
    boundary = secrets.token_hex(16)
    pieces: list[bytes | memoryview] = [
        f"--{boundary}\r\ncontent-type: {JSON_TYPE}\r\n\r\n".encode(),
        json.dumps(members, sort_keys=True).encode(),
    ]
    for name, (picture, format_name) in pictures.items():
        head = (
            f"\r\n--{boundary}\r\n"
            f"content-type: {MEDIA_TYPES[format_name]}\r\n"
            f'content-disposition: attachment; name="{name}"; filename="{name}.{format_name}"\r\n'
            f"content-length: {len(picture)}\r\n\r\n"
        )
        pieces += [head.encode(), *_slices(picture)]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return _Sliced(pieces, sum(map(len, pieces)), f"multipart/mixed; boundary={boundary}", share)


class _Sliced(Response):
    """An answer of known length that is made while it is sent, and counts as held in memory until then."""

    def __init__(
        self, parts: Iterable[bytes | memoryview], length: int, media_type: str, share: Share
    ) -> None:
        super().__init__(headers={"content-type": media_type, "content-length": str(length)})
        self._parts = parts
        self._length = length
        self._share = share

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - ASGI's signature
        receive: Receive,  # noqa: ARG002
        send: Send,
    ) -> None:
        """Send small parts together and large ones one by one, letting other requests run in between.

        Raises WorkFailed, before anything is sent, when too much is held already.
        """
        with self._share.lease() as lease:
            lease.take(self._length)
            await self._send(send)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        waiting: list[bytes | memoryview] = []
        size = 0
        for part in self._parts:
            if waiting and size + len(part) > TOGETHER_BYTES:
                await send({"type": "http.response.body", "body": b"".join(waiting), "more_body": True})
                await asyncio.sleep(0)
                waiting, size = [], 0
            waiting.append(part)
            size += len(part)
        await send({"type": "http.response.body", "body": b"".join(waiting)})


def _json_pieces(members: Mapping[str, Any]) -> list[Piece]:
    """The text in front of the first picture, that picture, the text behind it, and so on."""
    pictures: list[memoryview] = []

    def leave_out(picture: memoryview) -> str:
        pictures.append(picture)
        return _LEFT_OUT

    # The encoder comes to the pictures in the order of the text.
    first, *others = json.dumps(members, sort_keys=True, default=leave_out).encode().split(_GAP)
    pieces: list[Piece] = [first]
    for picture, text in zip(pictures, others, strict=True):
        pieces += [picture, text]
    return pieces


def _encoded(pieces: Iterable[Piece]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, memoryview):
            for part in _slices(piece):
                yield pybase64.b64encode(part)
        else:
            yield piece


def _slices(picture: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(picture), SLICE_BYTES):
        yield picture[start : start + SLICE_BYTES]


def _base64_length(picture: memoryview) -> int:
    return (len(picture) + 2) // 3 * 4
