"""The project's own manifest says what a second reader says, and the folder holds what the manifest lists."""

from typing import Any

import pytest

from .corpora import OWN, samples
from .second_reader import Exiftool

TOLD_BY_EXIFTOOL = {"jpeg", "png", "apng", "gif", "bmp", "tiff", "webp", "heic", "avif", "jp2", "psd"}
HIDDEN = ("gps-thumbnail.jpg", "gps-trailer.jpg", "gps-second-picture.jpg")
OWN_ROWS = [sample for sample in samples() if sample.id.startswith("own/")]


def test_the_manifest_lists_every_sample_once() -> None:
    listed = sorted(sample.path.relative_to(OWN).as_posix() for sample in OWN_ROWS)
    kept = sorted(
        path.relative_to(OWN).as_posix()
        for path in OWN.glob("*/**/*")
        if path.is_file() and path.relative_to(OWN).parts[0] not in ("making", "pages")
    )

    assert listed == kept


@pytest.mark.needs_exiftool
def test_sizes_orientations_and_places_agree_with_exiftool(exiftool_process: Exiftool) -> None:
    rows = [
        sample
        for sample in OWN_ROWS
        if sample.expected == "ok" and not sample.is_hostile and sample.format in TOLD_BY_EXIFTOOL
    ]
    told = exiftool_process.tags(
        [sample.path for sample in rows],
        *("-ImageWidth", "-ImageHeight", "-Orientation", "-Rotation", "-GPSLatitude", "-GPSPosition"),
    )
    hidden = {sample.id for sample in rows if sample.id.endswith(HIDDEN)}

    for sample, tags in zip(rows, told, strict=True):
        assert (tags["ImageWidth"], tags["ImageHeight"]) == (sample.width, sample.height), sample.id
        assert _orientation(tags) == sample.orientation, sample.id
        if sample.id not in hidden:
            assert ("GPSLatitude" in tags) == sample.has_gps, sample.id


def _orientation(tags: dict[str, Any]) -> int:
    if tags.get("Rotation") == 270:
        return 6
    told: int = tags.get("Orientation", 1)
    return told
