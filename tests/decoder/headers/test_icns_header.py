"""ICNS headers."""

import struct
import time

import pytest
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of
from decoder.headers.test_ico_header import png
from decoder.headers.test_jp2_header import jp2, siz

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.icns import Coding, is_icns, largest, read


def element(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 8) + body


def icns(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return b"icns" + struct.pack(">I", len(body) + 8) + body


def test_the_largest_picture_counts_by_its_own_header() -> None:
    whole = icns(element(b"TOC ", bytes(8)), element(b"ic07", png(128, 128)), element(b"ic11", png(300, 200)))

    assert read(whole) == Header(width=300, height=200, display_width=300, display_height=200, has_alpha=True)
    assert is_icns(whole)
    assert not is_icns(whole[1:])


@pytest.mark.parametrize(
    ("kind", "body", "coding", "side"),
    [
        (b"ic08", jp2(), Coding.JP2, (40, 20)),
        (b"ic09", siz(64, 32), Coding.JP2, (64, 32)),
        (b"ic04", b"ARGB" + bytes(9), Coding.ARGB, (16, 16)),
        (b"SB24", b"ARGB" + bytes(9), Coding.ARGB, (48, 48)),
        (b"is32", bytes(9), Coding.RGB, (16, 16)),
        (b"icp5", bytes(9), Coding.RGB, (32, 32)),
        (b"ih32", bytes(9), Coding.RGB, (48, 48)),
        (b"it32", bytes(9), Coding.RGB, (128, 128)),
        (b"icp6", png(64, 64), Coding.PNG, (64, 64)),
    ],
)
def test_every_coding_of_a_picture_is_known(
    kind: bytes, body: bytes, coding: Coding, side: tuple[int, int]
) -> None:
    whole = icns(element(kind, body))
    icon = largest(whole)

    assert (icon.kind, icon.coding, (icon.width, icon.height)) == (kind, coding, side)
    assert whole[icon.offset : icon.offset + icon.length] == body


def test_the_mask_belongs_to_the_planes_of_its_side() -> None:
    mask = element(b"l8mk", b"m" * 1024)
    whole = icns(element(b"il32", bytes(9)), element(b"s8mk", bytes(256)), mask)

    found = largest(whole).mask
    assert found is not None
    assert whole[found[0] : found[0] + found[1]] == b"m" * 1024
    assert largest(icns(element(b"il32", bytes(9)), element(b"l8mk", bytes(1023)))).mask is None
    assert largest(icns(element(b"il32", bytes(9)))).mask is None


def test_a_cut_file_has_the_pictures_before_the_cut() -> None:
    whole = icns(element(b"ic07", png(128, 128)), element(b"ic09", png(512, 512)))

    assert read(whole[:-1]).width == 128
    assert read(whole).width == 512


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        icns(),
        icns(element(b"ic07", bytes(40))),
        icns(element(b"it32", b"")),
        icns(b"ic07" + bytes(4), element(b"ic07", png(128, 128))),
        icns(b"ic07\xff\xff\xff\xff" + png(128, 128)),
        icns(element(b"slct", icns(element(b"ic07", png(128, 128))))),
    ],
)
def test_a_file_without_a_picture_is_damaged(broken: bytes) -> None:
    assert outcome(read, broken) is FailureCode.DAMAGED


def test_a_flood_of_elements_is_damaged() -> None:
    started = time.process_time()

    assert read(icns(*[element(b"ic08", jp2())] * 255)).width == 40
    assert outcome(read, icns(*[element(b"ic08", jp2())] * 257)) is FailureCode.DAMAGED
    assert time.process_time() - started < 1.0


def test_mutilated_files_end_in_a_header_or_as_damaged() -> None:
    whole = icns(element(b"ic08", jp2()), element(b"is32", bytes(9)), element(b"ic07", png(128, 128)))

    outcomes = {
        type(found) for data in mutilated(whole) if (found := outcome(read, data)) != FailureCode.DAMAGED
    }

    assert outcomes == {Header}


@pytest.mark.parametrize("sample", samples_of("icns"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    found = disagreements(read, sample)
    # The manifest counts the pictures inside; the contract says 1.
    found.pop("frames", None)

    assert found == {}
    assert read(sample.read()).frames == 1
