"""One service for all conformance tests, and what is found out about every sample that they ask for."""

import os
import shutil
from collections.abc import Iterator

import pytest

from .corpora import Sample
from .examine import Ahead, Examiner
from .second_reader import Exiftool, ImageMagick, find_imagemagick
from .service import Rest, Service, started

LAST = ("test_load", "test_from_outside")
HURRY = {"REMOTE_CPU_SECONDS": "1", "REMOTE_DECODE_SECONDS": "4"}
"""What works without end is ended as surely as in ordinary settings, and sooner."""


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
def hurried_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that gives less time to each picture: bombs go here."""
    with started(tmp_path_factory.mktemp("hurried") / "log", settings=HURRY) as running:
        yield running


@pytest.fixture(scope="session")
def at_rest(service: Service) -> Rest:
    """The service once it has warmed up, before the corpora."""
    return _at_rest(service)


@pytest.fixture(scope="session")
def hurried_at_rest(hurried_service: Service) -> Rest:
    """The other one."""
    return _at_rest(hurried_service)


def _at_rest(service: Service) -> Rest:
    for _ in range(50):
        service.post("/images/fit/16", b"no image")
    return service.at_rest()


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
    hurried_service: Service,
    at_rest: Rest,
    hurried_at_rest: Rest,
    exiftool_process: Exiftool | None,
    reference_maker: ImageMagick | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ahead]:
    """Findings about a sample; as many samples at once as the service decodes at once."""
    assert at_rest
    assert hurried_at_rest
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
        hurried_service=hurried_service,
        folder=tmp_path_factory.mktemp("outputs"),
        exiftool=exiftool_process,
        imagemagick=reference_maker,
    )
    ahead = Ahead(examiner, list(wanted.values()), workers=len(os.sched_getaffinity(0)))
    yield ahead
    ahead.close()
