"""The operations that say who answers, what it can do and how it is."""

from ...contract.failures import FailureCode
from ...contract.formats import FormatName
from .operation import JSON, Answer, Group, Operation
from .schemas import done, flag, json_answer, listed, members, number, ref, text, whole, word

_UPTIME = number("Seconds since the start.", minimum=0)
_WORDS = {"type": "object", "additionalProperties": text()}
_HEALTH = {
    "formats": {
        "type": "object",
        "description": "By name, `ok` or what is missing.",
        "propertyNames": {"enum": list(FormatName)},
        "additionalProperties": text(),
    },
    "templates": {
        "type": "object",
        "description": "By name, which layers of the seal hold and which formats decode.",
        "additionalProperties": {
            "type": "object",
            "properties": {"layers": {"type": "object"}, "formats": _WORDS},
        },
    },
}
_READY = json_answer("It can work.", done(_HEALTH, optional=("formats", "templates")))
_CAPABILITIES = {
    "version": text(),
    "accept": {**_WORDS, "description": "What `Accept` may name."},
    "formats": {
        "type": "object",
        "propertyNames": {"enum": list(FormatName)},
        "additionalProperties": members(
            {
                "mime": text(),
                "read": flag(),
                "reason": word("ok", "off", "unavailable"),
                "written": flag(),
                "all_frames": flag("Whether an animation keeps its frames."),
            }
        ),
    },
    "presets": {"type": "object", "additionalProperties": ref("Preset")},
    "limits": {"type": "object", "description": "Those in effect.", "additionalProperties": number()},
    "operations": {
        "type": "object",
        "additionalProperties": members(
            {
                "path": text(),
                "available": flag("Whether the settings and formats that it needs are there."),
                "switches": {"type": "object"},
                "sources": listed(word("file", "url")),
                "sizes": listed({"type": "integer"}),
            },
            optional=("sources", "sizes"),
        ),
    },
}
_COUNT = whole(minimum=0)
_RUNNING = {"running": _COUNT, "slots": whole("How many may run at once.", minimum=0)}
_QUEUE = members(
    {
        "waiting": _COUNT,
        **_RUNNING,
        "places": whole("How many may wait.", minimum=0),
        "ready": whole("Children that wait for work.", minimum=0),
    }
)
_COUNTS = {"type": "object", "additionalProperties": _COUNT}
_STATS = {
    "version": text(),
    "uptime": _UPTIME,
    "stage": word("serving", "draining", "refusing"),
    "queue": members({"pictures": _QUEUE, "texts": _QUEUE, "fetches": members(_RUNNING)}),
    "rates": members(
        {
            "seconds": number("Over how long.", minimum=0),
            **{name: number("A second.", minimum=0) for name in ("requests", "pictures", "texts", "fetches")},
        }
    ),
    "totals": members({"requests": _COUNT, "by_status": _COUNTS, "by_code": _COUNTS}),
    "latency_ms": members({name: number(minimum=0) for name in ("p50", "p90", "p99")}),
    "jail": members(dict.fromkeys(("starts", "kills", "crashes", "memory_peak_bytes"), _COUNT)),
    "bytes": members({"in": _COUNT, "out": _COUNT}),
}


def _ready(path: str, name: str, summary: str) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        group=Group.WORKER,
        summary=summary,
        about="The seal holds, and a picture, a page and a post just went through; or 503.",
        answers=(_READY,),
        failures=(FailureCode.JAIL_UNAVAILABLE,),
        failure_members={"reason": text("What is wrong."), **_HEALTH},
        is_open=True,
        curl=("", path),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        name="index",
        group=Group.WORKER,
        summary="The console, for who asks for HTML; nothing for others",
        answers=(
            Answer(
                about="The page, or an object without members.",
                contents={JSON: {"type": "object"}, "text/html": text()},
            ),
        ),
        is_open=True,
        curl=("", "/"),
    ),
    Operation(
        method="GET",
        path="/ping",
        name="ping",
        group=Group.WORKER,
        summary="Whether it answers",
        answers=(json_answer("It does.", done({"message": word("pong"), "uptime": _UPTIME})),),
        is_open=True,
        curl=("", "/ping"),
    ),
    Operation(
        method="GET",
        path="/hello",
        name="hello",
        group=Group.WORKER,
        summary="Who answers",
        answers=(
            json_answer(
                "Its name and place.",
                done({"uid": text(), "region": text(), "country": text(), "uptime": _UPTIME}),
            ),
        ),
        is_open=True,
        curl=("", "/hello"),
    ),
    Operation(
        method="GET",
        path="/capabilities",
        name="capabilities",
        group=Group.WORKER,
        summary="Formats, operations and limits in effect",
        answers=(json_answer("All of it.", done(_CAPABILITIES)),),
        failures=(FailureCode.JAIL_UNAVAILABLE,),
        curl=("", "/capabilities"),
    ),
    Operation(
        method="GET",
        path="/stats",
        name="stats",
        group=Group.WORKER,
        summary="What it does at the moment",
        answers=(json_answer("Queues, rates and sums.", done(_STATS)),),
        curl=("", "/stats"),
    ),
    Operation(
        method="GET",
        path="/livez",
        name="livez",
        group=Group.WORKER,
        summary="The process is there",
        answers=(json_answer("It is.", done()),),
        is_open=True,
        curl=("", "/livez"),
    ),
    _ready("/readyz", "readyz", "Whether it can work"),
    _ready("/health", "health", "The same, by its other name"),
    Operation(
        method="GET",
        path="/openapi.json",
        name="openapi",
        group=Group.WORKER,
        summary="This description, for programs",
        answers=(json_answer("OpenAPI 3.1.", {"type": "object"}),),
        is_open=True,
        curl=("", "/openapi.json"),
    ),
    Operation(
        method="GET",
        path="/docs",
        name="docs",
        group=Group.WORKER,
        summary="A page to try everything here",
        answers=(Answer(about="The page.", contents={"text/html": text()}),),
        is_open=True,
    ),
)
