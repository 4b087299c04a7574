"""The corpora: the project's own, and the shared ones where they lie beside the project."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
OWN = PROJECT / "tests" / "corpus"
SHARED = PROJECT.parent / "shared" / "corpus"

MIME = {
    "jpeg": "image/jpeg",
    "jp2": "image/jp2",
    "png": "image/png",
    "apng": "image/png",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "heic": "image/heic",
    "avif": "image/avif",
    "psd": "image/vnd.adobe.photoshop",
    "icns": "image/x-icns",
    "ico": "image/vnd.microsoft.icon",
    "svg": "image/svg+xml",
    "jxl": "image/jxl",
}
"""The manifest's name of a format to the type that the service calls it."""

WELCOME_FORMATS = frozenset(MIME)

FRAMES = {
    "public/jxl/conformance-animation_spline.jxl": 60,
    "public/jxl/conformance-animation_newtons_cradle.jxl": 36,
}
"""Where the manifest (45 and 35) is wrong: jxlinfo lists, and djxl writes, this many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row of a manifest. None stands for a blank cell: not compared."""

    id: str
    path: Path
    format: str
    expected: str
    width: int | None
    height: int | None
    display_width: int | None
    display_height: int | None
    frames: int | None
    has_alpha: bool | None
    orientation: int | None
    has_gps: bool | None

    @property
    def display_size(self) -> tuple[int, int] | None:
        """The upright size, when it is known."""
        if self.display_width is None or self.display_height is None:
            return None
        return self.display_width, self.display_height

    @property
    def is_hostile(self) -> bool:
        """Whether the row belongs to a hostile corpus."""
        return "hostile/" in self.id

    def read(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()


def samples() -> list[Sample]:
    """Every row of every manifest there is."""
    found = list(_rows(OWN / "MANIFEST.csv", OWN, "own/"))
    for name in ("public", "hostile"):
        manifest = SHARED / name / "MANIFEST.csv"
        if manifest.is_file():
            found += _rows(manifest, SHARED, "")
    return found


def _rows(manifest: Path, root: Path, prefix: str) -> Iterator[Sample]:
    with manifest.open(newline="", encoding="utf-8") as lines:
        for cells in csv.DictReader(lines):
            yield Sample(
                id=prefix + cells["path"],
                path=root / cells["path"],
                format=cells["format"],
                expected=cells["expected"],
                width=_number(cells["width"]),
                height=_number(cells["height"]),
                display_width=_number(cells["display_width"]),
                display_height=_number(cells["display_height"]),
                frames=FRAMES.get(cells["path"], _number(cells["frames"])),
                has_alpha={"yes": True, "no": False}.get(cells["has_alpha"]),
                orientation=_number(cells["exif_orientation"]),
                has_gps={"yes": True, "thumbnail": True, "trailer": True, "no": False}.get(cells["has_gps"]),
            )


def _number(cell: str) -> int | None:
    return int(cell) if cell else None
