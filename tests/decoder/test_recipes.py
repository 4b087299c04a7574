"""Recipes: several pictures and facts out of one decode, each put into its box as it says."""

import io
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from conformance.similarity import ssim
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import GRAVITIES, Fit, Output, Recipe
from remote_worker.decoder import operations, placement

from .pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    corner_colors,
    corners,
    do,
    film,
    frame_count,
    noise,
    output,
    pixel,
    saved,
)

SIDES = [gravity for gravity in GRAVITIES if gravity != "attention"]


def one(width: int, height: int, mode: str, **options: Any) -> Recipe:
    return Recipe(outputs=(Output(name="one", width=width, height=height, mode=mode, **options),))


def made(recipe: Recipe, data: bytes, **limits: Any) -> Image.Image:
    return output(recipe, data, "one", **limits)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40">'
    b'<rect x="30" width="30" height="40"/></svg>'
)
FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(noise(400, 300), "JPEG"),
    "turned jpeg": lambda: saved(noise(400, 300), "JPEG", exif=exif(6)),
    "jpeg of odd sides": lambda: saved(noise(331, 517), "JPEG", exif=exif(7)),
    "gray jpeg": lambda: saved(noise(400, 300, "L"), "JPEG"),
    "png with alpha": lambda: saved(noise(200, 150, "RGBA"), "PNG"),
    "deep png": lambda: saved(noise(64, 64, "L").convert("I;16"), "PNG"),
    "palette gif": lambda: saved(noise(64, 48).convert("P"), "GIF"),
    "webp": lambda: saved(noise(200, 150), "WEBP"),
    "avif": lambda: saved(noise(120, 90), "AVIF"),
    "tiff in cmyk": lambda: saved(noise(120, 90, "CMYK"), "TIFF"),
    "svg": lambda: SVG,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("box", "options"),
    [
        ((50, 40), {}),
        ((64, 48), {}),
        ((5000, 5000), {}),
        ((50, 50), {"format": "webp", "quality": 60}),
        ((37, 500), {"format": "jpeg"}),
    ],
)
def test_fit_in_a_recipe_is_the_fit_of_its_own_to_the_byte(
    name: str, box: tuple[int, int], options: dict[str, Any]
) -> None:
    data = FILES[name]()

    alone = do(Fit(width=box[0], height=box[1], **options), data)
    recipe = do(one(*box, "fit", **options), data)

    assert recipe.pictures["one"] == alone.pictures["output"]
    assert recipe.facts["pictures"][0] == alone.facts["pictures"][0] | {"name": "one"}


@pytest.mark.parametrize(
    ("mode", "display", "box", "enlarge", "canvas"),
    [
        ("fit", (400, 300), (100, 100), False, (100, 75)),
        ("fit", (40, 30), (100, 100), False, (40, 30)),
        ("fit", (40, 30), (100, 100), True, (100, 75)),
        ("fit", (400, 300), (100, 100), True, (100, 75)),
        ("cover", (400, 300), (100, 100), False, (100, 100)),
        ("cover", (400, 300), (400, 300), False, (400, 300)),
        ("cover", (400, 300), (401, 301), False, (400, 300)),
        ("cover", (400, 300), (800, 400), False, (400, 200)),
        ("cover", (400, 300), (400, 100), False, (400, 100)),
        ("cover", (1000, 100), (200, 200), False, (100, 100)),
        ("cover", (1000, 100), (200, 200), True, (200, 200)),
        ("cover", (1, 1), (65_535, 1), False, (1, 1)),
        ("cover", (40, 30), (100, 100), True, (100, 100)),
        ("pad", (400, 300), (100, 100), False, (100, 100)),
        ("pad", (40, 30), (100, 100), False, (100, 100)),
        ("crop", (400, 300), (100, 100), False, (100, 100)),
        ("crop", (400, 300), (1000, 100), False, (400, 100)),
        ("crop", (40, 30), (100, 100), True, (40, 30)),
    ],
)
def test_the_size_that_comes_out(
    mode: str, display: tuple[int, int], box: tuple[int, int], enlarge: bool, canvas: tuple[int, int]
) -> None:
    asked = Output(name="one", width=box[0], height=box[1], mode=mode, enlarge=enlarge)

    assert placement.plan(display, asked).canvas == canvas


