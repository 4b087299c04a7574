"""JPEGs made upright: without loss where their sides allow it, else encoded again with their own tables."""

import ctypes
import io
import struct
from typing import Any, NamedTuple

from PIL import Image, ImageFile, JpegImagePlugin, _imaging

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from . import jpeg_bytes, operations
from .encode import room_for_jpeg
from .header import turned
from .jpeg_bytes import Buffer, Jpeg, Pieces
from .loaders.canvas import Memory
from .loaders.loader import library_errors, same_size

LIBRARY = "libturbojpeg.so.0"

UPRIGHT = 1
TJXOPS = {2: 1, 3: 6, 4: 2, 5: 3, 6: 5, 7: 4, 8: 7}
"""The numbers of turbojpeg.h: HFLIP 1, VFLIP 2, TRANSPOSE 3, TRANSVERSE 4, ROT90 5, ROT180 6, ROT270 7."""
TJXOPT_PERFECT, TJXOPT_PROGRESSIVE, TJXOPT_COPYNONE = 1, 32, 64
TJFLAG_LIMITSCANS = 32768
STRIP_ROWS = 256
"""A strip that is turned and encoded at once stays in the cache, and takes no large memory of its own."""
MOST_UNITS = 65_535
"""Coded units between two restart markers."""


class Prepared(NamedTuple):
    """A JPEG in pieces, and its size in pixels."""

    pieces: Pieces
    size: tuple[int, int]


def prepare(data: Buffer, keep_metadata: bool, limits: Limits) -> Prepared:
    """The upload upright and without metadata, or only without location. Raises WorkFailed.

    An upright one keeps its coded bytes, so it is cleaned without decoding a pixel.
    """
    jpeg = jpeg_bytes.read(data)
    if jpeg.width * jpeg.height > limits.pixels or max(jpeg.width, jpeg.height) > limits.side_pixels:
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, f"{jpeg.width} x {jpeg.height} pixels")
    if jpeg.orientation == UPRIGHT:
        pieces = jpeg_bytes.keep(data, jpeg) if keep_metadata else jpeg_bytes.strip(data, jpeg)
    else:
        made = turn(data, jpeg, jpeg.orientation)
        pieces = jpeg_bytes.with_carried(made, data, jpeg, keep_metadata=keep_metadata)
    return Prepared(pieces, turned(jpeg.width, jpeg.height, jpeg.orientation))


def turn(data: Buffer, jpeg: Jpeg, orientation: int) -> bytes:
    """The picture of a JPEG turned as an orientation of 2 to 8 asks, without any metadata."""
    if _library is not None:
        picture = jpeg_bytes.picture(data, jpeg)
        exact = _library.turn(picture, orientation, is_progressive=jpeg.is_progressive)
        if exact is not None and jpeg_bytes.size(exact) == turned(jpeg.width, jpeg.height, orientation):
            return exact
    return encoded_again(data, jpeg, orientation)


def encoded_again(data: Buffer, jpeg: Jpeg, orientation: int) -> bytes:
    """Decode, turn and encode with the same tables, and sampling at least as fine.

    The Huffman tables are the standard ones: to fit them to the picture takes three times as long as to
    write it, for 3 % fewer bytes. Progressive scans have none but fitted ones.
    """
    with library_errors():
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg_bytes.picture(data, jpeg)))
        same_size(image, (jpeg.width, jpeg.height))
        sampling = _subsampling(jpeg, orientation)
        options = {
            "qtables": _tables(image.quantization, jpeg, orientation),
            "subsampling": sampling,
            "keep_rgb": image.mode == "RGB" and jpeg_bytes.is_rgb(data, jpeg),
        }
        if jpeg.is_progressive:
            return _encoded(operations.upright(image, orientation), progressive=True, **options)
        sheet = _Sheet(image)
        width, height = turned(jpeg.width, jpeg.height, orientation)
        unit_width, unit_height = _UNIT[sampling]
        units_across = -(-width // unit_width)
        units_down = min(STRIP_ROWS // unit_height, MOST_UNITS // units_across)
        rows = units_down * unit_height
        strips = [
            _encoded(sheet.strip(orientation, top, min(top + rows, height)), **options)
            for top in range(0, height, rows)
        ]
        return _joined(strips, height, units_across * units_down)


def load_library() -> str | None:
    """Load and try the system's TurboJPEG, before the seal; its name, or None where there is none."""
    global _library  # noqa: PLW0603  a library can be loaded only before the seal, by the template for all
    try:
        _library = _Turbo(LIBRARY)
    except (OSError, AttributeError):
        _library = None
        return None
    return LIBRARY


class _Region(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_int), ("w", ctypes.c_int), ("h", ctypes.c_int))


class _Transform(ctypes.Structure):
    _fields_ = (
        ("region", _Region),
        ("op", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("custom_filter", ctypes.c_void_p),
    )


class _Turbo:
    """TurboJPEG's lossless transform; versions 1.2 to 3 share these functions."""

    def __init__(self, name: str) -> None:
        library = ctypes.CDLL(name)
        self._start = library.tjInitTransform
        self._start.restype = ctypes.c_void_p
        self._start.argtypes = []
        self._stop = library.tjDestroy
        self._stop.restype = ctypes.c_int
        self._stop.argtypes = [ctypes.c_void_p]
        self._free = library.tjFree
        self._free.restype = None
        self._free.argtypes = [ctypes.c_void_p]
        self._transform = library.tjTransform
        self._transform.restype = ctypes.c_int
        self._transform.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_ulong,
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_ulong),
            ctypes.POINTER(_Transform),
            ctypes.c_int,
        ]
        sample = io.BytesIO()
        Image.new("RGB", (16, 16)).save(sample, "JPEG")
        if self.turn(sample.getvalue(), 6, is_progressive=False) is None:
            raise OSError(f"{name} does not turn a sample")

    def turn(self, data: bytes, orientation: int, *, is_progressive: bool) -> bytes | None:
        """The turned JPEG, or None where it would not be exact or the bytes are not all right."""
        options = TJXOPT_PERFECT | TJXOPT_COPYNONE
        if is_progressive:
            options |= TJXOPT_PROGRESSIVE
        transform = _Transform(op=TJXOPS[orientation], options=options)
        handle = self._start()
        if not handle:
            return None
        buffer = ctypes.c_void_p()
        length = ctypes.c_ulong()
        try:
            failed = self._transform(
                handle,
                data,
                len(data),
                1,
                ctypes.byref(buffer),
                ctypes.byref(length),
                ctypes.byref(transform),
                TJFLAG_LIMITSCANS,
            )
            if failed or not buffer.value:
                return None
            return ctypes.string_at(buffer.value, length.value)
        finally:
            self._free(buffer)
            self._stop(handle)


