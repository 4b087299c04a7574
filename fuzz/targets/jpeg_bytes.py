"""JPEGs cleaned as bytes: no place is left in them, and the coded picture is what it was."""

from collections.abc import Callable

from remote_worker.contract.failures import WorkFailed
from remote_worker.decoder import jpeg_bytes
from remote_worker.decoder.headers import jpeg as header

Clean = Callable[[bytes], jpeg_bytes.Pieces]
KEPT = jpeg_bytes.TABLES | {jpeg_bytes.SOS}
"""The segments that are the picture."""


def stripped(data: bytes, strip: Clean = jpeg_bytes.strip) -> None:
    """Nothing is left but the picture, the two heads by which colours are told, and the profile."""
    made = _cleaned(data, strip)
    if made is None:
        return
    told = jpeg_bytes.read(made)
    markers = {segment.marker for segment in told.segments}
    strange = (
        markers
        - KEPT
        - {
            jpeg_bytes.SOI,
            jpeg_bytes.EOI,
            jpeg_bytes.APP0,
            jpeg_bytes.APP2,
            jpeg_bytes.APP14,
        }
    )
    assert not strange, strange
    assert told.orientation == 1, told.orientation
    assert jpeg_bytes.strip(made) == _pieces(made, made), "a second strip changes something"


def kept(data: bytes, keep: Clean = jpeg_bytes.keep) -> None:
    """What metadata is left tells no place and stands upright, also by the reader that `info` uses."""
    made = _cleaned(data, keep)
    if made is None:
        return
    assert jpeg_bytes.read(made).orientation == 1
    assert not _tells_place(made), "a place is left"


def _cleaned(data: bytes, clean: Clean) -> bytes | None:
    try:
        before = jpeg_bytes.read(data)
        made = b"".join(clean(data))
    except WorkFailed:
        return None
    after = jpeg_bytes.read(made)
    assert _picture(data, before) == _picture(made, after), "the coded picture changed"
    assert (after.width, after.height, after.components) == (before.width, before.height, before.components)
    assert made.endswith(b"\xff\xd9"), "something lies behind the picture"
    return made


def _picture(data: bytes, jpeg: jpeg_bytes.Jpeg) -> list[bytes]:
    return [data[part.at : part.end] for part in jpeg.segments if part.marker in KEPT]


def _pieces(data: bytes, made: bytes) -> jpeg_bytes.Pieces:
    again = jpeg_bytes.strip(data)
    assert b"".join(again) == made
    return again


def _tells_place(data: bytes) -> bool:
    try:
        return header.read(data).has_gps
    except WorkFailed:
        return False
