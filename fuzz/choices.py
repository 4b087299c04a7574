"""Turns a fuzzer's bytes into choices, the same ones on every Python."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes bytes from the front; when none are left, every choice is the least one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, least: int, most: int) -> int:
        """From `least` to `most`, both included."""
        size = ((most - least).bit_length() + 7) // 8
        return least + int.from_bytes(self.take(size), "big") % (most - least + 1)

    def one_of(self, things: Sequence[T]) -> T:
        """One of these."""
        return things[self.number(0, len(things) - 1)]

    def flag(self) -> bool:
        """Yes or no."""
        return self.number(0, 1) == 1

    def take(self, count: int) -> bytes:
        """So many bytes, or what is left."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def filled(self, count: int) -> bytes:
        """So many bytes: what is left over and over when it is less, or zeros."""
        taken = self.take(count)
        if len(taken) == count:
            return taken
        return (taken * (count // len(taken) + 1))[:count] if taken else bytes(count)

    def text(self, most: int) -> str:
        """Up to so many characters of any kind."""
        return self.take(self.number(0, most)).decode("utf-8", "replace")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))
