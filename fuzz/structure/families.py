"""The formats as mutations see them: PNG, JPEG, RIFF, boxes, GIF, ICNS, TIFF, icons, bitmaps, PSD, SVG."""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from .family import Family, Field, Order

MOST_PIECES = 4096


# PNG: chunks of length, kind, content and checksum.


def _png_split(data: bytes) -> list[bytes]:
    pieces, at = [data[:8]], 8
    while at + 12 <= len(data) and len(pieces) < MOST_PIECES:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        pieces.append(data[at:end])
        at = end
    return [*pieces, data[at:]] if at < len(data) else pieces


def _png_sealed(piece: bytes) -> bytes:
    if len(piece) < 12:
        return piece
    content = piece[4:-4]
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


# JPEG: segments of marker and length; a scan is one piece with its coded bytes.

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def _jpeg_split(data: bytes) -> list[bytes]:
    pieces, at = [data[:2]], 2
    while len(pieces) < MOST_PIECES and (found := _MARKER.match(data, at)) is not None:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            break
        if data[at + 1] == 0xDA:
            following = _SCAN_END.search(data, end)
            end = following.start() if following else len(data)
        pieces.append(data[at:end])
        at = max(end, found.end())
    return [*pieces, data[at:]] if at < len(data) else pieces


def _jpeg_sealed(piece: bytes) -> bytes:
    if len(piece) < 4 or piece[0] != 0xFF or piece[1] == 0xDA or len(piece) > 0xFFFF + 2:
        return piece
    return piece[:2] + struct.pack(">H", len(piece) - 2) + piece[4:]


# RIFF, boxes and ICNS: kinds and lengths, one within the other.


def _riff_split(data: bytes) -> list[bytes]:
    pieces, at = [data[:12]], 12
    pieces += _chunks(data, at)
    return pieces


def _chunks(data: bytes, at: int) -> Iterator[bytes]:
    for _ in range(MOST_PIECES):
        if at >= len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + (length & 1)
        yield data[at:end]
        at = end


