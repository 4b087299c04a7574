"""The scenes that are drawn into every sample. Smooth, coloured, and different under every turn."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms, ImageDraw

TURNS: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored so that the orientation tag brings it upright again."""


def scene(width: int, height: int, *, shift: int = 0) -> Image.Image:
    """An RGB picture; `shift` moves its disc, for the frames of an animation."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    round_about = Image.radial_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (across, down, round_about))
    draw = ImageDraw.Draw(picture)
    thick = max(1, width // 8)
    draw.rectangle((thick, thick, 2 * thick, height - thick), fill=(250, 240, 40))
    draw.rectangle((thick, thick, width // 2, thick + max(1, height // 6)), fill=(250, 240, 40))
    left = width // 2 + shift
    draw.ellipse(
        (left, height // 2, left + width // 3, height // 2 + height // 3),
        fill=(20, 30, 160),
    )
    return picture


def scene_with_alpha(width: int, height: int, *, shift: int = 0) -> Image.Image:
    """The scene behind a soft round window."""
    picture = scene(width, height, shift=shift)
    window = Image.radial_gradient("L").resize((width, height)).point(lambda value: 255 - value)
    picture.putalpha(window)
    return picture


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """What a camera held in that way writes to the file."""
    turn = TURNS[orientation]
    return picture if turn is None else picture.transpose(turn)


def saved(picture: Image.Image, format_name: str, **options: Any) -> bytes:
    """The picture as Pillow writes it."""
    out = BytesIO()
    picture.save(out, format_name, **options)
    return out.getvalue()


def srgb_profile() -> bytes:
    """An sRGB profile without the date of its making, which would differ in every run."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07d0 0001 0001 0000 0000 0000".replace(" ", ""))
    profile[84:100] = bytes(16)
    return bytes(profile)
