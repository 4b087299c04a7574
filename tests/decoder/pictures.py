"""Small pictures that the decoder's tests draw themselves, and ways to look at what comes out."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Task
from remote_worker.contract.signatures import template_of
from remote_worker.decoder import job
from remote_worker.decoder.job import Result

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def do(task: Task, data: bytes, **limits: Any) -> Result:
    """Run a task as a child would."""
    return job.run(task, data, Limits(**limits), template_of(data[:4096]))


def output(task: Task, data: bytes, name: str = "output", **limits: Any) -> Image.Image:
    """The picture that a task makes."""
    made = Image.open(io.BytesIO(do(task, data, **limits).pictures[name]))
    made.load()
    return made


def saved(image: Image.Image, plugin: str, **options: Any) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    image.save(file, plugin, **options)
    return file.getvalue()


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green, blue and white quarters from the top left, row by row: every turn of it looks different."""
    image = Image.new("RGB", (width, height))
    for at, color in enumerate((RED, GREEN, BLUE, WHITE)):
        left, top = at % 2 * width // 2, at // 2 * height // 2
        image.paste(color, (left, top, left + width // 2, top + height // 2))
    return image


def corner_colors(image: Image.Image) -> list[str]:
    """The colours in the middle of the four quarters, as letters: `rgbw` stands upright."""
    plain = image.convert("RGB")
    places = [(1, 1), (3, 1), (1, 3), (3, 3)]
    pixels = [plain.getpixel((x * plain.width // 4, y * plain.height // 4)) for x, y in places]
    return [_letter(pixel) for pixel in pixels]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture with detail at every size: mixed gradients and circles, always the same."""
    bands = []
    for band in range(len(Image.new(mode, (1, 1)).getbands())):
        wide = Image.radial_gradient("L").resize((width, height)).rotate(37 * band)
        fine = Image.linear_gradient("L").resize((max(1, width // 7), max(1, height // 5))).rotate(90 * band)
        bands.append(Image.blend(wide, fine.resize((width, height), Image.Resampling.NEAREST), 0.4))
    return Image.merge(mode, bands) if len(bands) > 1 else bands[0]


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    """One pixel as red, green, blue and alpha."""
    found = image.convert("RGBA").getpixel((x, y))
    assert isinstance(found, tuple)
    return found


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    """All pixels as red, green, blue and alpha."""
    flat = image.convert("RGBA").tobytes()
    return [tuple(flat[at : at + 4]) for at in range(0, len(flat), 4)]


def frame_count(image: Image.Image) -> int:
    """How many frames Pillow finds."""
    return int(getattr(image, "n_frames", 1))


def film(frames: Sequence[Image.Image], plugin: str, durations: Sequence[int], **options: Any) -> bytes:
    """An animation that Pillow writes."""
    return saved(
        frames[0], plugin, save_all=True, append_images=list(frames[1:]), duration=list(durations), **options
    )


def _letter(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    known = {"r": RED, "g": GREEN, "b": BLUE, "w": WHITE}
    return min(known, key=lambda name: sum(abs(a - b) for a, b in zip(known[name], pixel, strict=True)))
