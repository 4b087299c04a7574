"""Who calls, as the parts behind HTTP hear of it: the word that shares go by, and what comes with it."""

from typing import Self

from .limits import NO_CEILINGS, Ceilings


class Caller(str):
    """The word itself, so that it passes wherever one is expected.

    Processes that read more than one text are shared only among callers with the same `trust`.
    """

    __slots__ = ("ceilings", "trust")

    trust: str
    ceilings: Ceilings

    def __new__(cls, word: str, *, trust: str = "", ceilings: Ceilings = NO_CEILINGS) -> Self:
        """The caller of this word."""
        caller = super().__new__(cls, word)
        caller.trust = trust
        caller.ceilings = ceilings
        return caller


def trust_of(caller: str) -> str:
    """With whom this caller shares processes; empty where nobody is told apart."""
    return caller.trust if isinstance(caller, Caller) else ""


def ceilings_of(caller: str) -> Ceilings:
    """What this caller may ask for at most."""
    return caller.ceilings if isinstance(caller, Caller) else NO_CEILINGS
