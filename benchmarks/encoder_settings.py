"""What encoder settings cost and give: milliseconds of CPU, bytes and similarity, beside sharp's defaults.

Each picture is decoded in full, scaled into 800 and rounded; every setting encodes those pixels, and so does
sharp, in `--sharp DIR`. A row is the mean over all pictures; milliseconds are for 800 x 600 pixels, bytes
beside sharp's, and similarity is of luma over Gaussian windows. Prints Markdown.
"""

import argparse
import io
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.quality import BOX, SHARED, WINDOWS, Pixels, full, luma, opened, scaled, ssim
from remote_worker.decoder.operations import fitted

PICTURES = (
    "inputs/2mp.jpg",
    "inputs/12mp.jpg",
    "inputs/1080p.webp",
    "inputs/2mp.avif",
    "inputs/1024.png",
    "corpus/public/jpeg/testdata-flower.png.im_q85_420_progr.jpg",
    "corpus/public/jpeg/testdata-bicycles_restarts.jpg",
    "corpus/public/jpeg/bimg-test_exif.jpg",
    "corpus/public/jp2/libvips-Bretagne2_4.j2k",
    "corpus/public/jxl/conformance-patches_lossless.jxl",
    "corpus/public/icns/pillow-pillow3.icns",
    "corpus/public/webp/sharp-4.webp",
)
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "JPEG": [
        {"quality": 80, "optimize": True},
        {"quality": 82, "optimize": True},
        {"quality": 82, "progressive": True},
        {"quality": 80},
        {"quality": 81},
        {"quality": 82},
        {"quality": 81, "subsampling": "4:4:4"},
    ],
    "WEBP": [
        *({"quality": 80, "method": method} for method in (0, 1, 2, 3, 4)),
        {"quality": 78, "method": 2},
        {"quality": 79, "method": 2},
    ],
    "AVIF": [
        {"quality": 75, "speed": 10},
        *({"quality": 50, "speed": speed} for speed in (6, 7, 8, 9)),
        {"quality": 50, "speed": 8, "subsampling": "4:4:4"},
        {"quality": 60, "speed": 8},
        {"quality": 46, "speed": 8, "advanced": {"tune": "ssim"}},
    ],
    "JXL": [{"quality": 85, "effort": effort} for effort in (1, 2, 3, 4, 5)],
    "JPEG2000": [
        {"irreversible": True, "quality_mode": "dB", "quality_layers": [decibels], "mct": 1}
        for decibels in (38, 40, 42, 44)
    ],
}
ONE_THREAD = {"AVIF": {"max_threads": 1}, "JXL": {"num_threads": 0}}
STANDARD_PIXELS = BOX * 600
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: the best fit in floats, and rounded, as encoders get it."""

    best: Pixels
    rounded: Image.Image


@dataclass(frozen=True, slots=True)
class Coded:
    """What an encoder made of a sample; milliseconds are 0 for sharp, which was not timed."""

    milliseconds: float
    size_bytes: int
    similarity: float


def sample(path: Path) -> Sample:
    """The fit of a picture in 800."""
    picture = full(path)
    best = scaled(picture, fitted((picture.shape[1], picture.shape[0]), (BOX, BOX)))
    return Sample(best, Image.fromarray(np.rint(best).astype(np.uint8)))


def coded(made: Sample, plugin: str, setting: dict[str, Any]) -> Coded:
    """The sample written by Pillow."""
    image, best = made.rounded, made.best
    if image.mode == "RGBA" and plugin in ("JPEG", "JPEG2000"):
        image, best = image.convert("RGB"), best[..., :3]
    times = []
    for _ in range(REPEATS):
        file = io.BytesIO()
        started = time.process_time()
        image.save(file, plugin, **setting, **ONE_THREAD.get(plugin, {}))
        times.append(time.process_time() - started)
    body = file.getvalue()
    milliseconds = 1000 * min(times) * STANDARD_PIXELS / (image.width * image.height)
    return Coded(milliseconds, len(body), similar(body, best))


def similar(body: bytes, best: Pixels) -> float:
    """The index of luma; colours under alpha count as they are."""
    return float(ssim(luma(opened(body)), luma(best), WINDOWS["gaussian"]))


def by_sharp(made: list[Sample], plugin: str, directory: Path) -> list[Coded]:
    """The samples written by sharp with its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        for at, one in enumerate(made):
            image = one.rounded.convert("RGB") if plugin == "JPEG" else one.rounded
            image.save(f"{folder}/{at}.png", compress_level=1)
        subprocess.run(
            ["node", "-e", _SHARP, "--", folder, str(len(made)), plugin.lower()], cwd=directory, check=True
        )
        bodies = [Path(f"{folder}/{at}.{plugin.lower()}").read_bytes() for at in range(len(made))]
    channels = slice(None, 3 if plugin == "JPEG" else None)
    return [
        Coded(0, len(body), similar(body, one.best[..., channels]))
        for body, one in zip(bodies, made, strict=True)
    ]


_SHARP = """
const sharp = require('sharp')
const [folder, count, format] = process.argv.slice(1)
;(async () => {
  for (let at = 0; at < count; at++) {
    await sharp(`${folder}/${at}.png`)[format]().toFile(`${folder}/${at}.${format}`)
  }
})()
"""
SHARP_WRITES = ("JPEG", "WEBP", "AVIF")


def table(made: list[Sample], plugin: str, directory: Path | None) -> Iterator[str]:
    """A row a setting."""
    peers = by_sharp(made, plugin, directory) if directory and plugin in SHARP_WRITES else None
    yield f"### {plugin}\n"
    yield "| setting | ms | bytes | times sharp's: mean | most | similarity | above sharp's: mean | least |"
    yield "|---|---|---|---|---|---|---|---|"
    if peers:
        peer_bytes = sum(peer.size_bytes for peer in peers)
        peer_similarity = fmean(peer.similarity for peer in peers)
        yield f"| sharp | | {peer_bytes:,} | 1 | 1 | {peer_similarity:.4f} | 0 | 0 |"
    for setting in SETTINGS[plugin]:
        results = [coded(one, plugin, setting) for one in made]
        words = ", ".join(f"{name} {value}" for name, value in setting.items())
        cells = [
            words,
            f"{fmean(result.milliseconds for result in results):.1f}",
            f"{sum(result.size_bytes for result in results):,}",
        ]
        similarity = f"{fmean(result.similarity for result in results):.4f}"
        if peers:
            pairs = list(zip(results, peers, strict=True))
            times = [result.size_bytes / peer.size_bytes for result, peer in pairs]
            above = [result.similarity - peer.similarity for result, peer in pairs]
            cells += [f"{math.exp(fmean(map(math.log, times))):.3f}", f"{max(times):.3f}", similarity]
            cells += [f"{fmean(above):+.4f}", f"{min(above):+.4f}"]
        else:
            cells += ["", "", similarity, "", ""]
        yield f"| {' | '.join(cells)} |"
    yield ""


def main() -> int:
    """Print a table for every format."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=SHARED, help="the folder with inputs/ and corpus/")
    parser.add_argument("--sharp", type=Path, help="a folder with sharp in its node_modules")
    asked = parser.parse_args()
    pillow_heif.register_heif_opener()
    made = [sample(asked.shared / name) for name in PICTURES]
    for plugin in SETTINGS:
        for line in table(made, plugin, asked.sharp):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