WAYS = [("cover", 90, 90), ("cover", 60, 110), ("crop", 101, 64), ("pad", 140, 160)]


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize(("mode", "width", "height"), WAYS)
def test_imagemagick_makes_the_same_with_every_gravity(
    mode: str, width: int, height: int, imagemagick: Callable[..., CompletedProcess[bytes]]
) -> None:
    data = saved(noise(252, 187), "PNG")
    box = f"{width}x{height}"
    ways = {
        "cover": ["-resize", f"{box}^", "-gravity", "", "-crop", f"{box}+0+0"],
        "crop": ["-gravity", "", "-crop", f"{box}+0+0"],
        "pad": ["-resize", f"{box}>", "-background", "#204060", "-gravity", "", "-extent", box],
    }
    gravities = dict.fromkeys(SIDES, "")
    for gravity in gravities:
        arguments = ["-filter", "Lanczos", *(word or gravity for word in ways[mode])]
        file = imagemagick("png:-", *arguments, "+repage", "png:-", stdin=data).stdout
        theirs = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.float64)

        recipe = one(width, height, mode, gravity=gravity, background="204060")
        ours = np.asarray(made(recipe, data).convert("RGB"), np.float64)

        assert ours.shape == theirs.shape
        # A row or a column off, edges everywhere would show; another rounding of each level does not.
        assert np.abs(ours - theirs).mean() < 1, gravity
        assert ssim(ours.mean(axis=2), theirs.mean(axis=2)) > 0.99, gravity
        assert mode != "crop" or np.array_equal(ours, theirs), gravity


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("mode", "box"), [("cover", (40, 40)), ("crop", (30, 50)), ("pad", (80, 50))])
def test_a_picture_that_lies_comes_out_as_one_that_stands(
    orientation: int, mode: str, box: tuple[int, int]
) -> None:
    upright = noise(160, 90)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's own numbers of what undoes each turn.
    turn = back.get(orientation)
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))

    for gravity in ("west", "northeast", "south"):
        recipe = one(*box, mode, gravity=gravity)
        lay = made(recipe, saved(stored, "PNG", exif=exif(orientation)))
        stood = made(recipe, saved(upright, "PNG"))
        assert lay.size == stood.size
        # Lanczos goes along rows and columns in another order, and rounds between.
        assert np.abs(np.asarray(lay, float) - np.asarray(stood, float)).mean() < 0.2


@pytest.mark.parametrize(
    ("gravity", "letters"),
    [
        ("northwest", "rrrr"),
        ("northeast", "gggg"),
        ("southwest", "bbbb"),
        ("southeast", "wwww"),
        ("center", "rgbw"),
    ],
)
def test_a_crop_keeps_the_corner_that_is_named(gravity: str, letters: str) -> None:
    cut = made(one(20, 14, "crop", gravity=gravity), saved(corners(48, 32), "PNG"))

    assert cut.size == (20, 14)
    assert corner_colors(cut) == list(letters)


def test_a_jpeg_is_decoded_once_for_all_and_small_outputs_are_as_good_as_alone() -> None:
    data = saved(noise(1600, 1200), "JPEG", quality=95)
    sizes = (24, 100, 700)
    recipe = Recipe(
        outputs=tuple(Output(name=f"a{side}", width=side, height=side, format="png") for side in sizes)
    )
    expected = Image.open(io.BytesIO(data)).convert("L")

    result = do(recipe, data)

    for side in sizes:
        picture = Image.open(io.BytesIO(result.pictures[f"a{side}"])).convert("L")
        reference = expected.resize(picture.size, Image.Resampling.LANCZOS)
        assert ssim(np.asarray(picture, np.float64), np.asarray(reference, np.float64)) > 0.99


