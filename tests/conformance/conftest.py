"""One service for all conformance tests, and what is found out about every sample that they ask for."""

import os
import shutil
from collections.abc import Iterator

import pytest

from .corpora import Sample
from .examine import Ahead, Examiner
from .second_reader import Exiftool, ImageMagick, find_imagemagick
from .service import Service, started

LAST = ("test_load", "test_from_outside")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is told about the service at the end is told after everything else has been done to it."""
    items.sort(key=lambda item: LAST.index(item.path.stem) + 1 if item.path.stem in LAST else 0)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The started service."""
    with started(tmp_path_factory.mktemp("service") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def at_rest(service: Service) -> tuple[int, int, int]:
    """Descriptors, processes and resident bytes of the service once it has warmed up, before the corpora."""
    for _ in range(50):
        service.post("/images/fit/16", b"no image")
    descriptors, processes = service.settled()
    return descriptors, processes, service.resident_bytes()


@pytest.fixture(scope="session")
def exiftool_process() -> Iterator[Exiftool | None]:
    """A running exiftool, or None where it is not installed."""
    if shutil.which("exiftool") is None:
        yield None
        return
    reader = Exiftool()
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def reference_maker(tmp_path_factory: pytest.TempPathFactory) -> ImageMagick | None:
    """ImageMagick, or None where it is not installed."""
    command = find_imagemagick()
    return ImageMagick(command, tmp_path_factory.mktemp("profiles")) if command else None


@pytest.fixture(scope="session")
def findings(
    request: pytest.FixtureRequest,
    service: Service,
    at_rest: tuple[int, int, int],
    exiftool_process: Exiftool | None,
    reference_maker: ImageMagick | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ahead]:
    """Findings about a sample; as many samples at once as the service decodes at once."""
    assert at_rest
    wanted: dict[str, Sample] = {}
    for item in request.session.items:
        sample = (
            item.callspec.params.get("sample")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        if isinstance(sample, Sample) and "findings" in getattr(item, "fixturenames", ()):
            wanted[sample.id] = sample
    examiner = Examiner(
        service=service,
        folder=tmp_path_factory.mktemp("outputs"),
        exiftool=exiftool_process,
        imagemagick=reference_maker,
    )
    ahead = Ahead(examiner, list(wanted.values()), workers=len(os.sched_getaffinity(0)))
    yield ahead
    ahead.close()
