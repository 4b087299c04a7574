"""A GIF whose size stays: its frames with their pixels, colours, places and times, in blocks written anew.

Why the LZW codes may be copied is in docs/decisions/0009-animations.md.
"""

from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from . import gif_blocks
from .encode import too_large
from .gif_blocks import Rectangle
from .header import Header
from .headers import Buffer
from .loaders import gif
from .loaders.gif import Part
from .loaders.layers import Disposal

Size = tuple[int, int]

_PLAY_ONCE = 1
_CODE_BITS = range(2, 9)
"""That the format allows."""
_DISPOSALS = {
    Disposal.KEEP: gif_blocks.KEEP,
    Disposal.CLEAR: gif_blocks.CLEAR,
    Disposal.RESTORE: gif_blocks.RESTORE,
}


def copied(data: Buffer, header: Header, most_bytes: int) -> bytes:
    """The frames that the header counts, on their screen, and nothing else of the file.

    Raises DAMAGED, TOO_MANY_PIXELS and OUTPUT_TOO_LARGE.
    """
    pieces = []
    size_bytes = 0
    for piece in _pieces(gif.parts(data, header), header):
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise too_large()
    return b"".join(pieces)


def _pieces(parts: Iterator[Part], header: Header) -> Iterator[bytes]:
    screen = header.width, header.height
    screen_table = None
    is_blank = True
    for part in parts:
        shown = _on_screen(part, screen, is_first=screen_table is None)
        table = _table(shown)
        if screen_table is None:
            screen_table = table
            yield gif_blocks.screen(screen, table, header.loop if header.loop != _PLAY_ONCE else None)
        # Readers disagree on what was before the first frame. That it was clear can be said in another way.
        is_blank = is_blank and part.control.disposal is Disposal.RESTORE
        disposal = gif_blocks.CLEAR if is_blank else _DISPOSALS[shown.control.disposal]
        disposal = disposal if header.frames > 1 else gif_blocks.KEEP
        yield gif_blocks.control(part.control.duration_ms, disposal, shown.control.clear_index)
        yield _image(shown, b"" if table == screen_table else table)
    yield gif_blocks.TRAILER


def _on_screen(part: Part, screen: Size, *, is_first: bool) -> Part:
    """The frame cut at the screen; the first one fills it, as some readers take its size for the screen's."""
    right, bottom = part.left + part.indices.width, part.top + part.indices.height
    seen = part.left, part.top, min(right, screen[0]), min(bottom, screen[1])
    if is_first and seen != (0, 0, *screen) and (clear := _clear_index(part)) is not None:
        return _drawn(part, (0, 0, *screen), clear)
    if seen[0] >= seen[2] or seen[1] >= seen[3]:
        nothing = replace(part.control, disposal=Disposal.KEEP, clear_index=0)
        return _drawn(part._replace(control=nothing), (0, 0, 1, 1), 0)
    return part if seen[2:] == (right, bottom) else _drawn(part, seen, part.control.clear_index)


def _drawn(part: Part, place: Rectangle, clear: int | None) -> Part:
    """The part of the frame at this place of the screen; where the frame is not, it is clear."""
    left, top, right, bottom = place
    indices = Image.new("L", (right - left, bottom - top), clear or 0)
    indices.paste(part.indices, (part.left - left, part.top - top))
    control = replace(part.control, clear_index=clear)
    return part._replace(indices=indices, left=left, top=top, control=control, codes=None, code_bits=8)


def _clear_index(part: Part) -> int | None:
    """One that is clear, or could be as no pixel has it."""
    if part.control.clear_index is not None:
        return part.control.clear_index
    counts = part.indices.histogram()
    return counts.index(0) if 0 in counts else None


def _table(part: Part) -> bytes:
    """Its colours, with black for indices behind the last one: what readers show there differs."""
    if len(part.table) >= 3 << part.code_bits:
        return part.table
    last = max(index for index, count in enumerate(part.indices.histogram()) if count)
    return part.table.ljust(3 * (max(last, part.control.clear_index or 0) + 1), b"\0")


def _image(part: Part, table: bytes) -> bytes:
    place = part.left, part.top, part.left + part.indices.width, part.top + part.indices.height
    if part.codes is None or part.code_bits not in _CODE_BITS:
        return gif_blocks.image(place, table, gif_blocks.coded(part.indices))
    coded = b"%c%b\0" % (part.code_bits, gif_blocks.data(part.codes))
    return gif_blocks.image(place, table, coded, is_interlaced=part.is_interlaced)
