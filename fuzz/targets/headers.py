"""The header readers: facts of a picture that can be, or a failure with a code, of any bytes at all."""

from collections.abc import Callable

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder import formats
from remote_worker.decoder.header import Header

ALLOWED = frozenset({FailureCode.DAMAGED, FailureCode.UNSUPPORTED_FORMAT, FailureCode.NOT_A_JPEG})
MOST = 1 << 53
"""What every reader of JSON can hold exactly: the host takes larger numbers for a lie."""
COLOR_SPACES = ("rgb", "gray", "cmyk", "lab", "ycbcr")


def reader(name: str) -> Callable[[bytes], None]:
    """The property of one format's readers."""
    (row,) = (row for row in formats.FORMATS if row.name == name)

    def read(data: bytes) -> None:
        row.is_it(data[:4096])
        facts = told(data, row.header)
        if facts is not None and row.header_to_decode is not None:
            short = told(data, row.header_to_decode)
            assert short is not None
            assert (short.width, short.height, short.orientation) == (
                facts.width,
                facts.height,
                facts.orientation,
            )

    return read


def told(data: bytes, read: Callable[[bytes], Header]) -> Header | None:
    """What the reader tells, or None where it refuses; every fact is looked at."""
    try:
        facts = read(data)
    except WorkFailed as failed:
        assert failed.code in ALLOWED, failed.code
        return None
    for name in ("width", "height", "display_width", "display_height", "frames", "bit_depth"):
        value = getattr(facts, name)
        assert type(value) is int and 0 < value < MOST, (name, value)
    assert 1 <= facts.orientation <= 8, facts.orientation
    assert facts.color_space in COLOR_SPACES, facts.color_space
    for name in ("loop", "duration_ms"):
        value = getattr(facts, name)
        assert value is None or (type(value) is int and 0 <= value < MOST), (name, value)
    for name in ("has_alpha", "has_icc_profile", "has_exif", "has_gps", "is_animation"):
        assert type(getattr(facts, name)) is bool, name
    return facts
