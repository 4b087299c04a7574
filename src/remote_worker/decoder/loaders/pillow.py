"""The formats that Pillow decodes. Each loader calls one plugin class of its own, never Pillow's guess."""

import io
import mmap
import warnings
from collections.abc import Callable, Iterator
from typing import IO, cast

from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from ..header import Header
from ..headers import Buffer
from . import apng, clear_color, libpng
from .canvas import Direct, lend
from .loader import Frame, Size, Still, damaged, library_errors, same_size

Open = Callable[[IO[bytes]], ImageFile.ImageFile]

_LEAST_GUARDED = 1024 * 1024


def guard(pixels: int) -> None:
    """Have Pillow's own bomb check hold the same limit, for pictures within pictures (ICO, GIF frames)."""
    # Pillow checks our own crops of avatars too, which are larger than a very small limit.
    Image.MAX_IMAGE_PIXELS = max(pixels, _LEAST_GUARDED)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def loaded(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """The picture with its pixels."""
    lend(image)
    image.load()
    return image


class PillowLoader:
    """A format whose pixels lie as stored and are decoded at full size.

    `direct` decodes the common stills in less time; frames and the other stills are Pillow's.
    """

    def __init__(self, plugin: Open, direct: Direct | None = None) -> None:
        self._plugin = plugin
        self._direct = direct

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:  # noqa: ARG002  no scaled decode
        """The first frame at full size."""
        with library_errors():
            image = self._opened(data, header)
            drawn = self._direct(data, image) if self._direct else None
            pixels = drawn.core() if drawn else self._checked(loaded(image), header).im
        # Without the plugin's object, whose decoder, for WebP, holds two more canvases.
        return Still(image._new(pixels), self._orientation(header))

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Every frame, composited."""
        with library_errors():
            image = self._opened(data, header)
        for index in range(header.frames):
            with library_errors():
                image.seek(index)
                image.load()
                # The plugin draws the next frame into the same picture.
                shown = self._checked(image, header).copy()
                duration_ms = max(0, round(image.info.get("duration", 0)))
            yield Frame(shown, duration_ms)

    def _opened(self, data: Buffer, header: Header) -> ImageFile.ImageFile:
        image = self._plugin(stream(data))
        self._checked(image, header)
        return image

    def _checked(self, image: Image.Image, header: Header) -> Image.Image:
        same_size(image, self._size(header))
        return image

    def _size(self, header: Header) -> Size:
        return header.width, header.height

    def _orientation(self, header: Header) -> int:
        return header.orientation


class PngLoader(PillowLoader):
    """Pillow's PNG; the frames of an APNG are put together by our own rules."""

    def __init__(self) -> None:
        super().__init__(PngImagePlugin.PngImageFile, libpng.decoder())

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The picture; 16-bit samples keep a clear colour that is told by all their bits."""
        decoded = super().still(data, header, cover)
        if decoded.image.mode != "RGB" or header.bit_depth <= 8 or "transparency" not in decoded.image.info:
            return decoded
        with library_errors():
            return Still(clear_color.applied(decoded.image, self._opened(data, header)), decoded.orientation)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Every frame, composited, or the picture of a file that does not move."""
        if not header.is_animation:
            yield Frame(self.still(data, header, None).image, 0)
            return
        with library_errors():
            facts = self._opened(data, header).info
        yield from apng.frames(data, header, facts)


class JpegLoader(PillowLoader):
    """JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the cost."""

    def __init__(self) -> None:
        # The class itself, not its factory: that one turns into the MPO plugin, which fails on
        # pictures whose MPO index is broken though the first picture is fine.
        super().__init__(JpegImagePlugin.JpegImageFile)

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The first picture at the smallest scale that covers."""
        with library_errors():
            image = self._opened(data, header)
            drafted = cast(JpegImagePlugin.JpegImageFile, image).draft(None, cover) if cover else None
            _decode(image, data)
        return Still(image._new(image.im), header.orientation, drafted[1] if drafted else None)


def _decode(image: ImageFile.ImageFile, data: Buffer) -> None:
    """As Pillow does, but in one part, from where the bytes lie: libjpeg is slower at the end of a part."""
    lend(image)
    image.load_prepare()
    (tile,) = image.tile
    decoder = Image._getdecoder(image.mode, tile.codec_name, tile.args, image.decoderconfig)
    try:
        decoder.setimage(image.im, tile.extents)
        taken, error = decoder.decode(memoryview(data))
    finally:
        decoder.cleanup()
    # The decoder takes a negative number of bytes when the picture is full.
    if taken >= 0 or error < 0:
        raise damaged("the picture cannot be decoded, or pixels are missing")


class BmpLoader(PillowLoader):
    """Pillow leaves out the alpha of 16-bit samples."""

    def __init__(self) -> None:
        super().__init__(BmpImagePlugin.BmpImageFile)

    def _opened(self, data: Buffer, header: Header) -> ImageFile.ImageFile:
        image = cast(BmpImagePlugin.BmpImageFile, super()._opened(data, header))
        kinds = {tile.args[0] for tile in image.tile if isinstance(tile.args, tuple)}
        if header.has_alpha and kinds == {"BGR;15"}:
            image._mode = "RGBA"
            image.tile = [tile._replace(args=("BGRA;15", *tile.args[1:])) for tile in image.tile if tile.args]
        return image


JPEG = JpegLoader()
PNG = PngLoader()
BMP = BmpLoader()


def stream(data: Buffer) -> IO[bytes]:
    """The bytes as a file, without a copy."""
    return cast(IO[bytes], _Stream(data)) if isinstance(data, mmap.mmap) else io.BytesIO(data)


class _Stream:
    """An mmap as a file that lets plugins seek behind its end, as files do and an mmap itself does not."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        start = self._at
        end = len(self._data) if size < 0 else start + size
        taken = self._data[start:end]
        self._at = start + len(taken)
        return taken

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at
