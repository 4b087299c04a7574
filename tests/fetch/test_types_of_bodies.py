"""What a body is taken for, by its header and its first bytes, for each purpose."""

import base64
import gzip
from pathlib import Path

import pytest
from fetch.origin import Origin, answer, page
from fetch.standins import World

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Purpose
from remote_worker.fetch.process import sniff
from remote_worker.fetch.process.body import SIGN_BYTES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HTML = page()
SVG = b'<?xml version="1.0"?><!-- <html> --><svg xmlns="http://www.w3.org/2000/svg"/>'
JSON = b' {"version": "1.0"}'
XML = b'<?xml version="1.0"?><oembed><version>1.0</version></oembed>'
TEXT = b"Nothing of any kind, only words."
OGG = b"OggS\0\2" + bytes(500)

TYPE_MISMATCH = FailureCode.TYPE_MISMATCH
NOT_HTML = FailureCode.NOT_HTML


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("text/html", HTML, "text/html"),
        ("TEXT/HTML; charset=utf-8", HTML, "text/html"),
        ("text/html", TEXT, "text/html"),
        ("application/xhtml+xml", b"<?xml version='1.0'?><html/>", "application/xhtml+xml"),
        pytest.param("text/html", PNG, TYPE_MISMATCH, id="81-html-is-png"),
        pytest.param("image/png", HTML, TYPE_MISMATCH, id="81-png-is-html"),
        pytest.param("image/png", TEXT, TYPE_MISMATCH, id="81-png-is-text"),
        pytest.param(None, HTML, "text/html", id="81-no-type"),
        pytest.param("text/html, image/png", HTML, TYPE_MISMATCH, id="81-the-last-type-counts"),
        pytest.param("image/png, text/html", HTML, "text/html", id="81-the-last-type-counts-too"),
        pytest.param('text/html; x="a, image/png"', HTML, "text/html", id="81-comma-in-quotes"),
        pytest.param("text/html, */*", HTML, "text/html", id="81-any-type-is-none"),
        pytest.param("nonsense", HTML, "text/html", id="81-no-valid-type"),
        pytest.param("x" * 5000 + "/" + "y" * 3000, HTML, NOT_HTML, id="81-long-type"),
        pytest.param("x" * 100_000, HTML, FailureCode.BAD_HTTP, id="81-100-KB-type"),
        ("text/plain", HTML, "text/html"),
        ("text/plain", TEXT, NOT_HTML),
        ("application/octet-stream", HTML, "text/html"),
        ("application/octet-stream", PNG, "image/png"),
        (None, PNG, "image/png"),
        (None, TEXT, NOT_HTML),
        (None, OGG, NOT_HTML),
        ("image/png", PNG, "image/png"),
        ("image/jpeg", PNG, "image/png"),
        ("image/svg+xml", SVG, "image/svg+xml"),
        ("image/svg+xml", HTML, TYPE_MISMATCH),
        ("application/json", HTML, NOT_HTML),
        ("application/xml", XML, NOT_HTML),
        ("application/pdf", b"%PDF-1.7", NOT_HTML),
        ("video/mp4", PNG, NOT_HTML),
    ],
)
def test_a_page_is_html_or_a_picture(declared: str | None, data: bytes, expected: str | FailureCode) -> None:
    assert taken(declared, data, Purpose.PAGE) == expected


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("image/png", PNG, "image/png"),
        ("text/html", PNG, "image/png"),
        ("text/plain", PNG, "image/png"),
        (None, PNG, "image/png"),
        ("image/svg+xml", SVG, "image/svg+xml"),
        (None, SVG, "image/svg+xml"),
        ("image/x-own", TEXT, "image/x-own"),
        ("application/octet-stream", TEXT, "application/octet-stream"),
        ("image/png", HTML, TYPE_MISMATCH),
        ("text/html", HTML, TYPE_MISMATCH),
        (None, HTML, TYPE_MISMATCH),
        ("text/html", TEXT, TYPE_MISMATCH),
        ("application/json", JSON, TYPE_MISMATCH),
        ("audio/ogg", OGG, TYPE_MISMATCH),
    ],
)
def test_a_picture_is_whatever_looks_like_one(
    declared: str | None, data: bytes, expected: str | FailureCode
) -> None:
    assert taken(declared, data, Purpose.IMAGE) == expected


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("application/json", JSON, "application/json"),
        ("application/json+oembed", JSON, "application/json"),
        ("text/javascript", JSON, "application/json"),
        ("text/html", JSON, "application/json"),
        (None, b"\xef\xbb\xbf" + JSON, "application/json"),
        ("text/xml", XML, "text/xml"),
        ("application/xml+oembed", XML, "text/xml"),
        ("application/json", HTML, TYPE_MISMATCH),
        ("application/json", TEXT, TYPE_MISMATCH),
        ("text/html", HTML, TYPE_MISMATCH),
        ("image/png", PNG, TYPE_MISMATCH),
    ],
)
def test_an_oembed_is_json_or_xml(declared: str | None, data: bytes, expected: str | FailureCode) -> None:
    assert taken(declared, data, Purpose.OEMBED) == expected


