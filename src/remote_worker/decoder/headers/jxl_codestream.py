"""The headers inside a JPEG XL codestream: picture, animation, frames. ISO/IEC 18181-1, bit by bit."""

from dataclasses import dataclass

from . import Buffer, damaged

SIGNATURE = b"\xff\x0a"
MOST_EXTRA_CHANNELS = 256
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
ALPHA, SPOT_COLOUR, BLACK, FILTER_ARRAY = 0, 2, 4, 5
GRAY, XYB = 1, 2
CUSTOM = 2
Choice = tuple[int, int]
"""An offset and how many bits are added to it."""

SIDE: tuple[Choice, ...] = ((1, 9), (1, 13), (1, 18), (1, 30))
ENUM: tuple[Choice, ...] = ((0, 0), (1, 0), (2, 4), (18, 6))
NAME_BYTES: tuple[Choice, ...] = ((0, 0), (0, 4), (16, 5), (48, 10))
INTEGER_BITS: tuple[Choice, ...] = ((8, 0), (10, 0), (12, 0), (1, 6))
FLOAT_BITS: tuple[Choice, ...] = ((32, 0), (16, 0), (24, 0), (1, 6))
CHROMATICITY: tuple[Choice, ...] = ((0, 19), (524288, 19), (1048576, 20), (2097152, 21))


class OutOfBits(Exception):
    """The bytes end here."""


