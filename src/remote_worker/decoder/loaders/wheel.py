"""The C libraries that come with Pillow's wheel, for what Pillow itself does not ask of them."""

import ctypes
from pathlib import Path

import PIL


def library(name: str, abi: int) -> ctypes.CDLL | None:
    """A library with this number behind `.so`; None for a Pillow that was built for a distribution.

    Pillow has most of them in memory already, so that this costs next to nothing.
    """
    beside = Path(PIL.__file__).parent.parent / "pillow.libs"
    found = sorted(beside.glob(f"{name}-*.so.{abi}.*"))
    try:
        return ctypes.CDLL(str(found[0])) if found else None
    except OSError:
        return None
