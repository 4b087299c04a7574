"""How a picture gets into the box of an output. Pure: sizes in, places out."""

import math
from dataclasses import dataclass
from fractions import Fraction

from ..contract.messages import Output
from . import operations
from .resample import Size

Focus = tuple[Fraction, Fraction]
"""What share of the room that is left over lies before the part to keep, across and down."""

CENTER: Focus = (Fraction(1, 2), Fraction(1, 2))
FOCUS: dict[str, Focus] = {
    "center": CENTER,
    "north": (Fraction(1, 2), Fraction(0)),
    "northeast": (Fraction(1), Fraction(0)),
    "east": (Fraction(1), Fraction(1, 2)),
    "southeast": (Fraction(1), Fraction(1)),
    "south": (Fraction(1, 2), Fraction(1)),
    "southwest": (Fraction(0), Fraction(1)),
    "west": (Fraction(0), Fraction(1, 2)),
    "northwest": (Fraction(0), Fraction(0)),
}
"""Of each gravity that needs no look at the picture."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole picture is thought of at `scaled`, of which a part of the size `cut` lands on `canvas`."""

    scaled: Size
    cut: Size
    canvas: Size

    @property
    def is_cut(self) -> bool:
        """Something of the picture is left out."""
        return self.cut != self.scaled

    def window(self, focus: Focus) -> operations.Part:
        """The part that is kept."""
        left, top = _start(self.scaled, self.cut, focus)
        return left, top, left + self.cut[0], top + self.cut[1]

    def corner(self, focus: Focus) -> tuple[int, int]:
        """Where on the canvas its left upper corner is."""
        return _start(self.canvas, self.cut, focus)


def plan(display: Size, output: Output) -> Plan:
    """The sizes of an output of a picture that is shown at the size `display`."""
    box = (output.width, output.height)
    match output.mode:
        case "cover":
            return _covering(display, box, enlarge=output.enlarge)
        case "crop":
            cut = (min(display[0], box[0]), min(display[1], box[1]))
            return Plan(display, cut, cut)
        case "pad":
            inside = operations.fitted(display, box, enlarge=output.enlarge)
            return Plan(inside, inside, box)
        case _:
            inside = operations.fitted(display, box, enlarge=output.enlarge)
            return Plan(inside, inside, inside)


def _covering(display: Size, box: Size, *, enlarge: bool) -> Plan:
    across, down = Fraction(box[0], display[0]), Fraction(box[1], display[1])
    scale = max(across, down)
    if scale > 1 and not enlarge:
        # As much as has the box's aspect ratio.
        across, down = across / scale, down / scale
        cut = (_rounded(display[0] * across), _rounded(display[1] * down))
        return Plan(display, cut, cut)
    scaled = (
        max(box[0], _rounded(display[0] * scale)),
        max(box[1], _rounded(display[1] * scale)),
    )
    return Plan(scaled, box, box)


def _rounded(value: Fraction) -> int:
    return max(1, math.floor(value + Fraction(1, 2)))


def _start(outer: Size, inner: Size, focus: Focus) -> tuple[int, int]:
    return (
        _before(outer[0], inner[0], focus[0]),
        _before(outer[1], inner[1], focus[1]),
    )


def _before(outer: int, inner: int, share: Fraction) -> int:
    if share == Fraction(1, 2):
        return outer // 2 - inner // 2  # As others round the middle of an odd number of pixels.
    return math.floor((outer - inner) * share + Fraction(1, 2))
