"""Fit, end to end inside the decoder: sizes, formats, orientation, alpha, frames; nothing carried over."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Fit
from remote_worker.decoder.formats import FORMATS

from .pictures import BLUE, RED, corner_colors, corners, do, film, frame_count, noise, output, pixel, saved

WIDE = Fit(width=10_000, height=10_000)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Maker"
    block.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0)})
    return block


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [(1, "rgbw"), (2, "grwb"), (3, "wbgr"), (4, "bwrg"), (5, "rbgw"), (6, "gwrb"), (7, "wgbr"), (8, "brwg")],
)
def test_every_orientation_stands_upright(plugin: str, orientation: int, stored: str) -> None:
    upright = corners(96, 64)
    size = (48, 32) if orientation < 5 else (32, 48)
    quarters = {
        letter: upright.crop((x, y, x + 48, y + 32)).resize(size)
        for letter, (x, y) in zip("rgbw", [(0, 0), (48, 0), (0, 32), (48, 32)], strict=True)
    }
    image = Image.new("RGB", (2 * size[0], 2 * size[1]))
    for at, letter in enumerate(stored):
        image.paste(quarters[letter], (at % 2 * size[0], at // 2 * size[1]))

    made = output(Fit(width=48, height=48, format="png"), saved(image, plugin, exif=exif(orientation)))

    assert made.size == (48, 32)
    assert corner_colors(made) == list("rgbw")


@pytest.mark.parametrize(
    ("plugin", "mode", "name"),
    [
        ("JPEG", "RGB", "jpeg"),
        ("JPEG", "L", "jpeg"),
        ("JPEG", "CMYK", "jpeg"),
        ("PNG", "RGBA", "png"),
        ("PNG", "P", "png"),
        ("PNG", "1", "png"),
        ("PNG", "LA", "png"),
        ("PNG", "I;16", "png"),
        ("GIF", "P", "gif"),
        ("WEBP", "RGBA", "webp"),
        ("AVIF", "RGB", "avif"),
        ("AVIF", "L", "avif"),
        ("TIFF", "RGB", "tiff"),
        ("TIFF", "RGBA", "tiff"),
        ("TIFF", "CMYK", "tiff"),
        ("TIFF", "LAB", "tiff"),
        ("TIFF", "F", "tiff"),
        ("TIFF", "I", "tiff"),
        ("BMP", "RGB", "bmp"),
        ("JPEG2000", "RGBA", "jp2"),
        ("JPEG2000", "L", "jp2"),
        ("ICO", "RGBA", "png"),
        ("ICNS", "RGBA", "png"),
    ],
)
def test_the_upload_format_is_kept_where_it_can_be_written(plugin: str, mode: str, name: str) -> None:
    picture = noise(64, 64, "RGB") if mode in ("P", "1", "I;16", "F", "I", "LAB") else noise(64, 64, mode)
    if mode == "I;16":
        picture = Image.frombytes("I;16", (64, 64), bytes(range(256)) * 32)
    elif mode == "LAB":
        picture = Image.merge("LAB", noise(64, 64).split())
    else:
        picture = picture.convert(mode)

    result = do(Fit(width=32, height=32), saved(picture, plugin))

    facts = result.facts["pictures"][0]
    assert (facts["format"], facts["width"], facts["height"]) == (name, 32, 32)
    row = next(row for row in FORMATS if row.name == name)
    assert row.is_it(result.pictures["output"][:4096])
    assert row.header(result.pictures["output"]).width == 32


@pytest.mark.parametrize(
    ("asked", "magic"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("avif", "AVIF")]
)
@pytest.mark.parametrize("plugin", ["PNG", "GIF", "TIFF", "JPEG2000"])
def test_a_format_that_is_asked_for_is_written(plugin: str, asked: str, magic: str) -> None:
    assert output(Fit(width=20, height=20, format=asked), saved(corners(), plugin)).format == magic


def test_alpha_is_laid_on_white_for_jpeg() -> None:
    picture = Image.new("RGBA", (40, 40), (0, 0, 255, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 20, 40))

    made = output(Fit(width=40, height=40, format="jpeg", quality=95), saved(picture, "PNG"))

    assert _near(made.getpixel((30, 20)), (255, 255, 255))
    assert _near(made.getpixel((10, 20)), BLUE)


def test_palettes_are_scaled_in_true_colour() -> None:
    stripes = Image.new("P", (64, 64))
    stripes.putpalette([255, 0, 0, 0, 0, 255])
    stripes.putdata([x % 2 for _ in range(64) for x in range(64)])

    made = output(Fit(width=16, height=16), saved(stripes, "PNG"))

    assert all(_near(pixel, (128, 0, 128), 12) for pixel in made.convert("RGB").get_flattened_data())


@pytest.mark.parametrize(
    ("mode", "depth", "clear"),
    [("1", 1, 1), ("L", 4, 3), ("L", 8, 200), ("RGB", 8, (10, 20, 30)), ("P", 8, 1)],
)
def test_a_colour_that_png_calls_transparent_is_clear(mode: str, depth: int, clear: Any) -> None:
    picture = Image.new(mode, (32, 32))
    stretched = clear * 255 // ((1 << depth) - 1) if isinstance(clear, int) and mode != "P" else clear
    picture.paste(stretched, (0, 0, 16, 32))
    if mode == "P":
        picture.putpalette([*RED, *BLUE])
    options: dict[str, Any] = {"bits": depth} if mode == "P" else {}
    data = saved(picture, "PNG", transparency=clear, **options)
    if (mode, depth) == ("L", 4):
        data = _four_bit_gray(clear)

    made = output(Fit(width=32, height=32), data).convert("RGBA")

    assert pixel(made, 8, 16)[3] == 0
    assert pixel(made, 24, 16)[3] == 255


def test_sixteen_bit_gray_keeps_its_levels() -> None:
    levels = [0, 257, 32768, 65535]
    picture = Image.frombytes("I;16", (4, 1), b"".join(level.to_bytes(2, "little") for level in levels))

    made = output(WIDE, saved(picture, "PNG"))

    assert list(made.get_flattened_data()) == [round(level / 257) for level in levels]


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
def test_nothing_of_the_metadata_comes_along(plugin: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "secret words")
    options: dict[str, dict[str, Any]] = {
        "JPEG": {
            "exif": exif(6),
            "comment": b"secret words",
            "dpi": (123, 123),
            "xmp": b"<x>secret words</x>",
        },
        "PNG": {"exif": exif(6), "pnginfo": text, "dpi": (123, 123)},
        "WEBP": {"exif": exif(6), "xmp": b"<x>secret words</x>"},
        "TIFF": {"exif": exif(6), "description": "secret words", "software": "secret words"},
        "AVIF": {"exif": exif(6), "xmp": b"<x>secret words</x>"},
        "GIF": {"comment": b"secret words"},
    }
    data = saved(noise(60, 40), plugin, **options[plugin])
    assert b"secret" in data

    for target in (None, "jpeg", "png", "webp", "avif"):
        body = do(Fit(width=30, height=30, format=target), data).pictures["output"]
        assert not re.search(rb"secret|Maker|Exif|EXIF|eXIf|xmp|XMP|iCCP|ICC_PROFILE|prof", body)


@pytest.mark.needs_exiftool
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exiftool_finds_no_location_and_no_maker(plugin: str, exiftool: Callable[..., Any]) -> None:
    data = saved(noise(60, 40), plugin, exif=exif(6))

    body = do(Fit(width=30, height=30), data).pictures["output"]

    assert b"GPS" in exiftool("-a", "-G1", "-", stdin=data).stdout
    assert not re.search(rb"GPS|Maker|Orientation +: [^H]", exiftool("-a", "-G1", "-", stdin=body).stdout)


FRAMES = [Image.new("RGB", (40, 30), color) for color in (RED, BLUE, (0, 255, 0), BLUE, BLUE)]
DURATIONS = [100, 250, 40, 1000, 70]


@pytest.mark.parametrize("target", [None, "png", "webp"])
@pytest.mark.parametrize(("plugin", "name"), [("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif")])
def test_all_frames_and_durations_are_kept(plugin: str, name: str, target: str | None) -> None:
    moving = [frame.copy() for frame in FRAMES]
    for at, frame in enumerate(moving):
        # No two neighbours alike, since the writers of the samples would drop one.
        frame.paste("white", (at * 8, 0, at * 8 + 8, 8))
    data = film(moving, plugin, DURATIONS, loop=3)

    result = do(Fit(width=20, height=20, format=target, animated=True), data)

    made = Image.open(io.BytesIO(result.pictures["output"]))
    facts = result.facts["pictures"][0]
    assert (facts["format"], facts["frames"], facts["height"]) == (target or name, 5, 15)
    assert frame_count(made) == 5
    durations = []
    for at, color in enumerate([RED, BLUE, (0, 255, 0), BLUE, BLUE]):
        made.seek(at)
        made.load()
        durations.append(round(made.info["duration"]))
        assert _near(made.convert("RGB").getpixel((10, 12)), color, 30)
    assert durations == DURATIONS
    assert made.info["loop"] == 3


@pytest.mark.parametrize("target", [None, "avif"])
def test_an_avif_keeps_all_frames_and_durations(target: str | None) -> None:
    result = do(Fit(width=20, height=20, format=target, animated=True), film(FRAMES, "AVIF", DURATIONS))

    made = Image.open(io.BytesIO(result.pictures["output"]))
    facts = result.facts["pictures"][0]
    assert (facts["format"], facts["frames"], facts["height"]) == ("avif", 5, 15)
    durations = []
    for at, color in enumerate([RED, BLUE, (0, 255, 0), BLUE, BLUE]):
        made.seek(at)
        made.load()
        durations.append(round(made.info["duration"]))
        assert _near(made.convert("RGB").getpixel((10, 12)), color, 30)
    assert durations == DURATIONS


def test_a_gif_keeps_frames_that_look_alike_and_clear_pixels() -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 8, 16))
    data = do(
        Fit(width=16, height=16, format="png", animated=True),
        film([clear, Image.new("RGBA", (16, 16), (0, 0, 255, 255)), clear], "PNG", [50, 50, 50]),
    ).pictures["output"]
    # Two frames that differ in the source, and no longer when they are scaled to one pixel.
    alike = [Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "red")]
    alike[0].putpixel((0, 0), (254, 0, 0))
    gif = film(alike, "GIF", [50, 50])

    frames = Image.open(io.BytesIO(data))
    frames.seek(2)

    assert pixel(frames, 12, 8)[3] == 0
    assert pixel(frames, 4, 8) == (255, 0, 0, 255)
    assert do(Fit(width=1, height=1, animated=True), gif).facts["pictures"][0]["frames"] == 2


def test_without_animated_the_first_frame_is_taken() -> None:
    data = film(FRAMES[:2], "GIF", DURATIONS[:2])

    result = do(Fit(width=20, height=20), data)

    assert result.facts["pictures"][0]["frames"] == 1
    assert _near(output(Fit(width=20, height=20), data).convert("RGB").getpixel((5, 5)), RED)


def test_quality_changes_the_size() -> None:
    data = saved(noise(200, 200), "PNG")

    for target in ("jpeg", "webp", "avif"):
        low, high = (
            len(do(Fit(width=200, height=200, format=target, quality=quality), data).pictures["output"])
            for quality in (20, 95)
        )
        assert low < high


@pytest.mark.parametrize(("size", "code"), [(8000, None), (8001, FailureCode.TOO_MANY_PIXELS)])
def test_pixels_are_counted_before_they_are_decoded(size: int, code: FailureCode | None) -> None:
    data = saved(Image.new("1", (8000, size)), "PNG")

    if code is None:
        assert output(Fit(width=10, height=10), data).size == (10, 10)
        return
    with pytest.raises(WorkFailed) as failed:
        do(Fit(width=10, height=10), data)
    assert failed.value.code is code


def _near(pixel: object, color: tuple[int, ...], tolerance: int = 6) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, color, strict=False))


def _four_bit_gray(clear: object) -> bytes:
    """A PNG that Pillow does not write: gray of four bits, half of it at the transparent level."""
    from remote_worker.decoder.png_chunks import SIGNATURE, chunk

    assert isinstance(clear, int)
    import struct
    import zlib

    row = b"\0" + bytes([clear << 4 | clear]) * 8 + b"\0" * 8
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 4, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", clear))
        + chunk(b"IDAT", zlib.compress(row * 32))
        + chunk(b"IEND", b"")
    )
