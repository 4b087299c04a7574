"""What comes of a text in the jail, and which handler does each kind of task."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..contract.texts import ReadOembed, ReadPage, RenderMarkdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """`facts` become the JSON of the reply (`contract.wire`: 64 KiB, 8 deep), `parts` go as they are."""

    facts: dict[str, Any]
    parts: dict[str, bytes] = field(default_factory=dict)
    encoded: bytes = b""
    """The facts as JSON, where a handler had to know how long that is."""


@dataclass(frozen=True, slots=True)
class Handler:
    """`read` does a task of its kind on the bytes; `warm` loads before the seal what it loads late."""

    read: Callable[[Any, bytes], Read]
    warm: Callable[[], None]


def encode(facts: dict[str, Any]) -> bytes:
    """The facts as they leave the jail."""
    # Half a surrogate pair is no text; JSON in a page can hold one.
    return _encode(facts).encode(errors="replace")


# Made once: json.dumps makes one for each call that gives it an option.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def handlers() -> dict[str, Handler]:
    """Every kind of task with its handler. Loads their libraries."""
    from . import markdown  # noqa: PLC0415  the handlers build on this module
    from .page import oembed, read  # noqa: PLC0415

    return {
        ReadPage.kind: Handler(read.read, read.warm),
        ReadOembed.kind: Handler(oembed.read, oembed.warm),
        RenderMarkdown.kind: Handler(markdown.render, markdown.warm),
    }