@pytest.mark.parametrize(("data", "expected"), [(JSON, "application/json"), (XML, TYPE_MISMATCH)])
def test_an_rpc_is_json(data: bytes, expected: str | FailureCode) -> None:
    assert taken("application/json", data, Purpose.RPC) == expected


def taken(declared: str | None, data: bytes, purpose: Purpose) -> str | FailureCode:
    """The type, or the code with which it is refused, over a real server."""
    with Origin({"/": answer(data, media_type=declared)}) as origin:
        world = World({"h.test": origin})
        try:
            fetched, body = world.read("http://h.test/", purpose)
        except WorkFailed as failed:
            return failed.code
        assert data.startswith(body)
        return fetched.media_type


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        pytest.param('attachment; filename="a.html"', FailureCode.ATTACHMENT, id="82"),
        pytest.param("ATTACHMENT", FailureCode.ATTACHMENT, id="82-capitals"),
        pytest.param("inline; filename=attachment", "text/html", id="82-inline"),
    ],
)
def test_a_page_to_be_saved_is_no_page(disposition: str, expected: str | FailureCode) -> None:
    headers = {"Content-Disposition": disposition}
    with Origin({"/": answer(HTML, headers=headers), "/p": answer(PNG, headers=headers)}) as origin:
        world = World({"h.test": origin})
        if isinstance(expected, FailureCode):
            assert world.failure("http://h.test/").code is expected
        else:
            assert world.read("http://h.test/")[0].media_type == expected
        assert world.read("http://h.test/p", Purpose.IMAGE)[1] == PNG


@pytest.mark.parametrize(("extra", "is_cut"), [(-1, False), (0, True), (50_000, True)])
def test_of_a_picture_where_a_page_was_wanted_only_the_beginning_is_read(extra: int, is_cut: bool) -> None:
    data = PNG.ljust(SIGN_BYTES + extra, b"\0")
    with Origin({"/": answer(data, media_type="image/png")}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert (fetched.media_type, fetched.is_cut) == ("image/png", is_cut)
        assert body == data[:SIGN_BYTES]


@pytest.mark.parametrize(
    ("start", "is_html"),
    [
        (b"<!DOCTYPE html>", True),
        (b" \r\n\t\f<hTmL lang=en>", True),
        (b"<!-- a -->", True),
        (b"\xef\xbb\xbf<head>", True),
        (b"<p >", True),
        (b"<p", False),
        (b"<pre>", False),
        (b"<!DOCTYPE svg>", False),
        (b"text <html>", False),
        (b"", False),
    ],
)
def test_html_is_told_as_browsers_do(start: bytes, is_html: bool) -> None:
    assert sniff.looks_like_html(start) is is_html


@pytest.mark.parametrize(
    ("start", "is_svg"),
    [
        (b"<svg>", True),
        (b'\n<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "a" "b">\n<svg xmlns="a">', True),
        (b"<!-- a --><!-- b --><s:svg xmlns:s='a'/>", True),
        (b"<svgx>", False),
        (b"<html><svg>", False),
        (b"<!---->" * 70, False),
    ],
)
def test_svg_is_told_by_its_first_element(start: bytes, is_svg: bool) -> None:
    assert sniff.looks_like_svg(start) is is_svg


@pytest.mark.parametrize(
    "folder",
    ["png", "apng", "jpeg", "gif", "webp", "avif", "heic", "bmp", "tiff", "ico", "icns", "jp2", "jxl", "psd"],
)
def test_every_picture_of_the_corpus_is_one(samples: Path, folder: str) -> None:
    found = [path for path in sorted((samples / folder).iterdir()) if path.is_file()]

    assert found
    for path in found:
        first = gzip.decompress(path.read_bytes())[:512] if path.suffix == ".gz" else path.read_bytes()[:512]
        assert sniff.picture_of(first).startswith("image/"), path
