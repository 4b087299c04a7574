"""The words that operations are described in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ...contract.failures import FailureCode

Schema = dict[str, Any]
"""A JSON Schema, of the dialect of 2020-12 that OpenAPI 3.1 speaks."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
NDJSON = "application/x-ndjson"
"""A line for each thing; what is told of the answer is the schema of one line."""


class Group(Enum):
    """What operations are listed under, with what it holds."""

    IMAGES = "Pictures", "Strangers' pictures, decoded in a process of their own and made anew."
    LINKS = "Links", "What a link leads to, and pictures by their URL."
    TEXT = "Text", "Markdown as sanitised HTML."
    JOBS = "Jobs", "Requests that are answered later."
    NETWORK = "Names and addresses", "DNS records, addresses and whom they belong to."
    WORKER = "The worker", "Who answers, what it can do and how it is."

    def __init__(self, title: str, about: str) -> None:
        self.title = title
        self.about = about


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; those in a path are always required. An `example` is what the page fills in."""

    name: str
    about: str
    schema: Schema
    where: str = "query"
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer that is no failure: what it holds, by media type."""

    about: str
    contents: Mapping[str, Schema] = field(default_factory=dict)
    status: int = 200
    headers: tuple[str, ...] = ()
    """Of `HEADERS`, besides those that every answer has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of one path does. `path` is the route's, as the application spells it."""

    method: str
    path: str
    name: str
    """For programs: unique, and never changed."""
    group: Group
    summary: str
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    """What may be sent, by media type."""
    body_required: bool = True
    answers: tuple[Answer, ...]
    failures: tuple[FailureCode, ...] = ()
    """Besides those that any request may end with."""
    failure_members: Mapping[str, Schema] = field(default_factory=dict)
    """What its failures tell besides."""
    curl: tuple[str, str] = ("", "")
    """An example: what it is called with, and the path with its query."""
    shown_as: str = ""
    """The path with each parameter by itself, where the route takes several as one."""
    is_open: bool = False
    """It is answered without a key."""

    @property
    def shown(self) -> str:
        """The path in the document, without the kinds of its parameters."""
        return self.shown_as or _without_kinds(self.path)


def _without_kinds(path: str) -> str:
    return "/".join(
        f"{part.partition(':')[0]}}}" if part.startswith("{") and ":" in part else part
        for part in path.split("/")
    )


HEADERS: dict[str, tuple[str, Schema]] = {
    "X-Request-ID": (
        "What this request is called in the log: the name that was sent, if it is sane, or a new one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    "Server-Timing": (
        "How long each step took, in milliseconds.",
        {"type": "string", "examples": ["upload;dur=2.1, decode;dur=18.4, total;dur=21.0"]},
    ),
    "Retry-After": (
        "Seconds after which it may go better.",
        {"type": "integer", "minimum": 1},
    ),
    "Location": (
        "The path of the job.",
        {"type": "string", "examples": ["/jobs/6a11f0c25fd5a1e3c6f74b3c9d0e8f2a4b6c8d0e"]},
    ),
    "X-Job-ID": (
        "The job whose recorded answer this is.",
        {"type": "string", "pattern": "^[0-9a-f]{40}$"},
    ),
    "WWW-Authenticate": ("How to say who calls.", {"type": "string", "examples": ["Bearer"]}),
    "ETag": (
        "The picture's tag, for `If-None-Match`.",
        {"type": "string", "examples": ['"5f2a31c0.eIjEyMyI"']},
    ),
    "Cache-Control": (
        "How long it may be kept, and by whom.",
        {"type": "string", "examples": ["public, max-age=3600"]},
    ),
}
EVERY_HEADER = ("X-Request-ID", "Server-Timing")
