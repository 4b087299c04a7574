"""The console: a page for people at `/`, and its files below /console/. They are read once, at start."""

import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from .answers import json_answer
from .negotiation import wants_page
from .problems import PROBLEMS

FOLDER = "/console/"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        # The one policy, for HTML that is parsed into a document which is never shown: console/post.js.
        "trusted-types inert-html",
    )
)
"""What the browser lets the page do: its own files and this worker, no script out of a string."""

_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
}
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_INDEX, _ERRORS = "index.html", "errors.html"


class Asset:
    """One file of the console: known by its ETag, so that a browser asks again but loads once."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self._body = body
        self._tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        # `no-cache` keeps it and asks: a new version of the worker shows a new page at once.
        self._headers = {**_HEADERS, "cache-control": "no-cache", "etag": self._tag}
        self._media_type = media_type

    async def answer(self, request: Request) -> Response:
        """The file, or that the browser has it already."""
        return self.answered(request, {})

    def answered(self, request: Request, more: Mapping[str, str]) -> Response:
        """The same, with more headers."""
        headers = {**self._headers, **more}
        known = (
            tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
        )
        if self._tag in known:
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers={**headers, "content-type": self._media_type})


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
    for file in files("remote_worker.web").joinpath("console").iterdir():
        body = file.read_bytes()
        if file.name == _ERRORS:
            body = Template(body.decode()).substitute(rows=_error_rows()).encode()
        yield file.name, Asset(body, _TYPES[file.name.rpartition(".")[2]])


def _error_rows() -> str:
    return "\n".join(
        f'<tr id="{code}"><th scope="row"><code>{code}</code></th><td>{problem.status}</td>'
        f"<td>{escape(problem.message)}</td></tr>"
        for code, problem in PROBLEMS.items()
    )
