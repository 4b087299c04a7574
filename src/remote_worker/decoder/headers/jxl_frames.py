"""The frames of a JPEG XL codestream, counted by their headers and tables of contents."""

from dataclasses import dataclass

from .jxl_codestream import NAME_BYTES, Bits, Choice, OutOfBits, Picture

MOST_FRAMES = 4096
MOST_SECTIONS = 131_072
"""Entries of all frames' tables of contents together that are worth reading for a count of frames."""

REGULAR, LOW_FREQUENCY, REFERENCE_ONLY, SKIP_PROGRESSIVE = range(4)
SHOWN = (REGULAR, SKIP_PROGRESSIVE)
USES_LOW_FREQUENCY_FRAME = 32
REPLACE, BLEND, WEIGHTED_ADD, MULTIPLY = 0, 2, 3, 4
ENDLESS_PAGE = 0xFFFFFFFF
"""The duration of a frame that waits to be turned like a page."""

POWERS: tuple[Choice, ...] = ((1, 0), (2, 0), (4, 0), (8, 0))
FRAME_SIDE: tuple[Choice, ...] = ((0, 8), (256, 11), (2304, 14), (18688, 30))
SECTION: tuple[Choice, ...] = ((0, 10), (1024, 14), (17408, 22), (4211712, 30))


@dataclass(slots=True)
class Frames:
    """Frames that are shown, as far as they could be counted, and their ticks."""

    shown: int = 0
    ticks: int = 0


def count_frames(bits: Bits, picture: Picture) -> Frames:
    """Walk from frame to frame without decoding any, as far as there are bytes and plain tables."""
    frames = Frames()
    if picture.has_profile:
        # The profile is entropy-coded, so where it ends is not known without decoding it.
        return frames
    sections_left = MOST_SECTIONS
    try:
        bits.align()
        if picture.preview:
            _, _, sections_left = _frame(bits, picture, picture.preview, sections_left)
        for _ in range(MOST_FRAMES):
            ticks, is_last, sections_left = _frame(
                bits, picture, (picture.width, picture.height), sections_left
            )
            # Frames without duration are layers of the next one.
            frames.shown += ticks > 0 or is_last
            frames.ticks += ticks if ticks != ENDLESS_PAGE else 0
            if is_last:
                break
    except (OutOfBits, _Uncountable):
        pass
    return frames


class _Uncountable(Exception):
    """The end of the frame cannot be told from its header."""


def _frame(bits: Bits, picture: Picture, size: tuple[int, int], sections_left: int) -> tuple[int, bool, int]:
    """Go behind one frame: its ticks, whether it is the last, and how many sections may still be read."""
    frame = _FrameHeader(bits, picture, size)
    sections = frame.sections()
    if sections > sections_left or bits.flag():
        # A table of contents that is not in order begins with an entropy-coded permutation.
        raise _Uncountable
    bits.align()
    total = sum(bits.choice(SECTION) for _ in range(sections))
    bits.align()
    bits.skip(8 * total)
    return frame.ticks, frame.is_last, sections_left - sections


