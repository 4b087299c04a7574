"""GIF: each frame's own rectangle by Pillow's LZW decoder, laid over the others by our own rules.

Pillow's plugin clears to black where a frame that was opaque is disposed of, keeps a disposal for the frames
that name none, and lets frames that reach over the screen enlarge the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from ...contract.failures import FailureCode, WorkFailed
from ..header import Header
from ..headers import Buffer
from ..headers import gif as blocks
from .layers import Disposal, Layer, composited
from .loader import Frame, Size, Still, damaged, library_errors

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_CONTROL = 0xF9
_HAS_TABLE, _INTERLACED = 0x80, 0x40
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}
"""Some encoders took the third bit for the third value; browsers read both."""


class GifLoader:
    """All frames, or the first one alone."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:  # noqa: ARG002  no scaled decode
        """The first frame."""
        return Still(next(self.frames(data, header)).image)

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Every frame on the logical screen, clear where none has drawn."""
        return composited(_layers(data, header), (header.width, header.height))


GIF = GifLoader()


@dataclass(slots=True)
class _Control:
    """What a graphic control extension says of the image behind it."""

    disposal: Disposal = Disposal.KEEP
    clear_index: int | None = None
    duration_ms: int = 0


def _layers(data: Buffer, header: Header) -> Iterator[Layer]:
    with library_errors():
        at, screen_table = _table(data, 13, data[10])
    control = _Control()
    for _ in range(header.frames):
        with library_errors():
            at = _image(data, at, control)
            layer, at = _layer(data, at, control, screen_table)
        yield layer
        control = _Control()


def _image(data: Buffer, at: int, control: _Control) -> int:
    """Where the next image descriptor begins; what is told before it goes to `control`."""
    while (kind := data[at]) != _IMAGE:
        if kind == _EXTENSION:
            if data[at + 1] == _CONTROL and data[at + 2] >= 4:
                flags = data[at + 3]
                control.disposal = _DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP)
                control.duration_ms = 10 * (data[at + 4] | data[at + 5] << 8)
                control.clear_index = data[at + 6] if flags & 1 else None
            at = _after_blocks(data, at + 2)
            continue
        found = None if kind == _TRAILER else blocks.NEXT_BLOCK.search(data, at)
        if found is None:
            raise damaged("fewer frames than were counted")
        at = found.start()
    return at


def _layer(data: Buffer, at: int, control: _Control, screen_table: bytes | None) -> tuple[Layer, int]:
    left, top, width, height = (data[at + place] | data[at + place + 1] << 8 for place in (1, 3, 5, 7))
    flags = data[at + 9]
    if width * height > (Image.MAX_IMAGE_PIXELS or 0):
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "a frame is larger than the picture")
    start, table = _table(data, at + 10, flags)
    end = _after_blocks(data, start + 1)
    indices = Image.frombytes(
        "L", (width, height), data[start + 1 : end], "gif", data[start], bool(flags & _INTERLACED), -1
    )
    image = _colored(indices, table or screen_table, control.clear_index)
    return Layer(image, left, top, control.duration_ms, control.disposal), end


def _colored(indices: Image.Image, table: bytes | None, clear_index: int | None) -> Image.Image:
    """Without any table the indices are gray levels."""
    if table:
        indices.putpalette(table)
    else:
        indices.putpalette(bytes(level for index in range(256) for level in (index,) * 3))
    if clear_index is None:
        return indices.convert("RGB")
    indices.info["transparency"] = clear_index
    image = indices.convert("RGBA")
    image.info = {}
    return image


def _table(data: Buffer, at: int, flags: int) -> tuple[int, bytes | None]:
    """The colour table that the flags announce here, and where it ends."""
    if not flags & _HAS_TABLE:
        return at, None
    end = at + 3 * (2 << (flags & 7))
    return end, data[at:end]


def _after_blocks(data: Buffer, at: int) -> int:
    """The end of a chain of data blocks. Where the file is cut, the decoder tells if pixels are missing."""
    while at < len(data) and (size := data[at]):
        at += size + 1
    return at + 1
