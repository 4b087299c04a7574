"""The movie box of an AVIF image sequence: how many frames, how long they take and how often they play."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from ..header import LONGEST_MS
from . import damaged
from .heif_items import Meta, read_meta
from .isobmff import Box, Fields, Walk

MOST_TRACKS = 16
MOST_DURATIONS = 65_536
MOST_ROUNDS = 0x7FFF_FFFF
"""More are for ever: libavif counts them in an int."""
ENDLESS = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What one track says. `loop` is how often it plays, 0 for ever."""

    handler: bytes = b""
    is_auxiliary: bool = False
    width: int = 0
    height: int = 0
    frames: int = 0
    duration: int = 0
    ticks_per_second: int = 0
    loop: int = 0
    codec: Box | None = None
    meta: Meta | None = None

    @property
    def duration_ms(self) -> int:
        """How long one round takes."""
        if not self.ticks_per_second:
            return 0
        return min(LONGEST_MS, round(Fraction(self.duration * 1000, self.ticks_per_second)))


@dataclass(frozen=True, slots=True)
class Sequence:
    """The pictures of a movie box, and the alpha plane's track where there is one."""

    pictures: Track
    has_alpha: bool
    metas: tuple[Meta, ...]


def read_sequence(walk: Walk, movie: Box) -> Sequence | None:
    """The first picture track, or None when there is none."""
    tracks = list(_tracks(walk, movie))
    pictures = next((track for track in tracks if track.handler == b"pict" and not track.is_auxiliary), None)
    if pictures is None:
        return None
    has_alpha = any(track.handler == b"auxv" and track.is_auxiliary for track in tracks)
    return Sequence(pictures, has_alpha, tuple(track.meta for track in tracks if track.meta is not None))


def _tracks(walk: Walk, movie: Box) -> Iterator[Track]:
    found = 0
    for box in walk.inside(movie):
        if box.kind == b"trak":
            found += 1
            if found > MOST_TRACKS:
                raise damaged("too many tracks")
            yield _track(walk, box)


def _track(walk: Walk, box: Box) -> Track:
    track = Track()
    length = 0
    edits: Box | None = None
    for child in walk.inside(box):
        if child.kind == b"tkhd":
            track, length = _track_header(track, walk.fields(child))
        elif child.kind == b"tref":
            track = replace(track, is_auxiliary=any(one.kind == b"auxl" for one in walk.inside(child)))
        elif child.kind == b"edts":
            edits = next((one for one in walk.inside(child) if one.kind == b"elst"), None)
        elif child.kind == b"meta":
            track = replace(track, meta=read_meta(walk, child))
        elif child.kind == b"mdia":
            track = _media(walk, track, child)
    return replace(track, loop=_loop(walk, edits, length))


def _track_header(track: Track, fields: Fields) -> tuple[Track, int]:
    version, _ = fields.version_and_flags()
    wide = 8 if version == 1 else 4
    fields.take(2 * wide + 8)
    length = fields.number(wide)
    fields.take(52)
    return replace(track, width=fields.number(4) >> 16, height=fields.number(4) >> 16), length


def _loop(walk: Walk, edits: Box | None, length: int) -> int:
    """How often, by the edit list; files without one come from before there was a rule, and play for ever."""
    if edits is None:
        return 0
    fields = walk.fields(edits)
    version, flags = fields.version_and_flags()
    if not flags & 1:
        return 1
    if length in ENDLESS:
        return 0
    fields.number(4)
    segment = fields.number(8 if version == 1 else 4)
    rounds = -(-length // segment) if segment else 0
    return max(1, rounds) if segment > 0 and rounds <= MOST_ROUNDS else 0


def _media(walk: Walk, track: Track, media: Box) -> Track:
    for box in walk.inside(media):
        fields = walk.fields(box)
        if box.kind == b"mdhd":
            version, _ = fields.version_and_flags()
            fields.take(16 if version == 1 else 8)
            track = replace(track, ticks_per_second=fields.number(4))
        elif box.kind == b"hdlr":
            fields.take(8)
            track = replace(track, handler=fields.take(4))
        elif box.kind == b"minf":
            for inner in walk.inside(box):
                if inner.kind == b"stbl":
                    track = _samples(walk, track, inner)
    return track


def _samples(walk: Walk, track: Track, table: Box) -> Track:
    for box in walk.inside(table):
        fields = walk.fields(box)
        if box.kind == b"stsz":
            fields.take(4)
            each, frames = fields.number(4), fields.number(4)
            # Every sample has a size in the table, or else at least one byte in the file.
            if frames > (len(walk.data) if each else fields.left() // 4):
                raise damaged("more samples than there are bytes for")
            track = replace(track, frames=frames)
        elif box.kind == b"stts":
            fields.take(4)
            count = fields.number(4)
            if count > MOST_DURATIONS:
                raise damaged("too many durations")
            pairs = struct.iter_unpack(">II", fields.take(8 * count))
            track = replace(track, duration=sum(number * ticks for number, ticks in pairs))
        elif box.kind == b"stsd":
            track = _sample_entry(walk, track, box)
    return track


def _sample_entry(walk: Walk, track: Track, box: Box) -> Track:
    entry = next(walk.inside(box, skip=8), None)
    if entry is None or entry.end - entry.start < 78:
        return track
    fields = Fields(walk.data, entry.start + 24, entry.end)
    width, height = fields.number(2), fields.number(2)
    codec = next((one for one in walk.inside(entry, skip=78) if one.kind == b"av1C"), None)
    return replace(track, width=width, height=height, codec=codec)
