"""Loaders: what each library needs to be told, or set right behind."""

import struct

import pytest
from PIL import Image

from remote_worker.contract.messages import Avatars, Fit
from remote_worker.decoder.formats import FORMATS
from remote_worker.decoder.loaders.loader import Loader

from .pictures import BLUE, GREEN, RED, corner_colors, corners, noise, output, saved

NATURAL = Fit(width=10_000, height=10_000, format="png")


def loader_of(name: str) -> Loader:
    loader = next(row.loader for row in FORMATS if row.name == name)
    assert loader is not None
    return loader


@pytest.mark.parametrize(("plugin", "name"), [("JPEG", "jpeg"), ("JPEG2000", "jp2")])
@pytest.mark.parametrize(
    ("cover", "scale"), [((1000, 1000), 1), ((502, 300), 1), ((501, 300), 2), ((250, 151), 4), ((126, 10), 4)]
)
def test_the_smallest_scale_that_covers_is_decoded(
    plugin: str, name: str, cover: tuple[int, int], scale: int
) -> None:
    data = saved(noise(1003, 605), plugin)
    row = next(row for row in FORMATS if row.name == name)

    decoded = loader_of(name).still(data, row.header(data), cover).image

    assert decoded.size == (-(-1003 // scale), -(-605 // scale))


def test_a_scaled_jpeg_2000_is_not_shifted() -> None:
    picture = Image.new("L", (803, 803))
    picture.paste(255, (0, 0, 401, 803))

    made = output(Fit(width=100, height=100, format="png"), saved(picture, "JPEG2000")).convert("L")

    assert abs(sum(made.crop((0, 50, 100, 51)).tobytes()) / 255 - 401 / 8.03) < 0.2


def test_a_gif_frame_that_reaches_over_the_screen_is_cut() -> None:
    gif = bytearray(saved(corners(48, 32), "GIF"))
    struct.pack_into("<HH", gif, 6, 40, 32)

    made = output(NATURAL, bytes(gif))

    assert made.size == (40, 32)
    assert made.convert("RGB").getpixel((39, 1)) == GREEN


def test_the_largest_picture_of_an_icon_counts() -> None:
    icons = [Image.new("RGBA", (side, side), color) for side, color in ((16, RED), (64, BLUE), (32, GREEN))]

    for bitmap_format in ("png", "bmp"):
        data = saved(
            icons[1],
            "ICO",
            sizes=[(16, 16), (32, 32), (64, 64)],
            append_images=[icons[0], icons[2]],
            bitmap_format=bitmap_format,
        )
        made = output(NATURAL, data)
        assert made.size == (64, 64)
        assert made.convert("RGB").getpixel((5, 5)) == BLUE


def test_a_bitmap_icon_keeps_its_mask() -> None:
    picture = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 8, 16))

    made = output(NATURAL, saved(picture, "ICO", bitmap_format="bmp", sizes=[(16, 16)])).convert("RGBA")

    assert [made.getpixel((x, 5)) for x in (3, 12)] == [(255, 0, 0, 255), (255, 0, 0, 0)]


def icns(*elements: tuple[bytes, bytes]) -> bytes:
    body = b"".join(struct.pack(">4sI", kind, 8 + len(content)) + content for kind, content in elements)
    return struct.pack(">4sI", b"icns", 8 + len(body)) + body


def test_packed_icns_planes_are_read_with_their_mask() -> None:
    # 16 x 16 red: runs of 128 times 255, then of 0 for green and blue (Apple's run lengths: n + 125).
    planes = bytes([253, 255] * 2 + [253, 0] * 4)
    mask = bytes([200]) * 256

    made = output(NATURAL, icns((b"is32", planes), (b"s8mk", mask)))

    assert made.size == (16, 16)
    assert made.convert("RGBA").getpixel((9, 9)) == (255, 0, 0, 200)


def test_literal_runs_and_argb_are_read() -> None:
    # Alpha and red as literal bytes of 128 at a time, green and blue in runs.
    literal = bytes([127]) + bytes([255]) * 128
    content = b"ARGB" + literal * 2 + literal * 2 + bytes([253, 7] * 2 + [253, 9] * 2)

    made = output(NATURAL, icns((b"ic04", content)))

    assert made.size == (16, 16)
    assert made.convert("RGBA").getpixel((3, 3)) == (255, 7, 9, 255)


def test_the_largest_element_of_an_icns_counts() -> None:
    small, large = (
        saved(Image.new("RGB", (side, side), color), "PNG") for side, color in ((32, RED), (128, BLUE))
    )

    made = output(Avatars(), icns((b"ic11", small), (b"ic07", large)), "avatar128")

    assert made.convert("RGB").getpixel((5, 5)) == BLUE


def psd(mode: int, channels: int, depth: int, pixels: bytes, side: int = 8) -> bytes:
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, side, side, depth, mode)
    return head + bytes(12) + b"\0\0" + pixels


def test_the_ones_of_a_photoshop_bitmap_are_ink() -> None:
    made = output(NATURAL, psd(0, 1, 1, b"\xf0" * 8)).convert("L")

    assert [made.getpixel((x, 4)) for x in (1, 6)] == [0, 255]


def test_a_fourth_photoshop_channel_without_layers_is_no_transparency() -> None:
    made = output(NATURAL, psd(3, 4, 8, b"\xff" * 64 + b"\0" * 192))

    assert made.convert("RGBA").getpixel((4, 4)) == (255, 0, 0, 255)


def test_an_mpo_with_a_broken_index_gives_its_first_picture() -> None:
    data = saved(corners(), "MPO", save_all=True, append_images=[noise(48, 32)])
    broken = data.replace(
        b"\xff\xe2" + data[data.index(b"MPF\0") - 2 : data.index(b"MPF\0")] + b"MPF\0II*", b""
    )
    cut = data[: data.index(b"\xff\xd8", 2)]

    for each in (data, broken, cut):
        assert corner_colors(output(NATURAL, each)) == list("rgbw")


@pytest.mark.parametrize(
    ("name", "sample"), [("heic", "sample.heic"), ("jxl", "sample.jxl"), ("jxl", "sample-lossy.jxl")]
)
def test_formats_that_pillow_alone_cannot_write_are_decoded(name: str, sample: str) -> None:
    from remote_worker.decoder import warm

    data = (warm.SAMPLES / sample).read_bytes()
    row = next(row for row in FORMATS if row.name == name)
    header = row.header(data)

    made = output(NATURAL, data)

    assert made.size == (header.display_width, header.display_height)
