"""Everything that is asked of the service about one sample, and what second readers say of the answers."""

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .corpora import OWN, Sample
from .second_reader import READ_BY_IMAGEMAGICK, WAYS, Exiftool, ImageMagick
from .service import Answer, Service
from .similarity import similarity

ALIKE = 0.98
ALPHA_UNREAD = {"heic", "avif"}
"""Formats whose transparency ImageMagick 6 leaves out, so that it cannot judge pictures that have some."""

BENIGN = (OWN / "png" / "rgb.png").read_bytes()


@dataclass(slots=True, kw_only=True)
class Findings:
    """Answers by question, and measures of the pictures in them by picture name."""

    info: Answer
    fit: Answer
    avatars: Answer
    benign: Answer
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    likeness: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Asks the service about samples, several at once; the second readers may be missing."""

    service: Service
    hurried_service: Service
    folder: Path
    exiftool: Exiftool | None
    imagemagick: ImageMagick | None

    def __call__(self, sample: Sample) -> Findings:
        data = sample.read()
        service = self.hurried_service if sample.expected == "bomb" else self.service
        findings = Findings(
            info=service.post("/images/info", data),
            fit=service.post(
                "/images/fit/10000" if not sample.is_hostile else "/images/fit/800", data, raw=True
            ),
            avatars=service.post("/images/rescale_avatar", data),
            benign=service.post("/images/fit/16", BENIGN, raw=True),
        )
        if sample.expected == "ok":
            where = self.folder / sample.id.replace("/", "-")
            where.mkdir()
            try:
                self._measure(sample, findings, where)
            finally:
                shutil.rmtree(where)
        return findings

    def _measure(self, sample: Sample, findings: Findings, where: Path) -> None:
        pictures = {**findings.fit.pictures(), **findings.avatars.pictures()}
        for name, body in pictures.items():
            (where / name).write_bytes(body)
        if self.exiftool and pictures:
            findings.sizes = self.exiftool.sizes([where / name for name in pictures])
        sides = {int(name.removeprefix("avatar")): where / name for name in pictures if name != "output"}
        if self.imagemagick and sides and sample.format in READ_BY_IMAGEMAGICK:
            findings.likeness = self._compare(sample, sides, where)

    def _compare(self, sample: Sample, avatars: dict[int, Path], where: Path) -> dict[str, float]:
        assert self.imagemagick
        ours = dict(zip(avatars, self.imagemagick.pixels(list(avatars.values()), list(avatars)), strict=True))
        likeness: dict[str, float] = {}
        orientation = sample.orientation or (self.exiftool.orientation(sample.path) if self.exiftool else 1)
        if sample.format in ALPHA_UNREAD and any(_has_transparency(pixels) for pixels in ours.values()):
            return {}
        original = self.imagemagick.read(sample.path, sample.format, orientation, where)
        for way in WAYS if original else ():
            wanted = [side for side in avatars if likeness.get(f"avatar{side}", 0) < ALIKE]
            if not wanted:
                break
            theirs = self.imagemagick.reference(original, wanted, way)
            for side in wanted if theirs else ():
                mine = ours[side]
                alike = similarity(mine, theirs[side], side) if mine and theirs else 0.0
                likeness[f"avatar{side}"] = max(alike, likeness.get(f"avatar{side}", 0.0))
        return likeness


class Ahead:
    """Findings that are worked out ahead of the tests that ask for them, in the tests' order."""

    def __init__(self, examine: Callable[[Sample], Findings], samples: list[Sample], workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._futures: dict[str, Future[Findings]] = {
            sample.id: self._pool.submit(examine, sample) for sample in samples
        }

    def __getitem__(self, sample: Sample) -> Findings:
        return self._futures[sample.id].result()

    def close(self) -> None:
        """Leave what nobody asked for."""
        self._pool.shutdown(cancel_futures=True)


def _has_transparency(rgba: bytes) -> bool:
    return min(rgba[3::4], default=255) < 255
