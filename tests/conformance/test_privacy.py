"""No output tells where a picture was taken, wherever the upload hid it."""

import re
from pathlib import Path

import pytest

from .corpora import OWN, Sample, samples
from .second_reader import Exiftool
from .service import Service

PLACED = [sample for sample in samples() if sample.has_gps and sample.expected == "ok"]
NAMED = [sample for sample in samples() if sample.id == "own/jpeg/place-names-iptc.jpg"]

QUESTIONS = {
    "fit": "/images/fit/10000",
    "fit-animated": "/images/fit/100?animated=1",
    "fit-png": "/images/fit/100?format=png",
    "fit-jpeg": "/images/fit/100?format=jpeg",
    "fit-webp": "/images/fit/100?format=webp",
    "fit-avif": "/images/fit/100?format=avif",
    "avatars": "/images/rescale_avatar",
    "avatars-animated": "/images/rescale_avatar?animated=1",
}
QUESTIONS_ABOUT_JPEG = {
    "prepare": "/images/prepare_jpeg",
    "prepare-keep": "/images/prepare_jpeg?metadata=keep",
}

PLACE = re.compile(
    r"GPS(?!VersionID)|Latitude|Longitude|Location|Geotag|GeoCoord|^City$|Country|Province|Sub-?location",
    re.IGNORECASE,
)
NOT_METADATA = {"File", "System", "ExifTool"}
FILM_PLACES = (b"\xa9xyz", b"loci", b"com.apple.quicktime.location")


@pytest.mark.needs_exiftool
@pytest.mark.parametrize("sample", [*PLACED, *NAMED], ids=lambda sample: sample.id)
def test_no_output_tells_a_place(
    sample: Sample, service: Service, exiftool_process: Exiftool, tmp_path: Path
) -> None:
    data = sample.read()
    questions = QUESTIONS | (QUESTIONS_ABOUT_JPEG if sample.format == "jpeg" else {})
    for name, path in questions.items():
        answer = service.post(path, data)
        assert answer.status == 200, (name, answer.json)
        for part, body in answer.pictures().items():
            (tmp_path / f"{name}-{part}").write_bytes(body)

    _write_inner_pictures(tmp_path)
    written = sorted(tmp_path.iterdir())
    told = {name: places for name, places in _places(exiftool_process, written).items() if places}

    assert not told
    assert not [path.name for path in written if any(word in path.read_bytes() for word in FILM_PLACES)]


@pytest.mark.needs_exiftool
@pytest.mark.parametrize(
    "name", ["jpeg/gps-exif.jpg", "jpeg/gps-xmp.jpg", "jpeg/gps-thumbnail.jpg", "jpeg/place-names-iptc.jpg"]
)
def test_the_second_reader_sees_the_places_of_the_uploads(
    name: str, exiftool_process: Exiftool, tmp_path: Path
) -> None:
    (tmp_path / "upload").write_bytes((OWN / name).read_bytes())

    _write_inner_pictures(tmp_path)

    assert any(_places(exiftool_process, sorted(tmp_path.iterdir())).values())


@pytest.mark.needs_exiftool
def test_metadata_that_tells_no_place_is_kept_on_request(
    service: Service, exiftool_process: Exiftool, tmp_path: Path
) -> None:
    data = (OWN / "jpeg" / "gps-exif.jpg").read_bytes()
    for name, path in QUESTIONS_ABOUT_JPEG.items():
        (tmp_path / name).write_bytes(service.post(path, data, raw=True).body)

    stripped, kept = exiftool_process.tags(
        [tmp_path / name for name in QUESTIONS_ABOUT_JPEG], "-Make", "-Orientation"
    )

    assert "Make" not in stripped
    assert (kept["Make"], kept["Orientation"]) == ("Sample", 1)


def _places(reader: Exiftool, paths: list[Path]) -> dict[str, list[str]]:
    return {
        Path(tags["SourceFile"]).name: [
            name
            for name in tags
            if PLACE.search(name.rpartition(":")[2]) and name.partition(":")[0] not in NOT_METADATA
        ]
        for tags in reader.tags(paths, "-ee", "-a", "-G0")
    }


def _write_inner_pictures(folder: Path) -> None:
    """Thumbnails, second pictures and anything else that begins like a JPEG inside of a file."""
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        for number, found in enumerate(re.finditer(rb"\xff\xd8\xff[\xe0-\xef\xdb]", body)):
            if found.start():
                path.with_name(f"{path.name}-inner{number}").write_bytes(body[found.start() :])
