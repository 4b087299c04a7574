"""The mechanism of the seal: seccomp, Landlock, limits, dropped privileges. Stdlib and ctypes only."""

from .failure import Layer, SealFailed
from .seal import CHILD_SOCKET, Budget, ChildSeal, Landlock, Layers, seal_fetcher, seal_template

__all__ = [
    "CHILD_SOCKET",
    "Budget",
    "ChildSeal",
    "Landlock",
    "Layer",
    "Layers",
    "SealFailed",
    "seal_fetcher",
    "seal_template",
]
