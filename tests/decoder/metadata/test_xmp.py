"""XMP packets: what is read from them, and that a scrubbed copy tells no place."""

import time

import pytest

from remote_worker.decoder.metadata import xmp

NAMESPACES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:other="http://ns.adobe.com/exif/1.0/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:dji="http://www.dji.com/drone-dji/1.0/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" '
    'xmlns:note="http://ns.adobe.com/xmp/note/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
)


def packet(attributes: str = "", elements: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f"<rdf:RDF {NAMESPACES}><rdf:Description {attributes}>{elements}</rdf:Description></rdf:RDF>"
        '</x:xmpmeta>   <?xpacket end="w"?>'
    ).encode()


@pytest.mark.parametrize(
    ("whole", "number"),
    [
        (packet('tiff:Orientation="6"'), 6),
        (packet("tiff:Orientation = '8'"), 8),
        (packet("", "<tiff:Orientation>3</tiff:Orientation>"), 3),
        (packet('tiff:Orientation="0"'), None),
        (packet('tiff:Orientation="9"'), None),
        (packet('exif:Orientation="6"'), None),
        (packet(), None),
        (b"", None),
        (b"<broken tiff:Orientation='6'", 6),
    ],
)
def test_an_orientation_is_read_in_either_form(whole: bytes, number: int | None) -> None:
    assert xmp.orientation(whole) == number


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text",
    [
        packet('exif:GPSLatitude="51,30.4N"'),
        packet('other:GPSLongitude="0,7.6W"'),
        packet("", "<other:GPSLatitude>51,30.4N</other:GPSLatitude>"),
        packet('dji:GpsLongtitude="+0.1"'),
        packet("", "<ext:LocationCreated><rdf:li exif:GPSLatitude='51,30.4N'/></ext:LocationCreated>"),
    ],
)
def test_coordinates_are_seen_in_any_form_and_encoding(text: bytes, encoding: str) -> None:
    assert xmp.has_gps(text.decode().encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        packet(),
        packet('exif:GPSLatitude=""'),
        packet('exif:GPSVersionID="2.3.0.0"'),
        packet('photoshop:City="London"'),
        packet("", "<dc:description>GPSLatitude</dc:description>"),
        b"",
        b"\xff\xfe",
    ],
)
def test_nothing_but_coordinates_counts_as_gps(text: bytes) -> None:
    assert not xmp.has_gps(text)


def test_a_scrubbed_packet_loses_places_and_keeps_its_neighbours() -> None:
    whole = packet(
        'exif:GPSLatitude="51,30.4N" photoshop:City="London" photoshop:State=\'England\' '
        'dc:format="image/jpeg" crs:AutoLateralCA="1" tiff:Orientation="6" note:HasExtendedXMP="ABC"',
        "<photoshop:Country>UK</photoshop:Country><crs:Opacity>50</crs:Opacity>"
        "<ext:LocationShown><rdf:Bag><rdf:li>Westminster</rdf:li></rdf:Bag></ext:LocationShown>"
        "<dc:title>kept</dc:title><!-- 51,30.4N -->",
    )

    copy = xmp.scrubbed(whole)

    for gone in (b"51,30", b"London", b"England", b"UK", b"Westminster", b"ABC"):
        assert gone not in copy
    for kept in (b'dc:format="image/jpeg"', b'crs:AutoLateralCA="1"', b">50<", b">kept<"):
        assert kept in copy
    assert xmp.orientation(copy) == 1


def test_an_orientation_element_is_set_to_1() -> None:
    copy = xmp.scrubbed(packet("", "<tiff:Orientation>6</tiff:Orientation><tiff:Make>m</tiff:Make>"))

    assert b"<tiff:Orientation>1</tiff:Orientation><tiff:Make>m</tiff:Make>" in copy


def test_a_packet_without_a_place_stays_as_it_is() -> None:
    whole = packet("dc:format='a&gt;b'", "<crs:Empty/><dc:title a='&quot;/>'>x</dc:title>")

    assert xmp.scrubbed(whole) == whole


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"<a>",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"\xff\xfe<\0a\0>",
        packet("", "<tiff:Orientation>6<!-- --></tiff:Orientation>"),
        packet()[:-30],
        b"\xff" * 100,
    ],
)
def test_a_packet_that_cannot_be_trusted_is_dropped(whole: bytes) -> None:
    assert xmp.scrubbed(whole) == b""


@pytest.mark.parametrize(
    "whole",
    [
        b"<a>" * 300_000,
        b"gps" * 1_000_000,
        b"<a " + b"".join(b'x%d="" ' % index for index in range(100_000)) + b"/>",
        b"<a>" + b"<exif:GPSLatitude" * 100_000,
        packet("", "<photoshop:City>" * 50_000 + "</photoshop:City>" * 50_000),
        b"<a>" + b"&lt;" * 500_000 + b"</a>",
        b"<a" + b" " * 2_000_000 + b"/>",
    ],
    ids=["deep", "letters", "attributes", "unclosed", "dropped", "references", "spaces"],
)
def test_time_grows_only_with_the_length(whole: bytes) -> None:
    started = time.process_time()

    xmp.has_gps(whole)
    xmp.orientation(whole)
    xmp.scrubbed(whole)

    assert time.process_time() - started < 5