class Bits:
    """Reads a buffer bit by bit, lowest first."""

    def __init__(self, data: Buffer, start: int, end: int) -> None:
        self._data = data
        self.at = start * 8
        self.end = min(end, len(data)) * 8

    def number(self, count: int) -> int:
        """The next `count` bits, 32 at most."""
        at = self.at
        if count > self.end - at:
            raise OutOfBits
        first = at >> 3
        self.at = at + count
        word = int.from_bytes(self._data[first : first + 5], "little")
        return word >> (at & 7) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.number(1) == 1

    def choice(self, choices: tuple[Choice, ...]) -> int:
        """A number in one of four forms; two bits say which."""
        offset, count = choices[self.number(2)]
        return offset + self.number(count) if count else offset

    def long(self) -> int:
        """A number of up to 64 bits."""
        form = self.number(2)
        if form < 3:
            return (0, 1 + self.number(4) if form == 1 else 0, 17 + self.number(8) if form == 2 else 0)[form]
        value, shift = self.number(12), 12
        while self.flag():
            if shift == 60:
                return value | self.number(4) << 60
            value |= self.number(8) << shift
            shift += 8
        return value

    def skip(self, count: int) -> None:
        """Leave bits out."""
        if count > self.end - self.at:
            raise OutOfBits
        self.at += count

    def align(self) -> None:
        """Go to the next whole byte."""
        self.at = -(-self.at // 8) * 8

    def extensions(self) -> None:
        """Leave out fields of a later version of the format."""
        known = self.long()
        total = sum(self.long() for bit in range(64) if known >> bit & 1)
        self.skip(total)


@dataclass(slots=True)
class Animation:
    """How frames follow each other in time."""

    ticks: int
    """Ticks in `seconds` seconds."""
    seconds: int
    loops: int
    has_timecodes: bool


@dataclass(slots=True)
class Picture:
    """What stands before the first frame."""

    width: int = 0
    height: int = 0
    orientation: int = 1
    preview: tuple[int, int] | None = None
    animation: Animation | None = None
    bit_depth: int = 8
    extra_channels: tuple[int, ...] = ()
    is_xyb: bool = True
    is_gray: bool = False
    has_profile: bool = False


def read_picture(bits: Bits) -> Picture:
    """The headers up to the colour profile or the first frame."""
    try:
        return _picture(bits)
    except OutOfBits as error:
        raise damaged("the headers are cut") from error


def _size(bits: Bits) -> tuple[int, int]:
    is_small = bits.flag()
    height = (bits.number(5) + 1) * 8 if is_small else bits.choice(SIDE)
    ratio = bits.number(3)
    if ratio:
        width = height * RATIOS[ratio][0] // RATIOS[ratio][1]
    else:
        width = (bits.number(5) + 1) * 8 if is_small else bits.choice(SIDE)
    return width, height


def _preview_size(bits: Bits) -> tuple[int, int]:
    by_eight = bits.flag()
    choices: tuple[Choice, ...] = (
        ((16, 0), (32, 0), (1, 5), (33, 9)) if by_eight else ((1, 6), (65, 8), (321, 10), (1345, 12))
    )
    height = bits.choice(choices) * (8 if by_eight else 1)
    ratio = bits.number(3)
    if ratio:
        return height * RATIOS[ratio][0] // RATIOS[ratio][1], height
    return bits.choice(choices) * (8 if by_eight else 1), height


def _picture(bits: Bits) -> Picture:
    bits.skip(16)
    picture = Picture()
    picture.width, picture.height = _size(bits)
    if not bits.flag():
        has_extra_fields = bits.flag()
        if has_extra_fields:
            picture.orientation = 1 + bits.number(3)
            if bits.flag():
                _size(bits)
            if bits.flag():
                picture.preview = _preview_size(bits)
            if bits.flag():
                picture.animation = Animation(
                    bits.choice(((100, 0), (1000, 0), (1, 10), (1, 30))),
                    bits.choice(((1, 0), (1001, 0), (1, 8), (1, 10))),
                    bits.choice(((0, 0), (0, 3), (0, 16), (0, 32))),
                    bits.flag(),
                )
        picture.bit_depth = _bit_depth(bits)
        bits.skip(1)
        count = bits.choice(((0, 0), (1, 0), (2, 4), (1, 12)))
        if count > MOST_EXTRA_CHANNELS:
            raise damaged("too many channels")
        picture.extra_channels = tuple(_extra_channel(bits) for _ in range(count))
        picture.is_xyb = bits.flag()
        picture.has_profile, picture.is_gray = _colour(bits)
        if has_extra_fields and not bits.flag():
            bits.skip(16 + 16 + 1 + 16)
        bits.extensions()
    if not bits.flag():
        if picture.is_xyb and not bits.flag():
            bits.skip(16 * 16)
        weights = bits.number(3)
        bits.skip(16 * sum(count for bit, count in enumerate((15, 55, 210)) if weights >> bit & 1))
    return picture


def _bit_depth(bits: Bits) -> int:
    if bits.flag():
        depth = bits.choice(FLOAT_BITS)
        bits.skip(4)
        return depth
    return bits.choice(INTEGER_BITS)


def _extra_channel(bits: Bits) -> int:
    if bits.flag():
        return ALPHA
    kind = bits.choice(ENUM)
    _bit_depth(bits)
    bits.choice(((0, 0), (3, 0), (4, 0), (1, 3)))
    bits.skip(8 * bits.choice(NAME_BYTES))
    if kind == ALPHA:
        bits.skip(1)
    elif kind == SPOT_COLOUR:
        bits.skip(4 * 16)
    elif kind == FILTER_ARRAY:
        bits.choice(((1, 0), (0, 2), (3, 4), (19, 8)))
    return kind


def _colour(bits: Bits) -> tuple[bool, bool]:
    """Whether there is an ICC profile, and whether the picture is gray."""
    if bits.flag():
        return False, False
    has_profile = bits.flag()
    space = bits.choice(ENUM)
    if not has_profile:
        if space != XYB:
            if bits.choice(ENUM) == CUSTOM:
                _points(bits, 1)
            if space != GRAY and bits.choice(ENUM) == CUSTOM:
                _points(bits, 3)
            if bits.flag():
                bits.skip(24)
            else:
                bits.choice(ENUM)
        bits.choice(ENUM)
    return has_profile, space == GRAY


def _points(bits: Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.choice(CHROMATICITY)