def _riff_sealed(piece: bytes) -> bytes:
    if len(piece) < 8 or piece[:4] == b"RIFF":
        return piece
    content = piece[8:]
    return piece[:4] + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def _riff_whole(data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", max(0, len(data) - 8) & 0xFFFFFFFF) + data[8:]


def _riff_inside(piece: bytes) -> tuple[bytes, bytes, bytes] | None:
    # An animation's frame has sixteen bytes of its own, then chunks.
    return (piece[:24], piece[24:], b"") if piece[:4] == b"ANMF" else None


_CONTAINERS = {
    **dict.fromkeys(
        (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"iprp", b"ipco", b"jp2h", b"dinf", b"udta"), 8
    ),
    b"meta": 12,
    b"iref": 12,
    b"iinf": 14,
    b"stsd": 16,
}


def _box_split(data: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(data) and len(pieces) < MOST_PIECES:
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + size if size >= 8 else len(data)
        pieces.append(data[at:end])
        at = end
    return pieces


def _box_sealed(piece: bytes) -> bytes:
    if len(piece) < 8 or piece[:4] in (b"\0\0\0\0", b"\0\0\0\1"):
        return piece
    return struct.pack(">I", len(piece) & 0xFFFFFFFF) + piece[4:]


def _box_inside(piece: bytes) -> tuple[bytes, bytes, bytes] | None:
    head = _CONTAINERS.get(piece[4:8])
    return None if head is None else (piece[:head], piece[head:], b"")


def _icns_split(data: bytes) -> list[bytes]:
    pieces, at = [data[:8]], 8
    while at < len(data) and len(pieces) < MOST_PIECES:
        end = at + max(8, int.from_bytes(data[at + 4 : at + 8], "big"))
        pieces.append(data[at:end])
        at = end
    return pieces


def _icns_sealed(piece: bytes) -> bytes:
    return piece[:4] + struct.pack(">I", len(piece)) + piece[8:] if len(piece) >= 8 else piece


# GIF: the screen with its colours, then blocks, each up to its terminator.


def _gif_split(data: bytes) -> list[bytes]:
    at = 13 + _gif_colors(data[10:11])
    pieces = [data[:at]]
    while at < len(data) and len(pieces) < MOST_PIECES:
        start = at
        if data[at] == 0x2C:
            at += 11 + _gif_colors(data[at + 9 : at + 10])
        elif data[at] == 0x21:
            at += 2
        else:
            pieces.append(data[at : at + 1])
            at += 1
            continue
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        pieces.append(data[start:at])
    return pieces


def _gif_colors(flags: bytes) -> int:
    return 3 * (2 << (flags[0] & 7)) if flags and flags[0] & 0x80 else 0


# Formats whose numbers are found by their place.


def _tiff_fields(data: bytes) -> Sequence[Field]:
    """All fields of all entries of the first directories, and the links between them."""
    order: Order = "little" if data[:2] == b"II" else "big"
    fields = [Field(2, 2, order), Field(4, 4, order)]
    at = int.from_bytes(data[4:8], order)
    for _ in range(8):
        if not 8 <= at <= len(data) - 2:
            break
        count = int.from_bytes(data[at : at + 2], order)
        fields.append(Field(at, 2, order))
        for entry in range(at + 2, min(len(data) - 12, at + 2 + 12 * min(count, 64)), 12):
            fields += [Field(entry, 2, order), Field(entry + 2, 2, order)]
            fields += [Field(entry + 4, 4, order), Field(entry + 8, 4, order), Field(entry + 8, 2, order)]
        link = at + 2 + 12 * count
        fields.append(Field(link, 4, order))
        at = int.from_bytes(data[link : link + 4], order)
    return fields


def _ico_fields(data: bytes) -> Sequence[Field]:
    count = min(64, int.from_bytes(data[4:6], "little"))
    fields = [Field(2, 2, "little"), Field(4, 2, "little")]
    for index in range(count):
        entry = 6 + 16 * index
        fields += [Field(entry, 1), Field(entry + 1, 1), Field(entry + 2, 1), Field(entry + 6, 2, "little")]
        fields += [Field(entry + 8, 4, "little"), Field(entry + 12, 4, "little")]
        picture = int.from_bytes(data[entry + 12 : entry + 16], "little")
        fields += [Field(picture + at, 4, "little") for at in (0, 4, 8, 16, 20, 32)]
        fields += [Field(picture + at, 2, "little") for at in (12, 14)]
    return fields


def _bmp_fields(_: bytes) -> Sequence[Field]:
    wide = [
        Field(at, 4, "little") for at in (2, 10, 14, 18, 22, 30, 34, 46, 50, 54, 58, 62, 66, 70, 126, 130)
    ]
    return [*wide, Field(26, 2, "little"), Field(28, 2, "little")]


def _psd_fields(data: bytes) -> Sequence[Field]:
    fields = [Field(4, 2), Field(12, 2), Field(14, 4), Field(18, 4), Field(22, 2), Field(24, 2), Field(26, 4)]
    at = 26
    for _ in range(3):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
        fields += [Field(at, 4), Field(at + 4, 2), Field(at + 4, 4)]
    return fields


# SVG: tags and the text between them; attributes are found again in each tag.

_TAG = re.compile(rb"<[^>]{0,4096}>")


def _svg_split(data: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    for found in _TAG.finditer(data):
        pieces += [data[at : found.start()], found[0]]
        at = found.end()
    return [piece for piece in [*pieces, data[at:]] if piece]


FAMILIES = (
    Family(
        name="png",
        is_it=lambda data: data.startswith(b"\x89PNG"),
        split=_png_split,
        sealed=_png_sealed,
    ),
    Family(
        name="jpeg",
        is_it=lambda data: data.startswith(b"\xff\xd8"),
        split=_jpeg_split,
        sealed=_jpeg_sealed,
        head_bytes=4,
    ),
    Family(
        name="riff",
        is_it=lambda data: data.startswith(b"RIFF"),
        split=_riff_split,
        sealed=_riff_sealed,
        whole=_riff_whole,
        inside=_riff_inside,
    ),
    Family(
        name="boxes",
        is_it=lambda data: data[4:8] in (b"ftyp", b"jP  ", b"JXL "),
        split=_box_split,
        sealed=_box_sealed,
        inside=_box_inside,
    ),
    Family(name="gif", is_it=lambda data: data.startswith(b"GIF8"), split=_gif_split, head_bytes=2),
    Family(
        name="icns",
        is_it=lambda data: data.startswith(b"icns"),
        split=_icns_split,
        sealed=_icns_sealed,
        whole=_icns_sealed,
    ),
    Family(
        name="tiff",
        is_it=lambda data: data[:4] in (b"II*\0", b"MM\0*"),
        fields=_tiff_fields,
    ),
    Family(name="ico", is_it=lambda data: data.startswith(b"\0\0\1\0"), fields=_ico_fields),
    Family(name="bmp", is_it=lambda data: data.startswith(b"BM"), fields=_bmp_fields),
    Family(name="psd", is_it=lambda data: data.startswith(b"8BPS"), fields=_psd_fields),
    Family(
        name="svg",
        is_it=lambda data: data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"),
        split=_svg_split,
        head_bytes=0,
    ),
    Family(name="other", is_it=lambda _: True),
)
"""Tried from the top; the last one takes all."""


def family_of(data: bytes) -> Family:
    """The first that knows these bytes."""
    return next(family for family in FAMILIES if family.is_it(data))
