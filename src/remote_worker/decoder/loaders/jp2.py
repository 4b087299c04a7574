"""JPEG 2000 through Pillow (OpenJPEG), without the wavelet levels that a small picture does not need."""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image, Jpeg2KImagePlugin

from ...contract.failures import WorkFailed
from ..header import Header
from ..headers import Buffer
from ..headers.isobmff import Walk, whole
from .loader import Frame, Size, Still, library_errors, same_size
from .pillow import stream


class Jp2Loader:
    """One picture, at full size or scaled down by a power of two."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The picture at the smallest power of two that covers."""
        grid = _grid(data)
        power = _halvings(header, cover, grid.levels) if grid and cover else 0
        if grid and power:
            # The levels that the main header names may be fewer in a single tile.
            try:
                return _reduced(data, header, grid, power)
            except WorkFailed:
                return _full(data, header)
        return _full(data, header)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """JPEG 2000 files hold one picture."""
        yield Frame(self.still(data, header, None).image, 0)


JP2 = Jp2Loader()


class _Grid(NamedTuple):
    """The picture's place on the reference grid, and its wavelet levels."""

    left: int
    top: int
    right: int
    bottom: int
    levels: int

    def reduced(self, power: int) -> Size:
        """The size that OpenJPEG gives after leaving out `power` levels."""
        scale = 1 << power
        width, height = (
            -(-end // scale) - -(-start // scale)
            for start, end in ((self.left, self.right), (self.top, self.bottom))
        )
        return width, height


def _full(data: Buffer, header: Header) -> Still:
    with library_errors():
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(stream(data))
        same_size(image, (header.width, header.height))
        image.load()
    return Still(_with_palette(image, data), header.orientation)


def _reduced(data: Buffer, header: Header, grid: _Grid, power: int) -> Still:
    size = grid.reduced(power)
    with library_errors():
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(stream(data))
        same_size(image, (header.width, header.height))
        # Pillow rounds the reduced size to the nearest, OpenJPEG up: a multiple comes out right.
        image._size = (size[0] << power, size[1] << power)
        image.reduce = power
        image.load()
    left, right = _span(grid.left, header.width, power, size[0])
    top, bottom = _span(grid.top, header.height, power, size[1])
    return Still(_with_palette(image, data), header.orientation, (left, top, right, bottom))


def _span(origin: int, length: int, power: int, reduced: int) -> tuple[float, float]:
    """Where the picture begins and ends in the reduced one, whose samples stand on every 2^power-th pixel.

    Without this a picture at a quarter would be 3/8 of a pixel off.
    """
    scale = 1 << power
    start = max(0.0, (origin - 0.5) / scale - -(-origin // scale) + 0.5)
    return start, min(float(reduced), start + length / scale)


def _halvings(header: Header, cover: Size, most: int) -> int:
    smallest = min(header.width // cover[0], header.height // cover[1])
    return min(most, int(math.log2(smallest))) if smallest >= 1 else 0


_MOST_MARKERS = 64
_START_OF_TILE, _SIZE, _CODING_STYLE = 0xFF90, 0xFF51, 0xFF52


def _grid(data: Buffer) -> _Grid | None:
    """From the SIZ and COD markers of the main header (ISO/IEC 15444-1, A.5 and A.6)."""
    at = data.find(b"\xff\x4f\xff\x51") + 2
    place: tuple[int, int, int, int] | None = None
    for _ in range(_MOST_MARKERS):
        segment = data[at : at + 22]
        if len(segment) < 22:
            return None
        marker, length = struct.unpack_from(">HH", segment)
        if marker == _SIZE:
            right, bottom, left, top = struct.unpack_from(">IIII", segment, 6)
            place = (left, top, right, bottom)
        elif marker == _CODING_STYLE and place is not None:
            return _Grid(*place, segment[9])
        if marker == _START_OF_TILE or length < 2:
            return None
        at += 2 + length
    return None


_PALETTE_MODES = {3: "RGB", 4: "RGBA"}


def _with_palette(image: Image.Image, data: Buffer) -> Image.Image:
    """The palette once more: Pillow leaves out colours that come twice, moving those behind, and the maps."""
    said = _header_boxes(data) if image.mode == "P" else {}
    if not {b"pclr", b"cmap"} <= said.keys():
        return image
    palette = said[b"pclr"]
    count, columns = struct.unpack_from(">HB", palette)
    entries = palette[3 + columns :]
    # cmap says which column makes a channel, cdef which colour a channel is.
    columns_of = said[b"cmap"][3::4]
    channels = list(columns_of)
    definition = said.get(b"cdef", b"\0\0")[2:]
    for channel, kind, color in struct.iter_unpack(">HHH", definition[: len(definition) // 6 * 6]):
        if kind == 0 and 1 <= color <= len(channels) and channel < len(columns_of):
            channels[color - 1] = columns_of[channel]
    if columns in _PALETTE_MODES and len(channels) == columns and max(channels) < columns:
        colors = b"".join(
            bytes(entries[at * columns + channel] for channel in channels) for at in range(count)
        )
        image.putpalette(colors, _PALETTE_MODES[columns])
    return image


def _header_boxes(data: Buffer) -> dict[bytes, bytes]:
    """The boxes in `jp2h` by their letters."""
    walk = Walk(data)
    for box in walk.top():
        if box.kind == b"jp2h":
            return {child.kind: data[child.start : child.end] for child in walk.inside(whole(box))}
    return {}