class _FrameHeader:
    """Reads one frame header."""

    def __init__(self, bits: Bits, picture: Picture, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.kind = REGULAR
        self.is_modular = False
        self.shifts = (0, 0)
        self.upsampling = 1
        self.group_shift = 1
        self.passes = 1
        self.low_frequency_level = 0
        self.ticks = 0
        self.is_last = True
        if not bits.flag():
            self._read(bits, picture)

    def sections(self) -> int:
        """How many entries the table of contents has."""
        width, height = self.width, self.height
        for _ in range(self.low_frequency_level):
            width, height = -(-width // 8), -(-height // 8)
        width, height = -(-width // self.upsampling), -(-height // self.upsampling)
        group = 128 << self.group_shift
        groups = -(-width // group) * -(-height // group)
        if groups == 1 and self.passes == 1:
            return 1
        across, down = (
            -(-side // (8 << shift)) << shift
            for side, shift in zip((width, height), self.shifts, strict=True)
        )
        return 2 + -(-across // group) * -(-down // group) + groups * self.passes

    def _read(self, bits: Bits, picture: Picture) -> None:
        extra = len(picture.extra_channels)
        self.kind = bits.number(2)
        self.is_modular = bits.flag()
        flags = bits.long()
        is_ycbcr = not picture.is_xyb and bits.flag()
        if not flags & USES_LOW_FREQUENCY_FRAME:
            if is_ycbcr:
                modes = [bits.number(2) for _ in range(3)]
                self.shifts = (
                    int(any(mode in (1, 2) for mode in modes)),
                    int(any(mode in (1, 3) for mode in modes)),
                )
            self.upsampling = bits.choice(POWERS)
            for _ in range(extra):
                bits.choice(POWERS)
        if self.is_modular:
            self.group_shift = bits.number(2)
        elif picture.is_xyb:
            bits.skip(6)
        if self.kind != REFERENCE_ONLY:
            self._read_passes(bits)
        is_partial = False
        if self.kind == LOW_FREQUENCY:
            self.low_frequency_level = 1 + bits.number(2)
        elif bits.flag():
            is_partial = self._read_size(bits)
        self.is_last = False
        mode = REPLACE
        if self.kind in SHOWN:
            mode = self._read_blending(bits, extra, is_partial=is_partial)
            for _ in range(extra):
                self._read_blending(bits, extra, is_partial=is_partial)
            if picture.animation:
                self.ticks = bits.choice(((0, 0), (1, 0), (0, 8), (0, 32)))
                bits.skip(32 if picture.animation.has_timecodes else 0)
            self.is_last = bits.flag()
        if self.kind != LOW_FREQUENCY:
            reference = 0 if self.is_last else bits.number(2)
            can_be_referenced = not self.is_last and (self.ticks == 0 or reference != 0)
            is_plain = can_be_referenced and mode == REPLACE and not is_partial
            if (self.kind in SHOWN and is_plain) or self.kind == REFERENCE_ONLY:
                bits.skip(1)
        bits.skip(8 * bits.choice(NAME_BYTES))
        self._skip_filter(bits)
        bits.extensions()

    def _read_passes(self, bits: Bits) -> None:
        self.passes = bits.choice(((1, 0), (2, 0), (3, 0), (4, 3)))
        if self.passes != 1:
            downsamplings = bits.choice(((0, 0), (1, 0), (2, 0), (3, 1)))
            bits.skip(2 * (self.passes - 1))
            for _ in range(downsamplings):
                bits.choice(POWERS)
            for _ in range(downsamplings):
                bits.choice(((0, 0), (1, 0), (2, 0), (0, 3)))

    def _read_size(self, bits: Bits) -> bool:
        """The frame's own size; true when it does not cover the whole picture."""
        left = top = 0
        if self.kind in SHOWN:
            left, top = (_signed(bits.choice(FRAME_SIDE)) for _ in range(2))
        whole_width, whole_height = self.width, self.height
        self.width, self.height = bits.choice(FRAME_SIDE), bits.choice(FRAME_SIDE)
        return self.kind in SHOWN and (
            left > 0 or top > 0 or left + self.width < whole_width or top + self.height < whole_height
        )

    def _read_blending(self, bits: Bits, extra: int, *, is_partial: bool) -> int:
        mode = bits.choice(((0, 0), (1, 0), (2, 0), (3, 2)))
        uses_alpha = extra > 0 and mode in (BLEND, WEIGHTED_ADD)
        if uses_alpha:
            bits.choice(((0, 0), (1, 0), (2, 0), (3, 3)))
        if uses_alpha or mode == MULTIPLY:
            bits.skip(1)
        if mode != REPLACE or is_partial:
            bits.skip(2)
        return mode

    def _skip_filter(self, bits: Bits) -> None:
        if bits.flag():
            return
        if bits.flag() and bits.flag():
            bits.skip(6 * 16)
        if bits.number(2):
            if not self.is_modular and bits.flag():
                bits.skip(8 * 16)
            if bits.flag():
                bits.skip(5 * 16)
            if bits.flag():
                bits.skip((3 if self.is_modular else 4) * 16)
            if self.is_modular:
                bits.skip(16)
        bits.extensions()


def _signed(number: int) -> int:
    """Even numbers stand for 0, 1, 2..., odd ones for -1, -2..."""
    return -(number + 1) // 2 if number & 1 else number // 2
