"""The OpenAPI document: what it must be by the rules, and that it tells of every route and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi.conforming import check_schemas, problems
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.routing import Route
from web.serving import Answer, Probe, Service, SmallDecoder, ask, serving, small_uses
from web.small_links import small_links

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import Limits
from remote_worker.web.api import OPERATIONS
from remote_worker.web.app import create_app
from remote_worker.web.auth import is_open
from remote_worker.web.openapi import failures_of
from remote_worker.web.problems import PROBLEMS
from remote_worker.web.settings import WebSettings

UNTOLD = ("HEAD", "OPTIONS")
"""Methods that are told once, of all paths."""
ASSETS = ("/docs/", "/console/")
"""Where lies what pages are made of."""


def get(service: Service, path: str, *headers: str) -> Answer:
    return ask(service, "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with serving(Limits(input_bytes=1234), links=small_links(previews_at_once=7)) as service:
        answer = get(service, "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    """Methods and paths as the application has them."""
    app = create_app(small_uses(SmallDecoder()), Probe(), WebSettings(), Limits())
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and not route.path.startswith(ASSETS)
        for method in route.methods or ()
        if method not in UNTOLD
    }


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    OPENAPI_31_VALIDATOR.validate(document)
    check_schemas(document)

    assert document["openapi"].startswith("3.1.")


def test_every_route_is_described_and_nothing_else(routes: set[tuple[str, str]]) -> None:
    assert {(operation.method, operation.path) for operation in OPERATIONS} == routes


def test_it_has_every_operation_that_has_a_route(document: dict[str, Any]) -> None:
    told = {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    assert told == {operation.name: (operation.method, operation.shown) for operation in OPERATIONS}


def test_every_parameter_of_a_path_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
            assert told == re.findall(r"{(\w+)}", path)


def test_every_reference_leads_to_something_and_every_component_is_used(document: dict[str, Any]) -> None:
    referred = set(re.findall(r'"\$ref": "#/components/([^"]+)"', json.dumps(document)))
    components = document["components"]
    there = {f"{kind}/{name}" for kind in ("schemas", "headers", "responses") for name in components[kind]}

    assert referred | {"schemas/PreviewLine"} == there


def test_each_failure_is_told_under_its_status(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, told in operation["responses"].items():
                if "$ref" not in told:
                    continue
                response = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
                for content in response["content"].values():
                    codes = content["schema"]["properties"]["code"]["enum"]
                    assert {PROBLEMS[FailureCode(code)].status for code in codes} == {int(status)}, (
                        method,
                        path,
                    )
                needs_retry = int(status) in (409, 429, 503)
                assert ("Retry-After" in response["headers"]) is needs_retry, (method, path, status)


def test_every_failure_belongs_to_an_operation() -> None:
    told = {code for operation in OPERATIONS for code in failures_of(operation)}

    assert set(FailureCode) - told == set()


def test_what_needs_no_key_says_so(document: dict[str, Any]) -> None:
    open_paths = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation.get("security") == []
    }

    signed = {path for path in document["paths"] if "{digest}" in path or "{signature}" in path}
    probes = {"/livez", "/readyz", "/health", "/ping", "/hello", "/"}
    assert open_paths == signed | probes | {"/docs", "/openapi.json"}
    assert document["paths"]["/images/info"]["post"]["responses"].keys() >= {"401", "403", "429"}
    assert "401" not in document["paths"]["/livez"]["get"]["responses"]


def test_what_is_told_to_need_no_key_is_what_is_let_in_without(document: dict[str, Any]) -> None:
    told = {
        operation.path: document["paths"][operation.shown][operation.method.lower()].get("security") == []
        for operation in OPERATIONS
    }

    assert told == {path: is_open(path.replace("{digest:digest}", 40 * "a")) for path in told}


def test_a_refusal_for_want_of_a_key_says_how_to_show_one(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    refusals = {name for name in responses if name.startswith("Failed401")}

    assert refusals
    assert refusals == {name for name in responses if "WWW-Authenticate" in responses[name]["headers"]}


def test_it_tells_of_the_headers_that_any_request_may_have(document: dict[str, Any]) -> None:
    about = document["info"]["description"]

    assert all(name in about for name in ("Remote-Limits", "Content-Digest", "WWW-Authenticate"))


def test_it_tells_the_bounds_in_effect(document: dict[str, Any]) -> None:
    batch = document["paths"]["/links/previews"]["post"]["requestBody"]["content"]["application/json"]

    assert batch["schema"]["properties"]["urls"]["maxItems"] == 7
    assert "1,234 bytes" in document["info"]["description"]

    with serving(links=small_links(previews_at_once=8)) as service:
        other = get(service, "/openapi.json").json["paths"]["/links/previews"]["post"]["requestBody"]
    assert other["content"]["application/json"]["schema"]["properties"]["urls"]["maxItems"] == 8


def test_what_is_switched_off_is_told(document: dict[str, Any]) -> None:
    body = b'{"text": "x", "proxy_images": true}'
    with serving(proxies_images=False) as service:
        head = f"POST /text/render_markdown HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        answer = ask(service, f"{head}Content-Type: application/json\r\n\r\n".encode() + body)

    assert (answer.status, answer.json["code"]) == (404, "not_configured")
    assert problems(document, "POST", "/text/render_markdown", answer) == []


def test_programs_that_write_clients_learn_what_each_list_holds(document: dict[str, Any]) -> None:
    def lists(value: Any) -> Iterator[dict[str, Any]]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, dict) and "array" in (value.get("type"), *(value.get("type") or ())):
            yield value
        for one in inner:
            yield from lists(one)

    found = list(lists(document))
    assert len(found) > 20
    assert [one for one in found if "items" not in one] == []


def test_it_is_sent_once_to_who_keeps_it() -> None:
    with serving() as service:
        first = get(service, "/openapi.json")
        again = get(service, "/openapi.json", f"If-None-Match: {first.headers['etag']}")
        other = get(service, "/openapi.json", 'If-None-Match: "another"')

    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (other.status, other.body) == (200, first.body)
    assert first.headers["cache-control"] == "no-cache"


def test_a_page_of_another_site_cannot_read_it() -> None:
    with serving() as service:
        answer = get(service, "/openapi.json", "Origin: https://evil.example")

    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")
