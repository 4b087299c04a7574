"""What makes two submissions the same one. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace

from .job import Call

_DELIMITERS = 65
"""Of a form, with the last: no form of more is read. What comes after stays as it is."""
_BOUNDARY = re.compile(r'(?i:(?<=boundary=))(?:"([^"\\]{1,200})"|([^\s";,]{1,200}))')


def fingerprint(call: Call, body: bytes, callback: str) -> str:
    """SHA-256 of all that the caller sent, but for what separates the parts of a form.

    Every client draws another boundary at each try: to it, they are the same form.
    """
    said = call.headers.get("content-type", "")
    found = _BOUNDARY.search(said) if said.lower().startswith("multipart/") else None
    if found:
        headers = {**call.headers, "content-type": said[: found.start()] + said[found.end() :]}
        call = replace(call, headers=headers)
    digest = hashlib.sha256()
    for piece in _pieces(body, found[1] or found[2]) if found else (body,):
        digest.update(piece)
    told = json.dumps([asdict(call), callback, digest.hexdigest()], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _pieces(body: bytes, boundary: str) -> Iterator[memoryview | bytes]:
    """The body without its boundary, and without a copy of it."""
    seen = memoryview(body)
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    start = 0
    for _ in range(_DELIMITERS):
        end = body.find(delimiter, start)
        if end < 0:
            break
        yield seen[start:end]
        yield b"--"
        start = end + len(delimiter)
    yield seen[start:]
