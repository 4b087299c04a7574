"""When to come back: a unit whose handler did not end well, and a caller who found no place. Pure."""

import asyncio
import math

from .engine import Again

LONGEST_RETRY_SECONDS = 30
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0


def seconds_until_again(error: BaseException | None, attempt: int, most_attempts: int) -> float | None:
    """When a unit is handed out again whose handler ended so; None for never."""
    if isinstance(error, asyncio.CancelledError):
        return 0.0
    if error is None or attempt > most_attempts:
        return None
    if isinstance(error, Again):
        return max(0.0, error.seconds)
    return min(_FIRST_DELAY_SECONDS * 2.0 ** min(attempt - 1, 16), _LONGEST_DELAY_SECONDS)


class Line:
    """Appointments for those who found no place, so that they do not all come back at once."""

    def __init__(self) -> None:
        self._next = 0.0

    def retry_seconds(self, done_a_second: float, now: float) -> int:
        """In so many whole seconds, as fast as places become free lately, there is one for this one."""
        if done_a_second * LONGEST_RETRY_SECONDS < 1:
            return LONGEST_RETRY_SECONDS
        self._next = max(self._next, now) + 1 / done_a_second
        if self._next > now + LONGEST_RETRY_SECONDS:
            # All of them are given away: the second half of the time is, once more.
            self._next = now + LONGEST_RETRY_SECONDS / 2 + 1 / done_a_second
        return min(max(math.ceil(self._next - now), 1), LONGEST_RETRY_SECONDS)
