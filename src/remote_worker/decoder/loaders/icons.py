"""The largest picture of an ICO or ICNS, as its header reader chose it."""

from collections.abc import Iterator

from PIL import IcoImagePlugin, Image

from ...contract.formats import FormatName
from .. import switches
from ..header import Header
from ..headers import Buffer, icns, ico
from .jp2 import JP2
from .loader import Frame, Size, Still, damaged, library_errors, same_size
from .pillow import PNG, stream


class IcoLoader:
    """PNG pictures by the PNG loader, bitmaps with their masks by Pillow."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The largest picture at full size."""
        icon = ico.largest(data)
        switches.hold_on(FormatName.PNG if icon.is_png else FormatName.BMP)
        if icon.is_png:
            return PNG.still(data[icon.offset : icon.offset + icon.length], header, cover)
        with library_errors():
            file = IcoImagePlugin.IcoFile(stream(data))
            index = next(at for at, entry in enumerate(file.entry) if entry.offset == icon.offset)
            image = file.frame(index)
            image.load()
            same_size(image, (header.width, header.height))
        return Still(image)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Icons do not move: the largest alone."""
        yield Frame(self.still(data, header, None).image, 0)


class IcnsLoader:
    """PNG and JPEG 2000 pictures by their loaders, packed planes by hand: they are 128 x 128 at most."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The largest picture."""
        icon = icns.largest(data)
        content = data[icon.offset : icon.offset + icon.length]
        if icon.coding is icns.Coding.PNG:
            switches.hold_on(FormatName.PNG)
            return PNG.still(content, header, cover)
        if icon.coding is icns.Coding.JP2:
            switches.hold_on(FormatName.JP2)
            return JP2.still(content, header, cover)
        size = (icon.width, icon.height)
        if icon.coding is icns.Coding.ARGB:
            alpha, *colors = _planes(content[4:], size, 4)
            return Still(Image.merge("RGBA", (*colors, alpha)))
        colors = _planes(content, size, 3)
        if icon.mask is None:
            return Still(Image.merge("RGB", colors))
        offset, length = icon.mask
        return Still(Image.merge("RGBA", (*colors, _plane(data[offset : offset + length], size))))

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Icons do not move: the largest alone."""
        yield Frame(self.still(data, header, None).image, 0)


ICO = IcoLoader()
ICNS = IcnsLoader()


def _planes(content: bytes, size: Size, count: int) -> list[Image.Image]:
    """Planes one after the other: packed, or interleaved pixels when the length says that they are not."""
    pixels = size[0] * size[1]
    if len(content) == count * pixels:
        return list(Image.frombytes("RGB" if count == 3 else "RGBA", size, content).split())
    if content.startswith(b"\0\0\0\0"):
        content = content[4:]
    unpacked = _unpacked(content, count * pixels)
    return [_plane(unpacked[at * pixels : (at + 1) * pixels], size) for at in range(count)]


def _plane(pixels: bytes, size: Size) -> Image.Image:
    return Image.frombytes("L", size, pixels)


def _unpacked(packed: bytes, length: int) -> bytes:
    """Apple's run lengths: up to 127 says n + 1 bytes follow, from 128 one byte stands for n - 125."""
    made = bytearray()
    at = 0
    while len(made) < length:
        if at + 1 >= len(packed):
            raise damaged("the packed planes are cut")
        count = packed[at]
        if count < 128:
            made += packed[at + 1 : at + 2 + count]
            at += 2 + count
        else:
            made += packed[at + 1 : at + 2] * (count - 125)
            at += 2
    return bytes(made[:length])
