"""The OpenAPI 3.1 document, made of the routes that there are and of what is told of them, and its page."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import __version__
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from ..service.settings import LinkSettings
from .api import OPERATIONS
from .api.failures import EVERYWHERE, WITH_KEYS
from .api.jobs import SHARED as OF_JOBS
from .api.links import SHARED as OF_LINKS
from .api.operation import EVERY_HEADER, HEADERS, JSON, NDJSON, Answer, Group, Operation, Parameter, Schema
from .api.presets import SHARED as OF_PRESETS
from .api.schemas import SHARED as OF_ALL
from .api.schemas import ref
from .assets import Asset, folder, page_file, policy
from .problems import PROBLEM_TYPE, PROBLEMS, says_when

_ABOUT = """\
Takes a web application's risky work with strangers' pictures, links and texts off its servers.

* Every path also takes `OPTIONS`, and `HEAD` where it takes `GET`. Other methods are answered with 405.
* A picture is sent as the part `file` of a form, or named by its `url`. It has {input_bytes:,} bytes and
  {pixels:,} pixels at most.
* Every failure is JSON with a `code` from one closed list; with `Accept: application/problem+json` it has the
  form of RFC 9457.
* `Remote-Limits: pixels=1000000, work_seconds=2.5` lowers the limits for one picture or post.
* `Content-Digest` (RFC 9530, `sha-256` or `sha-512`) is compared with the body before anything is decoded.
* Where the worker has keys, all needs one but what says otherwise; without one the answer is 401 with
  `WWW-Authenticate`.
* Where a parameter is a switch, any word turns it on but `0`, `false`, `no`, `off` and nothing.
"""
_POLICY = policy("'none'")
SCHEMAS: dict[str, Schema] = {**OF_ALL, **OF_LINKS, **OF_PRESETS, **OF_JOBS}
"""Those that are referred to by name."""
_SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "rw_…",
        "description": "A key of the file that `REMOTE_KEYS_FILE` names.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": (
            "HTTP Message Signatures (RFC 9421) with `hmac-sha256` over `@method`, `@path`, `@query` and, "
            "with a body, `content-digest` (RFC 9530). `Signature-Input` has `created`, `expires`, `keyid`."
        ),
    },
    "certificate": {"type": "mutualTLS", "description": "A client certificate that is known here."},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits in effect that a document tells."""

    input_bytes: int
    pixels: int
    previews_at_once: int


def bounds(limits: Limits, links: LinkSettings) -> Bounds:
    """Those out of the settings."""
    return Bounds(
        input_bytes=limits.input_bytes, pixels=limits.pixels, previews_at_once=links.previews_at_once
    )


def described(routes: Iterable[Route]) -> list[Operation]:
    """What there is a route for."""
    there = {(method, route.path) for route in routes for method in route.methods or ()}
    return [operation for operation in OPERATIONS if (operation.method, operation.path) in there]


def document(operations: Sequence[Operation], limits: Bounds) -> dict[str, Any]:
    """The document as JSON values."""
    responses = _Responses()
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        told = _operation(operation, responses)
        paths.setdefault(operation.shown, {})[operation.method.lower()] = told
    _previews_at_once(paths, limits.previews_at_once)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Remote Worker",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": _ABOUT.format(input_bytes=limits.input_bytes, pixels=limits.pixels),
        },
        "servers": [{"url": "/"}],
        # Without a key where the worker has none configured.
        "security": [{}, *({name: []} for name in _SECURITY)],
        "tags": [{"name": group.title, "description": group.about} for group in Group],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "headers": {
                name: {"description": about, "schema": schema} for name, (about, schema) in HEADERS.items()
            },
            "responses": responses.made,
            "securitySchemes": _SECURITY,
        },
    }


def failures_of(operation: Operation) -> list[FailureCode]:
    """All that the operation may end with."""
    codes = (*operation.failures, *EVERYWHERE, *(() if operation.is_open else WITH_KEYS))
    return sorted(set(codes), key=list(FailureCode).index)