class TestBackgrounds:
    """What fills the box, and what shows through clear pixels."""

    def test_padding_is_clear_where_the_format_can_and_white_where_it_cannot(self) -> None:
        data = saved(Image.new("RGB", (20, 10), RED), "PNG")

        clear = made(one(20, 20, "pad"), data)
        white = made(one(20, 20, "pad", format="jpeg", quality=95), data)

        assert [pixel(clear, 10, y) for y in (1, 10, 18)] == [(0, 0, 0, 0), (*RED, 255), (0, 0, 0, 0)]
        assert min(pixel(white, 10, 1)[:3]) > 245
        assert pixel(white, 10, 10)[1] < 20

    def test_gray_stays_gray(self) -> None:
        data = saved(Image.new("L", (20, 10), 99), "PNG")

        assert made(one(20, 20, "pad"), data).mode == "LA"
        assert made(one(20, 20, "pad", background="808080"), data).mode == "L"
        assert made(one(20, 20, "pad", background="808081"), data).mode == "RGB"

    @pytest.mark.parametrize("gravity", SIDES)
    def test_a_picture_stands_in_its_box_where_it_is_told(self, gravity: str) -> None:
        data = saved(Image.new("RGB", (10, 10), RED), "PNG")

        padded = made(one(30, 30, "pad", gravity=gravity, background="0000ff"), data)

        x = 0 if "west" in gravity else 20 if "east" in gravity else 10
        y = 0 if "north" in gravity else 20 if "south" in gravity else 10
        expected = Image.new("RGB", (30, 30), BLUE)
        expected.paste(RED, (x, y, x + 10, y + 10))
        assert padded.tobytes() == expected.tobytes()

    def test_a_colour_shows_through_clear_pixels_in_every_mode(self) -> None:
        half = Image.new("RGBA", (40, 40))
        half.paste((*RED, 255), (0, 0, 20, 40))

        for mode in ("fit", "cover", "crop", "pad"):
            picture = made(one(40, 40, mode, background="00ff00"), saved(half, "PNG"))
            assert picture.mode == "RGB"
            assert [pixel(picture, x, 20)[:3] for x in (5, 35)] == [RED, GREEN]

    def test_a_background_may_be_half_clear(self) -> None:
        data = saved(Image.new("RGB", (10, 10), RED), "PNG")

        padded = made(one(30, 30, "pad", background="0000ff80"), data)

        assert pixel(padded, 1, 1) == (*BLUE, 0x80)
        assert pixel(padded, 15, 15) == (*RED, 255)

    def test_a_heic_or_psd_without_alpha_stays_what_fit_makes_of_it(self, samples: Any) -> None:
        data = (samples / "heic" / "plain.heic").read_bytes()

        result = do(one(200, 300, "pad"), data)

        assert result.facts["pictures"][0]["format"] == "jpeg"
        assert min(pixel(Image.open(io.BytesIO(result.pictures["one"])), 1, 1)[:3]) > 245


def test_nothing_is_enlarged_unless_asked_for() -> None:
    data = saved(corners(20, 10), "PNG")

    assert made(one(200, 200, "fit"), data).size == (20, 10)
    assert made(one(200, 200, "cover"), data).size == (10, 10)
    assert made(one(200, 200, "fit", enlarge=True), data).size == (200, 100)
    assert made(one(200, 200, "cover", enlarge=True), data).size == (200, 200)
    padded = made(one(200, 200, "pad", enlarge=True, background="000000"), data)
    assert corner_colors(padded.crop((0, 50, 200, 150))) == list("rgbw")


