"""ThumbHash, as Evan Wallace's rgbaToThumbHash() makes it: https://evanw.github.io/thumbhash/."""

import base64
import math
from dataclasses import dataclass
from operator import mul

from PIL import Image


def encode(image: Image.Image) -> str:
    """The hash of an RGBA picture of at most 100 pixels a side, in base64."""
    width, height = image.size
    red, green, blue, alpha = ([level / 255 for level in channel.tobytes()] for channel in image.split())
    has_alpha = image.getchannel("A").getextrema() != (255, 255)
    if has_alpha:
        red, green, blue = (_on_average(channel, alpha) for channel in (red, green, blue))
    most = 5 if has_alpha else 7
    across = max(1, _rounded(most * width / max(width, height)))
    down = max(1, _rounded(most * height / max(width, height)))
    light = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    luma = _Channel.of(light, image.size, max(3, across), max(3, down))
    p = _Channel.of(yellow_blue, image.size, 3, 3)
    q = _Channel.of(red_green, image.size, 3, 3)
    is_wide = width > height
    head = (
        _rounded(63 * luma.average)
        | _rounded(31.5 + 31.5 * p.average) << 6
        | _rounded(31.5 + 31.5 * q.average) << 12
        | _rounded(31 * luma.scale) << 18
        | has_alpha << 23
        | (down if is_wide else across) << 24
        | _rounded(63 * p.scale) << 27
        | _rounded(63 * q.scale) << 33
        | is_wide << 39
    )
    made = bytearray(head.to_bytes(5, "little"))
    waves = [*luma.waves, *p.waves, *q.waves]
    if has_alpha:
        a = _Channel.of(alpha, image.size, 5, 5)
        made.append(_rounded(15 * a.average) | _rounded(15 * a.scale) << 4)
        waves += a.waves
    digits = [_rounded(15 * wave) for wave in waves]
    digits += [0] * (len(digits) % 2)
    made += bytes(low | high << 4 for low, high in zip(digits[::2], digits[1::2], strict=True))
    return base64.b64encode(made).decode()


@dataclass(frozen=True, slots=True)
class _Channel:
    """A channel as a sum of waves; each is of 0 to 1, where a half is none and the rest counts by `scale`."""

    average: float
    scale: float
    waves: list[float]

    @classmethod
    def of(cls, values: list[float], size: tuple[int, int], across: int, down: int) -> "_Channel":
        width, height = size
        rows = [values[at : at + width] for at in range(0, len(values), width)]
        sums = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(across, width)]
        average, *waves = [
            sum(map(mul, sums[x], wave)) / (width * height)
            for y, wave in enumerate(_waves(down, height))
            for x in range(across)
            if x * down < across * (down - y)
        ]
        scale = max(map(abs, waves))
        return cls(average, scale, [0.5 + 0.5 / scale * wave for wave in waves] if scale else waves)


def _on_average(channel: list[float], alpha: list[float]) -> list[float]:
    """Where it is clear, the average of what is to be seen."""
    seen = sum(alpha)
    average = sum(map(mul, channel, alpha)) / seen if seen else 0.0
    return [average * (1 - a) + a * value for value, a in zip(channel, alpha, strict=True)]


def _waves(count: int, length: int) -> list[list[float]]:
    return [
        [math.cos(math.pi / length * number * (at + 0.5)) for at in range(length)] for number in range(count)
    ]


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
