"""PSD and PSB headers."""

import struct

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, exif_block, mutilated, outcome, samples_of, xmp_packet

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.psd import read


def resource(kind: int, block: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", kind, 0, len(block)) + block + bytes(len(block) % 2)


def psd(
    *resources: bytes,
    version: int = 1,
    channels: int = 3,
    width: int = 3,
    height: int = 2,
    depth: int = 8,
    mode: int = 3,
    layers: int | None = None,
    palette: bytes = b"",
) -> bytes:
    length = ">Q" if version == 2 else ">I"
    joined = b"".join(resources)
    info = b"" if layers is None else struct.pack(">h", layers) + bytes(6)
    section = b"" if layers is None else struct.pack(length, len(info)) + info
    return b"".join(
        [
            b"8BPS" + struct.pack(">H6xHIIHH", version, channels, height, width, depth, mode),
            struct.pack(">I", len(palette)) + palette,
            struct.pack(">I", len(joined)) + joined,
            struct.pack(length, len(section)) + section,
            bytes(20),
        ]
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_plain_picture_has_its_size_and_nothing_else(version: int) -> None:
    assert read(psd(version=version)) == Header(width=3, height=2, display_width=3, display_height=2)


@pytest.mark.parametrize(
    "data",
    [
        psd(version=3),
        psd(width=0),
        psd(height=0),
        psd(channels=0),
        psd(channels=57),
        psd(depth=4),
        psd(mode=5),
    ],
)
def test_headers_that_do_not_exist_are_damaged(data: bytes) -> None:
    assert outcome(read, data) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("mode", "channels", "depth", "color_space", "bit_depth"),
    [
        (0, 1, 1, "gray", 1),
        (1, 1, 16, "gray", 16),
        (2, 1, 8, "rgb", 8),
        (3, 3, 32, "rgb", 32),
        (4, 4, 8, "cmyk", 8),
        (7, 3, 8, "rgb", 8),
        (8, 1, 8, "gray", 8),
        (9, 3, 16, "lab", 16),
    ],
)
def test_modes_are_told(mode: int, channels: int, depth: int, color_space: str, bit_depth: int) -> None:
    header = read(psd(mode=mode, channels=channels, depth=depth, layers=-1))

    assert (header.color_space, header.bit_depth, header.has_alpha) == (color_space, bit_depth, False)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("layers", "has_alpha"), [(-1, True), (-9, True), (0, False), (1, False), (None, False)]
)
def test_an_extra_channel_is_alpha_where_the_layers_say_so(
    version: int, layers: int | None, has_alpha: bool
) -> None:
    assert read(psd(version=version, channels=4, layers=layers)).has_alpha is has_alpha
    assert not read(psd(version=version, channels=3, layers=layers)).has_alpha
    assert read(psd(version=version, channels=2, mode=1, layers=layers)).has_alpha is has_alpha


def test_layers_are_no_frames() -> None:
    assert read(psd(layers=7)).frames == 1


@pytest.mark.parametrize("palette", [b"", bytes(768)])
def test_resources_are_found_behind_a_palette(palette: bytes) -> None:
    header = read(psd(resource(0x040F, b"profile"), resource(0x0422, exif_block(6)), palette=palette))

    assert (header.has_icc_profile, header.has_exif, header.has_gps, header.orientation) == (
        True,
        True,
        False,
        6,
    )
    assert (header.display_width, header.display_height) == (2, 3)


@pytest.mark.parametrize("has_gps", [False, True])
@pytest.mark.parametrize("kind", [0x0422, 0x0423, 0x0424])
def test_a_location_is_found_in_exif_and_xmp(kind: int, has_gps: bool) -> None:
    block = xmp_packet(has_gps=has_gps) if kind == 0x0424 else exif_block(has_gps=has_gps)

    assert read(psd(resource(0x03ED, b"abc"), resource(kind, block))).has_gps is has_gps


def test_orientation_comes_from_exif_before_xmp() -> None:
    xmp = resource(0x0424, xmp_packet(8))

    assert read(psd(xmp)).orientation == 8
    assert read(psd(xmp, resource(0x0422, exif_block(3)))).orientation == 3


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = psd(resource(0x040F, b"icc"), resource(0x0422, exif_block(6)), channels=4, layers=-1, version=2)

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("psd"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert disagreements(read, sample) == {}
