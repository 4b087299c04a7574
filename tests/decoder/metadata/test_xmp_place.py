"""Where an XMP packet says that a picture was taken."""

import io

import pytest
from PIL import Image

from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.contract.signatures import Template
from remote_worker.decoder import job
from remote_worker.decoder.metadata import xmp_place


def packet(**properties: str) -> bytes:
    attributes = " ".join(f'exif:{name}="{value}"' for name, value in properties.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" {attributes}/></rdf:RDF></x:xmpmeta>'
    ).encode()


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        # exiftool 12.57: exiftool -n -XMP-exif:GPSLatitude -XMP-exif:GPSLongitude
        ("48,51.504N", "2,17.67E", (48.8584, 2.2945)),
        ("33,51,24.12S", "151,12,54W", (-33.8567, -151.215)),
        ("48.8584", "-2.2945", (48.8584, -2.2945)),
        ("90,0N", "180,0W", (90, -180)),
        ("0,0.0S", "0,0E", (0, 0)),
    ],
)
def test_coordinates_are_told_in_degrees(
    latitude: str, longitude: str, expected: tuple[float, float]
) -> None:
    found = xmp_place.place(packet(GPSLatitude=latitude, GPSLongitude=longitude))

    assert found == {"latitude": expected[0], "longitude": expected[1], "altitude": None}
    assert "-0.0" not in str(found)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ("90,0.1N", "0,0E"),
        ("0,0N", "180,0.1E"),
        ("48,51.504E", "2,17.67E"),
        ("48,51.504N", "2,17.67N"),
        ("48,51.504", "2,17.67E"),
        ("\u0664\u0668,0N", "2,17.67E"),
        ("1e1", "2,17.67E"),
        ("nan", "2,17.67E"),
        ("9" * 100_000 + "N", "2,17.67E"),
        ("", "2,17.67E"),
    ],
)
def test_what_is_no_coordinate_is_no_place(latitude: str, longitude: str) -> None:
    assert xmp_place.place(packet(GPSLatitude=latitude, GPSLongitude=longitude)) is None


@pytest.mark.parametrize(
    ("altitude", "below", "expected"),
    [
        ("3505/100", "0", 35.05),
        ("3505/100", "1", -35.05),
        ("12.5", "0", 12.5),
        ("1/0", "0", None),
        ("10000001", "0", None),
        ("100001", "1", None),
        ("high", "0", None),
    ],
)
def test_a_height_is_told_where_it_is_one(altitude: str, below: str, expected: float | None) -> None:
    placed = packet(GPSLatitude="1,0N", GPSLongitude="1,0E", GPSAltitude=altitude, GPSAltitudeRef=below)

    assert xmp_place.place(placed) == {"latitude": 1, "longitude": 1, "altitude": expected}


@pytest.mark.parametrize("broken", [b"", b"<", packet(GPSLatitude="1,0N"), b"<!DOCTYPE a>" + packet()])
def test_a_packet_that_is_broken_tells_no_place(broken: bytes) -> None:
    assert xmp_place.place(broken) is None


def test_info_tells_the_place_of_a_packet_where_exif_has_none_and_else_that_of_exif() -> None:
    placed = packet(GPSLatitude="1,0N", GPSLongitude="2,0E")
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "S", 2: (3.0, 0.0, 0.0), 3: "W", 4: (4.0, 0.0, 0.0)})

    assert _place(placed, Image.Exif()) == (1, 2)
    assert _place(placed, exif) == (-3, -4)


def _place(placed: bytes, exif: Image.Exif) -> tuple[float, float]:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", xmp=placed, exif=exif)
    info = job.run(Info(metadata=True), file.getvalue(), Limits(), Template.RASTER).facts["info"]
    assert info["has_gps"]
    return info["metadata"]["gps"]["latitude"], info["metadata"]["gps"]["longitude"]
