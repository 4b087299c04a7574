"""How long a vector picture is drawn anew at each of many sizes; after that the largest is scaled."""

import time

_DRAWING_SECONDS = 1.0
"""As many drawings as may be asked for, of what takes longer than this, would not end in time."""


class Patience:
    """With the drawings of one task."""

    def __init__(self) -> None:
        self._began = time.process_time()

    @property
    def is_over(self) -> bool:
        """Drawing has taken too long."""
        return time.process_time() - self._began > _DRAWING_SECONDS
