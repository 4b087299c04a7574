"""What a loader gives: decoded pixels, and what is still to be done to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from PIL import Image

from ...contract.failures import FailureCode, WorkFailed
from ..header import Header
from ..headers import Buffer

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Still:
    """One decoded picture in any Pillow mode; its ICC profile, if any, is in `image.info`."""

    image: Image.Image
    orientation: int = 1
    """What is still to be applied, 1..8 like EXIF."""
    box: Box | None = None
    """The part of the image that is the picture; a scaled decode may pad its last row and column."""


class Frame(NamedTuple):
    """One composited frame of an animation: the image is its own, and no later frame changes it."""

    image: Image.Image
    duration_ms: int


class Loader(Protocol):
    """One library's way to one format's pixels."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The first frame or primary picture, at the smallest scale the decoder has that covers `cover`.

        `cover` is a stored size, not turned. None asks for full size.
        """

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Every frame on the full canvas; the header's orientation is still to be applied."""


def damaged(detail: str) -> WorkFailed:
    """The failure of pixels that cannot be read."""
    return WorkFailed(FailureCode.DAMAGED, detail)


@contextmanager
def library_errors() -> Iterator[None]:
    """What image libraries raise for bytes they cannot read, as our failures.

    Their lists of exceptions are open (struct.error, KeyError, SyntaxError ... out of deep inside), so
    everything but a lack of memory means that the document is damaged.
    """
    try:
        yield
    except (WorkFailed, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, str(error)) from error
    except Image.DecompressionBombWarning as warning:
        raise WorkFailed(FailureCode.TOO_MANY_PIXELS, str(warning)) from warning
    except Exception as error:
        raise damaged(f"{type(error).__name__}: {error}") from error


def same_size(image: Image.Image, size: Size) -> None:
    """Refuse a picture whose library reads another size than the header that the limits were held against."""
    if image.size != size:
        raise damaged(f"the header says {size}, the decoder {image.size}")
