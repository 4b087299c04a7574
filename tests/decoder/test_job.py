"""One task on one document: facts, limits, and how failures are told."""

import io
import mmap
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Avatars, Fit, Info, Prepare
from remote_worker.contract.signatures import Template
from remote_worker.decoder import job, png_chunks
from remote_worker.decoder.formats import FORMATS

from .pictures import corners, do, film, noise, saved


def failure(task: object, data: bytes, **limits: int) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        job.run(task, data, Limits(**limits), Template.RASTER)
    return failed.value.code


def test_info_tells_the_header_without_pixels() -> None:
    data = saved(noise(60, 40, "RGBA"), "PNG")
    cut = data[: data.index(b"IDAT") + 8]

    result = do(Info(), cut)

    assert result.pictures == {}
    assert result.facts["upload"] == {"format": "png", "mime": "image/png"}
    assert result.facts["info"] == {
        "binary_size": len(cut),
        "frames": 1,
        "height": 40,
        "mime_type": "image/png",
        "width": 60,
        "format": "png",
        "orientation": 1,
        "display_width": 60,
        "display_height": 40,
        "has_alpha": True,
        "color_space": "rgb",
        "bit_depth": 8,
        "has_icc_profile": False,
        "has_exif": False,
        "has_gps": False,
        "loop": None,
        "duration_ms": None,
    }


def test_info_of_an_animation_tells_frames_rounds_and_time() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue", "green")]

    info = do(Info(), film(frames, "GIF", [100, 200, 300], loop=4), frames=1).facts["info"]

    assert (info["frames"], info["loop"], info["duration_ms"]) == (3, 4, 600)


def test_prepare_takes_jpeg_alone() -> None:
    assert do(Prepare(), saved(corners(), "JPEG")).facts["pictures"] == [
        {"name": "output", "format": "jpeg", "width": 48, "height": 32, "frames": 1}
    ]
    assert failure(Prepare(), saved(corners(), "PNG")) is FailureCode.NOT_A_JPEG


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF"])
def test_half_a_file_is_damaged(plugin: str) -> None:
    data = saved(noise(200, 200), plugin)

    assert failure(Fit(width=150, height=150), data[: len(data) // 2]) is FailureCode.DAMAGED
    assert failure(Avatars(), data[: len(data) // 2]) is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"pixels": 600}, None),
        ({"pixels": 599}, FailureCode.TOO_MANY_PIXELS),
        ({"side_pixels": 30}, None),
        ({"side_pixels": 29}, FailureCode.TOO_MANY_PIXELS),
    ],
)
@pytest.mark.parametrize("task", [Fit(width=5, height=5), Avatars(), Prepare()])
def test_every_task_with_pixels_holds_the_limits(
    task: object, limits: dict[str, int], code: FailureCode | None
) -> None:
    data = saved(noise(30, 20), "JPEG")

    if code is None:
        assert job.run(task, data, Limits(**limits), Template.RASTER).pictures
    else:
        assert failure(task, data, **limits) is code


def test_a_claim_of_many_pixels_is_refused_at_once() -> None:
    huge = (
        png_chunks.SIGNATURE
        + png_chunks.chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))
        + png_chunks.chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + png_chunks.chunk(b"IEND", b"")
    )

    assert failure(Fit(width=5, height=5), huge) is FailureCode.TOO_MANY_PIXELS
    assert do(Info(), huge).facts["info"]["width"] == 60_000


def test_a_picture_within_an_icon_is_held_to_the_same_limit() -> None:
    png = saved(Image.new("1", (300, 200)), "PNG")
    # The directory says 16 x 16.
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(png), 22) + png

    assert failure(Avatars(), icon, pixels=59_999) is FailureCode.TOO_MANY_PIXELS
    assert do(Avatars(), icon, pixels=60_000).pictures.keys() == {
        f"avatar{side}" for side in (24, 48, 73, 128)
    }


def test_a_gif_frame_beyond_the_screen_is_held_to_the_same_limit() -> None:
    gif = bytearray(saved(Image.new("P", (10, 10)), "GIF"))
    frame = gif.index(b",\0\0\0\0")
    gif[frame + 5 : frame + 9] = struct.pack("<HH", 65_535, 65_535)

    assert failure(Avatars(), bytes(gif)) is FailureCode.TOO_MANY_PIXELS


