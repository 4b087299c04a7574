"""What the started service looks like after everything that was done to it."""

import re
from pathlib import Path

import pytest

from .service import Rest, Service

DECODER_FILES = re.compile(
    r"PIL/|pillow|heif|jxl|resvg|isal|cykooz|webp|avif|openjp2|libtiff|libjpeg|libde265|x265|lcms|imagecodecs|vips",
    re.IGNORECASE,
)
GROWTH_BYTES = 48 * 1024 * 1024


def test_the_host_never_loads_an_image_library(service: Service) -> None:
    service.post("/images/fit/16", b"no image")
    mapped = {
        line.split(maxsplit=5)[5]
        for line in Path(f"/proc/{service.pid}/maps").read_text().splitlines()
        if "/" in line
    }

    assert any("python" in path for path in mapped)
    assert not [path for path in mapped if DECODER_FILES.search(path)]


@pytest.mark.parametrize(
    ("which", "before"), [("service", "at_rest"), ("hurried_service", "hurried_at_rest")]
)
def test_the_service_comes_to_rest_as_it_was(which: str, before: str, request: pytest.FixtureRequest) -> None:
    was: Rest = request.getfixturevalue(before)
    service: Service = request.getfixturevalue(which)

    now = service.at_rest()

    assert (now.descriptors, now.processes) == (was.descriptors, was.processes)
    assert now.resident_bytes < was.resident_bytes + GROWTH_BYTES


@pytest.mark.parametrize("which", ["service", "hurried_service"])
def test_no_process_is_left_dead_or_running(which: str, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(which)
    service.settled()

    assert set(service.tree().values()) <= {"S", "I"}
