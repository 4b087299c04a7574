"""Files of pages for browsers: read once, at start, and known by their ETag."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

_HEADERS = {
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


def policy(trusted_types: str) -> str:
    """What a browser lets a page do: its own files and this worker, no script out of a string."""
    return "; ".join(
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
            f"trusted-types {trusted_types}",
        )
    )


class Asset:
    """A body that a browser asks for again but loads once."""

    def __init__(self, body: bytes, media_type: str, more: Mapping[str, str]) -> None:
        self._body = body
        self._tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        # `no-cache` keeps it and asks: a new version of the worker shows a new page at once.
        self._headers = {**more, "cache-control": "no-cache", "etag": self._tag}
        self._media_type = media_type

    async def answer(self, request: Request) -> Response:
        """It, or that the browser has it already."""
        return self.answered(request)

    def answered(self, request: Request, more: Mapping[str, str] | None = None) -> Response:
        """The same, with more headers."""
        headers = {**self._headers, **(more or {})}
        known = request.headers.get("if-none-match", "").split(",")
        if self._tag in (tag.strip().removeprefix("W/") for tag in known):
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers={**headers, "content-type": self._media_type})


def page_file(name: str, body: bytes, policy: str) -> Asset:
    """A file of a page with this policy."""
    more = {**_HEADERS, "content-security-policy": policy}
    return Asset(body, _TYPES[name.rpartition(".")[2]], more)


def folder(name: str) -> Iterator[tuple[str, bytes]]:
    """The files of a folder beside this module: names and bytes."""
    for file in files("remote_worker.web").joinpath(name).iterdir():
        yield file.name, file.read_bytes()
