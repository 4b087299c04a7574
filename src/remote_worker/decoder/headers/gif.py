"""GIF: the header's facts, told from the blocks."""

import re
import struct

from ..header import Header
from . import Buffer, Metadata, damaged, unpack

SCREEN = struct.Struct("<6sHHB")
NEXT_BLOCK = re.compile(rb"[!,;]")
LOOPS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
XMP = b"XMP DataXMP"
XMP_TRAILER = b"\x01\xff\xfe\xfd"
"""Begins the bytes that let a reader that takes XMP for data blocks fall on their end."""
MOST_XMP_BYTES = 1024 * 1024


def read(data: Buffer) -> Header:
    """The facts of a GIF. Its size is the logical screen's; a frame may claim to be larger."""
    signature, width, height, flags = unpack(SCREEN, data, 0)
    if signature not in (b"GIF87a", b"GIF89a"):
        raise damaged("This is no GIF header.")
    if width == 0 or height == 0:
        raise damaged("The GIF header has no valid size.")
    blocks = _Blocks(data, 13 + _table_bytes(flags))
    if blocks.frames == 0:
        raise damaged("The GIF has no picture.")
    is_animation = blocks.frames > 1
    return Header(
        width=width,
        height=height,
        display_width=width,
        display_height=height,
        frames=blocks.frames,
        has_alpha=blocks.has_alpha,
        has_icc_profile=blocks.has_icc_profile,
        has_gps=blocks.metadata.has_gps,
        blocks=blocks.metadata.blocks,
        loop=blocks.loop if is_animation else None,
        duration_ms=blocks.centiseconds * 10 if is_animation else None,
        is_animation=is_animation,
    )


class _Blocks:
    """What the blocks say, up to the trailer or to where the file is cut off."""

    def __init__(self, data: Buffer, at: int) -> None:
        self.frames = 0
        self.loop = 1
        self.centiseconds = 0
        self.has_alpha = False
        self.has_icc_profile = False
        self.metadata = Metadata()
        try:
            self._walk(data, at)
        except IndexError:
            # The file ends inside a block; what was read before it stands.
            return

    def _walk(self, data: Buffer, at: int) -> None:
        delay = 0
        is_transparent = False
        while True:
            kind = data[at]
            if kind == 0x2C:
                at += 11 + _table_bytes(data[at + 9])
                # Later frames use transparency to say "as before", so only the first one's tells.
                self.has_alpha = is_transparent if self.frames == 0 else self.has_alpha
                self.frames += 1
                self.centiseconds += delay
                delay = 0
                is_transparent = False
            elif kind == 0x21:
                label = data[at + 1]
                if label == 0xF9 and data[at + 2] >= 4:
                    is_transparent = bool(data[at + 3] & 1)
                    delay = data[at + 4] | data[at + 5] << 8
                elif label == 0xFE:
                    self.metadata.has_comment = True
                elif label == 0xFF:
                    self._application(data, at + 2)
                at += 2
            elif kind == 0x3B:
                return
            else:
                # Decoders skip stray bytes between blocks.
                found = NEXT_BLOCK.search(data, at)
                if found is None:
                    return
                at = found.start()
                continue
            while size := data[at]:
                at += size + 1
            at += 1

    def _application(self, data: Buffer, at: int) -> None:
        name = data[at + 1 : at + 12]
        at += 12
        if name in LOOPS and data[at] >= 3 and data[at + 1] & 7 == 1:
            self.loop = data[at + 2] | data[at + 3] << 8
        elif name == b"ICCRGBG1012":
            self.has_icc_profile = True
        elif name == XMP:
            self._xmp(data, at)

    def _xmp(self, data: Buffer, start: int) -> None:
        at = start
        pieces = []
        while (size := data[at]) and at - start < MOST_XMP_BYTES:
            pieces.append(data[at + 1 : at + 1 + size])
            at += size + 1
        packet, trailer, _ = data[start:at].partition(XMP_TRAILER)
        self.metadata.take_xmp(packet if trailer else b"".join(pieces))


def _table_bytes(flags: int) -> int:
    """The length of a colour table, from the flags that announce it."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0
