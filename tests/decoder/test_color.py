"""Colours: profiles are applied, every mode becomes 8-bit sRGB."""

import struct

import pytest
from PIL import Image, ImageCms

from remote_worker.contract.messages import Avatars, Fit
from remote_worker.decoder import color, icc
from remote_worker.decoder.color import Profile

from .pictures import BLUE, GREEN, RED, output, saved


def swapped_profile() -> bytes:
    """sRGB's matrix with red and blue exchanged, under a name that does not say sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace(b"s\0R\0G\0B", b"o\0d\0d\0 ").replace(b"sRGB", b"odd ")


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(("stored", "shown"), [(RED, BLUE), (GREEN, GREEN), (BLUE, RED)])
def test_an_embedded_profile_is_applied(
    plugin: str, stored: tuple[int, int, int], shown: tuple[int, int, int]
) -> None:
    data = saved(Image.new("RGB", (64, 64), stored), plugin, icc_profile=swapped_profile())

    for task, name in ((Fit(width=32, height=32, format="png"), "output"), (Avatars(), "avatar48")):
        made = output(task, data, name)
        assert _near(made.convert("RGB").getpixel((16, 16)), shown)
        assert "icc_profile" not in made.info


def curved(exponent: float) -> bytes:
    """sRGB's profile under its name, with another curve: light is the value to the power of `exponent`."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(count)]
    for tag, at, _ in tags:
        if tag == b"rTRC":
            # A curve of type 0 has the exponent alone; lengths may be larger than what is used.
            struct.pack_into(">4s4xHHi", profile, at, b"para", 0, 0, round(exponent * 65536))
    return bytes(profile)


def test_a_profile_that_calls_itself_srgb_but_is_linear_is_applied() -> None:
    profile = curved(1.0)
    assert b"s\0R\0G\0B" in profile

    made = color.to_srgb(Image.new("RGB", (2, 2), (128, 128, 128)), Profile(profile))

    # Half of the light is 188 in sRGB (IEC 61966-2-1).
    assert _near(made.getpixel((0, 0)), (188, 188, 188), 1)


@pytest.mark.parametrize(
    ("profile", "verdict"),
    [
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), True),
        (curved(2.2), False),
        (curved(1.0), False),
        (swapped_profile(), False),
        (b"", False),
        (bytes(400), False),
    ],
    ids=["sRGB", "gamma 2.2", "linear", "swapped", "empty", "zeros"],
)
def test_srgb_is_told_by_its_numbers(profile: bytes, verdict: bool) -> None:
    assert icc.is_srgb(profile) is verdict


@pytest.mark.parametrize("length", range(0, 588, 7))
def test_a_cut_profile_is_no_reason_to_fail(length: int) -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    color.to_srgb(Image.new("RGB", (2, 2), RED), Profile(whole[:length]))


def test_alpha_passes_by_the_profile() -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 90))

    made = color.to_srgb(picture, Profile(swapped_profile()))

    assert _near(made.getpixel((4, 4)), (0, 0, 255, 90), 2)


@pytest.mark.parametrize("profile", [b"", b"garbage", swapped_profile()[:300], bytes(600)])
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    assert color.to_srgb(Image.new("RGB", (2, 2), RED), Profile(profile)).getpixel((0, 0)) == RED


def test_a_profile_of_another_kind_of_pixels_is_ignored() -> None:
    assert color.to_srgb(Image.new("L", (2, 2), 77), Profile(swapped_profile())).getpixel((0, 0)) == 77


def test_cmyk_without_a_profile_becomes_rgb() -> None:
    data = saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", quality=95)

    made = output(Fit(width=32, height=32), data)

    assert made.mode == "RGB"
    assert _near(made.getpixel((9, 9)), RED, 4)


def test_lab_becomes_rgb() -> None:
    # Full red in CIELAB (D50) is L 54.3, a 80.8, b 69.9; Pillow keeps a and b with 128 added.
    lab = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (138, 209, 198)])

    assert _near(color.to_srgb(lab, Profile()).getpixel((1, 1)), RED, 8)


@pytest.mark.parametrize(
    ("gamma", "stored", "shown"),
    # 0.5 of the light is 188 in sRGB, whatever exponent the file was written with.
    [(1.0, 128, 188), (0.45455, 128, 128), (2.5, 45, 188)],
)
def test_the_exponent_of_a_png_is_applied(gamma: float, stored: int, shown: int) -> None:
    picture = Image.new("L", (2, 2), stored)
    picture.info["gamma"] = gamma

    made = color.to_srgb(picture, Profile.of(picture)).getpixel((0, 0))

    assert isinstance(made, int)
    assert abs(made - shown) <= 1


@pytest.mark.parametrize(
    ("mode", "values", "levels"),
    [
        ("F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("F", [0.0, 257.0, 65535.0], [0, 1, 255]),
        ("F", [-10.0, 0.0, 10.0], [0, 128, 255]),
        ("I", [0, 32768, 65535], [0, 128, 255]),
        ("I", [-32768, 0, 32767], [0, 128, 255]),
    ],
)
def test_wide_samples_are_scaled_by_the_range_they_are_in(
    mode: str, values: list[float], levels: list[int]
) -> None:
    picture = Image.new(mode, (3, 1))
    picture.putdata(values)

    made = color.to_srgb(color.workable(picture, 32), Profile())

    assert list(made.get_flattened_data()) == levels


@pytest.mark.parametrize("place", [(0, 0), (3, 3)])
def test_an_opaque_alpha_channel_is_dropped(place: tuple[int, int]) -> None:
    opaque = Image.new("RGBA", (4, 4), (1, 2, 3, 255))
    nearly = opaque.copy()
    nearly.putpixel(place, (1, 2, 3, 254))

    assert color.workable(opaque).mode == "RGB"
    assert color.workable(nearly).mode == "RGBA"


def _near(pixel: object, expected: tuple[int, ...], tolerance: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, expected, strict=True))
