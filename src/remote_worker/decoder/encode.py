"""Writers of pictures, one a format. Pixels in, bytes out, and nothing else: no metadata, no profile."""

import io
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile

from ..contract.failures import FailureCode, WorkFailed
from . import gif_film, png_chunks
from .color import carries_alpha

Write = Callable[[Image.Image, int | None, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How one format is written; `quality` is used when the caller asks for none."""

    write: Write
    longest_side: int
    has_alpha: bool
    quality: int | None = None
    still_quality: int | None = None
    """Instead of `quality`, for a picture that does not move."""
    hurry: Write | None = None
    """Instead of `write`, where more than this picture is to be written."""


def encode(
    image: Image.Image, name: str, quality: int | None, most_bytes: int, *, in_a_hurry: bool = False
) -> bytes:
    """The file of this picture (L, LA, RGB or RGBA). Raises OUTPUT_TOO_LARGE."""
    writer = WRITERS[name]
    if max(image.size) > writer.longest_side:
        raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE, f"{name} has no sides over {writer.longest_side}")
    if carries_alpha(image) and not writer.has_alpha:
        image = on_white(image)
    write = (in_a_hurry and writer.hurry) or writer.write
    made = write(_plain(image), quality or writer.still_quality or writer.quality, most_bytes)
    if len(made) > most_bytes:
        raise too_large()
    return made


def on_white(image: Image.Image) -> Image.Image:
    """The picture without its alpha channel, laid on white."""
    mode = image.mode[:-1]
    canvas = Image.new(mode, image.size, "white")
    canvas.paste(image.convert(mode), mask=image.getchannel("A"))
    return canvas


def too_large() -> WorkFailed:
    """The failure of an output over the limit."""
    return WorkFailed(FailureCode.OUTPUT_TOO_LARGE)


def save(image: Image.Image, plugin: str, **options: Any) -> bytes:
    """What a Pillow plugin writes."""
    if isinstance(image, ImageFile.ImageFile):
        # Pillow would look whether it overwrites its own file, and ask for the working directory for that.
        image = image._new(image.im)
    file = io.BytesIO()
    try:
        image.save(file, plugin, **options)
    except (OSError, RuntimeError, ValueError) as error:
        # Our own pixels are sound, so what an encoder misses is memory; each has another word for it.
        raise WorkFailed(FailureCode.TOO_MUCH_MEMORY, str(error)) from error
    return file.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """The picture without what a decoder hung on it: Pillow copies comments, EXIF and profiles from there."""
    plain = image._new(image.im)
    plain.info = {}
    return plain


def _jpeg(image: Image.Image, quality: int | None, _: int) -> bytes:
    if image.width * image.height > _SMALL_JPEG_PIXELS:
        made = save(image, "JPEG", quality=quality, subsampling="4:2:0")
        if len(made) > _SMALL_JPEG_BYTES:
            return made
        return save(image, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
    with room_for_jpeg(image):
        return save(image, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")


@contextmanager
def room_for_jpeg(image: Image.Image) -> Iterator[None]:
    """Room for the worst there is: libjpeg writes optimised and progressive pictures into one buffer.

    Pillow guesses one or two bytes a pixel, too few for noise and for narrow pictures, of which whole
    blocks are coded all the same.
    """
    usual = ImageFile.MAXBLOCK
    width, height = (-(-side // _JPEG_UNIT) * _JPEG_UNIT for side in image.size)
    ImageFile.MAXBLOCK = MOST_BYTES_A_SAMPLE * len(image.getbands()) * width * height
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = usual


_JPEG_UNIT = 16
MOST_BYTES_A_SAMPLE = 4
"""The longest Huffman code and value are 27 bits."""


_SMALL_JPEG_PIXELS = 256 * 256
_SMALL_JPEG_BYTES = 48 * 1024
"""Up to either, the usual Huffman tables suit badly: of graphics they can make twice the bytes."""


def _png(image: Image.Image, _: int | None, most_bytes: int) -> bytes:
    pieces, size_bytes = [], 0
    for piece in png_chunks.still(image):
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise too_large()
    return b"".join(pieces)


def _gif(image: Image.Image, _: int | None, __: int) -> bytes:
    return gif_film.still(image)


# The measurements behind these and the default qualities: docs/decisions/0011-encoder-settings.md.
WEBP_METHOD = 2
AVIF_OPTIONS: dict[str, Any] = {"speed": 10, "max_threads": 1}
"""What any number of pixels and frames can be written with in time."""
_AVIF_STILL_SPEED = 8
_MOST_AVIF_STILL_PIXELS = 2_000_000
"""At speed 8 these take libaom about half a second, four times what they take at 10."""
MOST_UNHURRIED_PIXELS = 4_000_000
"""Of all pictures of one task. Noise of so many takes libaom two seconds at speed 8."""
_AVIF_PIXEL_BYTES = 20
"""Libaom takes at least 23 for each pixel; where it gets less than 18 it may fall over instead of failing."""
_WHOLE_ALPHA = {"a:cq-level": "0"}
"""Alpha without loss, as WebP has it: at the quality of the colours clear pixels would not stay clear."""


def _webp(image: Image.Image, quality: int | None, _: int) -> bytes:
    return save(_colorful(image), "WEBP", quality=quality, method=WEBP_METHOD)


def _avif(image: Image.Image, quality: int | None, most_bytes: int) -> bytes:
    if image.width * image.height > _MOST_AVIF_STILL_PIXELS:
        return _avif_in_a_hurry(image, quality, most_bytes)
    return _avif_at(_AVIF_STILL_SPEED, image, quality)


def _avif_in_a_hurry(image: Image.Image, quality: int | None, _: int) -> bytes:
    return _avif_at(AVIF_OPTIONS["speed"], image, quality)


def _avif_at(speed: int, image: Image.Image, quality: int | None) -> bytes:
    hold_room_for_avif(image.size)
    options = {**AVIF_OPTIONS, "advanced": _WHOLE_ALPHA, "speed": speed}
    return save(_colorful(image) if image.mode == "LA" else image, "AVIF", quality=quality, **options)


def hold_room_for_avif(size: tuple[int, int]) -> None:
    """Raises TOO_MUCH_MEMORY where libaom would not have enough of it."""
    try:
        # Nothing is written there, so no page of it comes to be.
        mmap.mmap(-1, size[0] * size[1] * _AVIF_PIXEL_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise WorkFailed(FailureCode.TOO_MUCH_MEMORY, "for AVIF") from error


def _tiff(image: Image.Image, _: int | None, __: int) -> bytes:
    return save(image, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})


def _jp2(image: Image.Image, quality: int | None, _: int) -> bytes:
    # OpenJPEG is asked for a signal-to-noise ratio: 100 is 50 dB, 80 is 42 dB, 1 is 10 dB.
    decibels = 10 + 0.4 * (quality or 0)
    return save(
        image,
        "JPEG2000",
        irreversible=True,
        comment=b"\0",
        quality_mode="dB",
        quality_layers=[decibels],
        mct=_mct(image),
    )


def _mct(image: Image.Image) -> int:
    return 1 if image.mode in ("RGB", "RGBA") else 0


def _jxl(image: Image.Image, quality: int | None, _: int) -> bytes:
    return save(image, "JXL", quality=quality, effort=3, num_threads=0, lossless_jpeg=False)


_BITFIELDS = 3


def _bmp(image: Image.Image, _: int | None, __: int) -> bytes:
    """With alpha a version 4 header, whose masks name the alpha channel; Pillow's header leaves it unsaid."""
    if not carries_alpha(image):
        return save(image, "BMP")
    pixels = image.convert("RGBA").tobytes("raw", "BGRA", 0, -1)
    masks = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    rgb = int.from_bytes(b"sRGB", "big")
    info = struct.pack(
        "<IiiHHIIiiII4II48x", 108, *image.size, 1, 32, _BITFIELDS, len(pixels), 0, 0, 0, 0, *masks, rgb
    )
    offset = 14 + len(info)
    return struct.pack("<2sIII", b"BM", offset + len(pixels), 0, offset) + info + pixels


def _colorful(image: Image.Image) -> Image.Image:
    """Gray as colour, for formats that have no gray."""
    return image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode))


WRITERS = {
    "jpeg": Writer(write=_jpeg, longest_side=65_500, has_alpha=False, quality=81),
    "png": Writer(write=_png, longest_side=65_535, has_alpha=True),
    "gif": Writer(write=_gif, longest_side=65_535, has_alpha=True),
    "webp": Writer(write=_webp, longest_side=16_383, has_alpha=True, quality=79),
    "avif": Writer(
        write=_avif, longest_side=65_535, has_alpha=True, quality=75, still_quality=49, hurry=_avif_in_a_hurry
    ),
    "tiff": Writer(write=_tiff, longest_side=65_535, has_alpha=True),
    "bmp": Writer(write=_bmp, longest_side=65_535, has_alpha=True),
    "jp2": Writer(write=_jp2, longest_side=65_535, has_alpha=True, quality=80),
    "jxl": Writer(write=_jxl, longest_side=65_535, has_alpha=True, quality=85),
}
