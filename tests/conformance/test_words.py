"""What is wrong with an upload is told in the words that clients of v2ex/remote know."""

import pytest

from .corpora import PROJECT
from .service import Service

SAMPLES = PROJECT / "tests" / "corpus"
PNG = (SAMPLES / "png" / "rgb.png").read_bytes()
JPEG = (SAMPLES / "jpeg" / "baseline.jpg").read_bytes()
UNREADABLE = "Unable to determine the file type"

LEADS = {
    "/images/fit/10": "Error occurred during rescaling",
    "/images/rescale_avatar": "Failed to resize the uploaded image file: ",
    "/images/prepare_jpeg": "Failed to prepare image: ",
}


@pytest.mark.parametrize("path", ["/images/info", "/images/fit/10", "/images/rescale_avatar"])
def test_a_known_format_without_a_readable_header(service: Service, path: str) -> None:
    answer = service.post(path, PNG[:20])

    assert (answer.status, answer.code, answer.json["message"]) == (422, "damaged", UNREADABLE)


@pytest.mark.parametrize("path", list(LEADS))
def test_a_picture_that_is_cut(service: Service, path: str) -> None:
    answer = service.post(path, JPEG[: len(JPEG) // 2])

    assert (answer.status, answer.code) == (422, "damaged")
    assert answer.json["message"].startswith(LEADS[path])


def test_info_of_a_picture_that_is_cut_reads_its_header(service: Service) -> None:
    whole, cut = service.post("/images/info", PNG), service.post("/images/info", PNG[: len(PNG) // 2])

    assert cut.status == 200
    assert (cut.json["width"], cut.json["height"]) == (whole.json["width"], whole.json["height"])


@pytest.mark.parametrize("path", ["/images/info", *LEADS])
def test_what_is_no_image(service: Service, path: str) -> None:
    answer = service.post(path, b"%PDF-1.7 and so on")

    assert (answer.status, answer.code, answer.json["message"]) == (415, "unsupported_format", UNREADABLE)


def test_another_format_on_prepare(service: Service) -> None:
    answer = service.post("/images/prepare_jpeg", PNG)

    words = "This endpoint is only for processing JPEG images"
    assert (answer.status, answer.code, answer.json["message"]) == (400, "not_a_jpeg", words)
