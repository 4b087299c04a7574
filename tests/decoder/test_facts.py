"""What is told of a picture besides, against the libraries that others tell it with."""

import base64
import json
from pathlib import Path
from typing import Any

import blurhash as other_blurhash
import numpy as np
import pytest
from PIL import Image
from thumbhash import rgba_to_thumb_hash

from remote_worker.contract import wire
from remote_worker.contract.messages import FACTS, Output, Recipe
from remote_worker.decoder.facts import blurhash, colors, phash, thumbhash
from remote_worker.pool import verify

from .pictures import BLUE, RED, do, noise, saved


def told(data: bytes, *names: str) -> dict[str, Any]:
    return do(Recipe(facts=names or FACTS), data).facts["info"]


SIZES = [(32, 32), (32, 20), (9, 32), (1, 1), (32, 1), (1, 32), (3, 2)]
"""A picture of 32 pixels or less a side is told of as it is."""


@pytest.mark.parametrize("size", SIZES)
def test_a_blurhash_is_what_another_library_makes_of_the_picture(size: tuple[int, int]) -> None:
    picture = noise(*size)

    expected = other_blurhash.encode(np.asarray(picture), 4, 3)
    assert told(saved(picture, "PNG"))["blurhash"] == expected
    assert blurhash.encode(picture) == expected


@pytest.mark.parametrize("size", SIZES)
def test_a_thumbhash_is_what_another_library_makes_of_the_picture(size: tuple[int, int]) -> None:
    picture = noise(*size).convert("RGBA")

    expected = base64.b64encode(bytes(rgba_to_thumb_hash(*size, list(picture.tobytes())))).decode()
    assert told(saved(picture, "PNG"))["thumbhash"] == expected
    assert thumbhash.encode(picture) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # rgbaToThumbHash of thumbhash 0.1.1 in JavaScript; the library for Python has a fault with alpha.
        ((32, 32), "nWiGFQo41ViHeYmQOJaAnCv3eIiAiId4eA=="),
        ((9, 32), "VNmCGQw45boFx6WXgI869oh4gHiHeHg="),
        ((3, 2), "WziGC4SIjHgHh3fj+DeOf3h4hYiHqAg="),
    ],
)
def test_a_thumbhash_with_alpha_is_what_its_inventor_makes_of_the_picture(
    size: tuple[int, int], expected: str
) -> None:
    picture = noise(*size).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(size))

    assert thumbhash.encode(picture) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
        ((9, 32), "AAiCAQAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ((32, 1), "AAiCAYAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ],
)
def test_a_thumbhash_of_what_is_all_clear(size: tuple[int, int], expected: str) -> None:
    assert told(saved(Image.new("RGBA", size), "PNG"))["thumbhash"] == expected  # The same library's.


def test_a_large_picture_has_the_placeholders_of_a_small_copy() -> None:
    large = noise(900, 600)
    small = large.resize((32, 21), Image.Resampling.LANCZOS)

    made = told(saved(large, "JPEG", quality=95))

    # Two digits of a placeholder may come out one step off, of what each looks at in its own way.
    expected = other_blurhash.decode(other_blurhash.encode(np.asarray(small), 4, 3), 32, 21)
    assert (
        np.abs(np.asarray(other_blurhash.decode(made["blurhash"], 32, 21)) - np.asarray(expected)).mean() < 3
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # imagehash 4.3.2 (numpy 2.4.6, scipy 1.17.1, Pillow 13.0.0): str(imagehash.phash(Image.open(name)))
        ("jpeg/baseline.jpg", "e0169f693339c2cd"),
        ("jpeg/progressive.jpg", "e0169f693339c2cd"),
        ("jpeg/gray.jpg", "e0169f693339c2cd"),
        ("png/rgb.png", "e0169f693339c2cd"),
        ("png/palette.png", "e0149f6b333dc2c5"),
        ("png/interlaced.png", "e0169f693339c2cd"),
        ("png/gray-1bit.png", "e0169f69333dc2c5"),
        ("webp/lossy.webp", "e0169f693339c2cd"),
        ("gif/still.gif", "e0149f6b333dc2c5"),
        ("bmp/24bit.bmp", "e0169f693339c2cd"),
        # 640 x 512 pixels, which are told of from a copy of 256 x 205.
        ("jpeg/all-avatars.jpg", "e0129f6d3b316ac5"),
        ("png/all-avatars.png", "e0129f293b317fc4"),
    ],
)
def test_a_perceptual_hash_is_what_imagehash_makes_of_the_picture(
    samples: Path, name: str, expected: str
) -> None:
    assert told((samples / name).read_bytes(), "phash") == {"phash": expected}


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        # The same imagehash. In these most waves are exactly 0, which a sum of cosines would miss by a hair.
        (Image.new("L", (40, 30), 77), "8000000000000000"),
        (Image.linear_gradient("L").rotate(90), "aa00000000000000"),
        (Image.linear_gradient("L"), "8000800080008000"),
        (Image.radial_gradient("L"), "ee989837e69ac819"),
    ],
)
def test_flat_pictures_have_the_hash_that_imagehash_gives_them(picture: Image.Image, expected: str) -> None:
    assert phash.of(picture) == expected


