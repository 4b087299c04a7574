"""The header readers, one module a format, and what they share."""

import mmap
import struct
from collections.abc import Callable
from typing import Any

from ...contract.failures import FailureCode, WorkFailed
from ..header import Blocks
from ..metadata import exif, iptc, xmp

Buffer = bytes | mmap.mmap
"""A whole document: slices are bytes, and nothing is copied but what is sliced."""


def damaged(detail: str) -> WorkFailed:
    """The failure of a header that cannot be read."""
    return WorkFailed(FailureCode.DAMAGED, detail)


def unpack(layout: struct.Struct, data: Buffer, at: int) -> tuple[Any, ...]:
    """The fields at an offset, or a failure where the document ends before them."""
    if not 0 <= at <= len(data) - layout.size:
        raise damaged("The header is cut off.")
    return layout.unpack_from(data, at)


def piece(data: Buffer, start: int, end: int) -> Callable[[], bytes]:
    """Gives these bytes when they are asked for."""
    return lambda: data[start:end]


class Metadata:
    """What the metadata blocks of one picture say together, taken in as they turn up."""

    MOST_BLOCKS = 64
    """Blocks of one kind that are read; a document has one or two, and a bomb a million."""
    MOST_XMP_BYTES = 8 * 1024 * 1024
    """Of all packets that are parsed; dense ones take a quarter of a second a MiB."""

    def __init__(self) -> None:
        self.has_exif = False
        self.has_gps = False
        self.has_icc_profile = False
        self.has_iptc = False
        self.has_comment = False
        self.profile: Callable[[], bytes] | None = None
        self._exif_orientation: int | None = None
        self._xmp_orientation: int | None = None
        self._exif: Buffer = b""
        self._exif_blocks = 0
        self._placed_xmp = b""
        self._xmp_packets = 0
        self._xmp_bytes = 0

    @property
    def orientation(self) -> int:
        """The first EXIF block's, else the first XMP packet's, else upright."""
        return self._exif_orientation or self._xmp_orientation or 1

    @property
    def blocks(self) -> Blocks:
        """What can be told in words."""
        return Blocks(
            exif=self._exif,
            placed_xmp=self._placed_xmp,
            has_xmp=self._xmp_packets > 0,
            has_iptc=self.has_iptc,
            has_comment=self.has_comment,
            profile=self.profile,
        )

    def take_exif(self, block: bytes) -> None:
        """A TIFF structure, with or without its `Exif` prefix."""
        self.has_exif = True
        if self._exif_blocks >= self.MOST_BLOCKS:
            return
        facts = exif.read(block)
        if self._exif_blocks == 0:
            self._exif = block
            self._exif_orientation = facts.orientation
        self._exif_blocks += 1
        self.has_gps = self.has_gps or facts.has_gps

    def take_xmp(self, packet: bytes) -> None:
        """An XMP packet."""
        is_few = self._xmp_packets < self.MOST_BLOCKS
        if not is_few or self._xmp_bytes + len(packet) > self.MOST_XMP_BYTES:
            return
        if self._xmp_packets == 0:
            self._xmp_orientation = xmp.orientation(packet)
        self._xmp_packets += 1
        self._xmp_bytes += len(packet)
        self.has_gps = self.has_gps or xmp.has_gps(packet)
        if not self._placed_xmp and xmp.LATITUDE.encode() in packet:
            self._placed_xmp = packet

    def take_photoshop(self, block: bytes) -> None:
        """Photoshop's resources, which may carry a profile, EXIF and XMP."""
        for kind, _, start, end in iptc.resources(block):
            if end == start:
                continue
            if kind == ICC_RESOURCE:
                self.has_icc_profile = True
                self.profile = piece(block, start, end)
            elif kind == iptc.IPTC_RESOURCE:
                self.has_iptc = True
            elif kind in EXIF_RESOURCES:
                self.take_exif(block[start:end])
            elif kind == XMP_RESOURCE:
                self.take_xmp(block[start:end])


ICC_RESOURCE = 0x040F
EXIF_RESOURCES = frozenset({0x0422, 0x0423})
XMP_RESOURCE = 0x0424
