"""The client and a worker with its seal: each call for real."""

import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.origin import TITLE
from remote_worker import __version__
from remote_worker.client import Refused, WorkerError

from .conftest import Working
from .scripted import Call


def opened(picture: bytes) -> Image.Image:
    """By another reader."""
    return Image.open(io.BytesIO(picture))


def test_a_photo_is_fitted_from_its_path(call: Call, working: Working, photo: Path) -> None:
    made = call(working.url, "fit", (100, 50), photo, format="webp", quality=60)

    assert made.media_type == "image/webp"
    with opened(made.body) as image, Image.open(photo) as before:
        assert image.format == "WEBP"
        assert image.height == 50
        assert image.width == pytest.approx(before.width * 50 / before.height, abs=1)


def test_avatars_are_squares_of_their_sides(call: Call, working: Working, photo: Path) -> None:
    made = call(working.url, "avatars", photo.read_bytes())

    assert list(made.pictures) == [24, 48, 73, 128, 256, 512]
    assert {opened(picture.body).size for picture in made.pictures.values()} == {
        (side, side) for side in made.pictures
    }
    assert made.media_type == "image/jpeg"


def test_a_jpeg_is_prepared_from_an_open_file(call: Call, working: Working, photo: Path) -> None:
    with photo.open("rb") as file:
        made = call(working.url, "prepare_jpeg", file)

    with opened(made.body) as image:
        assert (image.format, dict(image.getexif())) == ("JPEG", {})


def test_info_is_what_another_reader_says(call: Call, working: Working, photo: Path) -> None:
    told = call(working.url, "info", photo)

    with Image.open(photo) as image:
        assert (told.width, told.height) == image.size
    assert (told.format, told.media_type, told.bytes) == ("jpeg", "image/jpeg", photo.stat().st_size)


def test_what_is_no_picture_is_refused_by_its_code(call: Call, working: Working) -> None:
    with pytest.raises(Refused) as caught:
        call(working.url, "info", b"no picture")

    assert (caught.value.code, caught.value.status) == ("unsupported_format", 415)
    assert caught.value.request_id


def test_a_link_is_previewed(call: Call, working: Working) -> None:
    card = call(working.url, "preview", f"{working.site}/page/1")

    assert card.title == TITLE
    assert card.final_url == f"{working.site}/page/1"


def test_links_are_previewed_at_once_and_one_that_fails_is_told_alone(call: Call, working: Working) -> None:
    lines = call(working.url, "previews", [f"{working.site}/page/2", "http://10.0.0.1/"])

    good, bad = sorted(lines, key=lambda line: line.index)
    assert (good.preview.title, good.error) == (TITLE, None)
    assert (bad.preview, bad.error.code) == (None, "blocked_address")


def test_a_page_is_no_picture_by_its_url(call: Call, working: Working) -> None:
    with pytest.raises(WorkerError) as caught:
        call(working.url, "image_by_url", f"{working.site}/page/3", fit=100)

    assert (caught.value.code, caught.value.detail) == ("type_mismatch", "text/html")


def test_markdown_becomes_html(call: Call, working: Working) -> None:
    html = call(working.url, "render_markdown", "**Hello** <script>alert(1)</script>")

    assert html.startswith("<p><strong>Hello</strong>")
    assert "<script" not in html


def test_a_worker_says_what_it_is_and_that_it_is_ready(call: Call, working: Working) -> None:
    offered = call(working.url, "capabilities")
    ready = call(working.url, "ready")

    assert offered.version == __version__
    assert offered.formats["jpeg"].written
    assert offered.operations["fit"].available
    assert not offered.operations["ens"].available
    assert (ready.is_ready, ready.formats["jpeg"]) == (True, "ok")
    assert call(working.url, "ip").ipv4 == "127.0.0.1"
    assert call(working.url, "hello").uptime > 0


@pytest.mark.parametrize(
    ("method", "given", "code"),
    [("ens", ("name.eth",), "not_configured"), ("geo", ("nowhere",), "bad_parameter")],
)
def test_what_is_not_there_is_told_by_its_code(
    call: Call, working: Working, method: str, given: tuple[str, ...], code: str
) -> None:
    with pytest.raises(Refused) as caught:
        call(working.url, method, *given)

    assert caught.value.code == code
