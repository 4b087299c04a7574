"""The schemas that several operations share, and short ways to write one."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...contract.failures import FailureCode
from .operation import JSON, Answer, Group, Operation, Parameter, Schema


def ref(name: str) -> Schema:
    """One of `SHARED`."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(about: str = "", **more: Any) -> Schema:
    """A string."""
    return _of("string", about, more)


def whole(about: str = "", **more: Any) -> Schema:
    """A whole number."""
    return _of("integer", about, more)


def number(about: str = "", **more: Any) -> Schema:
    """A number."""
    return _of("number", about, more)


def flag(about: str = "") -> Schema:
    """True or false."""
    return _of("boolean", about, {})


def listed(of: Schema, about: str = "", **more: Any) -> Schema:
    """A list of these."""
    return _of("array", about, {"items": of, **more})


def word(*words: str, about: str = "", **more: Any) -> Schema:
    """One of these words."""
    return _of("string", about, {"enum": list(words), **more})


def on_or_off(about: str = "") -> Schema:
    """A switch as a member of JSON."""
    told = {"description": about} if about else {}
    return {**told, "anyOf": [{"type": "boolean"}, ref("Switch"), {"enum": [0, 1]}]}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    told = {**schema, "type": [schema["type"], "null"]}
    return told | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def members(of: Mapping[str, Schema], *, optional: Sequence[str] = (), **more: Any) -> Schema:
    """An object with these members."""
    required = [name for name in of if name not in optional]
    return {"type": "object", "properties": dict(of), **({"required": required} if required else {}), **more}


def done(of: Mapping[str, Schema] | None = None, *, optional: Sequence[str] = ()) -> Schema:
    """An object with these members of an answer, and those that say it went well."""
    return members({**(of or {}), "status": word("ok"), "success": {"const": True}}, optional=optional)


def json_answer(about: str, schema: Schema) -> Answer:
    """An answer in JSON alone."""
    return Answer(about=about, contents={JSON: schema})


def how_used(path: str, name: str, group: Group, *parameters: Parameter) -> Operation:
    """What an upload endpoint answers to GET."""
    return Operation(
        method="GET",
        path=path,
        name=f"{name}_usage",
        group=group,
        summary="How it is used, in words",
        parameters=parameters,
        answers=(json_answer("How the endpoint is used, in words.", ref("Usage")),),
        failures=(FailureCode.NOT_FOUND,) if parameters else (),
    )


def _of(kind: str, about: str, more: Mapping[str, Any]) -> Schema:
    return {"type": kind, **({"description": about} if about else {}), **more}


BASE64 = text("The picture's bytes, in base64.", contentEncoding="base64")
STARTED = number("When the work began, in seconds of the epoch.", examples=[1790000000.25])
TIMES = {
    "start": STARTED,
    "end": number("When it was done, in seconds of the epoch."),
    "cost": whole("How long it took, in milliseconds.", minimum=0),
}
UPLOADED = members(
    {
        "mime": text("The type of the upload, told from its bytes.", examples=["image/heic"]),
        "size": whole("Bytes of the upload.", minimum=0),
    }
)
BOX_PATTERN = "^[0-9]+(x[0-9]+)?$"

_FAILURE = {
    "code": text("Compare this one.", enum=[str(code) for code in FailureCode]),
    "request_id": text("As in `X-Request-ID`."),
}

SHARED: dict[str, Schema] = {
    "Switch": text(
        "A switch: any word turns it on but `0`, `false`, `no`, `off` and nothing.",
        examples=["1", "0"],
    ),
    "Usage": done({"usage": text()}),
    "Avatar": members({"body": BASE64, "size": whole("Bytes of the picture.", minimum=1)}),
    "Failure": members(
        {
            **_FAILURE,
            "message": text("For people; its words may change."),
            "detail": text("In a word or a few, what was the matter: the rule that refused an address."),
            "status": word("error"),
            "success": {"const": False},
        },
        optional=("detail",),
    ),
    "Problem": members(
        {
            **_FAILURE,
            "type": text("An URN with the code.", pattern="^urn:remote-worker:error:"),
            "title": text(),
            "status": whole("As of the answer.", minimum=400, maximum=599),
            "detail": text("For people; its words may change."),
            "instance": text("An URN with the request's name.", pattern="^urn:remote-worker:request:"),
            "reason": text("In a word or a few, what was the matter."),
        },
        optional=("reason",),
        description="RFC 9457, for whom `Accept` names `application/problem+json`.",
    ),
    "Hop": members(
        {
            "url": text(),
            "verdicts": listed(
                members({"address": text(), "allowed": flag(), "rule": text()}),
                "The addresses that the name has, and the rule for each.",
            ),
            "dialled": or_null(text("Address and port.")),
            "status": or_null(whole()),
            "milliseconds": {
                "type": "object",
                "description": "`dns`, `connect`, `tls`, `ttfb`, `body`, as far as it came.",
                "additionalProperties": number(minimum=0),
            },
            "code": or_null(text("Of the failure that ended it here.")),
            "detail": or_null(text()),
        },
        description="One request to a site, with `explain`.",
    ),
}
