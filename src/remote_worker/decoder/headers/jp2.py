"""Headers of JPEG 2000: JP2 and JPX files, and bare codestreams."""

from dataclasses import dataclass

from ..header import Header, turned
from ..metadata import exif
from . import Buffer, Metadata, damaged
from .isobmff import MOST_XMP_BYTES, Box, Fields, Walk, whole

SIGNATURE = bytes.fromhex("0000000c6a5020200d0a870a")
CODESTREAM = bytes.fromhex("ff4fff51")
"""The markers SOC and SIZ, with which every codestream begins."""

EXIF_UUID = b"JpgTiffExif->JP2"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
GEOTIFF_UUID = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
GEOTIFF_PLACES = frozenset({33922, 34264})
"""The tags of tie points and of the transformation: with one of them the map lies somewhere on Earth."""
MOST_EXIF_BYTES = 16 * 1024 * 1024

CMYK, SRGB, GRAY, CIELAB = 12, 16, 17, 14
MOST_COMPONENTS = 16_384


@dataclass(frozen=True, slots=True)
class Codestream:
    """What the SIZ marker says."""

    width: int
    height: int
    components: int
    bit_depth: int


@dataclass(slots=True)
class _Colour:
    """What the header boxes say."""

    width: int = 0
    height: int = 0
    space: int | None = None
    has_profile: bool = False
    palette: tuple[int, int] | None = None
    """Columns and bits of a palette."""
    has_alpha: bool | None = None


def is_jp2(prefix: bytes) -> bool:
    """A JP2 file or a bare codestream."""
    return prefix.startswith((SIGNATURE, CODESTREAM))


def read(data: Buffer) -> Header:
    """The facts of a JP2, JPX or J2K file."""
    stream, colour, metadata_boxes = _parts(data)
    return _header(stream, colour, _read_metadata(data, metadata_boxes))


def size(data: Buffer) -> tuple[int, int]:
    """Width and height alone."""
    stream, _, _ = _parts(data)
    return stream.width, stream.height


def _parts(data: Buffer) -> tuple[Codestream, _Colour, list[Box]]:
    if data[: len(CODESTREAM)] == CODESTREAM:
        return _codestream(data, 0, len(data)), _Colour(), []
    colour: _Colour | None = None
    stream: Codestream | None = None
    metadata_boxes = []
    walk = Walk(data)
    for box in walk.top():
        if box.kind == b"jp2h" and colour is None:
            colour = _colour(walk, whole(box))
        elif box.kind == b"jp2c" and stream is None:
            stream = _codestream(data, box.start, box.end)
        elif box.kind in (b"uuid", b"xml "):
            metadata_boxes.append(box)
    if colour is None or stream is None:
        raise damaged("no codestream, or no header for it")
    if (colour.width, colour.height) != (stream.width, stream.height):
        raise damaged("two sizes that differ")
    return stream, colour, metadata_boxes


def _header(stream: Codestream, colour: _Colour, metadata: Metadata) -> Header:
    channels = colour.palette[0] if colour.palette else stream.components
    has_alpha = colour.has_alpha
    if has_alpha is None:
        # Without a channel definition a channel too many is taken for alpha, as the common readers do.
        has_alpha = channels == 2 or (channels == 4 and colour.space != CMYK)
    spaces = {CMYK: "cmyk", GRAY: "gray", CIELAB: "lab"}
    plain = "gray" if channels <= 2 else "rgb"
    orientation = metadata.orientation
    display_width, display_height = turned(stream.width, stream.height, orientation)
    return Header(
        width=stream.width,
        height=stream.height,
        display_width=display_width,
        display_height=display_height,
        orientation=orientation,
        has_alpha=has_alpha,
        color_space=plain if colour.space is None else spaces.get(colour.space, plain),
        bit_depth=colour.palette[1] if colour.palette else stream.bit_depth,
        has_icc_profile=colour.has_profile,
        has_exif=metadata.has_exif,
        has_gps=metadata.has_gps,
        blocks=metadata.blocks,
    )


def _codestream(data: Buffer, start: int, end: int) -> Codestream:
    fields = Fields(data, start, end)
    if fields.take(4) != CODESTREAM:
        raise damaged("no codestream")
    length = fields.number(2)
    fields.take(2)
    right, bottom, left, top = (fields.number(4) for _ in range(4))
    fields.take(16)
    components = fields.number(2)
    if not 1 <= components <= MOST_COMPONENTS or length != 38 + 3 * components:
        raise damaged("a size marker of the wrong length")
    depths = fields.take(3 * components)[::3]
    if right <= left or bottom <= top:
        raise damaged("a picture without a size")
    return Codestream(right - left, bottom - top, components, max(depth & 0x7F for depth in depths) + 1)


def _colour(walk: Walk, header: Box) -> _Colour:
    colour = _Colour()
    for box in walk.inside(header):
        fields = walk.fields(box)
        if box.kind == b"ihdr":
            colour.height, colour.width = fields.number(4), fields.number(4)
        elif box.kind == b"colr" and colour.space is None and not colour.has_profile:
            method = fields.number(1)
            fields.take(2)
            if method == 1:
                colour.space = fields.number(4)
            elif method in (2, 3):
                colour.has_profile = fields.left() > 0
        elif box.kind == b"pclr":
            fields.take(2)
            columns = fields.number(1)
            depths = fields.take(columns)
            colour.palette = (columns, max((depth & 0x7F for depth in depths), default=7) + 1)
        elif box.kind == b"cdef":
            count = fields.number(2)
            if count > MOST_COMPONENTS:
                raise damaged("too many channels")
            kinds = []
            for _ in range(count):
                fields.take(2)
                kinds.append(fields.number(2))
                fields.take(2)
            colour.has_alpha = any(kind in (1, 2) for kind in kinds)
    return colour


def _read_metadata(data: Buffer, found: list[Box]) -> Metadata:
    metadata = Metadata()
    exif_left, xmp_left = MOST_EXIF_BYTES, MOST_XMP_BYTES
    for box in found:
        start = box.start
        kind = box.kind
        if kind == b"uuid":
            kind = data[start : start + 16]
            start += 16
        length = box.end - start
        if kind in (EXIF_UUID, GEOTIFF_UUID) and 0 < length <= exif_left:
            exif_left -= length
            block = data[start : box.end]
            if kind == EXIF_UUID:
                metadata.take_exif(block)
            else:
                metadata.has_gps |= exif.read(block).has_gps or _is_placed(block)
        elif kind in (XMP_UUID, b"xml ") and 0 < length <= xmp_left:
            xmp_left -= length
            metadata.take_xmp(data[start : box.end])
    return metadata


def _is_placed(block: bytes) -> bool:
    """Whether a GeoTIFF puts the picture somewhere on the map."""
    order = exif.byte_order(block)
    return order is not None and any(
        entry.tag in GEOTIFF_PLACES and entry.value_bytes > 0
        for directory in exif.directories(block, order)
        for entry in directory.entries
    )
