"""AVIF headers: what differs from HEIC, and image sequences."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of
from decoder.headers.heif_files import box, full, heic, sequence, still, track

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.heif import read

FOR_EVER = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("bits", "depth", "space"),
    [(0x00, 8, "rgb"), (0x40, 10, "rgb"), (0x60, 12, "rgb"), (0x10, 8, "gray"), (0x50, 10, "gray")],
)
def test_depth_and_colour_come_from_the_codec(bits: int, depth: int, space: str) -> None:
    header = read(still(box(b"av1C", bytes((0x81, 0, bits, 0))), kind=b"av01"))

    assert (header.bit_depth, header.color_space) == (depth, space)


def test_a_sequence_tells_its_frames_rounds_and_length() -> None:
    header = read(sequence(track(frames=3, ticks=[(2, 100), (1, 300)], per_second=600)))

    assert (header.frames, header.is_animation) == (3, True)
    assert header.duration_ms == 833


@pytest.mark.parametrize(
    ("edit", "length", "loop"),
    [
        (None, 120, 0),
        ((0, 120), 120, 1),
        ((1, 120), FOR_EVER, 0),
        ((1, 120), 360, 3),
        ((1, 120), 361, 4),
        ((1, 120), 120, 1),
    ],
)
def test_the_edit_list_says_how_often_it_plays(edit: tuple[int, int] | None, length: int, loop: int) -> None:
    assert read(sequence(track(edit=edit, length=length))).loop == loop


def test_alpha_of_a_sequence_is_a_track() -> None:
    with_alpha = sequence(track(), track(b"auxv", is_auxiliary=True))

    assert read(with_alpha).has_alpha
    assert read(with_alpha).frames == 3
    assert not read(sequence(track(), track(b"soun"))).has_alpha


def test_only_the_major_brand_makes_a_sequence() -> None:
    header = read(sequence(track(), major=b"avif"))

    assert (header.frames, header.is_animation, header.loop, header.duration_ms) == (1, False, None, None)


def test_a_sequence_without_a_still_has_the_size_of_its_track() -> None:
    header = read(heic(box(b"moov", track()), major=b"avis"))

    assert (header.width, header.height, header.frames) == (9, 5, 3)


def test_more_frames_than_there_are_bytes_for_are_damaged() -> None:
    claim = full(b"stsz", struct.pack(">II", 1, 1_000_000))
    media = full(b"hdlr", bytes(4) + b"pict" + bytes(13)) + box(b"minf", box(b"stbl", claim))

    assert outcome(read, sequence(box(b"trak", box(b"mdia", media)))) is FailureCode.DAMAGED
    assert outcome(read, sequence(track(frames=0))) is FailureCode.DAMAGED


def test_a_flood_of_tracks_is_damaged() -> None:
    assert read(sequence(*[track()] * 16)).frames == 3
    assert outcome(read, sequence(*[track()] * 17)) is FailureCode.DAMAGED


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = sequence(track(edit=(1, 40)), track(b"auxv", is_auxiliary=True))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("avif"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}


@pytest.mark.parametrize(("length", "loop"), [(0x7FFF_FFFF, 0x7FFF_FFFF), (0x8000_0000, 0)])
def test_more_rounds_than_an_int_counts_are_for_ever(length: int, loop: int) -> None:
    assert read(sequence(track(edit=(1, 1), length=length))).loop == loop
