"""How close the service's pictures come to the best ones: a full decode, scaled in floats with Lanczos3.

Every fit in 800 and every avatar is compared by the structural similarity index (Wang et al., 2004), over
a Gaussian 11 x 11 window of sigma 1.5 and over plain windows of 7 x 7 and 8 x 8, of luma and as the mean of
red, green and blue. Prints a report and keeps it beside this file, or in `--keep FILE`. With `--sharp DIR`, a
folder that has `sharp` in its node_modules, the same pictures by sharp with its defaults stand beside. Ends
with status 1 when a bar is missed.
"""

import argparse
import contextlib
import io
import math
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  registers itself with Pillow
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, features

from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import AVATAR_SIZES, Avatars, Fit, Task
from remote_worker.contract.signatures import template_of
from remote_worker.decoder import job

Pixels = NDArray[np.float32]
"""Rows, columns, channels (red, green, blue and, where there is one, alpha); 0 to 255."""

BOX = 800
LEAST_AVATAR = 0.99
LEAST_FIT = 0.98
MOST_BYTES = 1.1
"""Times sharp's."""
MOST_DECIBELS = 99.0
"""Stands for equal pictures."""

SHARED = Path(__file__).parents[2] / "shared"
CORPUS = (
    "jpeg/bimg-test_exif.jpg",
    "jpeg/testdata-flower.png.im_q85_420_progr.jpg",
    "jpeg/testdata-bicycles_restarts.jpg",
    "jpeg/pillow-junk_jpeg_header.jpg",
    "webp/sharp-4.webp",
    "webp/sharp-5_webp_a.webp",
    "avif/libavif-sofa_grid1x5_420.avif",
    "avif/pillow-rot1mir0.avif",
    "heic/libheif-example.heic",
    "heic/libheif-with-alpha-512x512.heic",
    "jp2/pillow-balloon.jpf",
    "jp2/libvips-Bretagne2_4.j2k",
    "jxl/bimg-test.jxl",
    "jxl/conformance-patches_lossless.jxl",
)
PROFILED = (
    "jpeg/bimg-test_exif_full.jpg",
    "jpeg/bimg-test_icc_prophoto.jpg",
    "jpeg/pillow-xmp_test.jpg",
    "jpeg/libavif-apple_gainmap_new.jpg",
    "jpeg/sharp-Channel_digital_image_CMYK_color.jpg",
    "jpeg/libvips-sample-xyb.jpg",
    "heic/pillow_heif-arrow.heic",
    "avif/libvips-avif-orientation-6.avif",
    "png/testdata-P3-sRGB-blue.png",
    "tiff/sharp-tifftag-photoshop.tiff",
)
"""Pictures of the corpus with a profile other than sRGB."""


def full(path: Path) -> Pixels:
    """Every pixel of a picture, upright and in sRGB."""
    with Image.open(path) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
    return pixels(in_srgb(image))


def in_srgb(image: Image.Image) -> Image.Image:
    """RGB or RGBA, converted by the picture's profile where it has one."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    profile = image.info.get("icc_profile")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    if profile:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        image = converted or image
    image = image.convert("RGB")
    if alpha and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    return image


def pixels(image: Image.Image) -> Pixels:
    """A picture as numbers."""
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image, np.float32)


def scaled(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at this width and height, with premultiplied alpha, nothing rounded."""
    planes = premultiplied(picture)
    down, across = lanczos(planes.shape[0], size[1]), lanczos(planes.shape[1], size[0])
    made = np.stack([down @ plane @ across.T for plane in np.moveaxis(planes, -1, 0)], -1)
    return np.clip(straight(made), 0, 255)


def premultiplied(picture: Pixels) -> Pixels:
    """Colours times alpha."""
    if picture.shape[2] == 3:
        return picture
    return np.concatenate([picture[..., :3] * (picture[..., 3:] / 255), picture[..., 3:]], -1)


def straight(picture: Pixels) -> Pixels:
    """Colours without alpha in them."""
    if picture.shape[2] == 3:
        return picture
    cover = np.maximum(picture[..., 3:] / 255, 1e-6)
    return np.concatenate([picture[..., :3] / cover, picture[..., 3:]], -1)


