"""What a mutation needs to know of a format: its pieces, what lies inside them, and where its numbers are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Field:
    """A number of the file: where, how many bytes, and in which order."""

    at: int
    size: int
    order: Order = "big"


def no_fields(_: bytes) -> Sequence[Field]:
    """For formats whose numbers are all found as pieces."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One way to build a file.

    `split` cuts the bytes into pieces whose sum is the file, none lost, however broken the file is. `sealed`
    puts right the length and checksum of a piece whose content was changed. `inside` gives the head, the
    content and the tail of a piece that is made of pieces itself.
    """

    name: str
    is_it: Callable[[bytes], bool]
    split: Callable[[bytes], list[bytes]] = field(default=lambda data: [data])
    sealed: Callable[[bytes], bytes] = field(default=lambda piece: piece)
    whole: Callable[[bytes], bytes] = field(default=lambda data: data)
    """Puts right what the whole file says of its length."""
    inside: Callable[[bytes], tuple[bytes, bytes, bytes] | None] = field(default=lambda _: None)
    fields: Callable[[bytes], Sequence[Field]] = no_fields
    head_bytes: int = 8
    """Of a piece, before its content."""
