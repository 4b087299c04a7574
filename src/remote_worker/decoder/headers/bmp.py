"""BMP, of Windows and of OS/2: the header's facts."""

import struct

from ..header import Header
from . import Buffer, damaged, unpack

FILE_HEADER_BYTES = 14
HEADER_SIZE = struct.Struct("<2s12xI")
CORE = struct.Struct("<HHHH")
INFO = struct.Struct("<iiHH")
NUMBER = struct.Struct("<I")
PROFILE = struct.Struct("<4s48xII")

HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
OS2_CORE, OS2_SHORT, INFO_40, WITH_ALPHA_MASK, OS2_64, V5 = 12, 16, 40, 56, 64, 124
BITS = frozenset({1, 2, 4, 8, 16, 24, 32})
BITFIELDS, JPEG, PNG, ALPHA_BITFIELDS = 3, 4, 5, 6


def read(data: Buffer) -> Header:
    """The facts of a BMP. Its channels come out with 8 bits, however few or odd its masks are."""
    signature, size = unpack(HEADER_SIZE, data, 0)
    if signature != b"BM" or size not in HEADER_SIZES:
        raise damaged("This is no BMP header.")
    at = FILE_HEADER_BYTES + 4
    if size == OS2_CORE:
        width, height, _, bits = unpack(CORE, data, at)
    else:
        width, height, _, bits = unpack(INFO, data, at)
    compression = 0 if size in (OS2_CORE, OS2_SHORT) else unpack(NUMBER, data, FILE_HEADER_BYTES + 16)[0]
    holds_other = size not in (OS2_CORE, OS2_SHORT, OS2_64) and compression in (JPEG, PNG)
    if bits not in BITS and not (bits == 0 and holds_other):
        raise damaged("The BMP header has no valid number of bits.")
    if width <= 0 or height == 0:
        raise damaged("The BMP header has no valid size.")
    return Header(
        width=width,
        # A negative height means that the rows go downwards.
        height=abs(height),
        display_width=width,
        display_height=abs(height),
        has_alpha=_has_alpha_mask(data, size, bits, compression),
        has_icc_profile=size == V5 and _has_profile(data),
    )


def _has_alpha_mask(data: Buffer, size: int, bits: int, compression: int) -> bool:
    if bits not in (16, 32) or size == OS2_64 or compression not in (BITFIELDS, ALPHA_BITFIELDS):
        return False
    if size < WITH_ALPHA_MASK and not (size == INFO_40 and compression == ALPHA_BITFIELDS):
        return False
    mask: int = unpack(NUMBER, data, FILE_HEADER_BYTES + 52)[0]
    return mask != 0


def _has_profile(data: Buffer) -> bool:
    color_space, offset, length = unpack(PROFILE, data, FILE_HEADER_BYTES + 56)
    # Little-endian 'MBED': the profile itself. 'LINK' would only be a file's name.
    return bool(color_space == b"DEBM" and offset > 0 and length > 0)
