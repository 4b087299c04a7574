"""How alike two pictures are: the structural similarity index of Wang et al. (2004) on luma."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float64]

WINDOW = 8
STEADY_MEAN = (0.01 * 255) ** 2
STEADY_SPREAD = (0.03 * 255) ** 2
ROUNDING = 1.0


def similarity(one: bytes, other: bytes, side: int) -> float:
    """Of two square RGBA pictures: the lesser of the indices over black and over white."""
    first, second = _rgba(one, side), _rgba(other, side)
    # On flat black the index would make much of a level that was rounded the other way.
    if np.abs(first - second).max() <= ROUNDING:
        return 1.0
    return min(ssim(_luma(first, ground), _luma(second, ground)) for ground in (0.0, 255.0))


def ssim(one: Pixels, other: Pixels) -> float:
    """The mean index over all windows."""
    mean_one, mean_other = _windows(one), _windows(other)
    spread_one = _windows(one * one) - mean_one**2
    spread_other = _windows(other * other) - mean_other**2
    together = _windows(one * other) - mean_one * mean_other
    above = (2 * mean_one * mean_other + STEADY_MEAN) * (2 * together + STEADY_SPREAD)
    below = (mean_one**2 + mean_other**2 + STEADY_MEAN) * (spread_one + spread_other + STEADY_SPREAD)
    return float(np.mean(above / below))


def mean_difference(one: bytes, other: bytes) -> float:
    """The mean distance of two equally large pictures, 0 to 255."""
    first, second = (np.frombuffer(data, np.uint8).astype(np.float64) for data in (one, other))
    return float(np.mean(np.abs(first - second)))


def _rgba(data: bytes, side: int) -> NDArray[Any]:
    return np.frombuffer(data, np.uint8).reshape(side, side, 4).astype(np.float64)


def _luma(picture: NDArray[Any], ground: float) -> Pixels:
    cover = picture[..., 3:] / 255
    seen = picture[..., :3] * cover + ground * (1 - cover)
    return np.asarray(seen @ np.array([0.299, 0.587, 0.114]), np.float64)


def _windows(values: Pixels) -> Pixels:
    """The mean of every window."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = (
        sums[WINDOW:, WINDOW:] - sums[:-WINDOW, WINDOW:] - sums[WINDOW:, :-WINDOW] + sums[:-WINDOW, :-WINDOW]
    )
    return np.asarray(total / WINDOW**2, np.float64)
