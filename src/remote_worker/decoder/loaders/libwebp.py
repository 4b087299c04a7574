"""WebP stills through libwebp's own decoder: Pillow's takes the one for animations, and copies twice."""

import ctypes

from PIL import Image

from ..headers import Buffer
from . import wheel
from .canvas import Canvas, Direct

_ABI = 7
_DECODER_ABI = 0x0209
_OK = 0


class _Features(ctypes.Structure):
    """WebPBitstreamFeatures."""

    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("has_alpha", ctypes.c_int),
        ("has_animation", ctypes.c_int),
        ("format", ctypes.c_int),
        ("padding", ctypes.c_uint32 * 5),
    )


def decoder() -> Direct | None:
    """What decodes stills; None without the library."""
    library = wheel.library("libwebp", _ABI)
    if library is None:
        return None
    examine = library.WebPGetFeaturesInternal
    examine.restype = ctypes.c_int
    examine.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Features), ctypes.c_int]
    draw = library.WebPDecodeRGBAInto
    draw.restype = ctypes.c_void_p
    draw.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def decode(data: Buffer, opened: Image.Image) -> Canvas | None:
        file = data[:]
        found = _Features()
        if examine(file, len(file), ctypes.byref(found), _DECODER_ABI) != _OK:
            return None
        if (found.width, found.height) != opened.size or bool(found.has_alpha) != (opened.mode == "RGBA"):
            return None
        canvas = Canvas(opened.mode, opened.size)
        drawn = draw(file, len(file), canvas.address, canvas.length, canvas.row_bytes)
        return canvas if drawn else None

    return decode
