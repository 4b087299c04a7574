"""docs/api.md out of what is told of every operation."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from remote_worker.contract.failures import FailureCode
from remote_worker.web.api import OPERATIONS
from remote_worker.web.api.failures import EVERYWHERE, FETCHING, READING, WITH_KEYS
from remote_worker.web.api.operation import FORM, JSON, MULTIPART, NDJSON, Answer, Group, Operation, Schema
from remote_worker.web.openapi import SCHEMAS
from remote_worker.web.problems import PROBLEMS

WORKER = "http://127.0.0.1:5000"
DEEPEST = 3
"""Members within members that are listed."""

HEAD = """# HTTP API

<!-- Made by scripts/make-docs from src/remote_worker/web/api; edit there. -->

The worker tells this of itself too: `/openapi.json` is the same as OpenAPI 3.1, for programs, and `/docs` is
a page on which every operation can be tried.

A picture is sent as the part `file` of a form (`multipart/form-data`), or fetched from its `url`, which
stands in a form of either kind or in the address. `GET` on such a path answers with its usage in words. Every
path takes `OPTIONS` as well, and `HEAD` where it takes `GET`; other methods are answered with 405.

A **switch** is on with any word but `0`, `false`, `no`, `off` and nothing. JSON that says it went well has
`status` (`"ok"`) and `success` (`true`) besides the members below; those with a `?` may be left out.

Every answer has `X-Request-ID` (what the request is called in the log; send your own, of 1 to 64 letters,
digits, dots, dashes and underscores) and `Server-Timing`. What goes wrong is JSON with a `code`, and with
`Accept: application/problem+json` in the form of RFC 9457: [errors.md](errors.md). Those that come together:

| failures | status and code |
|---|---|
"""
FAMILIES = {
    "of any request": EVERYWHERE,
    "of any request that needs a key, where keys are configured": WITH_KEYS,
    "of pictures": READING,
    "of fetches": FETCHING,
}


def page() -> str:
    """The whole page."""
    families = "".join(f"| {name} | {_codes(codes)} |\n" for name, codes in FAMILIES.items())
    return HEAD + families + "".join(_group(group) for group in Group)


def _group(group: Group) -> str:
    mine = [operation for operation in OPERATIONS if operation.group is group]
    told = "".join(_operation(operation) for operation in mine if not _is_usage(operation))
    return f"\n## {group.title}\n\n{group.about}\n{told}"


def _is_usage(operation: Operation) -> bool:
    return operation.name.endswith("_usage")


def _operation(operation: Operation) -> str:
    parts = [f"### `{operation.method} {operation.shown}`", f"{operation.summary}."]
    if operation.about:
        parts.append(operation.about)
    if operation.curl[1]:
        arguments, target = operation.curl
        parts.append(f"```sh\ncurl -s {arguments + ' ' if arguments else ''}'{WORKER}{target}'\n```")
    if operation.parameters:
        rows = (
            (f"`{one.name}`", _kind(one.schema), one.about + (" Needed." if one.required else ""))
            for one in operation.parameters
        )
        parts.append(_table(("parameter", "takes", "what it is"), rows))
    parts += _bodies(operation.body)
    first = next(one for one in OPERATIONS if one.answers == operation.answers)
    if first is operation:
        parts += [part for answer in operation.answers for part in _answer(answer)]
    else:
        parts.append(f"It answers as `{first.method} {first.shown}`.")
    if operation.failures:
        parts.append(f"Failures: {_failures(set(operation.failures))}.")
    return "".join(f"\n{part.strip()}\n" for part in parts)


def _bodies(bodies: Mapping[str, Schema]) -> Iterator[str]:
    if {FORM, MULTIPART} == set(bodies):
        yield "Body: a form with `file`, or with `url`."
        return
    for kind, schema in bodies.items():
        table = _members_table(schema)
        yield f"Body, `{kind}`{':' if table else '.'}"
        if table:
            yield table


def _answer(answer: Answer) -> Iterator[str]:
    kinds = [kind for kind in answer.contents if not kind.startswith("image/")]
    if len(kinds) < len(answer.contents):
        kinds.append("image/*")
    told = f" as {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else ""
    yield f"**{answer.status}**{told}: {answer.about}"
    schema = answer.contents.get(JSON) or answer.contents.get(NDJSON)
    if schema and (table := _members_table(schema)):
        yield table


def _members_table(schema: Schema) -> str:
    rows = list(dict.fromkeys(_members(schema)))
    if not rows:
        return ""
    return _table(("member", "kind", "what it is"), rows)


def _members(schema: Schema, before: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    told = _read(schema)
    for one in (*told.get("anyOf", ()), *told.get("oneOf", ())):
        yield from _members(one, before, depth)
    required = told.get("required", ())
    for name, value in told.get("properties", {}).items():
        if not before and name in ("status", "success"):
            continue
        inner = _read(value)
        about = inner.get("description", "")
        yield f"`{before}{name}`", _kind(value) + ("" if name in required else "?"), about
        if depth < DEEPEST:
            yield from _members(value, f"{before}{name}.", depth + 1)
            if "items" in inner:
                yield from _members(inner["items"], f"{before}{name}[].", depth + 1)
            if isinstance(inner.get("additionalProperties"), dict):
                yield from _members(inner["additionalProperties"], f"{before}{name}.*.", depth + 1)


def _read(schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}


def _kind(schema: Schema) -> str:
    if schema.get("$ref", "").endswith("/Switch"):
        return "a switch"
    told = _read(schema)
    if "const" in told:
        return f"`{_json(told['const'])}`"
    if "enum" in told:
        return ", ".join(f"`{_json(one)}`" for one in told["enum"])
    choices = (*told.get("anyOf", ()), *told.get("oneOf", ()))
    if choices:
        return " or ".join(dict.fromkeys(_kind(one) for one in choices))
    types = told.get("type", "anything")
    return " or ".join(_type(one, told) for one in ([types] if isinstance(types, str) else types))


def _type(name: str, schema: Schema) -> str:
    if name == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if name in ("integer", "number"):
        bounds = [
            f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
        ]
        return " ".join(["whole number" if name == "integer" else "number", *bounds])
    words = {"string": "text", "boolean": "`true` or `false`", "null": "`null`"}
    return "base64" if "contentEncoding" in schema else words.get(name, name)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _failures(codes: set[FailureCode]) -> str:
    """Families by their names, then the others."""
    whole = [name for name in ("of pictures", "of fetches") if codes >= set(FAMILIES[name])]
    others = codes.difference(EVERYWHERE, *(FAMILIES[name] for name in whole))
    return "; ".join(
        [*([f"those {' and '.join(whole)}"] if whole else []), *([_codes(others)] if others else [])]
    )


def _codes(codes: Iterable[FailureCode]) -> str:
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes), key=list(FailureCode).index):
        by_status.setdefault(PROBLEMS[code].status, []).append(f"`{code}`")
    return "; ".join(f"{status} {', '.join(names)}" for status, names in sorted(by_status.items()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
