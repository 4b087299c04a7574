"""The words between the host and a template on their control socket, and those to a child that stays."""

import struct
from dataclasses import dataclass, field
from typing import Any

from .formats import FormatName

FORK = b"fork"
EVENT = struct.Struct("<IiiII")
"""Kind, pid, the wait status or errno; of a child that is gone its most KiB of memory and its processor
milliseconds, as the kernel counted them."""
FORKED, REAPED, FORK_FAILED = 1, 2, 3

ASK = struct.Struct("<II")
"""Ahead of a task on the socket of a text child: how many bytes the task has, and the text behind it."""


LIMITS_FOLLOW = b"\n"
"""Behind the task to a picture's child, where limits follow that are lower than its template's, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The configuration a template gets once, before it warms: `limits` are the fields of `Limits`.

    `landlock` is required, if_available, or (in tests) absent. `formats` are the names of those that are on.
    """

    template: str
    limits: dict[str, Any]
    jail: bool = True
    readable: list[str] = field(default_factory=list)
    landlock: str = "if_available"
    formats: list[str] = field(default_factory=lambda: list(FormatName))
