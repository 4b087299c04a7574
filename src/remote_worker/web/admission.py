"""Whether a request is let in, asked when its head is there: refusing it then costs neither side the rest."""

from collections.abc import Callable, Sequence
from os.path import commonpath

from starlette.routing import Route
from starlette.types import Scope

from ..contract.failures import WorkFailed
from ..service.images import Images
from .auth import Gate, check_loop
from .callers import Callers

Admits = Callable[[Scope], WorkFailed | None]
"""Tells why a request is refused before anything else is done for it."""


class Admission:
    """Refuses who may not call or has used up a quota, and uploads that would find no place in the queue."""

    def __init__(
        self, gate: Gate, images: Images, callers: Callers, uploads: Sequence[Route], via: str = ""
    ) -> None:
        self._gate = gate
        self._via = via
        self._images = images
        self._callers = callers
        self._uploads = uploads
        self._prefix = commonpath([route.path for route in uploads])

    def __call__(self, scope: Scope) -> WorkFailed | None:
        """Why this request is refused; then its scope has its route, for the log."""
        try:
            check_loop(scope, self._via)
            self._gate.check(scope)
            self._check_room(scope)
            # What finds no room is no request of the key's.
            self._gate.charge(scope)
        except WorkFailed as refused:
            return refused
        return None

    def _check_room(self, scope: Scope) -> None:
        if scope["method"] != "POST" or not scope["path"].startswith(self._prefix):
            return
        route = next((route for route in self._uploads if route.path_regex.match(scope["path"])), None)
        if route is None:
            return
        try:
            self._images.check_room(self._callers.of(scope))
        except WorkFailed:
            scope["route"] = route
            raise