@pytest.mark.parametrize("plugin", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(plugin: str) -> None:
    frames = [Image.new("RGB", (40, 30), color) for color in (GREEN, RED, BLUE)]
    data = film(frames, plugin, [100, 100, 100])

    for mode in ("fit", "cover", "pad", "crop"):
        picture = made(one(40, 30, mode), data)
        assert (frame_count(picture), corner_colors(picture)) == (1, ["g"] * 4)


def test_a_drawing_is_drawn_at_the_size_of_each_output() -> None:
    outputs = (
        Output(name="small", width=30, height=30, mode="cover", background="ffffff"),
        Output(name="large", width=600, height=600, mode="cover", enlarge=True, background="ffffff"),
        Output(name="padded", width=50, height=50, mode="pad"),
        Output(name="cut", width=20, height=20, mode="crop", gravity="east"),
    )

    result = do(Recipe(outputs=outputs, facts=("phash", "colors")), SVG)

    pictures = {name: Image.open(io.BytesIO(body)) for name, body in result.pictures.items()}
    assert [picture.size for picture in pictures.values()] == [(30, 30), (600, 600), (50, 50), (20, 20)]
    # Drawn and not scaled up, the edge in the middle is one step from white to black.
    row = [pixel(pictures["large"], x, 300)[0] for x in range(295, 305)]
    assert row == [255] * 5 + [0] * 5
    assert pixel(pictures["cut"], 1, 1) == (0, 0, 0, 255)
    assert result.facts["info"]["colors"] == ["#000000"]


def outcome(recipe: Recipe, data: bytes, **limits: Any) -> FailureCode | None:
    try:
        do(recipe, data, **limits)
    except WorkFailed as failed:
        return failed.code
    return None


SQUARE = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'


@pytest.mark.parametrize("data", [saved(Image.new("L", (10, 10)), "PNG"), SQUARE])
@pytest.mark.parametrize("mode", ["pad", "cover", "fit"])
def test_an_output_may_have_so_many_pixels_and_not_one_more(data: bytes, mode: str) -> None:
    def ask(width: int, height: int) -> FailureCode | None:
        return outcome(one(width, height, mode, enlarge=True), data, pixels=40_000, side_pixels=1000)

    assert ask(200, 200) is None
    if mode == "pad":
        assert ask(200, 201) is FailureCode.TOO_MANY_PIXELS
        assert ask(1000, 40) is None
        assert ask(1001, 39) is FailureCode.TOO_MANY_PIXELS
    assert ask(401, 401) is FailureCode.TOO_MANY_PIXELS


def test_all_outputs_together_have_no_more_pixels_than_one_may_have() -> None:
    def ask(last: int) -> FailureCode | None:
        sides = [100, 100, 100, last]
        outputs = tuple(
            Output(name=f"a{at}", width=100, height=side, mode="pad") for at, side in enumerate(sides)
        )
        return outcome(Recipe(outputs=outputs), saved(Image.new("L", (9, 9)), "PNG"), pixels=40_000)

    assert ask(100) is None
    assert ask(101) is FailureCode.TOO_MANY_PIXELS


def test_a_drawing_that_covers_a_box_is_not_drawn_larger_than_may_be() -> None:
    thin = b'<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="1"/>'

    assert outcome(one(100, 100, "cover"), thin) is None
    assert outcome(one(65, 65, "cover", enlarge=True), thin) is None
    assert outcome(one(66, 66, "cover", enlarge=True), thin) is FailureCode.TOO_MANY_PIXELS


def test_the_upload_itself_is_held_to_the_limits() -> None:
    data = saved(Image.new("L", (200, 201)), "PNG")

    assert outcome(one(9, 9, "cover"), data, pixels=200 * 201) is None
    assert outcome(one(9, 9, "cover"), data, pixels=200 * 200) is FailureCode.TOO_MANY_PIXELS
    assert outcome(Recipe(facts=("phash",)), data, pixels=200 * 200) is FailureCode.TOO_MANY_PIXELS


def test_all_files_together_have_no_more_bytes_than_a_reply_may_have() -> None:
    data = saved(noise(100, 100), "PNG")
    outputs = tuple(Output(name=f"a{at}", width=100, height=100, format="png") for at in range(3))
    needed = sum(map(len, do(Recipe(outputs=outputs), data).pictures.values()))

    assert outcome(Recipe(outputs=outputs), data, output_bytes=needed) is None
    assert outcome(Recipe(outputs=outputs), data, output_bytes=needed - 1) is FailureCode.OUTPUT_TOO_LARGE


def test_the_longest_sides_there_are_make_no_bomb() -> None:
    tall = saved(Image.new("L", (1, 2000)), "PNG")

    assert outcome(one(65_535, 65_535, "pad"), tall) is FailureCode.TOO_MANY_PIXELS
    assert outcome(one(65_535, 65_535, "cover", enlarge=True), tall) is FailureCode.TOO_MANY_PIXELS
    assert made(one(900, 900, "cover", enlarge=True), tall).size == (900, 900)


def test_white_is_not_clear() -> None:
    assert pixel(made(one(8, 8, "pad", background="ffffff"), saved(corners(4, 4), "PNG")), 0, 0) == (
        *WHITE,
        255,
    )


def test_of_many_pictures_in_avif_the_last_ones_are_written_in_a_hurry() -> None:
    data = saved(noise(1400, 1400), "PNG")
    options = {"mode": "crop", "format": "avif"}

    many = do(
        Recipe(outputs=tuple(Output(name=name, width=1400, height=1400, **options) for name in "abc")), data
    )
    alone = do(one(1400, 1400, **options), data)

    same = alone.pictures["one"]
    assert [many.pictures[name] == same for name in "abc"] == [True, True, False]


@pytest.mark.parametrize("background", ["", "204060", "20406080", "20406000"])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_large_picture_is_laid_down_in_pieces_that_show_no_seam(background: str, kind: str) -> None:
    large = Image.new("RGBA", (2100, 2100), (200, 10, 30, 128))
    canvas = (2107, 2103)

    laid = operations.laid(large, canvas, (3, 2), background, has_alpha=kind == "png")

    small = operations.laid(large.crop((0, 0, 5, 5)), (12, 8), (3, 2), background, has_alpha=kind == "png")
    assert laid.size == canvas
    assert laid.mode == small.mode
    inside = laid.crop((3, 2, 2103, 2102))
    assert {color for _, color in inside.getcolors() or []} == {small.getpixel((3, 2))}
    assert laid.getpixel((2, 2)) == laid.getpixel((3, 1)) == small.getpixel((0, 0))
    assert laid.getpixel((2103, 2101)) == laid.getpixel((2102, 2102)) == small.getpixel((0, 0))