def test_pictures_that_look_alike_have_hashes_that_are_near_and_others_have_not() -> None:
    picture = noise(400, 300)
    darker = picture.point([level * 4 // 5 for level in range(256)] * 3)
    copies = [
        saved(picture, "JPEG", quality=30),
        saved(picture.resize((120, 90)), "PNG"),
        saved(darker, "WEBP"),
    ]

    def distance(data: bytes) -> int:
        return (int(told(data, "phash")["phash"], 16) ^ original).bit_count()

    original = int(told(saved(picture, "PNG"), "phash")["phash"], 16)
    assert max(map(distance, copies)) <= 8
    assert distance(saved(noise(300, 300).rotate(90), "PNG")) > 16


def test_clear_pixels_count_as_white() -> None:
    half = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 32, 64))
    on_white = Image.new("RGB", (64, 64), "white")
    on_white.paste((0, 0, 0), (0, 0, 32, 64))

    made, expected = (told(saved(image, "PNG")) for image in (half, on_white))

    assert made["phash"] == expected["phash"]
    assert made["blurhash"] == expected["blurhash"]
    assert made["colors"] == ["#000000"]
    assert sorted(expected["colors"]) == ["#000000", "#ffffff"]


def test_dominant_colours_come_by_their_share() -> None:
    flag = Image.new("RGB", (100, 100), BLUE)
    flag.paste("white", (0, 0, 30, 100))
    flag.paste(RED, (0, 0, 100, 12))

    assert told(saved(flag, "PNG"), "colors") == {"colors": ["#0000ff", "#ffffff", "#ff0000"]}


def test_the_eight_commonest_of_many_colours_are_told() -> None:
    rainbow = Image.new("HSV", (48, 8))
    rainbow.putdata([(255 * x // 48, 255, 255) for _ in range(8) for x in range(48)])
    few = Image.new("RGB", (48, 8))
    for at in range(8):
        few.paste((32 * at, 255 - 32 * at, 128), (6 * at, 0, 6 * at + 6, 8))

    assert len(told(saved(rainbow.convert("RGB"), "PNG"), "colors")["colors"]) == 8
    assert set(colors.dominant(few.convert("RGBA"))) == {
        f"#{32 * at:02x}{255 - 32 * at:02x}80" for at in range(8)
    }


def test_what_is_all_clear_has_no_colour() -> None:
    assert told(saved(Image.new("RGBA", (20, 20)), "PNG"), "colors") == {"colors": []}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "LAB"])
@pytest.mark.parametrize("size", [(1, 1), (300, 2)])
def test_pictures_of_every_kind_have_facts_that_pass(mode: str, size: tuple[int, int]) -> None:
    made = told(saved(Image.new(mode, size), "TIFF"))

    facts = json.dumps({"upload": {"format": "tiff", "mime": "image/tiff"}, "info": made}).encode()
    table, _, _ = wire.layout({wire.FACTS: len(facts)})
    assert verify.reply(Recipe(facts=FACTS), table + facts).info == made


def test_facts_do_not_depend_on_the_outputs_of_a_picture_that_is_decoded_whole() -> None:
    data = saved(noise(500, 400), "PNG")
    outputs = tuple(Output(name=f"a{side}", width=side, height=side, mode="cover") for side in (8, 500))

    assert do(Recipe(outputs=outputs, facts=FACTS), data).facts["info"] == told(data)


def test_a_turned_picture_is_told_of_upright() -> None:
    upright = noise(200, 120)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)

    assert told(saved(stored, "PNG", exif=exif)) == told(saved(upright, "PNG"))
