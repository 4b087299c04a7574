"""Formats are told from their first bytes alone."""

import gzip
import io

import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.signatures import Template
from remote_worker.decoder import encode, formats, job
from remote_worker.decoder.formats import FORMATS, detect

from .pictures import corners, saved

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"/>'
ISO = b"\0\0\0\x18ftyp%b\0\0\0\0%b"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(corners(), "JPEG"), "jpeg"),
        (saved(corners(), "JPEG2000"), "jp2"),
        (saved(corners(), "JPEG2000", no_jp2=True), "jp2"),
        (saved(corners(), "PNG"), "png"),
        (saved(corners(), "GIF"), "gif"),
        (saved(corners(), "BMP"), "bmp"),
        (saved(corners(), "TIFF"), "tiff"),
        (saved(corners(), "TIFF", big_tiff=True), "tiff"),
        (saved(corners(), "WEBP"), "webp"),
        (saved(corners(), "AVIF"), "avif"),
        (ISO % (b"heic", b"mif1heic"), "heic"),
        (ISO % (b"mif1", b"mif1avif"), "avif"),
        (b"8BPS\0\1" + bytes(20), "psd"),
        (saved(corners(32, 32), "ICO"), "ico"),
        (saved(corners(32, 32), "ICNS"), "icns"),
        (b"\xff\x0a" + bytes(14), "jxl"),
        (SVG, "svg"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><!-- c --> " + SVG, "svg"),
        (("\ufeff" + SVG.decode()).encode("utf-16-le"), "svg"),
        (gzip.compress(SVG), "svg"),
    ],
)
def test_every_format_is_told_from_its_bytes(data: bytes, name: str) -> None:
    assert detect(data).name == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"BM is also how a sentence may begin, a long one too",
        b"\0\0\2\0\1\0" + bytes(40),
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
        b"%PDF-1.7\n" + saved(corners(), "JPEG"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        saved(corners(), "PPM"),
        saved(corners(), "TGA"),
        b"<html><body>" + SVG + b"</body></html>",
        b"<?xml version='1.0'?><rss><channel/></rss>",
        gzip.compress(b"not a drawing"),
    ],
    ids=range(13),
)
def test_other_bytes_are_refused_as_unsupported(data: bytes) -> None:
    with pytest.raises(WorkFailed) as failed:
        detect(data)

    assert failed.value.code is FailureCode.UNSUPPORTED_FORMAT


def test_the_first_bytes_decide_when_a_second_picture_follows() -> None:
    assert detect(saved(corners(), "GIF") + saved(corners(), "PNG")).name == "gif"


def test_a_template_refuses_what_it_does_not_read() -> None:
    with pytest.raises(WorkFailed) as failed:
        job.detect(saved(corners(), "PNG"), Template.SVG)

    assert failed.value.code is FailureCode.UNSUPPORTED_FORMAT


def test_what_fit_writes_can_be_written() -> None:
    assert {row.fit for row in FORMATS} | {row.fit_with_alpha for row in FORMATS} <= encode.WRITERS.keys()
    assert len({row.name for row in FORMATS}) == len({row.mime for row in FORMATS}) == 14


def test_no_two_signatures_match_the_same_sample() -> None:
    samples = [saved(corners(32, 32), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "ICO")]

    matches = [[row.name for row in formats.FORMATS if row.is_it(sample[:4096])] for sample in samples]

    assert [len(names) for names in matches] == [1] * len(samples)


def test_a_file_name_or_pillow_guess_plays_no_part() -> None:
    tga = saved(corners(), "TGA")

    assert Image.open(io.BytesIO(tga)).format == "TGA"
    with pytest.raises(WorkFailed):
        detect(tga)
