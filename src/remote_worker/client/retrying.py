"""When a call that failed is made again. Pure: what happened goes in, how long to wait comes out."""

from dataclasses import dataclass

from .errors import Busy, WorkerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and how soon, a call is made again after 429, 503 or a connection that broke too early.

    All calls are safe to repeat: the worker keeps nothing of them.
    """

    most: int = 4
    """Tries in all; 1 makes no second one."""
    first_seconds: float = 0.2
    """The wait after the first try; it doubles with each further one."""
    longest_seconds: float = 5.0
    """Of a wait for which the worker named no time."""

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("there is at least one try")
        if not 0 <= self.first_seconds <= self.longest_seconds:
            raise ValueError("first_seconds is from 0 to longest_seconds")

    def wait(self, failed: WorkerError, *, tries: int, left: float, chance: float) -> float | None:
        """The seconds until the next try, or None when there is none.

        `tries` were made, `left` is the time in all, and `chance` is a random number from 0 to 1: callers
        that were refused together do not come back together.
        """
        if tries >= self.most:
            return None
        backoff = min(self.longest_seconds, self.first_seconds * 2 ** (tries - 1))
        if isinstance(failed, Busy) and failed.retry_after is not None:
            # Never sooner than asked.
            seconds = failed.retry_after + chance * max(self.first_seconds, failed.retry_after / 4)
        else:
            seconds = backoff * (0.5 + chance / 2)
        return seconds if seconds < left else None
