"""SVG headers: the natural size, and which text is SVG."""

import gzip
import io
import time

import pytest
import resvg_py
from conformance.corpora import Sample
from decoder.headers.blocks import disagreements, mutilated, outcome, samples_of, xmp_packet
from PIL import Image

from remote_worker.contract.failures import FailureCode
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers.svg import drawing, is_svg, read
from remote_worker.decoder.headers.svg_text import MOST_PROLOG_CHARACTERS

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


def svg(attributes: str = 'width="40" height="20"', body: str = "", before: str = "") -> bytes:
    return f"{before}<svg {NAMESPACE} {attributes}>{body}</svg>".encode()


def sides(data: bytes) -> tuple[int, int]:
    header = read(data)
    return header.width, header.height


def drawn(data: bytes) -> Image.Image:
    picture = resvg_py.svg_to_bytes(svg_string=drawing(data).text, dpi=96)
    return Image.open(io.BytesIO(bytes(picture)))


def test_a_plain_document_has_its_size_and_nothing_else() -> None:
    assert read(svg()) == Header(width=40, height=20, display_width=40, display_height=20, has_alpha=True)


@pytest.mark.parametrize(
    ("length", "pixels"),
    [
        ("72", 72),
        ("72px", 72),
        ("72pt", 96),
        ("6pc", 96),
        ("25.4mm", 96),
        ("2.54cm", 96),
        ("1in", 96),
        ("101.6Q", 96),
        ("6em", 96),
        ("12ex", 96),
        ("5e1", 50),
        (".5e2", 50),
        (" 50 ", 50),
        ("40.5", 41),
        ("40.49", 40),
        ("0.1", 1),
    ],
)
def test_lengths_are_pixels_at_96_dots_per_inch(length: str, pixels: int) -> None:
    assert sides(svg(f'width="{length}" height="30"')) == (pixels, 30)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('viewBox="0 0 30 60"', (30, 60)),
        ('viewBox="-10,-5, 30,60"', (30, 60)),
        ('width="100%" height="100%" viewBox="0 0 200 100"', (200, 100)),
        ('width="50%" height="30" viewBox="0 0 200 100"', (100, 30)),
        ('width="300" viewBox="0 0 30 60"', (300, 600)),
        ('height="30" viewBox="0 0 30 60"', (15, 30)),
        ('width="auto" height="30" viewBox="0 0 30 60"', (15, 30)),
        ('width="70" height="30" viewBox="0 0 0 0"', (70, 30)),
        ('width="70" height="30" viewBox="a b c d"', (70, 30)),
        ('style="width: 70px; height: 30px"', (70, 30)),
        ("", (300, 150)),
        ('width="70"', (70, 150)),
    ],
)
def test_what_is_missing_comes_from_the_view_box(attributes: str, expected: tuple[int, int]) -> None:
    assert sides(svg(attributes)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<rect x="10" y="10" width="80" height="30"/>', (80, 30)),
        ('<rect x="1" y="1" width="198" height="198" fill="none" stroke="black"/>', (199, 199)),
        ('<g transform="translate(5 5) scale(2)"><circle cx="9" cy="9" r="8"/></g>', (32, 32)),
        ('<ellipse rx="8" ry="4"/><line x1="0" y1="0" x2="20" y2="1"/>', (28, 8)),
        ('<polygon points="0,0 10,0 10,40"/><polyline points="0 0 30 5"/>', (30, 40)),
        ('<path d="M10 10h20v30l-5,5q1 1 2 2c0 0 0 0 20 0z"/>', (37, 37)),
        ('<g stroke="red" style="stroke-width:4"><rect width="10" height="10"/></g>', (14, 14)),
        ('<rect width="10" height="10" transform="rotate(90) matrix(1 0 0 3 0 0)"/>', (30, 10)),
        ('<defs><rect width="99" height="99"/></defs><rect width="9" height="8"/>', (9, 8)),
        ('<g display="none"><rect width="99" height="99"/></g><rect width="9" height="8"/>', (9, 8)),
    ],
)
def test_without_any_size_the_drawing_itself_tells_it(body: str, expected: tuple[int, int]) -> None:
    assert sides(svg("", body)) == expected


@pytest.mark.parametrize("side", ["0", "-5", "NaN", "inf", "-Infinity", "1e308", "1e400", "2000000000"])
def test_a_side_that_cannot_be_is_damaged(side: str) -> None:
    assert outcome(read, svg(f'width="{side}" height="20"')) is FailureCode.DAMAGED
    assert outcome(read, svg(f'width="{side}"')) is FailureCode.DAMAGED
    assert sides(svg('width="1000000000" height="20"')) == (1_000_000_000, 20)


@pytest.mark.parametrize(
    "data",
    [
        svg(),
        svg(before="\ufeff"),
        svg(before=' \n<?xml version="1.0"?>').lstrip(),
        svg(before='<?xml version="1.0" encoding="windows-1251"?><!-- ' + "x" * 3000 + " -->"),
        svg(before='<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">'),
        svg().decode().encode("utf-16"),
        svg().decode().encode("utf-16-le"),
        svg(before="<!--" + "-=" * 100_000 + "-->"),
        b'<s:svg xmlns:s="http://www.w3.org/2000/svg" width="40" height="20"/>',
        b'<svg width="40" height="20"/>',
        gzip.compress(svg()),
    ],
)
def test_svg_is_recognised_in_every_dress(data: bytes) -> None:
    assert is_svg(data[:4096])
    assert sides(data) == (40, 20)


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body><svg/></body></html>",
        b"<!DOCTYPE html><html><svg xmlns='http://www.w3.org/2000/svg'/></html>",
        b"<x:svg xmlns:x='urn:another' width='40' height='20'/>",
        b"<?xml version='1.0'?><note/>",
        b"plain text <svg/>",
        b"\xef\xbb\xbf",
        b"\n\n\n",
        b"",
        gzip.compress(b"<note/>"),
        b"\x1f\x8b\x08 broken",
    ],
)
def test_other_text_is_not_svg(data: bytes) -> None:
    assert not is_svg(data)
    assert isinstance(outcome(read, data), FailureCode)


