"""PNG and APNG: the header's facts, told from the chunks."""

import re
import struct
import zlib

from ..header import Header, turned
from . import Buffer, Metadata, damaged, unpack

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR = struct.Struct(">I4sIIBB")
CHUNK = struct.Struct(">I4s")
ACTL = struct.Struct(">II")
DELAY = struct.Struct(">HH")
LONGEST = 0x7FFF_FFFF
"""Of a chunk's length and of a side."""

COLOR_TYPES = {
    0: ("gray", False, (1, 2, 4, 8, 16)),
    2: ("rgb", False, (8, 16)),
    3: ("rgb", False, (1, 2, 4, 8)),
    4: ("gray", True, (8, 16)),
    6: ("rgb", True, (8, 16)),
}
PALETTE = 3

METADATA = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
WANTED = frozenset({b"acTL", b"fcTL", b"tRNS", b"iCCP", b"IDAT", b"IEND"}) | METADATA
XMP_KEYWORD = b"XML:com.adobe.xmp"
RAW_PROFILES = frozenset(f"Raw profile type {kind}".encode() for kind in ("exif", "APP1", "xmp"))
RAW_IPTC = b"Raw profile type iptc"
COMMENT_KEYWORD = b"Comment"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
HEX = re.compile(rb"[0-9A-Fa-f\s]*")
MOST_METADATA_CHUNKS = 10_000
INFLATED_BYTES = 4 * 1024 * 1024
"""Of all compressed texts together that are looked into."""
PROFILE_BYTES = 64 * 1024
"""Of a compressed profile, and of what it inflates to: its beginning says what it is."""


def read(data: Buffer) -> Header:
    """The facts of a PNG; frames are those of the animation when there is one."""
    length, kind, width, height, depth, color_type = unpack(IHDR, data, len(SIGNATURE))
    if data[: len(SIGNATURE)] != SIGNATURE or (length, kind) != (13, b"IHDR"):
        raise damaged("This is no PNG header.")
    if not (0 < width <= LONGEST and 0 < height <= LONGEST):
        raise damaged("The PNG header has no valid size.")
    color_space, has_alpha, depths = COLOR_TYPES.get(color_type, ("", False, ()))
    if depth not in depths:
        raise damaged("The PNG header has no valid colour type.")
    chunks = _Chunks(data)
    is_animation = chunks.plays is not None and chunks.frames > 1
    display_width, display_height = turned(width, height, chunks.metadata.orientation)
    return Header(
        width=width,
        height=height,
        display_width=display_width,
        display_height=display_height,
        frames=chunks.frames if is_animation else 1,
        orientation=chunks.metadata.orientation,
        has_alpha=has_alpha or chunks.has_transparency,
        color_space=color_space,
        bit_depth=8 if color_type == PALETTE else depth,
        has_icc_profile=chunks.has_icc_profile,
        has_exif=chunks.metadata.has_exif,
        has_gps=chunks.metadata.has_gps,
        blocks=chunks.metadata.blocks,
        loop=chunks.plays if is_animation else None,
        duration_ms=round(chunks.seconds * 1000) if is_animation else None,
        is_animation=is_animation,
    )


class _Chunks:
    """What the chunks say. A file that is cut off says what it says up to there."""

    def __init__(self, data: Buffer) -> None:
        self.plays: int | None = None
        self.frames = 0
        self.seconds = 0.0
        self.has_transparency = False
        self.has_icc_profile = False
        self.metadata = Metadata()
        self._metadata_chunks = 0
        self._inflated_bytes = 0
        self._walk(data)

    def _walk(self, data: Buffer) -> None:
        at = len(SIGNATURE)
        last = len(data) - CHUNK.size
        is_before_pixels = True
        while at <= last:
            length, kind = CHUNK.unpack_from(data, at)
            start = at + 8
            at = start + length + 4
            if kind not in WANTED:
                if length > LONGEST:
                    return
                continue
            if kind == b"IDAT":
                is_before_pixels = False
                continue
            if kind == b"IEND" or start + length > len(data):
                return
            if kind == b"fcTL":
                self._frame(data, start, length)
            elif kind in METADATA:
                self._metadata_chunks += 1
                if self._metadata_chunks <= MOST_METADATA_CHUNKS:
                    self._take_metadata(kind, data, start, start + length)
            elif is_before_pixels and length > 0:
                self._before_pixels(kind, data, start, length)

    def _before_pixels(self, kind: bytes, data: Buffer, start: int, length: int) -> None:
        if kind == b"tRNS":
            self.has_transparency = True
        elif kind == b"iCCP":
            self.has_icc_profile = True
            self.metadata.profile = lambda: _profile(data[start : start + min(length, PROFILE_BYTES)])
        elif kind == b"acTL" and length == ACTL.size:
            frames, plays = ACTL.unpack_from(data, start)
            self.plays = plays if frames else None

    def _frame(self, data: Buffer, start: int, length: int) -> None:
        if length != 26:
            return
        self.frames += 1
        numerator, denominator = DELAY.unpack_from(data, start + 20)
        self.seconds += numerator / (denominator or 100)

    def _take_metadata(self, kind: bytes, data: Buffer, start: int, end: int) -> None:
        if kind == b"eXIf":
            self.metadata.take_exif(data[start:end])
        else:
            self._text(kind, data, start, end)

    def _text(self, kind: bytes, data: Buffer, start: int, end: int) -> None:
        name = data[start : min(end, start + 80)].partition(b"\0")[0]
        self.metadata.has_comment |= name == COMMENT_KEYWORD
        self.metadata.has_iptc |= name == RAW_IPTC
        if name != XMP_KEYWORD and name not in RAW_PROFILES:
            return
        body = data[start + len(name) + 1 : end]
        if kind == b"iTXt":
            flags, rest = body[:2], body[2:]
            body = rest.split(b"\0", 2)[-1]
            is_deflated = flags[:1] == b"\1"
        else:
            is_deflated = kind == b"zTXt"
            body = body[1:] if is_deflated else body
        text = self._inflate(body) if is_deflated else body
        if name == XMP_KEYWORD:
            self.metadata.take_xmp(text)
        else:
            self._raw_profile(name, text)

    def _raw_profile(self, name: bytes, text: bytes) -> None:
        """ImageMagick's way: a name, a length, and the bytes in hexadecimal."""
        fields = text.split(maxsplit=2)
        if len(fields) < 3:
            return
        digits = HEX.match(fields[2])
        try:
            block = bytes.fromhex(digits.group().decode("ascii") if digits else "")
        except ValueError:
            return
        if block.startswith(XMP_PREFIX):
            self.metadata.take_xmp(block.removeprefix(XMP_PREFIX))
        elif name.endswith(b"xmp"):
            self.metadata.take_xmp(block)
        elif block:
            self.metadata.take_exif(block)

    def _inflate(self, body: bytes) -> bytes:
        room = INFLATED_BYTES - self._inflated_bytes
        if room <= 0:
            return b""
        try:
            text = zlib.decompressobj().decompress(body, room)
        except zlib.error:
            return b""
        self._inflated_bytes += len(text)
        return text


def _profile(chunk: bytes) -> bytes:
    """Behind its name and a byte for the kind of compression."""
    deflated = chunk.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(deflated, PROFILE_BYTES)
    except zlib.error:
        return b""