def test_a_size_that_the_library_reads_otherwise_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise(30, 20), "PNG")
    row = next(row for row in FORMATS if row.name == "png")
    assert row.loader is not None

    with pytest.raises(WorkFailed) as failed:
        row.loader.still(data, replace(row.header(data), width=29), None)

    assert failed.value.code is FailureCode.DAMAGED


@pytest.mark.parametrize("task", [Fit(width=5, height=5), Avatars()])
def test_a_format_that_is_not_allowed_is_unavailable(task: object) -> None:
    data = saved(corners(), "PNG")
    job.allow(["jpeg"])
    try:
        assert failure(task, data) is FailureCode.FORMAT_UNAVAILABLE
        assert do(Info(), data).facts["info"]["width"] == 48
    finally:
        job.allow(row.name for row in FORMATS)


def test_a_read_only_mapping_is_read_like_bytes() -> None:
    for plugin in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF", "ICO", "ICNS"):
        data = saved(noise(64, 64), plugin)
        fd = os.memfd_create("document")
        os.write(fd, data)
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
            made = job.run(Avatars(), mapped, Limits(), Template.RASTER)
        os.close(fd)

        assert made.pictures == do(Avatars(), data).pictures


def test_the_handlers_can_be_added_to() -> None:
    class Echo:
        pass

    job.HANDLERS[Echo] = lambda _, document: job.Result({}, {"bytes": len(document.data)})
    try:
        assert job.run(Echo(), b"GIF89a" + saved(corners(), "GIF")[6:], Limits(), Template.RASTER).facts
    finally:
        del job.HANDLERS[Echo]


def test_after_the_warm_up_nothing_is_imported_and_no_thread_is_left() -> None:
    """A sealed process can open no module; each of these pictures takes another way through the libraries."""
    code = (
        "import sys, os, pickle\n"
        "from remote_worker.contract.limits import Limits\n"
        "from remote_worker.contract.signatures import PICTURES, template_of\n"
        "from remote_worker.contract.messages import Avatars, Fit, Info\n"
        "from remote_worker.decoder import job, warm\n"
        "for template in PICTURES:\n"
        "    assert set(warm.up(template, Limits()).values()) == {'ok'}\n"
        "class Closed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        raise AssertionError('imported late: ' + name)\n"
        "documents = pickle.load(sys.stdin.buffer)\n"
        "sys.meta_path.insert(0, Closed())\n"
        "for data in documents:\n"
        "    for task in (Info(), Fit(width=20, height=20, animated=True), Avatars(animated=True)):\n"
        "        job.run(task, data, Limits(), template_of(data[:4096]))\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
    )
    import pickle

    frames = [Image.new("RGBA", (30, 20), color) for color in ("red", "#0000ff80")]
    documents = [
        *(saved(noise(40, 30, mode), "TIFF") for mode in ("RGB", "CMYK", "L", "RGBA")),
        *(saved(Image.new(mode, (40, 30)), "TIFF") for mode in ("1", "P", "F", "I", "LAB", "I;16")),
        *(saved(Image.new(mode, (40, 30)), "PNG") for mode in ("1", "P", "LA", "I;16")),
        *(film(frames, plugin, [10, 20]) for plugin in ("GIF", "PNG", "WEBP", "AVIF")),
        saved(noise(40, 30, "CMYK"), "JPEG"),
        saved(noise(40, 30, "RGBA"), "JPEG2000", no_jp2=True),
        saved(noise(64, 64, "RGBA"), "ICNS"),
        saved(noise(64, 64, "RGBA"), "ICO", bitmap_format="bmp"),
    ]

    subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(documents),
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=120,
    )


def test_pictures_come_as_png_that_stands_alone() -> None:
    body = do(Avatars(), saved(noise(30, 20), "PNG")).pictures["avatar24"]

    chunks = []
    file = io.BytesIO(body)
    assert file.read(8) == png_chunks.SIGNATURE
    while head := file.read(8):
        length, kind = struct.unpack(">I4s", head)
        content = file.read(length)
        assert zlib.crc32(kind + content) == int.from_bytes(file.read(4), "big")
        chunks.append(kind)
    assert chunks[0] == b"IHDR"
    assert chunks[-1] == b"IEND"
    assert set(chunks[1:-1]) == {b"IDAT"}
