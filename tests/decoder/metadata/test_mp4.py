"""MP4 boxes: a place is seen where players look for one."""

import pytest

from remote_worker.decoder.metadata import mp4

FTYP = b"\0\0\0\x10ftypmp42\0\0\0\0"


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return (8 + len(body)).to_bytes(4, "big") + kind + body


PLACE = box(b"\xa9xyz", b"\0\x12\x15\xc7+51.5074-000.1278/")
KEYS = b"\0\0\0\0\0\0\0\x01" + box(b"mdta", b"com.apple.quicktime.location.ISO6709")
HANDLER = box(b"hdlr", bytes(25))


@pytest.mark.parametrize(
    ("film", "is_placed"),
    [
        (FTYP + box(b"moov", box(b"udta", PLACE)), True),
        (FTYP + box(b"moov", box(b"trak", box(b"udta", box(b"loci", bytes(20))))), True),
        (FTYP + box(b"moov", box(b"meta", HANDLER, box(b"keys", KEYS))), True),
        (FTYP + box(b"moov", box(b"meta", bytes(4), HANDLER, box(b"keys", KEYS))), True),
        (b"Samsung's own bytes" + FTYP + box(b"mdat", bytes(9)) + box(b"moov", box(b"udta", PLACE)), True),
        (FTYP + b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x10" + box(b"moov", box(b"udta", PLACE)), True),
        (FTYP + box(b"moov", box(b"udta", box(b"\xa9nam", b"name"))), False),
        (FTYP + box(b"mdat", PLACE), False),
        (FTYP + box(b"moov", box(b"udta", box(b"\xa9xyz"))), False),
        (b"", False),
        (b"not a film", False),
        (FTYP + b"\0\0\0\x04moov" * 100, False),
    ],
)
def test_a_place_is_seen_where_players_look(film: bytes, is_placed: bool) -> None:
    data = b"before" + film

    assert mp4.has_location(data, 6, len(data)) is is_placed


def test_nothing_outside_the_bounds_counts() -> None:
    film = FTYP + box(b"moov", box(b"udta", PLACE))

    assert not mp4.has_location(film, 0, len(FTYP))
    assert not mp4.has_location(film, 0, len(film) - len(PLACE))
    assert not mp4.has_location(film + film, len(film) * 2, len(film) * 3)


def test_endless_boxes_end() -> None:
    nested = PLACE
    for _ in range(5000):
        nested = box(b"moov", nested)

    assert not mp4.has_location(nested, 0, len(nested))
    assert not mp4.has_location(FTYP * 100_000, 0, 1_600_000)
