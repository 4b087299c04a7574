"""What one document may cost. Every limit is checked before the expensive step it bounds."""

from dataclasses import dataclass

MIB = 1024 * 1024

LONGEST_SIDE = 65_535
"""Pixels of the longest side that any output format of ours can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one document and of the child that decodes it."""

    input_bytes: int = 30 * MIB
    pixels: int = 64_000_000
    side_pixels: int = LONGEST_SIDE
    frames: int = 512
    animation_pixels: int = 256_000_000
    output_bytes: int = 64 * MIB
    memory_bytes: int = 1024 * MIB
    decode_seconds: float = 10.0
    cpu_seconds: int = 8
