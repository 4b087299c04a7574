"""How far two perceptual hashes of pictures are apart. Pure."""

import re

from ..contract.failures import FailureCode, WorkFailed

PHASH = re.compile(r"[0-9a-fA-F]{16}")
"""A hash of 64 bits, as the facts about a picture have it."""


def distance(one: str, other: str) -> int:
    """In how many of their 64 bits they differ. Raises WorkFailed."""
    if not (PHASH.fullmatch(one) and PHASH.fullmatch(other)):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "a and b are perceptual hashes: 16 digits of hex each")
    return (int(one, 16) ^ int(other, 16)).bit_count()
