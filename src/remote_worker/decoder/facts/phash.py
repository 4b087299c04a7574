"""The 64-bit perceptual hash that Python's imagehash calls phash (hash_size 8, highfreq_factor 4)."""

import math
from collections.abc import Sequence
from operator import add, mul, sub

from PIL import Image

_SIDE = 32
_LOWEST = 8


def of(image: Image.Image) -> str:
    """Sixteen hexadecimal digits. Hashes of pictures that look alike differ in few bits."""
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    levels = small.tobytes()
    columns = [_cosines(levels[at::_SIDE], _LOWEST) for at in range(_SIDE)]
    low = [value for row in zip(*columns, strict=True) for value in _cosines(row, _LOWEST)]
    middle = len(low) // 2
    median = sum(sorted(low)[middle - 1 : middle + 1]) / 2
    bits = "".join("1" if value > median else "0" for value in low)
    return f"{int(bits, 2):016x}"


def _cosines(values: Sequence[float], count: int) -> list[float]:
    """The first terms of a DCT of type 2, the even ones from the halves folded together.

    That is how scipy's transform finds exactly 0 where a picture does not change, which a sum of products
    of cosines would miss by a hair to one side or the other: it decides bits of all flat pictures.
    """
    length = len(values)
    if count == 1 or length == 1:
        return [math.fsum(values)]
    half = length // 2
    mirrored = values[: half - 1 : -1]
    even = _cosines(list(map(add, values, mirrored)), (count + 1) // 2)
    differences = list(map(sub, values, mirrored))
    made = [0.0] * count
    made[::2] = even
    made[1::2] = [sum(map(mul, differences, wave)) for wave in _ODD_WAVES[length][: count // 2]]
    return made


_ODD_WAVES = {
    length: [
        [math.cos(math.pi * number * (2 * at + 1) / (2 * length)) for at in range(length // 2)]
        for number in range(1, _LOWEST, 2)
    ]
    for length in (4, 8, 16, 32)
}