def test_another_root_behind_the_prefix_is_an_unsupported_format() -> None:
    data = b"<!--" + b"x" * 5000 + b"--><note/>"

    assert is_svg(data[:4096])
    assert outcome(read, data) is FailureCode.UNSUPPORTED_FORMAT


def test_an_entity_may_stand_for_text_but_not_for_another_or_for_a_file() -> None:
    def with_entity(declaration: str) -> bytes:
        return svg('width="&w;" height="20"', before=f"<!DOCTYPE svg [{declaration}]>")

    assert sides(with_entity('<!ENTITY w "40">')) == (40, 20)
    for declaration in (
        '<!ENTITY a "4"><!ENTITY w "&a;0">',
        '<!ENTITY w SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://127.0.0.1/"><!ENTITY w "40">',
        f'<!ENTITY w "40"><!ENTITY long "{"x" * 5000}">',
        "".join(f'<!ENTITY w{number} "4">' for number in range(300)),
    ):
        assert outcome(read, with_entity(declaration)) is FailureCode.DAMAGED


def test_gzip_that_is_cut_nested_or_inflates_to_too_much_is_damaged() -> None:
    packed = gzip.compress(svg())

    assert outcome(read, packed[:-9]) is FailureCode.DAMAGED
    assert isinstance(outcome(read, gzip.compress(packed)), FailureCode)
    assert outcome(read, gzip.compress(svg(body=" " * 2_000_000))) is FailureCode.DAMAGED
    assert sides(gzip.compress(svg(body=" " * 1_000_000))) == (40, 20)


def test_a_root_that_is_too_far_away_is_damaged() -> None:
    near = svg(before="<!--" + " " * (MOST_PROLOG_CHARACTERS - 200) + "-->")
    far = svg(before="<!--" + " " * MOST_PROLOG_CHARACTERS + "-->")

    assert sides(near) == (40, 20)
    assert isinstance(outcome(read, far), FailureCode)


@pytest.mark.parametrize(
    "data",
    [
        svg("", '<path d="M0 0 ' + "1 2 " * 4_000_000 + '"/>'),
        svg("", '<rect width="1" height="2" transform="scale(2) rotate(3)" style="stroke:red"/>' * 100_000),
        svg("", "<g>" * 500_000),
        svg("", '<path d="' + "." * 5_000_000 + '"/>'),
        svg(f'width="{"9" * 500_000}" height="9"'),
        svg(" ".join(f'a{number}=""' for number in range(50_000))),
    ],
)
def test_a_large_drawing_without_a_size_takes_no_time(data: bytes) -> None:
    started = time.process_time()

    assert isinstance(outcome(read, data), Header | FailureCode)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("has_gps", [False, True])
def test_a_location_is_found_in_xmp(has_gps: bool) -> None:
    assert read(svg(body=f"<metadata>{xmp_packet(has_gps=has_gps).decode()}</metadata>")).has_gps is has_gps


@pytest.mark.parametrize(
    ("attributes", "body", "expected"),
    [
        ('width="40" height="20"', "<rect width='40' height='20'/>", (40, 20)),
        ("width='50mm' height='1in' viewBox='0 0 50 25.4'", "<rect width='50' height='26'/>", (189, 96)),
        ("", '<rect x="10" y="10" width="80" height="30"/>', (80, 30)),
        ("", '<rect x="-10" y="-10" width="80" height="30"/>', (80, 30)),
        ('style="width:30px;height:20px"', "<rect width='99' height='99'/>", (30, 20)),
    ],
)
def test_a_renderer_draws_the_natural_size_and_fills_it(
    attributes: str, body: str, expected: tuple[int, int]
) -> None:
    picture = drawn(svg(attributes, body))

    assert picture.size == expected == sides(svg(attributes, body))
    assert picture.getbbox() == (0, 0, *expected)


def test_the_document_for_drawing_differs_in_its_root_alone() -> None:
    data = svg("width = '40' data-a='>' height=\"20\"", '<g width="1"/>', before="<!-- <svg> é -->")

    text = drawing(data).text
    assert text.startswith("<!-- <svg> é --><svg width=")
    assert text.endswith('><g width="1"/></svg>')
    assert text.count("height=") == 1
    assert "data-a='>'" in text


def test_mutilated_documents_end_in_a_header_or_a_failure() -> None:
    whole = svg('width="4cm" viewBox="0 0 3 4"', '<rect width="4"/>', before='<?xml version="1.0"?>')

    outcomes = {
        found if isinstance(found, FailureCode) else type(found)
        for data in mutilated(whole)
        if (found := outcome(read, data))
    }

    assert outcomes == {Header, FailureCode.DAMAGED, FailureCode.UNSUPPORTED_FORMAT}


@pytest.mark.parametrize("sample", samples_of("svg"), ids=lambda sample: sample.id)
def test_the_facts_agree_with_the_manifest(sample: Sample) -> None:
    assert is_svg(sample.read()[:4096])
    assert disagreements(read, sample) == {}
