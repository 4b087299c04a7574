"""What is measured: one row for each task and input, with how far ahead of its peer it must be."""

from dataclasses import dataclass
from pathlib import Path

SHARP = "sharp"
CHAIN = "sharp chain"
"""The peer with `CHAIN=1`: one decode, and the avatars made one from the other."""

MOST_AVATAR_KILOBYTES = 570
"""Of the six avatars of 12mp.jpg together."""
MOST_FIT_BYTES = 1.1
"""Bytes of a fit against the peer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task on one input: `task` is the load driver's word, `least` and `aim` of the peer's units/s."""

    name: str
    task: str
    input: str
    peer: str
    least: float
    aim: float


UPRIGHT = "12mp_upright.jpg"
"""Made from 12mp.jpg; see `inputs`."""


def _avatars(name: str, least: float, aim: float) -> Cell:
    return Cell(name=f"avatars {name}", task="avatar6", input=name, peer=CHAIN, least=least, aim=aim)


def _fit(name: str, least: float, aim: float) -> Cell:
    return Cell(name=f"fit {name}", task="fit800", input=name, peer=SHARP, least=least, aim=aim)


CELLS = (
    _avatars("12mp.jpg", 1.5, 2.0),
    _avatars("2mp.jpg", 1.4, 2.0),
    _avatars("200px.jpg", 1.0, 1.5),
    _avatars("1024.png", 1.3, 2.0),
    _avatars("1080p.webp", 1.0, 1.3),
    _avatars("2mp.avif", 1.8, 2.5),
    _avatars("animated.gif", 2.5, 4.0),
    _fit("12mp.jpg", 1.0, 1.3),
    _fit("2mp.jpg", 1.0, 1.3),
    _fit("1024.png", 1.0, 1.3),
    _fit("1080p.webp", 1.0, 1.3),
    _fit("2mp.avif", 3.0, 8.0),
    Cell(
        name="fit animated.gif, all frames",
        task="fit800_anim",
        input="animated.gif",
        peer=SHARP,
        least=1.5,
        aim=3.0,
    ),
    Cell(name="prepare 12mp.jpg", task="prepare_jpeg", input="12mp.jpg", peer=SHARP, least=1.7, aim=3.0),
    Cell(name="prepare upright", task="prepare_jpeg", input=UPRIGHT, peer=SHARP, least=15.0, aim=40.0),
)


def chosen(words: list[str]) -> tuple[Cell, ...]:
    """The cells whose name holds one of the words; all of them when there is no word. Raises SystemExit."""
    found = tuple(cell for cell in CELLS if not words or any(word in cell.name for word in words))
    if not found:
        raise SystemExit(f"no cell is called {' or '.join(words)}: " + "; ".join(cell.name for cell in CELLS))
    return found


_ORIENTATION = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"
"""EXIF's entry of tag 274 in big-endian order, one SHORT, up to the value's low byte."""


def inputs(folder: Path, scratch: Path) -> dict[str, Path]:
    """The inputs by name. The upright photo is 12mp.jpg with another number in its EXIF: no pixel changes.

    Raises SystemExit when one is missing.
    """
    names = {cell.input for cell in CELLS} - {UPRIGHT}
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise SystemExit(f"there is no {', '.join(missing)} in {folder}: name the folder with --shared")
    turned = (folder / "12mp.jpg").read_bytes()
    upright = turned.replace(_ORIENTATION + b"\x06", _ORIENTATION + b"\x01", 1)
    if upright == turned:
        raise SystemExit("12mp.jpg does not say orientation 6")
    (scratch / UPRIGHT).write_bytes(upright)
    return {name: folder / name for name in names} | {UPRIGHT: scratch / UPRIGHT}
