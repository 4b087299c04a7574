"""JPEG 2000 through Pillow (OpenJPEG), without the wavelet levels that a small picture does not need."""

import math
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from PIL import Image, ImageChops, Jpeg2KImagePlugin

from ...contract.failures import WorkFailed
from ..header import Header
from ..headers import Buffer
from ..headers.isobmff import Walk, whole
from ..headers.jp2 import CODESTREAM
from .loader import Frame, Size, Still, damaged, library_errors, same_size
from .pillow import stream


class Jp2Loader:
    """One picture, at full size or scaled down by a power of two."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The picture at the smallest power of two that covers."""
        grid = _grid(data)
        power = _halvings(header, cover, grid.levels) if cover else 0
        if power:
            # The levels that the main header names may be fewer in a single tile.
            try:
                return _reduced(data, header, grid, power)
            except WorkFailed:
                return _full(data, header, grid)
        return _full(data, header, grid)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """JPEG 2000 files hold one picture."""
        yield Frame(self.still(data, header, None).image, 0)


JP2 = Jp2Loader()


class _Grid(NamedTuple):
    """The picture's place on the reference grid, its components, and its wavelet."""

    left: int
    top: int
    right: int
    bottom: int
    components: bytes
    """Of each its depth (less one, with a bit for signed ones) and its two steps on the grid."""
    components_at: int
    levels: int
    is_reversible: bool

    @property
    def bits(self) -> list[int]:
        """Of each component."""
        return [(depth & 0x7F) + 1 for depth in self.components[::3]]

    def reduced(self, power: int) -> Size:
        """The size that OpenJPEG gives after leaving out `power` levels."""
        scale = 1 << power
        width, height = (
            -(-end // scale) - -(-start // scale)
            for start, end in ((self.left, self.right), (self.top, self.bottom))
        )
        return width, height


def _full(data: Buffer, header: Header, grid: _Grid) -> Still:
    return Still(_picture(data, header, grid, None, 0), header.orientation)


def _reduced(data: Buffer, header: Header, grid: _Grid, power: int) -> Still:
    size = grid.reduced(power)
    image = _picture(data, header, grid, size, power)
    left, right = _span(grid.left, header.width, power, size[0])
    top, bottom = _span(grid.top, header.height, power, size[1])
    return Still(image, header.orientation, (left, top, right, bottom))


def _picture(data: Buffer, header: Header, grid: _Grid, size: Size | None, power: int) -> Image.Image:
    """The picture, with its samples right where they are not of 8 bits."""

    def decoded(file: Buffer) -> Image.Image:
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(stream(file))
        same_size(image, (header.width, header.height))
        if size:
            # Pillow rounds the reduced size to the nearest, OpenJPEG up: a multiple comes out right.
            image._size = (size[0] << power, size[1] << power)
            image.reduce = power
        image.load()
        return image

    with library_errors():
        most = max(grid.bits)
        if most <= 8:
            return _with_palette(_stretched(decoded(data), grid.bits), data)
        if most > _MOST_BITS:
            raise damaged(f"samples of {most} bits")
        if len(grid.bits) == 1:
            return _in(("I;16",), decoded(data))
        if not grid.is_reversible:
            # The steps of this wavelet are parts of the whole range: another depth is another scale.
            return decoded(_with_depths(data, grid, [min(8, bits) for bits in grid.bits]))
        return _deep(decoded, data, grid)


_MOST_BITS = 16


def _deep(decoded: Callable[[Buffer], Image.Image], data: Buffer, grid: _Grid) -> Image.Image:
    """Samples of 9 to 16 bits. Pillow rounds them to 8 and lets 256 become 0: white is black.

    Said to have one bit more, the same samples stand around the middle, and white is told from black.
    """
    if _is_ycc(data, grid):
        raise damaged(f"YCbCr samples of {max(grid.bits)} bits")
    image = _in(("LA", "RGB", "RGBA"), decoded(data))
    bands = image.split()
    if all(band.histogram()[0] == 0 for band in bands):
        return image
    around = decoded(_with_depths(data, grid, [bits + (bits > 8) for bits in grid.bits]))
    whites = [
        ImageChops.darker(band.point(_ZERO), light.point(_UPPER_HALF if bits > 8 else _NOWHERE))
        for band, light, bits in zip(bands, around.split(), grid.bits, strict=True)
    ]
    made = Image.merge(image.mode, [ImageChops.add(*pair) for pair in zip(bands, whites, strict=True)])
    made.info = image.info
    return made


_ZERO = [255] + [0] * 255
_UPPER_HALF = [0] * 128 + [255] * 128
_NOWHERE = [0] * 256


def _is_ycc(data: Buffer, grid: _Grid) -> bool:
    """Pillow turns these into RGB before the bands can be seen, and subsampled ones it takes for such."""
    space = _header_boxes(data).get(b"colr", b"")
    is_subsampled = any(step != 1 for step in grid.components[1::3] + grid.components[2::3])
    return is_subsampled or (space[:1] == b"\1" and space[3:7] in _YCC)


_YCC = (b"\0\0\0\x12", b"\0\0\0\x18")


def _in(modes: tuple[str, ...], image: Image.Image) -> Image.Image:
    if image.mode not in modes:
        raise damaged(f"{image.mode} samples of more than 8 bits")
    return image


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


def _grid(data: Buffer) -> _Grid:
    """From the SIZ and COD markers of the main header (ISO/IEC 15444-1, A.5 and A.6)."""
    at = _codestream(data) + 2
    place: tuple[int, int, int, int] | None = None
    components, components_at = b"", 0
    for _ in range(_MOST_MARKERS):
        segment = data[at : at + 22]
        if len(segment) < 22:
            break
        marker, length = struct.unpack_from(">HH", segment)
        if marker == _SIZE:
            right, bottom, left, top = struct.unpack_from(">IIII", segment, 6)
            place = (left, top, right, bottom)
            components_at = at + _SIZE_BYTES
            components = data[components_at : at + 2 + length]
        elif marker == _CODING_STYLE and place is not None and components:
            return _Grid(*place, components, components_at, segment[9], segment[13] == _REVERSIBLE)
        if marker == _START_OF_TILE or length < 2:
            break
        at += 2 + length
    raise damaged("no coding style in the main header")


_SIZE_BYTES = 40
_REVERSIBLE = 1


def _codestream(data: Buffer) -> int:
    if data[: len(CODESTREAM)] == CODESTREAM:
        return 0
    return next((box.start for box in Walk(data).top() if box.kind == b"jp2c"), 0)


def _with_depths(data: Buffer, grid: _Grid, bits: list[int]) -> bytes:
    """The file with other depths in its SIZ marker."""
    file = bytearray(data[:])
    for index, depth in enumerate(bits):
        file[grid.components_at + 3 * index] = grid.components[3 * index] & 0x80 | depth - 1
    return bytes(file)


def _stretched(image: Image.Image, depths: list[int]) -> Image.Image:
    """Samples of less than 8 bits lie in the upper ones, so that white is a little dark."""
    if min(depths) >= 8:
        return image
    if image.mode not in ("L", "LA", "RGB", "RGBA", "P") or len(depths) != len(image.getbands()):
        raise damaged(f"{image.mode} samples of {min(depths)} bits")
    table = []
    for bits in depths:
        spare, most = max(0, 8 - bits), (1 << min(bits, 8)) - 1
        white = most if image.mode == "P" else 255
        table += [(value >> spare) * white // most for value in range(256)]
    return image.point(table)


_PALETTE_MODES = {3: "RGB", 4: "RGBA"}


def _with_palette(image: Image.Image, data: Buffer) -> Image.Image:
    """The palette once more: Pillow leaves out colours that come twice, moving those behind, and the maps."""
    said = _header_boxes(data)
    if b"pclr" in said and image.mode not in ("P", "PA"):
        raise damaged(f"a palette for {image.mode} samples")
    if image.mode != "P" or not {b"pclr", b"cmap"} <= said.keys():
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
    if data[: len(CODESTREAM)] == CODESTREAM:
        return {}
    walk = Walk(data)
    for box in walk.top():
        if box.kind == b"jp2h":
            return {child.kind: data[child.start : child.end] for child in walk.inside(whole(box))}
    return {}
