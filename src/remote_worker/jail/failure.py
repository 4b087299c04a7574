"""The one way in which putting up the seal fails."""

from enum import StrEnum


class Layer(StrEnum):
    """The layers of the seal, by the names that people are told."""

    THREADS = "threads"
    DESCRIPTORS = "descriptors"
    PRIVILEGES = "privileges"
    LIMITS = "limits"
    LANDLOCK = "landlock"
    SECCOMP = "seccomp"


class SealFailed(Exception):
    """A layer could not be put up; the process must not go on to a stranger's bytes."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason
