"""Whether an MP4 or QuickTime file, such as a motion photo's trailer, tells where it was taken."""

import mmap

from . import xmp

Buffer = bytes | mmap.mmap

MOST_BOXES = 2048
MOST_DEPTH = 6
MOST_KEYS_BYTES = 64 * 1024
CONTAINERS = frozenset({b"moov", b"udta", b"trak", b"meta", b"mdia", b"minf", b"moof", b"traf"})
PLACES = frozenset({b"\xa9xyz", b"loci", b"gps ", b"GPMF", b"gps0"})
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def has_location(data: Buffer, start: int, end: int) -> bool:
    """Look through the boxes between two offsets; anything before `ftyp` is skipped."""
    end = min(end, len(data))
    found = data.find(b"ftyp", start, end)
    waiting = [(max(found - 4, start), end, 0)]
    boxes_left = MOST_BOXES
    while waiting:
        at, stop, depth = waiting.pop()
        while at + 8 <= stop and boxes_left > 0:
            boxes_left -= 1
            size = int.from_bytes(data[at : at + 4], "big")
            kind = bytes(data[at + 4 : at + 8])
            head = 8
            if size == 1 and at + 16 <= stop:
                size = int.from_bytes(data[at + 8 : at + 16], "big")
                head = 16
            box_end = stop if size == 0 else min(at + size, stop)
            if box_end < at + head:
                break
            if kind in PLACES and box_end > at + head:
                return True
            if kind in CONTAINERS and depth < MOST_DEPTH:
                # MP4's `meta` has four bytes of version and flags, QuickTime's has not.
                extra = 4 if kind == b"meta" and data[at + head + 4 : at + head + 8] != b"hdlr" else 0
                waiting.append((at + head + extra, box_end, depth + 1))
            elif _leaf_tells(data, kind, at + head, box_end):
                return True
            at = box_end
    return False


def _leaf_tells(data: Buffer, kind: bytes, start: int, end: int) -> bool:
    if kind == b"keys":
        return b"quicktime.location" in data[start : min(end, start + MOST_KEYS_BYTES)]
    if kind == b"uuid" and data[start : start + 16] == XMP_UUID and end - start < xmp.MOST_BYTES:
        return xmp.has_gps(bytes(data[start + 16 : end]))
    return kind == b"XMP_" and end - start < xmp.MOST_BYTES and xmp.has_gps(bytes(data[start:end]))
