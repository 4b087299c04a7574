"""HEIC headers."""

import io
import struct
import time

import pillow_heif
import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet
from decoder.headers.heif_files import (
    ALPHA,
    DEPTH,
    aux,
    box,
    clap,
    full,
    heic,
    imir,
    infe,
    irot,
    ispe,
    meta,
    pixi,
    reference,
    still,
)
from PIL import Image

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.heif import brand, placement, read


@pytest.mark.parametrize(
    ("major", "compatible", "expected"),
    [
        (b"heic", b"mif1", "heic"),
        (b"avif", b"mif1heic", "avif"),
        (b"mif1", b"miafavif", "avif"),
        (b"mif1", b"miafheix", "heic"),
        (b"msf1", b"iso8", "heic"),
        (b"avis", b"msf1", "avif"),
        (b"mp42", b"isom", None),
        (b"jpeg", b"mif1", None),
    ],
)
def test_brands_tell_heic_from_avif_and_from_films(
    major: bytes, compatible: bytes, expected: str | None
) -> None:
    assert brand(heic(major=major, compatible=compatible)) == expected


def test_a_brand_behind_the_brand_box_does_not_count() -> None:
    assert brand(heic(major=b"mp42", compatible=b"isom") + b"avif") is None
    assert brand(b"\0\0\0\x18ftyp") is None
    assert brand(b"") is None


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    assert read(still()) == Header(width=40, height=20, display_width=40, display_height=20)


@pytest.mark.parametrize(
    ("properties", "orientation"),
    [
        ([irot(0)], 1),
        ([imir(1)], 2),
        ([irot(2)], 3),
        ([imir(0)], 4),
        ([irot(3), imir(1)], 5),
        ([irot(3)], 6),
        ([irot(3), imir(0)], 7),
        ([irot(1)], 8),
        ([imir(1), irot(1)], 5),
        ([irot(1), imir(1)], 7),
    ],
)
def test_rotation_and_mirroring_are_told_as_the_equal_orientation(
    properties: list[bytes], orientation: int
) -> None:
    header = read(still(*properties))

    shown = (20, 40) if orientation >= 5 else (40, 20)
    assert (header.orientation, header.display_width, header.display_height) == (orientation, *shown)
    assert (header.width, header.height) == (40, 20)
    assert placement(still(*properties)).turn == orientation


def test_orientation_in_exif_is_told_but_turns_nothing() -> None:
    items = [infe(1, b"hvc1"), infe(2, b"Exif")]
    contents = {2: bytes(4) + exif_block(6)}
    plain = heic(meta(items, {1: [ispe(40, 20)]}, contents=contents))
    turned = heic(meta(items, {1: [ispe(40, 20), irot(1)]}, contents=contents))

    assert (read(plain).orientation, read(plain).display_width, placement(plain).turn) == (6, 40, 1)
    assert (read(turned).orientation, read(turned).display_width, placement(turned).turn) == (8, 20, 8)


def test_the_clean_aperture_is_what_is_shown() -> None:
    header = read(still(clap(29, 11, (-1, 2), (1, 2)), irot(1)))
    placed = placement(still(clap(29, 11, (-1, 2), (1, 2)), irot(1)))

    assert (header.width, header.height) == (40, 20)
    assert (header.display_width, header.display_height) == (11, 29)
    assert placed.crop == (5, 5, 34, 16)
    assert placement(still(irot(1))).crop is None


@pytest.mark.parametrize(
    "broken",
    [
        box(b"clap", struct.pack(">IIIIiIiI", 1, 0, 1, 1, 0, 1, 0, 1)),
        box(b"clap", struct.pack(">IIIIiIiI", 1, 1, 1, 1, 0, 0, 0, 1)),
        clap(0, 5),
        clap(5, 5, (1000, 1)),
        clap(5, 5)[:-4],
    ],
)
def test_a_clean_aperture_without_a_sense_is_damaged(broken: bytes) -> None:
    assert outcome(read, still(broken)) is FailureCode.DAMAGED


@pytest.mark.parametrize(("urn", "has_alpha"), [(ALPHA, True), (DEPTH, False)])
def test_alpha_is_an_auxiliary_picture_of_the_primary_one(urn: bytes, has_alpha: bool) -> None:
    items = [infe(1, b"hvc1"), infe(2, b"hvc1")]
    properties = {1: [ispe(40, 20)], 2: [ispe(40, 20), aux(urn)]}

    header = read(heic(meta(items, properties, references=[reference(b"auxl", 2, 1)])))
    of_another = read(heic(meta(items, properties, references=[reference(b"auxl", 2, 9)])))

    assert (header.has_alpha, header.frames) == (has_alpha, 1)
    assert not of_another.has_alpha


def test_pictures_are_counted_without_thumbnails_parts_and_hidden_ones() -> None:
    items = [
        infe(1, b"grid"),
        infe(2, b"hvc1"),
        infe(3, b"hvc1", is_hidden=True),
        infe(4, b"hvc1"),
        infe(5, b"hvc1"),
        infe(6, b"Exif"),
        infe(7, b"tmap"),
        infe(8, b"hvc1", is_hidden=True),
    ]
    references = [reference(b"dimg", 1, 2), reference(b"thmb", 4, 1), reference(b"dimg", 7, 1, 3)]

    header = read(heic(meta(items, {1: [ispe(40, 20)]}, references=references)))

    assert (header.frames, header.is_animation, header.loop) == (2, False, None)


