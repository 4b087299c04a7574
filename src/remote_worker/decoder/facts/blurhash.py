"""BlurHash of 4 by 3 components: https://github.com/woltapp/blurhash/blob/master/Algorithm.md."""

import math
from collections.abc import Sequence
from operator import mul

from PIL import Image

ACROSS, DOWN = 4, 3
"""Components. All pictures have the same number, so that all hashes are of one length."""


def encode(image: Image.Image) -> str:
    """The hash of an RGB picture."""
    width, height = image.size
    waves_x = [_wave(number, width) for number in range(ACROSS)]
    waves_y = [_wave(number, height) for number in range(DOWN)]
    channels = [_components(channel, width, waves_x, waves_y) for channel in image.split()]
    average, *rest = [
        tuple(channel[down][across] / (width * height) for channel in channels)
        for down in range(DOWN)
        for across in range(ACROSS)
    ]
    greatest = max(abs(2 * value) for component in rest for value in component)
    level = max(0, min(82, math.floor(greatest * 166 - 0.5)))
    digits = [
        _base83(ACROSS - 1 + (DOWN - 1) * 9, 1),
        _base83(level, 1),
        _base83(_number([_srgb(value) for value in average], 256), 4),
    ]
    most = (level + 1) / 166
    digits += [_base83(_number([_step(2 * value / most) for value in values], 19), 2) for values in rest]
    return "".join(digits)


def _components(
    channel: Image.Image, width: int, waves_x: Sequence[Sequence[float]], waves_y: Sequence[Sequence[float]]
) -> list[list[float]]:
    """Sums of light times waves, first along each row and then of these down the columns."""
    light = [_LIGHT[level] for level in channel.tobytes()]
    rows = [light[at : at + width] for at in range(0, len(light), width)]
    across = [[sum(map(mul, row, wave)) for row in rows] for wave in waves_x]
    return [[sum(map(mul, sums, wave)) for sums in across] for wave in waves_y]


def _wave(number: int, length: int) -> list[float]:
    return [math.cos(math.pi * number * at / length) for at in range(length)]


def _linear(level: int) -> float:
    value = level / 255
    return float(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)


_LIGHT = [_linear(level) for level in range(256)]


def _srgb(light: float) -> int:
    light = max(0.0, min(1.0, light))
    value = light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return int(value * 255 + 0.5)


def _step(value: float) -> int:
    """One of 19, fine around 0."""
    return max(0, min(18, math.floor(math.copysign(math.sqrt(abs(value)), value) * 9 + 9.5)))


def _number(digits: Sequence[int], base: int) -> int:
    number = 0
    for digit in digits:
        number = number * base + digit
    return number


def _base83(number: int, length: int) -> str:
    return "".join(_DIGITS[number // 83**place % 83] for place in reversed(range(length)))


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
