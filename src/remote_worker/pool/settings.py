"""How many children there are, how long a template lives, and when too many callers wait."""

import os
from dataclasses import dataclass, field

from ..contract.formats import FormatName
from ..contract.limits import MIB


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _text_children() -> int:
    # While one has the core, the host is not woken for each text: with four on one core it does a sixth more.
    return _cores() + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """`children` decode at once, `ready` wait ahead of demand, and for each child callers may queue.

    Those named `text` are of the children that read pages and Markdown.
    """

    children: int = field(default_factory=_cores)
    ready: int = field(default_factory=_cores)
    waiting_per_child: int = 16
    template_jobs: int = 10_000
    template_seconds: float = 3600.0
    crash_burst: int = 8
    start_seconds: float = 30.0
    jail: bool = True
    formats: tuple[FormatName, ...] = tuple(FormatName)
    """Those that are read and written."""
    text_children: int = field(default_factory=_text_children)
    text_jobs: int = 500
    """Of one child, which then ends."""
    text_cpu_seconds: float = 0.15
    text_seconds: float = 5.0
    text_memory_bytes: int = 256 * MIB