@pytest.mark.parametrize(
    ("properties", "depth", "space"),
    [
        ([pixi(10, 10, 10)], 10, "rgb"),
        ([pixi(8)], 8, "gray"),
        ([box(b"hvcC", bytes(16) + b"\xfd\xfa\xfa")], 10, "rgb"),
        ([box(b"hvcC", bytes(16) + b"\xfc\xfc\xfc")], 12, "gray"),
        ([], 8, "rgb"),
    ],
)
def test_depth_and_colour_come_from_pixi_or_the_codec(
    properties: list[bytes], depth: int, space: str
) -> None:
    header = read(still(*properties))

    assert (header.bit_depth, header.color_space) == (depth, space)


@pytest.mark.parametrize(
    ("colour", "has_profile"),
    [(b"prof1234", True), (b"rICC1", True), (b"prof", False), (b"nclx1234567", False)],
)
def test_a_profile_is_told_from_numbers_and_from_nothing(colour: bytes, has_profile: bool) -> None:
    assert read(still(box(b"colr", colour))).has_icc_profile is has_profile


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_is_found_in_exif_xmp_and_films(has_gps: bool) -> None:
    items = [infe(1, b"hvc1"), infe(2, b"Exif"), infe(3, b"mime", content_type=b"application/rdf+xml")]
    exif = {2: struct.pack(">I", 6) + b"junk!!" + exif_block(has_gps=has_gps)}
    xmp = {3: xmp_packet(has_gps=has_gps)}
    place = box(b"\xa9xyz" if has_gps else b"\xa9nam", b"\0\x08\x15\xc7+12+034/")
    film = box(b"mpvd", box(b"ftyp", b"mp42\0\0\0\0") + box(b"moov", box(b"udta", place)))

    assert read(heic(meta(items, {1: [ispe(4, 2)]}, contents=exif))).has_gps is has_gps
    assert read(heic(meta(items, {1: [ispe(4, 2)]}, contents=xmp))).has_gps is has_gps
    assert read(still(more=film)).has_gps is has_gps
    assert read(heic(meta(items, {1: [ispe(4, 2)]}, contents=exif))).has_exif
    assert not read(heic(meta(items, {1: [ispe(4, 2)]}, contents=xmp))).has_exif


@pytest.mark.parametrize(
    "broken",
    [
        heic(),
        heic(meta([infe(1, b"hvc1")], {1: [ispe(4, 2)]}, primary=None)),
        heic(meta([infe(1, b"hvc1")], {1: [ispe(4, 2)]}, primary=2)),
        heic(meta([infe(1, b"hvc1")], {1: [irot(1)]})),
        still()[:-1],
        heic(meta([infe(1, b"hvc1")], {1: [ispe(0, 2)]})),
        b"",
    ],
)
def test_a_file_without_a_primary_picture_is_damaged(broken: bytes) -> None:
    assert outcome(read, broken) is FailureCode.DAMAGED


def test_a_picture_that_is_cut_behind_its_headers_still_tells_them() -> None:
    assert read(still(more=box(b"mdat", bytes(1000))[:-900])).width == 40


@pytest.mark.parametrize(
    "flood",
    [
        box(b"free") * 1_000_000,
        full(b"meta", box(b"free") * 500_000),
        box(b"iprp", box(b"ipco", box(b"free") * 500_000)),
        full(b"iref", box(b"dimg", struct.pack(">HH", 1, 60_000) + bytes(120_000)) * 40),
    ],
)
def test_a_flood_of_boxes_is_refused_at_once(flood: bytes) -> None:
    inside = full(b"meta", flood) if flood[4:8] in (b"iprp", b"iref") else flood
    started = time.process_time()

    assert outcome(read, heic(inside)) is FailureCode.DAMAGED
    assert time.process_time() - started < 1.0


def test_many_items_that_all_are_the_whole_file_cost_no_more_than_the_file() -> None:
    count = 5000
    items = [infe(1, b"hvc1"), *(infe(2 + index, b"Exif") for index in range(count))]
    rest = bytes(1_000_000)
    whole = heic(meta(items, {1: [ispe(4, 2)]}, contents={2 + index: b"" for index in range(count)}), rest)
    started = time.process_time()

    assert read(whole).width == 4
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(("mode", "has_alpha", "space"), [("RGB", False, "rgb"), ("RGBA", True, "rgb")])
def test_what_an_encoder_writes_is_read(mode: str, has_alpha: bool, space: str) -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new(mode, (37, 22))).save(buffer, format="HEIF")

    header = read(buffer.getvalue())

    assert (header.display_width, header.display_height) == (37, 22)
    assert (header.has_alpha, header.color_space, header.frames) == (has_alpha, space, 1)


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    items = [infe(1, b"hvc1"), infe(2, b"Exif"), infe(3, b"hvc1")]
    properties = {1: [ispe(40, 20), clap(20, 10), irot(1), imir(1), pixi(8, 8, 8)], 3: [aux(ALPHA)]}
    whole = heic(
        meta(
            items,
            properties,
            references=[reference(b"auxl", 3, 1)],
            contents={2: bytes(4) + exif_block(6, has_gps=True)},
        )
    )

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("heic"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}


def test_text_in_the_place_of_a_length_is_no_brand_box() -> None:
    assert brand(b"\0\x10\0\0ftypheic" + bytes(8)) == "heic"
    assert brand(b"\0\x10\0\1ftypheic" + bytes(8)) is None
    assert brand(b"<svgftypheic" + bytes(8)) is None
