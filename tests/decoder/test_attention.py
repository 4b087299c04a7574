"""Attention keeps the part of a picture that people look at, where the middle would cut it off."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from remote_worker.contract.messages import Output, Recipe
from remote_worker.decoder import attention

from .pictures import RED, noise, output, saved

SKIN = (224, 172, 138)
SKY, MEADOW, WALL = (70, 130, 220), (60, 150, 50), (128, 128, 128)


def cut(picture: Image.Image, width: int, height: int, gravity: str, mode: str = "cover") -> Image.Image:
    asked = Output(name="one", width=width, height=height, mode=mode, gravity=gravity, format="png")
    return output(Recipe(outputs=(asked,)), saved(picture, "PNG"), "one").convert("RGB")


def share(picture: Image.Image, color: tuple[int, int, int]) -> float:
    """How much of the picture has about this colour."""
    pixels = np.asarray(picture, float)
    return float((np.abs(pixels - color).max(axis=2) < 40).mean())


def scene(color: tuple[int, int, int], at: tuple[int, int], subject: str) -> Image.Image:
    """A wide picture with a subject of 40 pixels around a place."""
    picture = Image.new("RGB", (400, 160), color)
    draw = ImageDraw.Draw(picture)
    x, y = at
    place = (x - 20, y - 20, x + 20, y + 20)
    if subject == "face":
        draw.ellipse(place, SKIN)
        draw.ellipse((x - 10, y - 8, x - 4, y - 2), (40, 30, 30))
        draw.ellipse((x + 4, y - 8, x + 10, y - 2), (40, 30, 30))
    elif subject == "ball":
        draw.ellipse(place, RED)
    else:
        for line in range(x - 20, x + 15, 8):
            draw.rectangle((line, y - 20, line + 4, y + 20), (20, 20, 20))
    return picture


SUBJECT_COLORS = {"face": SKIN, "ball": RED, "writing": (20, 20, 20)}


@pytest.mark.parametrize("x", [30, 90, 310, 370])
@pytest.mark.parametrize("subject", ["face", "ball", "writing"])
@pytest.mark.parametrize("ground", [SKY, MEADOW, WALL])
def test_a_subject_at_the_side_is_kept_where_the_middle_would_lose_it(
    ground: tuple[int, int, int], subject: str, x: int
) -> None:
    picture = scene(ground, (x, 80), subject)
    whole = share(picture, SUBJECT_COLORS[subject]) * 400 * 160

    kept = share(cut(picture, 120, 120, "attention"), SUBJECT_COLORS[subject]) * 160 * 160
    lost = share(cut(picture, 120, 120, "center"), SUBJECT_COLORS[subject]) * 160 * 160

    assert kept > 0.75 * whole  # Edges blur when it is scaled.
    assert lost < 0.2 * whole


def test_a_tall_picture_is_cut_above_and_below() -> None:
    picture = scene(SKY, (60, 80), "face").transpose(Image.Transpose.ROTATE_270)

    assert share(cut(picture, 100, 100, "attention"), SKIN) > 0.03
    assert share(cut(picture, 100, 100, "center"), SKIN) == 0


def test_a_crop_looks_both_ways() -> None:
    picture = scene(WALL, (350, 130), "face")

    kept = cut(picture, 70, 50, "attention", "crop")

    assert kept.size == (70, 50)
    assert share(kept, SKIN) > 0.2
    assert share(cut(picture, 70, 50, "center", "crop"), SKIN) == 0


def test_a_face_counts_for_more_than_a_patterned_ground() -> None:
    picture = Image.new("RGB", (400, 160), WALL)
    picture.paste(noise(200, 160).convert("L").filter(ImageFilter.GaussianBlur(3)).convert("RGB"), (200, 0))
    picture.paste(scene(WALL, (60, 80), "face").crop((0, 0, 120, 160)), (0, 0))

    assert share(cut(picture, 120, 120, "attention"), SKIN) > 0.03


@pytest.mark.parametrize("is_left", [True, False])
@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        # Violet and a lighter gray, skin and a blue that is lighter and stronger.
        ((90, 60, 200), (140, 140, 140)),
        ((196, 90, 77), (60, 160, 255)),
    ],
)
def test_colour_and_skin_count_for_more_than_a_stronger_edge(
    kept: tuple[int, int, int], lost: tuple[int, int, int], is_left: bool
) -> None:
    picture = Image.new("RGB", (400, 160), (20, 20, 20))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 60, 80, 100), kept if is_left else lost)
    draw.ellipse((319, 60, 359, 100), lost if is_left else kept)

    cutting = cut(picture, 120, 120, "attention")

    assert share(cutting, kept) > 0.03
    assert share(cutting, lost) == 0


@pytest.mark.parametrize("picture", [Image.new("RGB", (300, 100), SKY), Image.new("L", (300, 100))])
def test_where_nothing_stands_out_the_middle_is_kept(picture: Image.Image) -> None:
    marked = picture.convert("RGB")
    center = cut(marked, 50, 50, "center")

    assert cut(marked, 50, 50, "attention").tobytes() == center.tobytes()
    assert attention.focus(marked.resize((64, 21)), (Fraction(1, 3), Fraction(1))) == (
        Fraction(1, 2),
        Fraction(1, 2),
    )


def test_it_is_the_same_every_time_and_for_every_lossless_format() -> None:
    picture = noise(300, 120)
    made = []
    for plugin in ("PNG", "TIFF", "BMP", "PNG"):
        asked = Output(name="one", width=60, height=60, mode="cover", gravity="attention", format="png")
        made.append(output(Recipe(outputs=(asked,)), saved(picture, plugin), "one").tobytes())

    assert len(set(made)) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 3), (65, 64)])
@pytest.mark.parametrize(("mode", "side"), [("cover", 7), ("crop", 1), ("pad", 8), ("fit", 3)])
def test_pictures_of_any_size_can_be_looked_at(size: tuple[int, int], mode: str, side: int) -> None:
    enlarge = mode == "cover"
    asked = Output(name="one", width=side, height=side, mode=mode, gravity="attention", enlarge=enlarge)

    made = output(Recipe(outputs=(asked,)), saved(noise(*size), "PNG"), "one")

    assert max(made.size) <= side


def test_clear_pixels_draw_no_attention() -> None:
    picture = Image.new("RGBA", (300, 100), (255, 0, 0, 0))
    hidden = noise(100, 100).convert("RGBA")
    hidden.putalpha(0)
    picture.paste(hidden, (0, 0))
    picture.paste((30, 60, 200, 255), (220, 30, 260, 70))
    asked = Output(name="one", width=60, height=60, mode="cover", gravity="attention")

    file = io.BytesIO()
    picture.save(file, "PNG")
    made = output(Recipe(outputs=(asked,)), file.getvalue(), "one")

    assert made.getchannel("A").getextrema()[1] == 255
