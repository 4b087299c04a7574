"""Writers of animations, one a format, fed frame by frame: no more than one source frame is in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from PIL import Image

from . import gif_film, png_chunks, webp_chunks
from .color import carries_alpha
from .encode import AVIF_OPTIONS, WRITERS, hold_room_for_avif, save, too_large
from .loaders.loader import Frame

ANIMATED = ("gif", "png", "webp", "avif")
"""The formats that hold more than one frame."""

_PLAY_ONCE = 1
_MOST_ROUNDS = 0xFFFF
"""That GIF and WebP can say; APNG can say more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """An animation to be written; `frames` can be asked again from the start."""

    frames: Callable[[], Iterator[Frame]]
    count: int
    size: tuple[int, int]
    loop: int


class _Sink(Protocol):
    size_bytes: int

    def add(self, image: Image.Image, duration_ms: int) -> None: ...

    def finish(self) -> bytes: ...


class _AlphaCame(Exception):
    """A frame has alpha though the first one has none: the whole film starts again with it."""


def film(source: Film, name: str, quality: int | None, most_bytes: int) -> bytes:
    """The file of this animation. Raises OUTPUT_TOO_LARGE."""
    if max(source.size) > WRITERS[name].longest_side:
        raise too_large()
    try:
        return _written(source, name, quality, most_bytes)
    except _AlphaCame:
        return _written(source, name, quality, most_bytes, has_alpha=True)


def _written(
    source: Film, name: str, quality: int | None, most_bytes: int, *, has_alpha: bool = False
) -> bytes:
    frames = source.frames()
    first = next(frames)
    has_alpha = has_alpha or carries_alpha(first.image)
    frames = _of_one_mode(chain([first], frames), has_alpha=has_alpha)
    quality = quality or WRITERS[name].quality or 0
    if name == "avif":
        made = _by_pillow(_Reel(frames, source), quality)
    else:
        made = _by_sink(frames, _sink(name, source.loop, quality, has_alpha=has_alpha), most_bytes)
    if len(made) > most_bytes:
        raise too_large()
    return made


def films(source: Callable[[], Iterator[tuple[list[Image.Image], int]]], *, most_bytes: int) -> list[bytes]:
    """Several APNGs that play for ever, from one run through the frames: a frame is a list of pictures."""
    try:
        return _films(source(), most_bytes=most_bytes)
    except _AlphaCame:
        return _films(source(), has_alpha=True, most_bytes=most_bytes)


def _films(
    frames: Iterator[tuple[list[Image.Image], int]], *, most_bytes: int, has_alpha: bool = False
) -> list[bytes]:
    sinks: list[png_chunks.Animation] = []
    for pictures, duration_ms in frames:
        has_alpha = has_alpha or (not sinks and carries_alpha(pictures[0]))
        sinks = sinks or [png_chunks.Animation(has_alpha=has_alpha, loop=0) for _ in pictures]
        for sink, picture in zip(sinks, pictures, strict=True):
            sink.add(_in_mode(picture, has_alpha=has_alpha), duration_ms)
        if sum(sink.size_bytes for sink in sinks) > most_bytes:
            raise too_large()
    return [sink.finish() for sink in sinks]


def _sink(name: str, loop: int, quality: int, *, has_alpha: bool) -> _Sink:
    if name == "png":
        return png_chunks.Animation(has_alpha=has_alpha, loop=loop)
    loop = min(loop, _MOST_ROUNDS)
    if name == "webp":
        return webp_chunks.Animation(has_alpha=has_alpha, loop=loop, quality=quality)
    return gif_film.Animation(has_alpha=has_alpha, loop=None if loop == _PLAY_ONCE else loop)


def _by_sink(frames: Iterator[Frame], sink: _Sink, most_bytes: int) -> bytes:
    for image, duration_ms in frames:
        sink.add(image, duration_ms)
        if sink.size_bytes > most_bytes:
            raise too_large()
    return sink.finish()


def _of_one_mode(frames: Iterator[Frame], *, has_alpha: bool) -> Iterator[Frame]:
    for image, duration_ms in frames:
        yield Frame(_in_mode(image, has_alpha=has_alpha), duration_ms)


def _in_mode(image: Image.Image, *, has_alpha: bool) -> Image.Image:
    if carries_alpha(image) and not has_alpha:
        raise _AlphaCame
    mode = "RGBA" if has_alpha else "RGB"
    return image if image.mode == mode else image.convert(mode)


class _Reel(Image.Image):
    """The frames as the kind of picture that Pillow's AVIF writer walks through with `seek`.

    A frame's duration joins `durations` when the frame is reached, which is before the writer asks for it.
    """

    def __init__(self, frames: Iterator[Frame], source: Film) -> None:
        super().__init__()
        self._frames = frames
        self._at = -1
        self._size = source.size
        self.n_frames = source.count
        self.is_animated = True
        self.durations: list[int] = []
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Forward to the next frame; back to the start, which the writer does at the end, changes nothing."""
        if frame <= self._at:
            return
        following = next(self._frames, None)
        if following is None or following.image.size != self._size:
            raise EOFError
        self._at += 1
        self.im = following.image.im
        self._mode = following.image.mode
        self.durations.append(following.duration_ms)

    def tell(self) -> int:
        """The frame that is shown."""
        return self._at


def _by_pillow(reel: _Reel, quality: int) -> bytes:
    hold_room_for_avif(reel.size)
    return save(reel, "AVIF", save_all=True, duration=reel.durations, quality=quality, **AVIF_OPTIONS)
