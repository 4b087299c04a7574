"""Content codings, taken off in bounded steps: what a body unpacks to is decided by a stranger."""

import zlib
from collections.abc import Iterator

from ...contract.failures import FailureCode, WorkFailed

STEP_BYTES = 16 * 1024
"""Unpacked at a time."""
FIRST_STEP_BYTES = 8 * 1024
"""At first: many a head ends there, and of its page nothing more is wanted."""
RATIO_BYTES = 64 * 1024
"""From which on the ratio counts: a short page of blanks packs better than any honest long one."""
MOST_RATIO = 100
MOST_EMPTY_BYTES = 64 * 1024
"""Of a packed body, beside twice what it unpacks to: blocks of nothing have no end and fill no limit."""
MOST_MEMBERS = 64
"""Of one gzip body."""

_GZIP = {"gzip", "x-gzip"}
_PLAIN = {"", "identity"}


def layer_of(header: str) -> str:
    """The one coding that a Content-Encoding names: `gzip`, `deflate` or nothing."""
    layers = [layer for part in header.split(",") if (layer := part.strip(" \t").lower()) not in _PLAIN]
    if len(layers) > 1:
        raise WorkFailed(FailureCode.BAD_ENCODING, "layers")
    if not layers:
        return ""
    if layers[0] in _GZIP:
        return "gzip"
    if layers[0] == "deflate":
        return "deflate"
    # Nobody asked for it.
    raise WorkFailed(FailureCode.BAD_ENCODING, "unknown")


class Unpacker:
    """Takes one layer off. Every piece it gives is of at most STEP_BYTES, and made when it is asked for."""

    def __init__(self, layer: str) -> None:
        self._layer = layer
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS + 16) if layer == "gzip" else None
        self._step_bytes = FIRST_STEP_BYTES
        self._members = 1
        self._held = b""
        self._received_bytes = 0
        self._taken_bytes = 0
        self._given_bytes = 0
        self._is_over = False
        """Nothing may follow but zeros."""

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """What these bytes hold."""
        if not self._layer:
            yield data
            return
        self._received_bytes += len(data)
        if self._zlib is None:
            self._held += data
            if len(self._held) < 2:
                return
            data, self._held = self._held, b""
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS if _has_zlib_head(data) else -zlib.MAX_WBITS)
        is_more = False
        while data or is_more:
            if self._zlib.eof:
                data = self._next_member(data)
                is_more = False
                continue
            try:
                piece = self._zlib.decompress(data, self._step_bytes)
            except zlib.error as broken:
                raise WorkFailed(FailureCode.BAD_ENCODING, self._layer) from broken
            rest = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            self._taken_bytes += len(data) - len(rest)
            self._given_bytes += len(piece)
            if self._given_bytes > max(RATIO_BYTES, MOST_RATIO * self._taken_bytes):
                raise WorkFailed(FailureCode.TOO_LARGE, "ratio")
            # A full step may have left something behind even when all input has been read.
            is_more = len(piece) == self._step_bytes
            self._step_bytes = STEP_BYTES
            data = rest
            if piece:
                yield piece
        if self._received_bytes > MOST_EMPTY_BYTES + 2 * self._given_bytes:
            raise WorkFailed(FailureCode.BAD_ENCODING, "empty")

    def end(self) -> None:
        """The body is over. Raises when the layer is not."""
        if self._held or (self._zlib is not None and not self._zlib.eof and self._taken_bytes):
            raise WorkFailed(FailureCode.BAD_ENCODING, "truncated")

    def _next_member(self, data: bytes) -> bytes:
        """Go on behind the end of a member."""
        if not data:
            return b""  # Another may still come.
        if self._layer != "gzip" or self._is_over or not data.startswith(b"\x1f"):
            self._is_over = True
            if data.strip(b"\0"):
                raise WorkFailed(FailureCode.BAD_ENCODING, "behind the end")
            return b""
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise WorkFailed(FailureCode.BAD_ENCODING, "members")
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS + 16)
        return data


def _has_zlib_head(data: bytes) -> bool:
    """RFC 1950. Some servers send a deflate stream without it, and browsers take both."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
