"""PNG's most common kinds: igzip inflates them, libpng does the rest, both faster than what Pillow calls.

8 bits a sample, not interlaced. Whatever is not just so is left to Pillow, which then
says what is wrong with it: bytes too few or too many, an unknown filter, a broken checksum.
"""

import ctypes
import struct
from typing import cast

from isal import igzip_lib, isal_zlib
from PIL import Image

from .. import png_chunks
from ..headers import Buffer
from ..headers.png import CHUNK
from ..vector_registers import clear_upper_halves
from . import wheel
from .canvas import Canvas, Direct, Memory

_ABI = 16
_IMAGE_VERSION = 1
_GRAY, _RGBA = 0, 3
_KINDS = {
    0: ("L", "L", 1, _GRAY),
    2: ("RGB", "RGB", 3, _RGBA),
    3: ("P", "L", 1, _GRAY),
    4: ("LA", "LA", 2, _RGBA),
    6: ("RGBA", "RGBA", 4, _RGBA),
}
"""Of a colour type: Pillow's mode, what libpng is told, the samples of a pixel, the layout asked for."""
_HEADER = struct.Struct(">IIBBBBB")
_HEADER_AT = 16
_CHUNKS_AT = 33
_ZLIB = b"\x78\x01"
_BLOCK = struct.Struct("<?HH")
_BLOCK_BYTES = 0xFFFF
_CHECKSUM = struct.Struct(">I")
_END = png_chunks.chunk(b"IEND", b"")
_TEXTS = (b"tEXt", b"tIME")
_MOST_DEFLATED = 16
"""Rows that deflated to less than one part in so many are mostly repeats: zlib copies those as fast."""
_IsalError = cast(type[Exception], igzip_lib.IsalError)
_MOST_BYTES = 64 * 1024 * 1024
"""Of inflated rows: they take as much memory again as the picture."""


class _Picture(ctypes.Structure):
    """png_image."""

    _fields_ = (
        ("opaque", ctypes.c_void_p),
        ("version", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("format", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("colors", ctypes.c_uint32),
        ("problem", ctypes.c_uint32),
        ("message", ctypes.c_char * 64),
    )


def decoder() -> Direct | None:
    """What decodes these kinds; None without the library."""
    library = wheel.library("libpng16", _ABI)
    if library is None:
        return None
    # These are the functions that catch libpng's errors themselves.
    begin, finish = library.png_image_begin_read_from_memory, library.png_image_finish_read
    begin.argtypes = [ctypes.POINTER(_Picture), ctypes.c_void_p, ctypes.c_size_t]
    finish.argtypes = [
        ctypes.POINTER(_Picture),
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_void_p,
    ]

    def decode(data: Buffer, opened: Image.Image) -> Canvas | None:
        width, height, depth, color_type, _, _, interlace = _HEADER.unpack_from(data, _HEADER_AT)
        mode, told, samples, layout = _KINDS.get(color_type, ("", "", 0, 0))
        length = height * (1 + width * samples)
        if depth != 8 or interlace or mode != opened.mode or length > _MOST_BYTES:
            return None
        rows = _inflated(data, png_chunks.header(told, (width, height)), length)
        clear_upper_halves()
        if rows is None:
            return None
        canvas = Canvas(mode, opened.size)
        picture = _Picture(version=_IMAGE_VERSION)
        if not begin(picture, rows.address, len(rows.view)):
            return None
        picture.format = layout
        is_drawn = finish(picture, None, canvas.address, canvas.row_bytes, None)
        return canvas if is_drawn else None

    return decode


def _inflated(data: Buffer, header: bytes, length: int) -> Memory | None:
    """A file with the rows in stored blocks, which cost next to nothing; None if they are not in order."""
    blocks = -(-length // _BLOCK_BYTES)
    body_bytes = len(_ZLIB) + length + blocks * _BLOCK.size + _CHECKSUM.size
    deflated = _deflated(data)
    if deflated is None or len(deflated) * _MOST_DEFLATED < length:
        return None
    memory = Memory(len(header) + CHUNK.size + body_bytes + _CHECKSUM.size + len(_END))
    at = 0

    def write(piece: bytes) -> None:
        nonlocal at
        memory.view[at : at + len(piece)] = piece
        at += len(piece)

    write(header + CHUNK.pack(body_bytes, b"IDAT") + _ZLIB)
    crc, adler = isal_zlib.crc32(b"IDAT" + _ZLIB), 1
    left = length
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB)
    try:
        while left:
            wanted = min(left, _BLOCK_BYTES)
            rows = inflater.decompress(deflated, wanted)
            if len(rows) != wanted:
                return None
            deflated = b""
            left -= wanted
            head = _BLOCK.pack(left == 0, wanted, wanted ^ 0xFFFF)
            write(head)
            write(rows)
            crc = isal_zlib.crc32(rows, isal_zlib.crc32(head, crc))
            adler = isal_zlib.adler32(rows, adler)
        # The checksum is held against the rows where the stream ends.
        if not inflater.eof and (inflater.decompress(b"", 1) or not inflater.eof):
            return None
    except (_IsalError, EOFError):
        return None
    checksum = _CHECKSUM.pack(adler)
    write(checksum + _CHECKSUM.pack(isal_zlib.crc32(checksum, crc)) + _END)
    return memory


def _deflated(data: Buffer) -> bytes | None:
    """What lies in the IDAT chunks, if they stand together and no chunk that matters follows them."""
    bodies: list[bytes] = []
    at = _CHUNKS_AT
    is_behind = False
    while at + CHUNK.size <= len(data):
        length, kind = CHUNK.unpack_from(data, at)
        start = at + CHUNK.size
        at = start + length + _CHECKSUM.size
        if kind == b"IEND" and at <= len(data):
            return b"".join(bodies)
        if kind == b"IDAT" and not is_behind:
            bodies.append(data[start : start + length])
        elif bodies:
            is_behind = True
            if kind not in _TEXTS:
                return None
    return None
