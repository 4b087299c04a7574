"""What our writers make of any pixels: readers, ours and Pillow's, get the same picture back."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable

from PIL import Image, ImageChops

from remote_worker.decoder import gif_film, png_chunks, webp_chunks
from remote_worker.decoder.headers import gif, png, webp
from remote_worker.decoder.loaders import apng

from ..choices import Choices

MODES = ("L", "LA", "RGB", "RGBA")
LONGEST = 40
Still = Callable[[Image.Image], Iterable[bytes]]


def png_still(data: bytes, still: Still = png_chunks.still) -> None:
    """Every chunk's checksum is right, the header says the size, and the pixels are the same."""
    image = _image(Choices(data))

    made = b"".join(still(image))

    check_chunks(made)
    facts = png.read(made)
    assert (facts.width, facts.height) == image.size
    _check_same(_opened(made), image)


def png_film(data: bytes) -> None:
    """Frames, times and rounds come back from our own reader, and every frame's pixels."""
    choices = Choices(data)
    mode = choices.one_of(("RGB", "RGBA"))
    frames = _frames(choices, mode)
    loop = choices.number(0, 0xFFFF)
    film = png_chunks.Animation(has_alpha=mode == "RGBA", loop=loop)
    for frame, duration_ms in frames:
        film.add(frame, duration_ms)

    made = film.finish()

    check_chunks(made)
    facts = png.read(made)
    assert facts.frames == len(frames)
    if len(frames) == 1:
        return
    assert facts.loop == loop
    assert abs((facts.duration_ms or 0) - sum(ms for _, ms in frames)) <= len(frames) * 1000
    read = list(apng.frames(made, facts, {}))
    for (frame, _), back in zip(frames, read, strict=True):
        _check_same(back.image, frame)


def gif_pictures(data: bytes) -> None:
    """Frames, times and rounds come back; a still of few colours has every pixel."""
    choices = Choices(data)
    mode = choices.one_of(("L", "RGB", "RGBA"))
    frames = _frames(choices, mode)
    loop = choices.number(0, 0xFFFF)
    film = gif_film.Animation(has_alpha=mode == "RGBA", loop=loop)
    for frame, duration_ms in frames:
        film.add(frame, duration_ms)

    made = film.finish()

    facts = gif.read(made)
    assert (facts.frames, facts.width, facts.height) == (len(frames), *frames[0][0].size)
    if len(frames) > 1:
        assert facts.loop == loop
        assert facts.duration_ms == sum(10 * min(0xFFFF, round(ms / 10)) for _, ms in frames)
    with Image.open(io.BytesIO(made)) as opened:
        opened.load()


def webp_film(data: bytes) -> None:
    """Frames, times and rounds come back."""
    choices = Choices(data)
    mode = choices.one_of(("RGB", "RGBA"))
    frames = _frames(choices, mode)
    loop = choices.number(0, 0xFFFF)
    film = webp_chunks.Animation(has_alpha=mode == "RGBA", loop=loop, quality=choices.number(1, 100))
    for frame, duration_ms in frames:
        film.add(frame, duration_ms)

    made = film.finish()

    facts = webp.read(made)
    assert (facts.frames, facts.width, facts.height) == (len(frames), *frames[0][0].size)
    with Image.open(io.BytesIO(made)) as opened:
        for index in range(len(frames)):
            opened.seek(index)
            opened.load()


def check_chunks(made: bytes) -> None:
    """Chunks follow each other with no byte between them, each with its checksum, and IEND is the last."""
    at, kind = 8, b""
    while at < len(made):
        (length,) = struct.unpack_from(">I", made, at)
        kind = made[at + 4 : at + 8]
        (checksum,) = struct.unpack_from(">I", made, at + 8 + length)
        assert checksum == zlib.crc32(made[at + 4 : at + 8 + length]), kind
        at += 12 + length
    assert (at, kind) == (len(made), b"IEND")


def _image(choices: Choices) -> Image.Image:
    mode = choices.one_of(MODES)
    size = choices.number(1, LONGEST), choices.number(1, LONGEST)
    return Image.frombytes(mode, size, choices.filled(size[0] * size[1] * len(mode)))


def _frames(choices: Choices, mode: str) -> list[tuple[Image.Image, int]]:
    """Some that differ in a rectangle only, and some that do not differ at all."""
    size = choices.number(1, LONGEST), choices.number(1, LONGEST)
    frame = Image.frombytes(mode, size, choices.filled(size[0] * size[1] * len(mode)))
    frames = []
    for _ in range(choices.number(1, 4)):
        frame = frame.copy()
        place = (choices.number(0, size[0]), choices.number(0, size[1]))
        part = choices.number(1, LONGEST), choices.number(1, LONGEST)
        frame.paste(Image.frombytes(mode, part, choices.filled(part[0] * part[1] * len(mode))), place)
        frames.append((frame, choices.number(0, 70_000)))
    return frames


def _opened(made: bytes) -> Image.Image:
    with Image.open(io.BytesIO(made)) as opened:
        opened.load()
        return opened


def _check_same(read: Image.Image, image: Image.Image) -> None:
    assert read.size == image.size
    if read.mode != image.mode:
        # A frame that hides everything comes without the alpha that its file has.
        read = read.convert(image.mode)
    assert ImageChops.difference(read, image).getbbox(alpha_only=False) is None, "other pixels"