@cache
def lanczos(before: int, after: int) -> Pixels:
    """The weights of every pixel before in every pixel after."""
    step = before / after
    stretch = max(step, 1.0)
    middles = (np.arange(after)[:, None] + 0.5) * step
    distance = (np.arange(before)[None] + 0.5 - middles) / stretch
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def best_avatars(picture: Pixels, side: int) -> list[Pixels]:
    """The middle square: of an odd number of pixels too many, one more is left off at either side."""
    height, width = picture.shape[:2]
    short = min(height, width)
    covering = [max(side, math.floor(length * side / short + 0.5)) for length in (width, height)]
    strip = scaled(picture, (covering[0], covering[1]))
    made = []
    for extra in (0, 1):
        left, top = ((length - side + extra) // 2 for length in covering)
        made.append(strip[top : top + side, left : left + side])
    return made if (max(covering) - side) % 2 else made[:1]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of a picture and the best one. Indices up to 1; `least` is the lowest over all windows."""

    luma: float
    rgb: float
    least: float
    decibels: float


def likeness(made: Pixels, best: Pixels) -> Likeness:
    """The lesser of what is seen on black and on white."""
    found = [_likeness(_laid(made, ground), _laid(best, ground)) for ground in _grounds(made, best)]
    return min(found, key=lambda one: one.least)


def _likeness(made: Pixels, best: Pixels) -> Likeness:
    indices = []
    for window in WINDOWS.values():
        by_channel = [ssim(made[..., at], best[..., at], window) for at in range(3)]
        indices += [ssim(luma(made), luma(best), window), sum(by_channel) / 3]
    error = max(float(np.mean((made - best) ** 2)), 255**2 / 10 ** (MOST_DECIBELS / 10))
    decibels = 10 * math.log10(255**2 / error)
    return Likeness(indices[0], indices[1], min(indices), decibels)


def _grounds(*pictures: Pixels) -> tuple[float, ...]:
    return (0.0, 255.0) if any(picture.shape[2] == 4 for picture in pictures) else (0.0,)


def _laid(picture: Pixels, ground: float) -> Pixels:
    if picture.shape[2] == 3:
        return picture
    cover = picture[..., 3:] / 255
    return np.asarray(picture[..., :3] * cover + ground * (1 - cover), np.float32)


def luma(picture: Pixels) -> Pixels:
    """By ITU-R BT.601."""
    return np.asarray(picture[..., :3] @ np.array([0.299, 0.587, 0.114]), np.float32)


def ssim(one: Pixels, other: Pixels, weights: NDArray[np.float64]) -> float:
    """The mean index over all windows that lie inside."""

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        for axis in (0, 1):
            length = values.shape[axis] - len(weights) + 1
            parts = (weight * values.take(range(at, at + length), axis) for at, weight in enumerate(weights))
            values = sum(parts, start=np.zeros(1))
        return values

    first, second = one.astype(np.float64), other.astype(np.float64)
    mean_first, mean_second = mean(first), mean(second)
    spread_first = mean(first * first) - mean_first**2
    spread_second = mean(second * second) - mean_second**2
    together = mean(first * second) - mean_first * mean_second
    steady_mean, steady_spread = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_first * mean_second + steady_mean) * (2 * together + steady_spread)
    below = (mean_first**2 + mean_second**2 + steady_mean) * (spread_first + spread_second + steady_spread)
    return float(np.mean(above / below))


def _gaussian(side: int, sigma: float) -> NDArray[np.float64]:
    weights = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(), np.float64)


WINDOWS = {"gaussian": _gaussian(11, 1.5), "7 x 7": np.full(7, 1 / 7), "8 x 8": np.full(8, 1 / 8)}


def lab(picture: Pixels) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB."""
    levels = picture[..., :3].astype(np.float64) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = light @ to_xyz.T / to_xyz.sum(1)
    curve = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def service(task: Task, data: bytes) -> dict[str, bytes]:
    """The pictures that the decoder makes, by name."""
    made = job.run(task, data, Limits(), template_of(data[:4096])).pictures
    return {name: body if isinstance(body, bytes) else b"".join(body) for name, body in made.items()}


def opened(body: bytes) -> Pixels:
    """The pixels of a file."""
    with Image.open(io.BytesIO(body)) as image:
        return pixels(image)


class Sharp:
    """sharp with its defaults: the same format as the upload, upright."""

    _SCRIPT = """
const sharp = require('sharp'), fs = require('fs')
const [input, folder, box, ...sides] = process.argv.slice(1)
const upright = () => sharp(input).rotate()
const save = async (name, picture) => fs.writeFileSync(`${folder}/${name}`, await picture.toBuffer())
;(async () => {
  await save('output', upright().resize(+box, +box, { fit: 'inside', withoutEnlargement: true }))
  for (const side of sides) {
    await save(`avatar${side}`, upright().resize(+side, +side, { fit: 'cover' }).png())
  }
})().catch(error => { console.error(error.message); process.exit(1) })
"""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.version = str(self._node("console.log(require('sharp').versions.sharp)")).strip()

    def __call__(self, path: Path, sides: list[int]) -> dict[str, bytes]:
        """Its fit and avatars by name; none where it does not read the format or writes no such file."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._node(self._SCRIPT, path.resolve(), folder, BOX, *sides)
            except subprocess.CalledProcessError:
                return {}
            return {made.name: made.read_bytes() for made in Path(folder).iterdir()}

    def _node(self, script: str, *arguments: object) -> str:
        command = ["node", "-e", script, "--", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=self._directory,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """One fit: its pixels before the encoder (asked for as PNG), its file, and sharp's where it made one."""

    name: str
    pixels: Likeness
    size_bytes: int
    coded: Likeness
    sharp_bytes: int | None = None
    sharp_coded: Likeness | None = None

    @property
    def times(self) -> float | None:
        """Of sharp's bytes."""
        return self.size_bytes / self.sharp_bytes if self.sharp_bytes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarRow:
    """The avatars of one picture by side, and sharp's."""

    name: str
    made: dict[int, Likeness]
    size_bytes: int
    sharp: dict[int, Likeness]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorRow:
    """How far a converted fit is from the conversion of all pixels: in levels, and by CIE76."""

    name: str
    profile: str
    mean_levels: float
    most_levels: float
    mean_delta: float
    most_delta: float


def fit_row(name: str, data: bytes, best: Pixels, sharp: dict[str, bytes]) -> FitRow:
    """Compares a fit in 800."""
    pixels_alone = opened(service(Fit(width=BOX, height=BOX, format="png"), data)["output"])
    best_fit = scaled(best, (pixels_alone.shape[1], pixels_alone.shape[0]))
    body = service(Fit(width=BOX, height=BOX), data)["output"]
    peer = sharp.get("output")
    return FitRow(
        name=name,
        pixels=likeness(pixels_alone, best_fit),
        size_bytes=len(body),
        coded=likeness(opened(body), best_fit),
        sharp_bytes=len(peer) if peer else None,
        sharp_coded=likeness(opened(peer), best_fit) if peer else None,
    )


def avatar_row(name: str, made: dict[str, bytes], best: Pixels, sharp: dict[str, bytes]) -> AvatarRow:
    """Compares the avatars."""

    def against_best(bodies: dict[str, bytes]) -> dict[int, Likeness]:
        sides = [side for side in AVATAR_SIZES if f"avatar{side}" in bodies]
        return {side: _closest(opened(bodies[f"avatar{side}"]), best_avatars(best, side)) for side in sides}

    size_bytes = sum(len(body) for body in made.values())
    return AvatarRow(name=name, made=against_best(made), size_bytes=size_bytes, sharp=against_best(sharp))


def _closest(made: Pixels, best: list[Pixels]) -> Likeness:
    return max((likeness(made, one) for one in best), key=lambda found: found.least)


def color_row(name: str, data: bytes, best: Pixels, profile: str) -> ColorRow:
    """Compares the colours of a fit as PNG, which no encoder changes."""
    made = opened(service(Fit(width=BOX, height=BOX, format="png"), data)["output"])
    best_fit = scaled(best, (made.shape[1], made.shape[0]))
    first, second = _laid(made, 255.0), _laid(best_fit, 255.0)
    levels = np.abs(first - second)
    delta = np.sqrt(((lab(first) - lab(second)) ** 2).sum(-1))
    return ColorRow(
        name=name,
        profile=profile,
        mean_levels=float(levels.mean()),
        most_levels=float(levels.max()),
        mean_delta=float(delta.mean()),
        most_delta=float(delta.max()),
    )


def missed(fits: list[FitRow], avatars: list[AvatarRow]) -> list[str]:
    """The bars that were not reached, in words."""
    words = []
    for row in avatars:
        low = [side for side, found in row.made.items() if found.least < LEAST_AVATAR]
        if low:
            words.append(f"{row.name}: avatars {', '.join(map(str, low))} are below {LEAST_AVATAR}")
    for fit in fits:
        if fit.pixels.least < LEAST_FIT:
            words.append(f"{fit.name}: the pixels of the fit are below {LEAST_FIT}")
        if fit.times is not None and fit.times > MOST_BYTES:
            words.append(f"{fit.name}: the fit has {fit.times:.3f} times sharp's bytes")
    return words


def low_files(fits: list[FitRow]) -> list[str]:
    """The files that lost more than the bar in their encoder, beside sharp's."""
    words = []
    for fit in fits:
        if fit.coded.least < LEAST_FIT:
            beside = f"; sharp's {fit.sharp_coded.least:.4f}" if fit.sharp_coded else ""
            words.append(f"{fit.name}: {fit.coded.least:.4f}{beside}")
    return words


def report(fits: list[FitRow], avatars: list[AvatarRow], colors: list[ColorRow], sharp: Sharp | None) -> str:
    """The report in Markdown."""
    lines = [
        "# How close the pictures come to the best ones",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in _versions())
        + (f", sharp {sharp.version}" if sharp else "")
        + ". Made by `benchmarks/quality.py`, which says what is measured.",
        "",
        "`least` is the lowest index of all windows, of luma and of colour. Bars: "
        f"avatars {LEAST_AVATAR}, fits {LEAST_FIT}, bytes {MOST_BYTES} times sharp's.",
        "",
        f"## Fits in {BOX}",
        "",
        "*Pixels* are those that go into the encoder. What is lost behind them is the format's own loss.",
        "",
        *_table(
            "picture | pixels: least | dB | file: luma | RGB | least | dB | bytes"
            " | sharp: luma | RGB | least | bytes | times",
            map(_fit_cells, fits),
        ),
        "",
        "## Avatars: least, by side",
        "",
        *_table(
            "picture | " + " | ".join(map(str, AVATAR_SIZES)) + " | lowest dB | bytes | sharp: lowest",
            map(_avatar_cells, avatars),
        ),
        "",
        "## Colours, beside a conversion of every pixel",
        "",
        "What scaling does is in them as well: the service converts after it.",
        "",
        *_table(
            "picture | profile | levels: mean | most | CIE76: mean | most",
            (
                (
                    row.name,
                    row.profile,
                    *_numbers(2, row.mean_levels, row.most_levels, row.mean_delta, row.most_delta),
                )
                for row in colors
            ),
        ),
        "",
        "## Verdict",
        "",
    ]
    words = missed(fits, avatars)
    lines += [f"- {word}" for word in words] or ["Avatars, pixels of fits and bytes reach every bar."]
    lines += [
        "",
        f"Files below {LEAST_FIT} by the least index, which is the encoder's loss at these bytes:",
        "",
        *(f"- {word}" for word in low_files(fits)),
    ]
    return "\n".join(lines) + "\n"


