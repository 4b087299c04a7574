"""AVIF stills through libavif, which draws four bytes a pixel faster than Pillow's three, without copies."""

import ctypes

from PIL import Image

from ..headers import Buffer
from . import wheel
from .canvas import Canvas, Direct

_ABI = 16
_OK = 0
_RGBA = 1
_PIXI_REQUIRED, _CLAP_VALID = 1, 2


class _Decoder(ctypes.Structure):
    """The first fields of avifDecoder."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("source", ctypes.c_int),
        ("switches", ctypes.c_int * 4),
        ("limits", ctypes.c_uint32 * 3),
        ("strictness", ctypes.c_uint32),
        ("image", ctypes.c_void_p),
    )


class _Pixels(ctypes.Structure):
    """avifRGBImage."""

    _fields_ = (
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("format", ctypes.c_int),
        ("choices", ctypes.c_int * 6),
        ("threads", ctypes.c_int),
        ("pixels", ctypes.c_void_p),
        ("row_bytes", ctypes.c_uint32),
        ("spare", ctypes.c_uint32 * 16),
    )


def decoder() -> Direct | None:
    """What decodes stills; None without the library."""
    library = wheel.library("libavif", _ABI)
    if library is None:
        return None
    library.avifDecoderCreate.restype = ctypes.POINTER(_Decoder)
    library.avifDecoderCreate.argtypes = []
    library.avifDecoderDestroy.restype = None
    library.avifRGBImageSetDefaults.restype = None
    library.avifRGBImageSetDefaults.argtypes = [ctypes.POINTER(_Pixels), ctypes.c_void_p]
    library.avifImageYUVToRGB.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Pixels)]
    library.avifDecoderSetIOMemory.argtypes = [ctypes.POINTER(_Decoder), ctypes.c_char_p, ctypes.c_size_t]
    library.avifDecoderParse.argtypes = [ctypes.POINTER(_Decoder)]
    library.avifDecoderNextImage.argtypes = [ctypes.POINTER(_Decoder)]
    library.avifDecoderDestroy.argtypes = [ctypes.POINTER(_Decoder)]

    def decode(data: Buffer, opened: Image.Image) -> Canvas | None:
        if opened.mode not in ("RGB", "RGBA") or getattr(opened, "n_frames", 1) != 1:
            return None
        file = data[:]
        made = library.avifDecoderCreate()
        if not made:
            raise MemoryError
        try:
            # Pillow's leniency: files of older libraries lack a box, and we check the crop.
            made.contents.strictness &= ~(_PIXI_REQUIRED | _CLAP_VALID)
            if (
                library.avifDecoderSetIOMemory(made, file, len(file)) != _OK
                or library.avifDecoderParse(made) != _OK
                or library.avifDecoderNextImage(made) != _OK
            ):
                return None
            return draw(made.contents.image, opened)
        finally:
            library.avifDecoderDestroy(made)

    def draw(decoded: int, opened: Image.Image) -> Canvas | None:
        pixels = _Pixels()
        library.avifRGBImageSetDefaults(pixels, decoded)
        if (pixels.width, pixels.height) != opened.size:
            return None
        canvas = Canvas(opened.mode, opened.size)
        pixels.depth, pixels.format = 8, _RGBA
        pixels.pixels, pixels.row_bytes = canvas.address, canvas.row_bytes
        return canvas if library.avifImageYUVToRGB(decoded, pixels) == _OK else None

    return decode
