"""A stranger's document: what is known of it before any pixel is decoded, and the limits it is held to."""

from dataclasses import dataclass, replace

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from . import gif_copy
from .formats import Format
from .header import Header
from .headers import Buffer

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A stranger's bytes with what is known of them before any pixel is decoded."""

    data: Buffer
    format: Format
    header: Header
    limits: Limits

    @property
    def display(self) -> Size:
        """The size upright."""
        return self.header.display_width, self.header.display_height

    @property
    def moves(self) -> bool:
        """It has frames, and a format that keeps them."""
        return self.format.keeps_frames and self.header.is_animation and self.header.frames > 1

    @property
    def told(self) -> dict[str, str]:
        """What is told of every upload."""
        return {"format": self.format.name, "mime": self.format.mime}

    def hold_still(self) -> None:
        """One picture of it may be decoded. Raises WorkFailed."""
        self.hold((self.header.width, self.header.height))

    def hold(self, size: Size) -> None:
        """A picture of this size may be there. Raises WorkFailed."""
        if size[0] * size[1] > self.limits.pixels or max(size) > self.limits.side_pixels:
            raise WorkFailed(FailureCode.TOO_MANY_PIXELS, f"{size[0]} x {size[1]}")

    def hold_film(self) -> None:
        """All its frames may be decoded. Raises WorkFailed."""
        self.hold_still()
        header = self.header
        if header.frames > self.limits.frames:
            raise WorkFailed(FailureCode.TOO_MANY_FRAMES, f"{header.frames} frames")
        if header.frames * header.width * header.height > self.limits.animation_pixels:
            raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "over all frames")

    def is_copied(self, kind: str, size: Size) -> bool:
        """A GIF that comes out as it is, but for its metadata."""
        return kind == self.format.name == "gif" and size == self.display

    def first_frame(self, most_bytes: int) -> bytes:
        """A GIF's first frame, copied. Raises WorkFailed."""
        return gif_copy.copied(self.data, replace(self.header, frames=1, loop=None), most_bytes)
