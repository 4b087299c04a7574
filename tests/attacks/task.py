"""The task kind that only the attack template knows."""

from dataclasses import dataclass
from typing import ClassVar

from remote_worker.contract.failures import FailureCode

HARMED = FailureCode.NOT_A_JPEG
REFUSED = FailureCode.DAMAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack by name, with what the host tells it."""

    kind: ClassVar[str] = "attack"
    name: str
    number: int = 0
    text: str = ""