_library: _Turbo | None = None


class _Sheet:
    """A picture that is decoded into memory of which parts can be shown without a copy."""

    def __init__(self, image: ImageFile.ImageFile) -> None:
        self._image = image
        self._pixel_bytes = 1 if image.mode == "L" else 4
        self._row_bytes = self._pixel_bytes * image.width
        # Pillow measures a part by whole rows from its first pixel, so it needs one row more.
        length = self._row_bytes * (image.height + 1)
        self._memory = Memory(length)
        image.im = self._part(0, 0, image.size)
        image.load()

    def strip(self, orientation: int, top: int, bottom: int) -> Image.Image:
        """These rows of the upright picture."""
        width, height = self._image.size
        length = width if orientation >= 5 else height
        start = length - bottom if orientation in _FROM_THE_END else top
        rows = bottom - top
        if orientation >= 5:
            part = self._part(start, 0, (rows, height))
        else:
            part = self._part(0, start, (width, rows))
        return operations.upright(self._image._new(part), orientation)

    def _part(self, left: int, top: int, size: tuple[int, int]) -> "_imaging.ImagingCore":
        offset = top * self._row_bytes + left * self._pixel_bytes
        place = (self._image.mode, self._row_bytes, 1)
        part: _imaging.ImagingCore = _imaging.map_buffer(self._memory.view, size, "raw", offset, place)
        return part


_FROM_THE_END = (3, 4, 7, 8)
"""Orientations whose first upright row is the last row or column that is stored."""
_UNIT = {0: (8, 8), 1: (16, 8), 2: (16, 16)}
"""By Pillow's number of the sampling: width and height of the smallest coded unit, in pixels."""


def _joined(strips: list[bytes], height: int, units: int) -> bytes:
    """One picture of strips whose heads differ in the number of lines alone.

    A restart marker between two scans lets the second begin like the first (ITU-T T.81, E.1.4); `units`
    is how many of the smallest coded units lie between two.
    """
    if len(strips) == 1:
        return strips[0]
    head = tuple(jpeg_bytes.segments(strips[0], only_head=True))
    scan_at = head[-1].end
    coded_at = scan_at + 2 + int.from_bytes(strips[0][scan_at + 2 : scan_at + 4], "big")
    (frame,) = (segment for segment in head if segment.marker in jpeg_bytes.FRAMES)
    tables = bytearray(strips[0][:scan_at])
    struct.pack_into(">H", tables, frame.start + 1, height)
    pieces = [bytes(tables), struct.pack(">HHH", 0xFFDD, 4, units), strips[0][scan_at:coded_at]]
    for index, strip in enumerate(strips):
        pieces += [strip[coded_at:-2], bytes((0xFF, 0xD0 + index % 8))]
    return b"".join([*pieces[:-1], b"\xff\xd9"])


def _encoded(image: Image.Image, **options: Any) -> bytes:
    output = io.BytesIO()
    try:
        image.save(output, "JPEG", **options)
    except OSError:
        output = io.BytesIO()
        with room_for_jpeg(image):
            image.save(output, "JPEG", **options)
    return output.getvalue()


def _tables(tables: dict[int, list[int]], jpeg: Jpeg, orientation: int) -> list[list[int]]:
    """One quantisation table a component; on its side a picture has its frequencies on their side too."""
    chosen: list[Any] = [tables[component.table] for component in jpeg.components[:4]]
    if len(chosen) == 4:
        # Pillow writes CMYK as it is, without YCCK's luminance, so the chroma tables would be too coarse.
        chosen = [chosen[0], chosen[0], chosen[0], chosen[3]]
    if orientation >= 5:
        chosen = [[table[8 * (at % 8) + at // 8] for at in range(64)] for table in chosen]
    while len(chosen) > 1 and chosen[-1] == chosen[-2]:
        chosen.pop()
    return chosen


def _subsampling(jpeg: Jpeg, orientation: int) -> int:
    """Pillow's number: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, never coarser than the upload."""
    if len(jpeg.components) != 3:
        return 0
    luma, *chroma = jpeg.components
    across = min(luma.across // max(component.across, 1) for component in chroma)
    down = min(luma.down // max(component.down, 1) for component in chroma)
    if orientation >= 5:
        across, down = down, across
    if across < 2:
        return 0
    return 2 if down >= 2 else 1
