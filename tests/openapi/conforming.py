"""Holds an answer against the document: its status, media type and headers are told, and every member too."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from web.serving import Answer

Document = Mapping[str, Any]


def problems(document: Document, method: str, path: str, answer: Answer) -> list[str]:
    """What is wrong with the answer to an operation; `path` is as the document has it."""
    responses = document["paths"][path][method.lower()]["responses"]
    told = responses.get(str(answer.status))
    if told is None:
        return [f"{answer.status} is not told"]
    told = _resolved(document, told)
    found = [
        f"no {name}" for name in told["headers"] if name in ALWAYS and name.lower() not in answer.headers
    ]
    if "content" not in told:
        return found
    kind = answer.headers["content-type"].partition(";")[0]
    if kind not in told["content"]:
        return [*found, f"{kind} is not told"]
    schema = told["content"][kind].get("schema")
    if schema is None:
        return found if answer.body else [*found, "no body"]
    value = answer.json if kind.endswith("json") else answer.body.decode()
    return [*found, *errors(document, schema, value)]


ALWAYS = {"X-Request-ID", "Server-Timing"}


def errors(document: Document, schema: Mapping[str, Any], value: object) -> list[str]:
    """Where the value is not as the schema says, or has members that it does not tell."""
    strict = _strict(document)
    registry: Registry = Registry().with_resource("urn:document", Resource(strict, DRAFT202012))
    bound = _closed(_absolute(schema))
    validator = Draft202012Validator(bound, registry=registry)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


def check_schemas(document: Document) -> None:
    """Raises SchemaError where one of the schemas is none."""
    for schema in schemas(document):
        validator_for(schema, default=Draft202012Validator).check_schema(schema)


def schemas(node: Any, *, is_named: bool = False) -> list[Mapping[str, Any]]:
    """All schemas of a document."""
    if isinstance(node, list):
        return [schema for item in node for schema in schemas(item)]
    if not isinstance(node, dict):
        return []
    found = list(node["schemas"].values()) if is_named else []
    for name, value in node.items():
        found += [value] if name == "schema" else schemas(value, is_named=name == "components")
    return found


def _resolved(document: Document, told: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in told:
        return told
    node: Any = document
    for name in told["$ref"].removeprefix("#/").split("/"):
        node = node[name]
    return node


def _strict(document: Document) -> Any:
    components = {
        name: _inside(_absolute(schema)) for name, schema in document["components"]["schemas"].items()
    }
    return {"components": {"schemas": components}}


def _absolute(node: Any) -> Any:
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    if not isinstance(node, dict):
        return node
    told = {name: _absolute(value) for name, value in node.items()}
    if isinstance(told.get("$ref"), str):
        told["$ref"] = f"urn:document{told['$ref']}"
    return told


def _closed(schema: Any) -> Any:
    """Without members that are not told. A schema that tells none is of an object that may have any."""
    schema = _inside(schema)
    if "$ref" in schema or "properties" in schema:
        return {**schema, "unevaluatedProperties": False}
    return schema


def _inside(schema: Any) -> Any:
    """The same for what lies within: whoever refers to a schema by name closes it, and may add members."""
    told = dict(schema)
    if "properties" in told:
        told["properties"] = {name: _closed(value) for name, value in told["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(told.get(name), dict):
            told[name] = _closed(told[name])
    for name in ("anyOf", "oneOf"):
        if name in told:
            told[name] = [_closed(value) for value in told[name]]
    return told
