"""Animations taken apart frame by frame: our own readers of GIF and APNG, whose frames libraries decode."""

from collections.abc import Callable
from itertools import zip_longest

from PIL import ImageChops

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder import gif_copy
from remote_worker.decoder.header import Header
from remote_worker.decoder.headers import gif as gif_header
from remote_worker.decoder.headers import png as png_header
from remote_worker.decoder.loaders import apng, pillow
from remote_worker.decoder.loaders import gif as gif_loader
from remote_worker.decoder.loaders.loader import Frame

from .headers import told

MOST_PIXELS = 1 << 18
MOST_FRAMES = 64
MOST_BYTES = 1 << 22
ALLOWED = frozenset(
    {
        FailureCode.DAMAGED,
        FailureCode.TOO_MANY_PIXELS,
        FailureCode.TOO_MUCH_MEMORY,
        FailureCode.OUTPUT_TOO_LARGE,
    }
)
Copied = Callable[[bytes, Header, int], bytes]


def of_gif(data: bytes, copied: Copied = gif_copy.copied) -> None:
    """A copy shows frame for frame what the file shows, for as long."""
    facts = _small(data, told(data, gif_header.read))
    if facts is None:
        return
    try:
        shown = list(gif_loader.GIF.frames(data, facts))
        copy = copied(data, facts, MOST_BYTES)
    except WorkFailed as failed:
        assert failed.code in ALLOWED, failed.code
        return
    again = gif_header.read(copy)
    assert (again.width, again.height, again.frames) == (facts.width, facts.height, facts.frames)
    assert (again.loop, again.duration_ms) == (facts.loop, facts.duration_ms)
    for before, after in zip_longest(shown, gif_loader.GIF.frames(copy, again)):
        assert before.duration_ms == after.duration_ms
        assert _looks_same(before, after), "another picture"


def of_apng(data: bytes) -> None:
    """Every frame that the header counts, in the canvas's size, or a failure with a code."""
    facts = _small(data, told(data, png_header.read))
    if facts is None or not facts.is_animation:
        return
    try:
        for frame in apng.frames(data, facts, {}):
            assert frame.image.size == (facts.width, facts.height)
    except WorkFailed as failed:
        assert failed.code in ALLOWED, failed.code


def _small(data: bytes, facts: Header | None) -> Header | None:
    del data
    if facts is None or facts.frames > MOST_FRAMES or facts.width * facts.height * facts.frames > MOST_PIXELS:
        return None
    pillow.guard(MOST_PIXELS)
    return facts


def _looks_same(one: Frame, other: Frame) -> bool:
    """What is clear has no colour."""
    pictures = [frame.image.convert("RGBa") for frame in (one, other)]
    return ImageChops.difference(*pictures).getbbox(alpha_only=False) is None
