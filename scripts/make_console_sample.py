"""Draws the console's sample picture: a lake that never was, with metadata as a phone writes it."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from PIL.Image import Exif, Resampling, Transpose
from PIL.TiffImagePlugin import IFDRational

TO = Path(__file__).resolve().parents[1] / "src" / "remote_worker" / "web" / "console" / "sample.jpg"
WIDTH, HEIGHT, LAKE = 1600, 1066, 0.66
SUN = (0.69, 0.43)
RANGES = (
    # height of the skyline, how rough, colour far to near
    (0.36, 0.130, (171, 176, 199)),
    (0.43, 0.115, (132, 146, 178)),
    (0.50, 0.100, (91, 112, 147)),
    (0.565, 0.080, (56, 82, 111)),
    (0.615, 0.050, (30, 56, 76)),
)
ORIENTATION, TURNED = 0x0112, 6


def main() -> None:
    """Write it."""
    chance = np.random.default_rng(26)
    scene = mountains(chance)
    picture = Image.fromarray(scene.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    # Lies on its side in the file, as phones do it, and says so.
    turned = picture.transpose(Transpose.ROTATE_90)
    out = BytesIO()
    turned.save(out, "JPEG", quality=84, optimize=True, exif=metadata(), comment=b"Taken on the way up")
    TO.write_bytes(out.getvalue())
    print(f"{TO.name}: {len(out.getvalue()):,} bytes")


def mountains(chance: np.random.Generator) -> np.ndarray:
    """Sky, ranges one before the other, and all of it in the lake."""
    rows = int(HEIGHT * LAKE)
    y, x = np.mgrid[0:rows, 0:WIDTH].astype(np.float64)
    up = (y / rows)[..., None]
    top, middle, low = np.array([86, 124, 178.0]), np.array([238, 186, 156.0]), np.array([255, 222, 178.0])
    sky = np.where(
        up < 0.55, top + (middle - top) * (up / 0.55) ** 1.3, middle + (low - middle) * ((up - 0.55) / 0.45)
    )
    away = np.hypot(x / WIDTH - SUN[0], (y / HEIGHT - SUN[1]) * HEIGHT / WIDTH)[..., None]
    scene = (
        sky
        + np.array([255, 214, 150.0]) * (0.55 * np.exp(-away / 0.16))
        + 90 * np.exp(-((away / 0.028) ** 4))
    )
    scene += clouds(chance, rows)[..., None] * np.array([34, 26, 24.0])
    for number, (skyline, rough, colour) in enumerate(RANGES):
        edge = (skyline + ridge(chance, 5 + 2 * number) * rough) * HEIGHT
        inside = np.clip(y - edge[None, :], 0, 1)[..., None]
        depth = np.clip((y - edge[None, :]) / (0.20 * HEIGHT), 0, 1)[..., None]
        grain = (smooth(chance, rows, WIDTH, 90 - 14 * number) * 6 * (0.4 + 0.3 * number))[..., None]
        mist = np.array([236, 205, 190.0]) * (0.55 - 0.09 * number)
        body = np.array(colour, dtype=float) * (1 - depth * (0.55 - 0.09 * number)) + mist * depth + grain
        glow = np.array([70, 42, 12.0]) * np.exp(-away / 0.2)
        scene = scene * (1 - inside) + (body + glow) * inside
    lake = scene[::-1][: HEIGHT - rows]
    waves = smooth(chance, lake.shape[0], WIDTH, 46, flat=16)
    far = np.linspace(0, 1, lake.shape[0])[:, None]
    shift = (waves * (4 + 26 * far)).astype(int)
    columns = np.clip(np.arange(WIDTH)[None, :] + shift, 0, WIDTH - 1)
    lines = np.clip(np.arange(lake.shape[0])[:, None] + (waves * 26 * far).astype(int), 0, lake.shape[0] - 1)
    water = lake[lines, columns] * (0.90 - 0.36 * far[..., None]) + np.array([4, 18, 30.0]) * far[..., None]
    water += (waves * 12 * (0.3 + far))[..., None]
    whole: np.ndarray = np.concatenate([scene, water]) + chance.normal(0, 1.6, (HEIGHT, WIDTH, 1))
    return whole


def ridge(chance: np.random.Generator, begin: int) -> np.ndarray:
    """A skyline between about -1 and 1: sharp folds, each octave half as high."""
    line = np.zeros(WIDTH)
    for octave in range(7):
        points = chance.uniform(-1, 1, begin * 2**octave + 2)
        line += (
            np.interp(np.linspace(0, points.size - 1, WIDTH), np.arange(points.size), points) * 0.5**octave
        )
    return line / 1.5


def smooth(chance: np.random.Generator, rows: int, columns: int, cells: int, flat: int = 1) -> np.ndarray:
    """Soft noise between about -1 and 1; `flat` stretches it along the horizon."""
    grid = chance.uniform(0, 255, (cells, max(2, cells // flat * columns // rows)))
    return (
        np.asarray(Image.fromarray(grid.astype(np.uint8)).resize((columns, rows), Resampling.BICUBIC)) / 127.5
        - 1
    )


def clouds(chance: np.random.Generator, rows: int) -> np.ndarray:
    """Long and thin ones, high up."""
    soft = smooth(chance, rows, WIDTH, 14, flat=7) * 0.6 + smooth(chance, rows, WIDTH, 44, flat=7) * 0.4
    fade: np.ndarray = np.clip(1 - np.linspace(0, 1, rows) / 0.75, 0, 1)[:, None]
    thick: np.ndarray = np.clip(soft, 0, 1) * fade * 2.2
    return thick


def metadata() -> Exif:
    """What a phone tells of its owner."""
    exif = Exif()
    exif[ORIENTATION] = TURNED
    exif[0x010F], exif[0x0110], exif[0x0131] = "Example", "Pocket 7", "Camera 4.2"
    exif[0x013B], exif[0x8298] = "A. Walker", "A. Walker, all rights reserved"
    exif[0x0132] = "2026:06:21 05:14:09"
    of_photo = exif.get_ifd(0x8769)
    of_photo[0x9003] = of_photo[0x9004] = "2026:06:21 05:14:09"
    of_photo[0x9010] = "+02:00"
    of_photo[0x829A], of_photo[0x829D] = IFDRational(1, 125), IFDRational(18, 10)
    of_photo[0x8827], of_photo[0x920A], of_photo[0xA405] = 64, IFDRational(57, 10), 26
    of_photo[0xA433], of_photo[0xA434] = "Example", "Wide 5.7 mm f/1.8"
    of_photo[0xA431], of_photo[0xA430] = "EX7-0042-1337", "A. Walker"
    of_place = exif.get_ifd(0x8825)
    of_place[1], of_place[2] = "N", (IFDRational(46), IFDRational(34), IFDRational(3547, 100))
    of_place[3], of_place[4] = "E", (IFDRational(7), IFDRational(59), IFDRational(2544, 100))
    of_place[5], of_place[6] = b"\0", IFDRational(2061)
    of_place[29] = "2026:06:21"
    return exif


if __name__ == "__main__":
    main()
