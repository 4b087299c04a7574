"""What a task makes: pictures, and the facts about them and the upload."""

import time
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from . import encode, jpeg_bytes
from .document import Document, Size

Body = bytes | jpeg_bytes.Pieces
"""A picture's file, whole or in pieces."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made: pictures by part name, and the facts about them and the upload."""

    pictures: dict[str, Body]
    facts: dict[str, Any]


@dataclass(slots=True)
class Made:
    """Collects the pictures of a task with their facts."""

    pictures: dict[str, Body] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)
    encode_seconds: float = 0.0
    """Spent on writing still pictures. The frames of an animation are read while it is written."""

    def written(
        self, image: Image.Image, kind: str, quality: int | None, most_bytes: int, *, in_a_hurry: bool = False
    ) -> bytes:
        """A still picture's file; how long writing it took counts. Raises WorkFailed."""
        began = time.perf_counter()
        body = encode.encode(image, kind, quality, most_bytes, in_a_hurry=in_a_hurry)
        self.encode_seconds += time.perf_counter() - began
        return body

    def add(self, name: str, kind: str, size: Size, body: Body, frames: int = 1) -> None:
        """One picture."""
        self.pictures[name] = body
        self.facts.append(
            {"name": name, "format": kind, "width": size[0], "height": size[1], "frames": frames}
        )

    def result(self, document: Document) -> Result:
        """All of it, with what is told of the upload."""
        encode_us = int(self.encode_seconds * 1e6)
        return Result(
            self.pictures, {"upload": document.told, "pictures": self.facts, "encode_us": encode_us}
        )
