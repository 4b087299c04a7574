"""HEIF and AVIF files made by hand: boxes, items and tracks without any coded picture."""

import struct
from collections.abc import Mapping, Sequence

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
DEPTH = b"urn:mpeg:hevc:2015:auxid:2\0"


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def full(kind: bytes, body: bytes = b"", *, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + body)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def irot(quarters: int) -> bytes:
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int, across: tuple[int, int] = (0, 1), down: tuple[int, int] = (0, 1)) -> bytes:
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, *across, *down))


def pixi(*depths: int) -> bytes:
    return full(b"pixi", bytes([len(depths), *depths]))


def aux(urn: bytes) -> bytes:
    return full(b"auxC", urn)


def infe(number: int, kind: bytes, *, is_hidden: bool = False, content_type: bytes = b"") -> bytes:
    text = b"\0" + content_type + b"\0" if kind == b"mime" else b"\0"
    return full(b"infe", struct.pack(">HH", number, 0) + kind + text, version=2, flags=int(is_hidden))


def reference(kind: bytes, source: int, *targets: int) -> bytes:
    return box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))


def meta(
    items: Sequence[bytes],
    properties: Mapping[int, Sequence[bytes]],
    *,
    references: Sequence[bytes] = (),
    contents: dict[int, bytes] | None = None,
    primary: int | None = 1,
) -> bytes:
    """A meta box; `contents` are put into its idat box."""
    listed = [one for each in properties.values() for one in each]
    at = 0
    associations = b""
    for item, its_own in properties.items():
        associations += struct.pack(">HB", item, len(its_own))
        associations += bytes(range(at + 1, at + 1 + len(its_own)))
        at += len(its_own)
    idat = b""
    locations = b""
    for item, content in (contents or {}).items():
        locations += struct.pack(">HHHHII", item, 1, 0, 1, len(idat), len(content))
        idat += content
    return full(
        b"meta",
        full(b"hdlr", bytes(4) + b"pict" + bytes(13))
        + (full(b"pitm", struct.pack(">H", primary)) if primary is not None else b"")
        + full(b"iloc", struct.pack(">HH", 0x4400, len(contents or {})) + locations, version=1)
        + full(b"iinf", struct.pack(">H", len(items)) + b"".join(items))
        + full(b"iref", b"".join(references))
        + box(
            b"iprp",
            box(b"ipco", b"".join(listed)) + full(b"ipma", struct.pack(">I", len(properties)) + associations),
        )
        + box(b"idat", idat),
    )


def heic(*boxes: bytes, major: bytes = b"heic", compatible: bytes = b"mif1heic") -> bytes:
    return box(b"ftyp", major + bytes(4) + compatible) + b"".join(boxes)


def still(*properties: bytes, kind: bytes = b"hvc1", more: bytes = b"") -> bytes:
    """One picture of 40 x 20 pixels with these properties."""
    return heic(meta([infe(1, kind)], {1: [ispe(40, 20), *properties]}), more)


def track(
    handler: bytes = b"pict",
    *,
    frames: int = 3,
    ticks: Sequence[tuple[int, int]] = ((3, 40),),
    per_second: int = 1000,
    length: int = 120,
    edit: tuple[int, int] | None = None,
    is_auxiliary: bool = False,
) -> bytes:
    """A track of an image sequence; `edit` is the flags and the segment length of its edit list."""
    table = full(b"stsz", struct.pack(">II", 0, frames) + bytes(4 * frames))
    table += full(
        b"stts", struct.pack(">I", len(ticks)) + b"".join(struct.pack(">II", *pair) for pair in ticks)
    )
    media = full(b"mdhd", struct.pack(">IIIII", 0, 0, per_second, length, 0))
    media += full(b"hdlr", bytes(4) + handler + bytes(13))
    media += box(b"minf", box(b"stbl", table))
    edits = b""
    if edit is not None:
        entry = struct.pack(">IIiI", 1, edit[1], 0, 0x10000)
        edits = box(b"edts", full(b"elst", entry, flags=edit[0]))
    return box(
        b"trak",
        full(
            b"tkhd", bytes(16) + struct.pack(">I", length) + bytes(52) + struct.pack(">II", 9 << 16, 5 << 16)
        )
        + (box(b"tref", box(b"auxl", struct.pack(">I", 1))) if is_auxiliary else b"")
        + edits
        + box(b"mdia", media),
    )


def sequence(*tracks: bytes, major: bytes = b"avis") -> bytes:
    still_face = meta([infe(1, b"av01")], {1: [ispe(9, 5)]})
    return heic(still_face, box(b"moov", b"".join(tracks)), major=major, compatible=b"avifavismif1")
