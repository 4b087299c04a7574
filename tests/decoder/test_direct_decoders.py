"""The libraries of Pillow's wheel, called directly, give what Pillow gives, or leave the picture to it."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin, WebPImagePlugin

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder.formats import detect
from remote_worker.decoder.loaders import libavif, libpng, libwebp, wheel
from remote_worker.decoder.loaders.canvas import Canvas, Memory, lend
from remote_worker.decoder.loaders.pillow import PNG, PillowLoader

from .pictures import noise, saved

PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
DECODERS = {"PNG": libpng.decoder(), "WEBP": libwebp.decoder(), "AVIF": libavif.decoder()}
GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}

pytestmark = pytest.mark.skipif(
    not (Path(Image.__file__).parents[1] / "pillow.libs").exists(), reason="this Pillow is no wheel"
)


def drawn(plugin: str, data: bytes) -> Image.Image | None:
    """What is decoded without Pillow."""
    decode = DECODERS[plugin]
    assert decode is not None
    image = PLUGINS[plugin](io.BytesIO(data))
    canvas = decode(data, image)
    return image._new(canvas.core()) if canvas else None


def read_by_pillow(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered(pixels: bytes, row_bytes: int, step: int) -> bytes:
    """The rows with the five filters of PNG (9.2) by turns."""

    def predicted(kind: int, left: int, above: int, corner: int) -> int:
        nearest = min((left, above, corner), key=lambda value: abs(left + above - corner - value))
        return (0, left, above, (left + above) // 2, nearest)[kind]

    made = bytearray()
    before = bytes(row_bytes)
    for at in range(0, len(pixels), row_bytes):
        row = pixels[at : at + row_bytes]
        kind = at // row_bytes % 5
        made.append(kind)
        for x, value in enumerate(row):
            left, corner = (row[x - step], before[x - step]) if x >= step else (0, 0)
            made.append(value - predicted(kind, left, before[x], corner) & 255)
        before = row
    return bytes(made)


def png(
    color_type: int,
    size: tuple[int, int],
    rows: bytes,
    *,
    depth: int = 8,
    interlace: int = 0,
    checksum: bytes | None = None,
    piece: int = 1 << 20,
    behind: bytes = b"",
) -> bytes:
    stream = zlib.compress(rows)
    stream = stream if checksum is None else stream[:-4] + checksum
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color_type, 0, 0, interlace))
        + b"".join(chunk(b"IDAT", stream[at : at + piece]) for at in range(0, len(stream), piece))
        + behind
        + chunk(b"IEND", b"")
    )


def test_a_library_that_is_not_in_the_wheel_is_none() -> None:
    assert wheel.library("libwebp", 7) is not None
    assert wheel.library("libwebp", 1) is None
    assert wheel.library("libnothing", 7) is None


@pytest.mark.parametrize(
    ("color_type", "mode"), [(GRAY, "L"), (RGB, "RGB"), (GRAY_ALPHA, "LA"), (RGBA, "RGBA")]
)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (300, 131)])
@pytest.mark.parametrize("piece", [1 << 20, 100])
def test_png_filters_are_undone(color_type: int, mode: str, size: tuple[int, int], piece: int) -> None:
    picture = noise(*size, mode)
    step = SAMPLES[color_type]
    rows = filtered(picture.tobytes(), size[0] * step, step)

    made = drawn("PNG", png(color_type, size, rows, piece=piece))

    assert made is not None
    assert (made.mode, made.size, made.tobytes()) == (mode, size, picture.tobytes())


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"gAMA", struct.pack(">I", 100_000)),
        chunk(b"gAMA", struct.pack(">I", 45_455)) + chunk(b"sRGB", b"\0"),
        chunk(b"sBIT", b"\5\6\5"),
        chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)),
        chunk(b"bKGD", struct.pack(">HHH", 9, 9, 9)),
    ],
    ids=["linear", "srgb", "sbit", "trns", "bkgd"],
)
def test_what_a_png_says_of_its_colours_changes_no_sample(chunks: bytes) -> None:
    data = saved(noise(40, 30), "PNG")
    told = data[:33] + chunks + data[33:]

    made = PNG.still(told, detect(told).header(told), None).image

    assert made.tobytes() == noise(40, 30).tobytes()
    told_by_pillow = PngImagePlugin.PngImageFile(io.BytesIO(told)).info
    assert {name: made.info[name] for name in told_by_pillow} == told_by_pillow


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 200, 2))])
def test_palettes_keep_their_colours(transparency: int | bytes | None) -> None:
    picture = noise(64, 48).quantize(100)
    options = {} if transparency is None else {"transparency": transparency}
    data = saved(picture, "PNG", **options)

    made = drawn("PNG", data)

    assert made is not None
    assert made.mode == "P"
    assert made.convert("RGBA").tobytes() == read_by_pillow(data).convert("RGBA").tobytes()


ROWS = filtered(noise(20, 10).tobytes(), 60, 3)


@pytest.mark.parametrize(
    ("data", "is_drawn"),
    [
        (png(RGB, (20, 10), ROWS), True),
        (png(RGB, (20, 10), ROWS, behind=chunk(b"tEXt", b"a\0b") + chunk(b"tIME", bytes(7))), True),
        (png(RGB, (20, 10), ROWS) + b"something behind", True),
        (png(RGB, (20, 10), ROWS, behind=chunk(b"zTXt", b"a\0\0b")), False),
        (png(RGB, (20, 10), ROWS, behind=chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"")), False),
        (png(RGB, (20, 10), ROWS)[:-12], False),
        (png(RGB, (20, 10), ROWS)[:-1], False),
        (png(RGB, (20, 10), ROWS)[:-40], False),
        (png(RGB, (20, 10), ROWS[:-1]), False),
        (png(RGB, (20, 10), ROWS + b"\0"), False),
        (png(RGB, (20, 10), b"\5" + ROWS[1:]), False),
        (png(RGB, (20, 10), ROWS, checksum=bytes(4)), False),
        (png(RGB, (10, 10), ROWS, depth=16), False),
        (png(RGB, (20, 10), ROWS, interlace=1), False),
        (png(RGB, (200, 100), bytes(601 * 100)), False),
        (saved(noise(20, 10).quantize(16), "PNG"), False),
        (saved(noise(20, 10).quantize(17), "PNG"), True),
    ],
    ids=[
        "whole",
        "text behind",
        "bytes behind",
        "packed text behind",
        "pixels behind text",
        "no end",
        "cut end",
        "cut pixels",
        "rows too few",
        "rows too many",
        "unknown filter",
        "wrong checksum",
        "16 bits",
        "interlaced",
        "plain",
        "palette of 4 bits",
        "palette of 8 bits",
    ],
)
def test_pngs_that_are_not_just_so_are_left_to_pillow(data: bytes, is_drawn: bool) -> None:
    assert (drawn("PNG", data) is not None) is is_drawn


@pytest.mark.parametrize("rows", [ROWS[:-1], b"\5" + ROWS[1:]], ids=["rows too few", "unknown filter"])
def test_what_pillow_refuses_is_damaged(rows: bytes) -> None:
    data = png(RGB, (20, 10), rows)

    with pytest.raises(WorkFailed) as failed:
        PNG.still(data, detect(data).header(data), None)

    assert failed.value.code is FailureCode.DAMAGED


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (201, 143)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_still_is_what_pillow_reads(mode: str, lossless: bool, size: tuple[int, int]) -> None:
    data = saved(noise(*size, mode), "WEBP", lossless=lossless)

    made = drawn("WEBP", data)

    assert made is not None
    assert (made.mode, made.tobytes()) == (mode, read_by_pillow(data).tobytes())


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("range_", ["full", "limited"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_avif_still_is_what_pillow_reads(mode: str, subsampling: str, range_: str) -> None:
    data = saved(noise(201, 143, mode), "AVIF", subsampling=subsampling, range=range_, speed=10)

    made = drawn("AVIF", data)

    assert made is not None
    assert (made.mode, made.tobytes()) == (mode, read_by_pillow(data).tobytes())


def test_premultiplied_avif_is_what_pillow_reads() -> None:
    data = saved(noise(64, 48, "RGBA"), "AVIF", alpha_premultiplied=True, speed=10)

    made = drawn("AVIF", data)

    assert made is not None
    assert made.tobytes() == read_by_pillow(data).tobytes()


@pytest.mark.parametrize("plugin", ["WEBP", "AVIF"])
def test_animations_and_cut_pictures_are_left_to_pillow(plugin: str) -> None:
    still = saved(noise(64, 48), plugin)
    cut = still[: len(still) * 2 // 3]
    film = saved(noise(64, 48), plugin, save_all=True, append_images=[noise(64, 48).rotate(90)])
    decode = DECODERS[plugin]
    assert decode is not None

    assert drawn(plugin, still) is not None
    assert drawn(plugin, film) is None
    assert decode(still, Image.new("RGB", (48, 64))) is None
    assert decode(still, Image.new("RGB", (65, 49))) is None
    assert decode(cut, PLUGINS[plugin](io.BytesIO(still))) is None


@pytest.mark.parametrize("plugin", ["PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_without_a_library_the_loader_gives_the_same(plugin: str, mode: str) -> None:
    data = saved(noise(90, 70, mode), plugin, icc_profile=b"a profile" * 20)
    header = detect(data).header(data)

    with_library, without = (
        PillowLoader(PLUGINS[plugin], decode).still(data, header, None).image
        for decode in (DECODERS[plugin], None)
    )

    assert with_library.tobytes() == without.tobytes()
    assert with_library.mode == without.mode == mode
    assert with_library.info["icc_profile"] == without.info["icc_profile"] == b"a profile" * 20


@pytest.mark.parametrize(
    ("mode", "plugin"), [("RGB", "BMP"), ("L", "TIFF"), ("RGBA", "TIFF"), ("LA", "PNG"), ("CMYK", "JPEG")]
)
def test_large_pictures_are_decoded_into_a_canvas(mode: str, plugin: str) -> None:
    data = saved(noise(1700, 1300, mode), plugin)
    lent, plain = (Image.open(io.BytesIO(data)) for _ in range(2))

    lend(lent)
    is_lent = lent._im is not None
    lent.load()

    assert is_lent
    assert lent.tobytes() == plain.tobytes()


def test_small_and_deep_pictures_are_pillows_own() -> None:
    deep = noise(1700, 1300, "L").convert("I;16")
    for data in (saved(noise(200, 100), "PNG"), saved(deep, "PNG")):
        image = PngImagePlugin.PngImageFile(io.BytesIO(data))

        lend(image)

        assert image._im is None


def test_a_canvas_keeps_its_memory_while_a_picture_lies_on_it() -> None:
    canvas = Canvas("L", (2000, 2000))
    core = canvas.core()
    del canvas

    picture = Image.new("L", (1, 1))._new(core)
    picture.paste(7, (0, 0, 2000, 1000))

    assert (picture.getpixel((1999, 999)), picture.getpixel((0, 1000))) == (7, 0)


def test_memory_that_is_not_there_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        Memory(1 << 60)


@pytest.mark.parametrize("side", [20, 2000])
@pytest.mark.parametrize("color_type", [GRAY, RGB, RGBA])
def test_a_picture_without_pixels_is_damaged_at_any_size(side: int, color_type: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, color_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")

    with pytest.raises(WorkFailed) as failed:
        PNG.still(data, detect(data).header(data), None)

    assert failed.value.code is FailureCode.DAMAGED


@pytest.mark.parametrize(("spare_bytes", "is_drawn"), [(0, True), (-1, False)])
def test_pngs_with_more_rows_than_memory_is_for_are_left_to_pillow(
    spare_bytes: int, is_drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(noise(20, 30, "RGB"), "PNG")
    monkeypatch.setattr(libpng, "_MOST_BYTES", 30 * (1 + 3 * 20) + spare_bytes)

    assert (drawn("PNG", data) is not None) is is_drawn
