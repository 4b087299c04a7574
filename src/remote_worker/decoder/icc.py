"""Whether an ICC profile is sRGB's, told from its numbers: names lie, and building a transform costs 2 ms."""

import struct
from collections.abc import Callable

Curve = Callable[[float], float]


def is_srgb(profile: bytes) -> bool:
    """Its primaries and its curves are those of sRGB, so that applying it would change nothing."""
    try:
        tags = _tags(profile)
        if not tags.keys().isdisjoint(_TABLES):
            return False
        if profile[_COLOR_SPACE] == b"GRAY":
            return _is_usual(_curve(profile, *tags[b"kTRC"]))
        if profile[_COLOR_SPACE] != b"RGB ":
            return False
        for tag, primary in _PRIMARIES.items():
            found = struct.unpack_from(">3i", profile, tags[tag][0] + 8)
            if any(abs(a / _ONE - b) > _PRIMARY_NOISE for a, b in zip(found, primary, strict=True)):
                return False
        places = {tags[tag] for tag in (b"rTRC", b"gTRC", b"bTRC")}
        return all(_is_usual(_curve(profile, *place)) for place in places)
    except (struct.error, KeyError, ValueError, ArithmeticError, TypeError):
        return False


def description(profile: bytes) -> str | None:
    """What the profile calls itself, in the first language that it says it in."""
    try:
        at, _ = _tags(profile)[b"desc"]
        kind = profile[at : at + 4]
        if kind == b"mluc":
            size, start = struct.unpack_from(">II", profile, at + 20)
            text = profile[at + start : at + start + min(size, _MOST_NAME_BYTES)].decode(
                "utf-16-be", "replace"
            )
        elif kind == b"desc":
            (size,) = struct.unpack_from(">I", profile, at + 8)
            text = profile[at + 12 : at + 12 + min(size, _MOST_NAME_BYTES)].decode("latin-1")
        else:
            return None
    except (struct.error, KeyError):
        return None
    return text.partition("\0")[0] or None


def srgb_level(light: float) -> float:
    """IEC 61966-2-1: light of 0 to 1 as a level of 0 to 255."""
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


_MOST_NAME_BYTES = 1024
_COLOR_SPACE = slice(16, 20)
_ONE = 65_536
_MOST_TAGS = 100
_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2")
"""Where one is there, it counts and not the primaries."""
_PRIMARIES = {
    b"rXYZ": (0.43604, 0.22249, 0.01392),
    b"gXYZ": (0.38512, 0.71690, 0.09706),
    b"bXYZ": (0.14305, 0.06061, 0.71391),
}
_PRIMARY_NOISE = 0.0005
_CURVE_NOISE = 1.5
"""Levels of 255."""
_LOOKED_AT = (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 240, 255)


def _tags(profile: bytes) -> dict[bytes, tuple[int, int]]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (
        struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, _MOST_TAGS))
    )
    return {tag: (at, length) for tag, at, length in entries}


def _is_usual(curve: Curve) -> bool:
    return all(abs(srgb_level(curve(level / 255)) - level) <= _CURVE_NOISE for level in _LOOKED_AT)


def _curve(profile: bytes, at: int, length: int) -> Curve:
    """The curve's light for a value of 0 to 1."""
    kind, number = struct.unpack_from(">4s4xI", profile, at)
    if kind == b"para" and number >> 16 == 0:
        return _exponent(_fixed(profile, at, 1)[0])
    if kind == b"para" and number >> 16 in (3, 4):
        g, a, b, c, d, e, f = (*_fixed(profile, at, 5 if number >> 16 == 3 else 7), 0.0, 0.0)[:7]
        return lambda x: (a * x + b) ** g + e if x >= d else c * x + f
    if kind != b"curv" or number < 1 or 12 + 2 * number > length:
        raise ValueError("another kind of curve")
    if number == 1:
        return _exponent(struct.unpack_from(">H", profile, at + 12)[0] / 256)
    return lambda x: _between(profile, at + 12, number, x)


def _exponent(gamma: float) -> Curve:
    return lambda x: x**gamma


def _fixed(profile: bytes, at: int, count: int) -> list[float]:
    return [value / _ONE for value in struct.unpack_from(f">{count}i", profile, at + 12)]


def _between(profile: bytes, at: int, count: int, x: float) -> float:
    index = min(int(x * (count - 1)), count - 2)
    low, high = struct.unpack_from(">2H", profile, at + 2 * index)
    return float(low + (high - low) * (x * (count - 1) - index)) / 65_535
