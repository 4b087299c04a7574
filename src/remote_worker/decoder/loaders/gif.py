"""GIF: each frame's own rectangle by Pillow's LZW decoder, laid over the others by our own rules.

Pillow's plugin clears to black where a frame that was opaque is disposed of, keeps a disposal for the frames
that name none, and lets frames that reach over the screen enlarge the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from ...contract.failures import FailureCode, WorkFailed
from .. import gif_blocks
from ..header import Header
from ..headers import Buffer
from ..headers.gif import NEXT_BLOCK
from .layers import Disposal, Layer, composited
from .loader import Frame, Size, Still, damaged, library_errors

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_CONTROL = 0xF9
_HAS_TABLE, _INTERLACED = 0x80, 0x40
_LAST_BYTES = 3
"""The code that fills a picture, the end code and the padding have a share in no more than these."""
_GRAYS = bytes(level for index in range(256) for level in (index,) * 3)
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
class Control:
    """What a graphic control extension says of the image behind it."""

    disposal: Disposal = Disposal.KEEP
    clear_index: int | None = None
    duration_ms: int = 0


class Part(NamedTuple):
    """One frame as the file has it."""

    indices: Image.Image
    """In mode L."""
    left: int
    top: int
    control: Control
    table: bytes
    """Three bytes a colour; there may be fewer colours than indices."""
    is_interlaced: bool
    code_bits: int
    codes: bytes | None
    """The LZW codes out of their blocks. None where bytes are hidden behind the picture."""


def parts(data: Buffer, header: Header) -> Iterator[Part]:
    """The frames that the header counts, decoded one by one. Raises DAMAGED and TOO_MANY_PIXELS."""
    with library_errors():
        at, screen_table = _table(data, 13, data[10])
    for _ in range(header.frames):
        control = Control()
        with library_errors():
            at = _image(data, at, control)
            part, at = _part(data, at, control, screen_table or _GRAYS)
        yield part


def _layers(data: Buffer, header: Header) -> Iterator[Layer]:
    for part in parts(data, header):
        seen = _seen(part)
        part.indices.putpalette(part.table)
        image = part.indices.convert("RGB")
        duration_ms, disposal = part.control.duration_ms, part.control.disposal
        yield Layer(image, part.left, part.top, duration_ms, disposal, mask=seen)


def _image(data: Buffer, at: int, control: Control) -> int:
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
        found = None if kind == _TRAILER else NEXT_BLOCK.search(data, at)
        if found is None:
            raise damaged("fewer frames than were counted")
        at = found.start()
    return at


def _part(data: Buffer, at: int, control: Control, screen_table: bytes) -> tuple[Part, int]:
    left, top, width, height = (data[at + place] | data[at + place + 1] << 8 for place in (1, 3, 5, 7))
    flags = data[at + 9]
    if width * height > (Image.MAX_IMAGE_PIXELS or 0):
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "a frame is larger than the picture")
    start, table = _table(data, at + 10, flags)
    code_bits = data[start]
    codes, end = _content(data, start + 1)
    is_interlaced = bool(flags & _INTERLACED)
    indices = Image.new("L", (width, height))
    is_all = _decode(codes, indices, code_bits, is_interlaced=is_interlaced)
    coded = codes if is_all else None
    return Part(indices, left, top, control, table or screen_table, is_interlaced, code_bits, coded), end


def _decode(codes: bytes, indices: Image.Image, code_bits: int, *, is_interlaced: bool) -> bool:
    """Fills the picture; tells whether the codes end with it."""
    if 0 in indices.size:
        return False
    decoder = Image._getdecoder("L", "gif", (code_bits, is_interlaced, -1))
    decoder.setimage(indices.im, (0, 0, *indices.size))
    most = gif_blocks.data(codes[:-_LAST_BYTES])
    taken, error = decoder.decode(most)
    is_last_needed = taken == len(most)
    if is_last_needed:
        taken, error = decoder.decode(gif_blocks.data(codes[-_LAST_BYTES:]))
    # The decoder takes a negative number of bytes when the picture is full.
    if taken >= 0 or error:
        raise damaged("a frame cannot be decoded, or pixels are missing")
    return is_last_needed


def _content(data: Buffer, at: int) -> tuple[bytes, int]:
    """What is in a chain of data blocks, and where the chain ends. A block that the file cuts is left out."""
    pieces = []
    while at < len(data) and (size := data[at]):
        end = at + 1 + size
        if end <= len(data):
            pieces.append(data[at + 1 : end])
        at = end
    return b"".join(pieces), at + 1


def _seen(part: Part) -> Image.Image | None:
    """A mask of the pixels that are not clear, if any is."""
    if part.control.clear_index is None or 0 in part.indices.size:
        return None
    seen = [255] * 256
    seen[part.control.clear_index] = 0
    mask = part.indices.point(seen, "1")
    return mask if mask.getextrema()[0] == 0 else None


def _table(data: Buffer, at: int, flags: int) -> tuple[int, bytes | None]:
    """The colour table that the flags announce here, and where it ends."""
    if not flags & _HAS_TABLE:
        return at, None
    end = at + 3 * (2 << (flags & 7))
    return end, data[at:end]


def _after_blocks(data: Buffer, at: int) -> int:
    """The end of a chain of data blocks."""
    while at < len(data) and (size := data[at]):
        at += size + 1
    return at + 1
