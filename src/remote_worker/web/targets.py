"""Which requests may be carried by a job, and what is known of one before it is answered. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from starlette.routing import Route

from ..contract.failures import FailureCode, WorkFailed
from ..service.asked import AD_HOC, is_on

LONGEST_TARGET = 8 * 1024
"""Characters, as many as a request line of ours may have."""
METHODS = ("POST", "GET")
"""Without a word it is the first of them that the path takes."""

_TARGET = re.compile(r"/(?!/)[!\"$-~]*")
"""Path and query in visible ASCII: an absolute path, and nothing that names a host or a fragment."""
_JOBS = "/jobs"


def _always(_: Mapping[str, str]) -> bool:
    return True


def _never(_: Mapping[str, str]) -> bool:
    return False


def _if_animated(query: Mapping[str, str]) -> bool:
    return is_on(query, "animated")


def _if_ad_hoc(query: Mapping[str, str]) -> bool:
    return any(name in query for name in AD_HOC)


PICKING: dict[str, Callable[[Mapping[str, str]], bool]] = {
    "/images/prepare_jpeg": _never,
    "/images/fit/{box}": _always,
    "/images/rescale_avatar": _if_animated,
    "/images/resize_avatar": _if_animated,
    "/images/info": _never,
    "/images/preset/{name}": _never,
    "/images/facts": _never,
    "/links/preview": _never,
    "/links/previews": _never,
    "/links/image": _if_ad_hoc,
    "/text/render_markdown": _never,
}
"""The routes that a job may ask for, and when such a request picks sizes and formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A request that a job may carry."""

    method: str
    text: str
    """Path and query, as in a request line."""
    path: str
    """As routes take it."""
    is_picking: bool
    """It picks sizes and formats, which may be the operator's alone."""


class WrongMethod(WorkFailed):
    """There is such a path, but not for this method; `allowed` are those that it takes."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(FailureCode.METHOD_NOT_ALLOWED, f"the path of `request` takes {', '.join(allowed)}")
        self.allowed = allowed


class Targets:
    """The routes of the application, as far as a job may ask for them."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def find(self, text: str, method: str | None) -> Target:
        """What this request is. Raises WorkFailed."""
        if len(text) > LONGEST_TARGET:
            raise WorkFailed(FailureCode.URI_TOO_LONG)
        if not _TARGET.fullmatch(text):
            raise WorkFailed(
                FailureCode.BAD_PARAMETER,
                "request is the path and query of another request, such as /images/fit/800?format=webp",
            )
        path, raw_query = parts(text)
        if f"{path}/".startswith(f"{_JOBS}/"):
            raise WorkFailed(FailureCode.BAD_PARAMETER, "a job cannot ask for jobs")
        route = next((route for route in self._routes if route.path_regex.match(path)), None)
        if route is None:
            raise WorkFailed(FailureCode.NOT_FOUND, "there is nothing at the path of `request`")
        is_picking = PICKING.get(route.path)
        if is_picking is None:
            raise WorkFailed(
                FailureCode.BAD_PARAMETER,
                "a job can ask for work on pictures, presets, previews, /links/image and Markdown; "
                "ask for this path directly",
            )
        taken = route.methods or set()
        method = next(name for name in METHODS if name in taken) if method is None else method
        if method not in taken:
            raise WrongMethod(sorted(taken))
        if method not in METHODS:
            raise WorkFailed(FailureCode.BAD_PARAMETER, f"method is one of {', '.join(METHODS)}")
        query = dict(parse_qsl(raw_query, keep_blank_values=True))
        return Target(
            method=method,
            text=text,
            path=path,
            is_picking=method == _METHOD_OF_WORK.get(route.path, METHODS[0]) and is_picking(query),
        )


_METHOD_OF_WORK = {"/links/image": "GET"}
"""Where it is another than POST. What else is asked by GET are words on how an endpoint is used."""


def parts(text: str) -> tuple[str, str]:
    """The path as routes take it, and the query as it is."""
    raw_path, _, raw_query = text.partition("?")
    return unquote(raw_path), raw_query
