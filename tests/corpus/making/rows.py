"""One row of a corpus manifest together with the file it speaks of."""

from dataclasses import dataclass

COLUMNS = (
    "path",
    "format",
    "variant",
    "width",
    "height",
    "frames",
    "has_alpha",
    "exif_orientation",
    "has_gps",
    "display_width",
    "display_height",
    "expected",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sample and what is known about it by construction; None leaves the cell blank: not compared."""

    path: str
    format: str
    variant: str
    data: bytes
    size: tuple[int, int] | None
    frames: int | None = 1
    has_alpha: bool | None = False
    orientation: int | None = 1
    has_gps: str = "no"
    display: tuple[int, int] | None = None
    """Given where it is not the stored size turned upright."""
    expected: str = "ok"

    def cells(self) -> dict[str, str]:
        """The row as the manifest holds it."""
        width, height = self.size or ("", "")
        swapped = self.orientation is not None and self.orientation >= 5
        display_width, display_height = self.display or ((height, width) if swapped else (width, height))
        return {
            "path": self.path,
            "format": self.format,
            "variant": self.variant,
            "width": str(width),
            "height": str(height),
            "frames": "" if self.frames is None else str(self.frames),
            "has_alpha": {None: "", True: "yes", False: "no"}[self.has_alpha],
            "exif_orientation": "" if self.orientation is None else str(self.orientation),
            "has_gps": self.has_gps,
            "display_width": str(display_width),
            "display_height": str(display_height),
            "expected": self.expected,
        }
