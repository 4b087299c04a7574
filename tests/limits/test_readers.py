"""Each limit of a reader takes what is just inside it, and does as the table says just past it."""

import importlib

import pytest
from limits.pairs import PAIRS, jxl_animation

from remote_worker.decoder.headers import jxl, jxl_frames


def value_at(place: str) -> int:
    module, _, path = place.partition(":")
    found: object = importlib.import_module(f"remote_worker.{module}")
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, int | float)
    return int(found)


@pytest.mark.parametrize("place", PAIRS)
def test_a_reader_takes_as_many_as_its_limit_and_not_one_more(place: str) -> None:
    pair, most = PAIRS[place], value_at(place)

    assert pair.of(most) == pair.inside
    assert pair.of(most + 1) == pair.outside


def test_jpeg_xl_frames_are_counted_up_to_so_many_sections() -> None:
    # 16384 x 16384 pixels: 64 x 64 groups, 8 x 8 of low frequency, and two more (ISO/IEC 18181-1, C.3).
    sections = 64 * 64 + 8 * 8 + 2
    most = jxl_frames.MOST_SECTIONS // sections

    assert jxl.read(jxl_animation(16_384, most, sections)).frames == most
    assert jxl.read(jxl_animation(16_384, most + 1, sections)).frames == most
