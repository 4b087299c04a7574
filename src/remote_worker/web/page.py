"""The console: a page for people at `/`, and its files below /console/."""

from collections.abc import Iterator
from html import escape
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from .answers import json_answer
from .assets import Asset, folder, page_file, policy
from .negotiation import wants_page
from .problems import PROBLEMS

FOLDER = "/console/"
# The one policy, for HTML that is parsed into a document which is never shown: console/post.js.
_POLICY = policy("inert-html")
_INDEX, _ERRORS = "index.html", "errors.html"


class Page:
    """The page, and what there was at `/` before it for everyone but browsers."""

    def __init__(self) -> None:
        self._assets = dict(_assets())
        self._index = self._assets.pop(_INDEX)

    async def index(self, request: Request) -> Response:
        """The page for who asks for HTML, an empty object for others."""
        if wants_page(request.headers.get("accept", "")):
            return self._index.answered(request, {"vary": "Accept"})
        return json_answer({})

    def assets(self) -> dict[str, Asset]:
        """By path: each is a route of its own, so no path is ever looked up on a disk."""
        return {FOLDER + name: asset for name, asset in self._assets.items()}


def _assets() -> Iterator[tuple[str, Asset]]:
    for name, body in folder("console"):
        if name == _ERRORS:
            body = Template(body.decode()).substitute(rows=_error_rows()).encode()
        yield name, page_file(name, body, _POLICY)


def _error_rows() -> str:
    return "\n".join(
        f'<tr id="{code}"><th scope="row"><code>{code}</code></th><td>{problem.status}</td>'
        f"<td>{escape(problem.message)}</td></tr>"
        for code, problem in PROBLEMS.items()
    )