class OpenApi:
    """The endpoints: the document, made once, and the page that reads it."""

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        self._document = _asset({})
        self._files = {name: page_file(name, body, _POLICY) for name, body in folder("trying")}

    def describe(self, routes: Collection[Route]) -> None:
        """Make the document of these routes."""
        # In the order of the tables, in which people read it.
        self._document = _asset(document(described(routes), self._limits))

    async def tell(self, request: Request) -> Response:
        """The document."""
        return self._document.answered(request)

    async def page(self, request: Request) -> Response:
        """The page."""
        return self._files["index.html"].answered(request)

    async def asset(self, request: Request) -> Response:
        """What the page is made of besides. Raises WorkFailed."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise WorkFailed(FailureCode.NOT_FOUND)
        return file.answered(request)


def _asset(told: Mapping[str, Any]) -> Asset:
    return Asset(json.dumps(told).encode(), JSON, {})


def _operation(operation: Operation, responses: "_Responses") -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.group.title],
        "summary": operation.summary,
        "responses": {
            **{str(answer.status): _answer(answer) for answer in operation.answers},
            **responses.of(operation),
        },
    }
    if operation.about:
        told["description"] = operation.about
    if operation.parameters:
        told["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        told["requestBody"] = {
            "required": operation.body_required,
            "content": {kind: {"schema": schema} for kind, schema in operation.body.items()},
        }
    if operation.is_open:
        told["security"] = []
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {"name": parameter.name, "in": parameter.where, "schema": parameter.schema}
    if parameter.about:
        told["description"] = parameter.about
    if parameter.required or parameter.where == "path":
        told["required"] = True
    if parameter.example:
        told["example"] = parameter.example
    return told


def _answer(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": answer.about,
        "headers": _headers((*EVERY_HEADER, *answer.headers)),
    }
    if answer.contents:
        told["content"] = {kind: _content(kind, schema) for kind, schema in answer.contents.items()}
    return told


def _content(kind: str, schema: Schema) -> dict[str, Any]:
    if kind == NDJSON:
        # OpenAPI 3.2 has `itemSchema` for this.
        return {"schema": {"type": "string"}, "x-item-schema": schema}
    return {"schema": schema} if schema else {}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _previews_at_once(paths: Mapping[str, Any], most: int) -> None:
    """The one bound of a body that a setting decides."""
    batch = paths.get("/links/previews")
    if batch is not None:
        schema = batch["post"]["requestBody"]["content"][JSON]["schema"]
        urls = {**schema["properties"]["urls"], "maxItems": most}
        batch["post"]["requestBody"]["content"][JSON]["schema"] = {
            **schema,
            "properties": {**schema["properties"], "urls": urls},
        }


class _Responses:
    """Failures by status and codes, each told once."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def of(self, operation: Operation) -> dict[str, Any]:
        """The failures of an operation, by status."""
        by_status: dict[int, list[FailureCode]] = {}
        for code in failures_of(operation):
            by_status.setdefault(PROBLEMS[code].status, []).append(code)
        return {
            str(status): {"$ref": f"#/components/responses/{self._name(status, codes, operation)}"}
            for status, codes in sorted(by_status.items())
        }

    def _name(self, status: int, codes: Sequence[FailureCode], operation: Operation) -> str:
        response = _failure(codes, operation.failure_members)
        key = json.dumps(response, sort_keys=True)
        if key not in self._names:
            same = sum(name.startswith(f"Failed{status}") for name in self.made)
            self._names[key] = name = f"Failed{status}" + (f"_{same + 1}" if same else "")
            self.made[name] = response
        return self._names[key]


def _failure(codes: Sequence[FailureCode], more: Mapping[str, Schema]) -> dict[str, Any]:
    properties = {"code": {"enum": [str(code) for code in codes]}, **more}
    lines = [f"* `{code}`: {PROBLEMS[code].message}" for code in codes]
    extra = ("WWW-Authenticate",) if FailureCode.UNAUTHENTICATED in codes else ()
    has_retry = any(map(says_when, codes))
    return {
        "description": "\n".join(lines),
        "headers": _headers((*EVERY_HEADER, *extra, *(("Retry-After",) if has_retry else ()))),
        "content": {
            JSON: {"schema": {**ref("Failure"), "properties": properties}},
            PROBLEM_TYPE: {"schema": {**ref("Problem"), "properties": properties}},
        },
    }