def _fit_cells(row: FitRow) -> tuple[str, ...]:
    peer = row.sharp_coded
    return (
        row.name,
        *_numbers(4, row.pixels.least),
        *_numbers(1, row.pixels.decibels),
        *_numbers(4, row.coded.luma, row.coded.rgb, row.coded.least),
        *_numbers(1, row.coded.decibels),
        f"{row.size_bytes:,}",
        *(_numbers(4, peer.luma, peer.rgb, peer.least) if peer else ("", "", "")),
        f"{row.sharp_bytes:,}" if row.sharp_bytes else "",
        f"{row.times:.3f}" if row.times else "",
    )


def _avatar_cells(row: AvatarRow) -> tuple[str, ...]:
    return (
        row.name,
        *(f"{row.made[side].least:.4f}" if side in row.made else "" for side in AVATAR_SIZES),
        *_numbers(1, min(found.decibels for found in row.made.values())),
        f"{row.size_bytes:,}",
        f"{min(found.least for found in row.sharp.values()):.4f}" if row.sharp else "",
    )


def _numbers(digits: int, *values: float) -> tuple[str, ...]:
    return tuple(f"{value:.{digits}f}" for value in values)


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {head} |"
    yield "|---" * (head.count("|") + 1) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _machine() -> str:
    models = (
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    return next(models, "").partition(": ")[2] or platform.machine()


def _versions() -> Iterator[tuple[str, str | None]]:
    for name in ("pillow-heif", "pillow", "cykooz.resizer"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)
    for name in ("libjpeg_turbo", "webp", "avif"):
        yield name, features.version(name)


def _profile(path: Path) -> str:
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
    return (
        ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
        if profile
        else ""
    )


KEPT = Path(__file__).with_suffix(".md")


def main() -> int:
    """Compare, print, keep; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=Path, default=SHARED / "inputs", help="a folder of pictures")
    parser.add_argument("--corpus", type=Path, default=SHARED / "corpus" / "public", help="the public corpus")
    parser.add_argument("--sharp", type=Path, help="a folder with sharp in its node_modules")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where the report is written as well")
    asked = parser.parse_args()
    pillow_heif.register_heif_opener()
    sharp = Sharp(asked.sharp) if asked.sharp else None
    paths = [*sorted(asked.inputs.iterdir()), *(asked.corpus / name for name in CORPUS)]
    fits, avatars, colors = [], [], []
    for path in filter(Path.exists, paths):
        data, best = path.read_bytes(), full(path)
        made = service(Avatars(), data)
        peer = sharp(path, [int(name.removeprefix("avatar")) for name in made]) if sharp else {}
        fits.append(fit_row(path.name, data, best, peer))
        avatars.append(avatar_row(path.name, made, best, peer))
        print(path.name, file=sys.stderr, flush=True)
    for path in filter(Path.exists, (asked.corpus / name for name in PROFILED)):
        colors.append(color_row(path.name, path.read_bytes(), full(path), _profile(path)))
    text = report(fits, avatars, colors, sharp)
    print(text)
    asked.keep.write_text(text)
    return 1 if missed(fits, avatars) else 0


if __name__ == "__main__":
    sys.exit(main())
