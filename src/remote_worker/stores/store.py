"""What every store can do. Calls block: whoever has an event loop makes them in a thread."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class StoreFailed(Exception):
    """The store did not do it, and may at another time: no room, no network, no permission."""


class NotThere(Exception):
    """No object has this key."""


class TooLarge(Exception):
    """The object has more bytes than whoever asks takes."""


class BadKey(ValueError):
    """This is the key of no object: empty, absolute, too long, or with `.` or `..` among its parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a store knows of an object. Another content has another `version`: a word without slashes."""

    size_bytes: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object, and what the store knew of exactly these bytes."""

    data: bytes
    meta: Meta


class Store(Protocol):
    """Objects by key: `a/b/c.jpg`, parts of 1 to 255 bytes, 1,024 in all (S3's bound).

    Everything raises StoreFailed and BadKey.
    """

    @property
    def url(self) -> str:
        """Where it is, as `opening.open_store` takes it again on another machine. It holds no secret."""
        ...

    def get(self, key: str, most_bytes: int) -> Found:
        """The whole object. Raises NotThere, or TooLarge before it has read more than that."""
        ...

    def head(self, key: str) -> Meta | None:
        """What is known of it, None where there is none."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write it whole: nobody ever sees a part. With `if_absent`, False: there is one, and it stays."""
        ...

    def put_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Put each, in any order. When it raises, some are there and some are not."""
        ...

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        """Every object whose key begins so, in the order of the keys' UTF-8 bytes."""
        ...

    def delete(self, key: str) -> None:
        """Take it away; it need not be there."""
        ...

    def settle(self) -> None:
        """Return when all that was put before outlives a loss of power."""
        ...
