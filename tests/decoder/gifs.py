"""GIFs put together frame by frame, each an image of its own, and ways to look at their frames."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from remote_worker.decoder.formats import FORMATS
from remote_worker.decoder.loaders.loader import Frame

NONE, BACKGROUND, PREVIOUS = 1, 2, 3
SCREEN = (20, 14)
TABLE = bytes(range(0, 255, 32)) * 3
"""Eight colours."""
CLEAR = 7


@dataclass(frozen=True)
class Part:
    """One frame: where it is, its indices, and what the control before it says (None: there is none)."""

    left: int
    top: int
    indices: npt.NDArray[np.uint8]
    dispose: int | None = NONE
    is_cut_out: bool = False
    delay: int = 5
    table: bytes = b""


def lzw(indices: npt.NDArray[np.uint8]) -> bytes:
    """Pixels of three bits, with the table cleared so often that codes stay at four bits (GIF89a, F)."""
    bits = 0
    count = 0
    for at, index in enumerate(indices.flatten().tolist()):
        for code in ([8] if at % 5 == 0 else []) + [index]:
            bits |= code << 4 * count
            count += 1
    bits |= 9 << 4 * count
    packed = bits.to_bytes(count // 2 + 1, "little")
    blocks = (packed[at : at + 255] for at in range(0, len(packed), 255))
    return b"\3" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif(parts: list[Part], table: bytes = TABLE) -> bytes:
    made = [b"GIF89a", struct.pack("<HHBBB", *SCREEN, 0x82 if table else 0, 0, 0), table]
    for part in parts:
        if part.dispose is not None:
            flags = part.dispose << 2 | part.is_cut_out
            made.append(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, part.delay, CLEAR, 0))
        height, width = part.indices.shape
        flags = 0x82 if part.table else 0
        made += [struct.pack("<BHHHHB", 0x2C, part.left, part.top, width, height, flags), part.table]
        made.append(lzw(part.indices))
    return b"".join([*made, b";"])


def indices(seed: int, width: int = 9, height: int = 6, most: int = 8) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, most, (height, width), dtype=np.uint8)


def whole(seed: int = 1) -> npt.NDArray[np.uint8]:
    return indices(seed, *SCREEN)


def frames_of(data: bytes) -> list[Frame]:
    row = next(row for row in FORMATS if row.name == "gif")
    assert row.loader is not None
    return list(row.loader.frames(data, row.header(data)))


def visible(raw: bytes, size: tuple[int, int]) -> list[bytes]:
    """RGBA frames, with the colour of clear pixels left out."""
    pixels = np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 4)
    return [(frame * (frame[..., 3:] > 0)).tobytes() for frame in pixels]


def seen(frames: list[Frame]) -> list[bytes]:
    return visible(b"".join(frame.image.convert("RGBA").tobytes() for frame in frames), frames[0].image.size)


def coalesced(data: bytes, size: tuple[int, int], imagemagick: Callable[..., Any]) -> list[bytes]:
    return visible(imagemagick("gif:-", "-coalesce", "-depth", "8", "rgba:-", stdin=data).stdout, size)
