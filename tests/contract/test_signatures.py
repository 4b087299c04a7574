"""The first bytes alone say which template a body goes to."""

import gzip

import pytest

from remote_worker.contract.signatures import Template, template_of


@pytest.mark.parametrize(
    "prefix",
    [
        b"<svg/>",
        b"<?xml version='1.0'?><svg/>",
        b"\xef\xbb\xbf<svg/>",
        b" \r\n\t<svg/>",
        "<svg/>".encode("utf-16"),
        "<svg/>".encode("utf-16-le"),
        "<svg/>".encode("utf-16-be"),
        gzip.compress(b"anything"),
        b"<html>",
    ],
)
def test_text_like_xml_and_gzip_go_to_svg(prefix: bytes) -> None:
    assert template_of(prefix) is Template.SVG


@pytest.mark.parametrize(
    "prefix", [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n<svg", b"GIF89a<", b"x<svg/>", b"\x1f\x8c"]
)
def test_all_else_goes_to_raster(prefix: bytes) -> None:
    assert template_of(prefix) is Template.RASTER
