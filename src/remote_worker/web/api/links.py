"""The operations under /links/, and those of camo's addresses."""

from dataclasses import replace

from ...contract.failures import FailureCode
from ...contract.messages import AVATAR_SIZES
from ...service.previews import LANGUAGE
from ...service.walls import FLAGS
from .failures import CHECKED, FETCHING, PREVIEWING, READING, SENT_JSON, URL
from .images import ANIMATED, ANY_PICTURE, FORMAT, INFO, METADATA, PLACING, QUALITY
from .operation import FORM, JSON, NDJSON, Answer, Group, Operation, Parameter, Schema
from .schemas import (
    BASE64,
    BOX_PATTERN,
    UPLOADED,
    done,
    flag,
    json_answer,
    listed,
    members,
    number,
    on_or_off,
    or_null,
    ref,
    text,
    whole,
    word,
)

_SIDES = {
    "width": or_null(whole("Pixels, where it is known.", minimum=1)),
    "height": or_null(whole("Pixels, where it is known.", minimum=1)),
}
_MEDIA = listed(members({"url": text(), "type": or_null(text("Media type.")), **_SIDES}))
_OEMBED = members(
    {
        **dict.fromkeys(("type", "title", "author_name", "provider_name"), or_null(text())),
        **dict.fromkeys(("author_url", "provider_url", "thumbnail_url", "url"), or_null(text())),
        **dict.fromkeys(
            ("width", "height", "thumbnail_width", "thumbnail_height"), or_null(whole(minimum=1))
        ),
    },
    description="What an oEmbed answer says; never its HTML.",
)
_EMBED = members(
    {
        "provider": text(examples=["YouTube"]),
        "type": text(examples=["video"]),
        "src": text("For an iframe."),
        **_SIDES,
        "allow": listed(text(), "For the iframe's attribute of that name."),
    },
    description="A player, rebuilt from what the URL says.",
)
_CAME = word("miss", "hit", "stale", "revalidated", about="How it came out of the cache.")
_PREVIEW = {
    "url": text("What was asked for, in its canonical form."),
    "final_url": text("Where it led."),
    "canonical_url": or_null(text("What the page calls itself, if that is of the same domain.")),
    "title": text("Of the page, or made of the URL."),
    "description": or_null(text()),
    "site_name": text("As the page says, or its domain."),
    "type": or_null(text("As the page says; `image` where the URL leads to a picture.")),
    "lang": or_null(text()),
    "author": or_null(text()),
    "published_time": or_null(text()),
    "theme_color": or_null(text()),
    "images": listed(
        members(
            {
                "url": text(),
                **_SIDES,
                "alt": or_null(text()),
                "proxy_url": or_null(text("Its signed address here, where a key is set.")),
            }
        )
    ),
    "icons": listed(members({"url": text(), "sizes": or_null(text())})),
    "videos": _MEDIA,
    "audios": _MEDIA,
    "oembed": {"anyOf": [_OEMBED, {"type": "null"}]},
    "embed": {"anyOf": [_EMBED, {"type": "null"}]},
    "flags": listed(word(*FLAGS), "What is to be known of the site or the page."),
    "raw": {
        "type": "object",
        "description": "What the page says as it says it, cleaned and bounded.",
        "properties": {
            "og": {"type": "object"},
            "twitter": {"type": "object"},
            "json_ld": listed({}),
        },
    },
    "fetch": members(
        {
            "status": or_null(whole("Of the last answer.", minimum=100, maximum=599)),
            "final_url": text(),
            "hops": listed(members({"url": text(), "status": or_null(whole())})),
            "bytes": whole("Received, heads and bodies.", minimum=0),
            "milliseconds": number(minimum=0),
            "cache": _CAME,
            "parts": listed(
                members({"part": text(), "url": text(), "code": text()}), "What is left out, and why."
            ),
        }
    ),
}
_EXPLAIN = members(
    {
        "hops": listed(ref("Hop")),
        "cache": members(
            {
                "decision": _CAME,
                "age": number("Seconds."),
                "fresh_seconds": number(),
                "stale_seconds": number(),
                "error_seconds": number(),
                "is_kept": flag(),
            }
        ),
    },
    optional=("cache",),
    description="With `explain`: each request, with the verdict on each address.",
)
_INDEX = {"index": whole("Its place in the list.", minimum=0)}
SHARED: dict[str, Schema] = {
    "Preview": done({**_PREVIEW, "explain": _EXPLAIN}, optional=("explain",)),
    "PreviewLine": {
        "oneOf": [
            done({**_INDEX, **_PREVIEW}),
            members(
                {
                    **_INDEX,
                    "url": text("As it was asked for."),
                    "code": text(),
                    "message": text(),
                    "detail": text(),
                    "retry_seconds": whole("After which it may go better.", minimum=1),
                    "status": word("error"),
                    "success": {"const": False},
                },
                optional=("detail", "retry_seconds"),
            ),
        ]
    },
}

_LANGUAGE = text(
    "What the site is told as `Accept-Language`.", pattern=f"^(?:{LANGUAGE.pattern})?$", examples=["en"]
)
_URL = Parameter("url", "An absolute http or https URL.", text(minLength=1, format="uri"), required=True)
_EXAMPLE = "https://example.com/"
_ASKED = {
    "url": text(minLength=1, format="uri", examples=[_EXAMPLE]),
    "lang": _LANGUAGE,
    "force": on_or_off(),
    "explain": on_or_off(),
}
_ASKED_IN_FORM = {**_ASKED, "force": ref("Switch"), "explain": ref("Switch")}
_PREVIEWED = json_answer("The preview.", ref("Preview"))
_FORCE = Parameter("force", "Fetch a link that looks as if it worked only once.", ref("Switch"))
_EXPLAINED = Parameter("explain", "Tell each request, and the verdict on each address.", ref("Switch"))
_LANG = Parameter("lang", "What the site is told as `Accept-Language`.", _LANGUAGE)
_FAILED = {"explain": members({"hops": listed(ref("Hop"))})}


_JSON_PICTURE = done({"output": BASE64, "final_url": text(), "uploaded": UPLOADED})
_JSON_INFO = done({**INFO, "final_url": text(), "uploaded": UPLOADED}, optional=("metadata",))
_PICTURE = (
    Answer(
        about="The picture; with `Accept: application/json`, or `info`, JSON.",
        contents={**ANY_PICTURE, JSON: {"anyOf": [_JSON_PICTURE, _JSON_INFO]}},
        headers=("ETag", "Cache-Control"),
    ),
    Answer(about="It is what `If-None-Match` says.", status=304, headers=("ETag", "Cache-Control")),
)
_IF_NONE_MATCH = Parameter("If-None-Match", "Tags of what is there already.", text(), where="header")
_OF_PICTURES = (*FETCHING, *READING, *CHECKED, FailureCode.BAD_PARAMETER, FailureCode.NOT_FOUND)
_SIGNED = (*_OF_PICTURES, FailureCode.BAD_SIGNATURE, FailureCode.NOT_CONFIGURED)
_DIGEST = Parameter(
    "digest",
    "HMAC-SHA1 of the URL with the key of `REMOTE_CAMO_KEY`: lower-case hex, or base64url.",
    text(pattern="^([0-9a-fA-F]{40}|[A-Za-z0-9_-]{27})$"),
    where="path",
)
_ENCODED = Parameter(
    "encoded", "The URL, in hex or base64url like the digest.", text(minLength=1), where="path"
)
_BELOW_CAMO = replace(_DIGEST, schema=text(minLength=1))


def _camo(path: str, name: str, *parameters: Parameter) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        group=Group.LINKS,
        summary="A picture by an address signed for camo or go-camo",
        about="Off without `REMOTE_CAMO_KEY`. Open to any browser: the signature decides.",
        parameters=(*parameters, _IF_NONE_MATCH),
        answers=_PICTURE,
        failures=_SIGNED,
        is_open=True,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/links/preview",
        name="preview",
        group=Group.LINKS,
        summary="What a link leads to",
        parameters=(replace(_URL, example=_EXAMPLE), _LANG, _FORCE, _EXPLAINED),
        answers=(_PREVIEWED,),
        failures=(*PREVIEWING, FailureCode.BAD_PARAMETER),
        failure_members=_FAILED,
        curl=("", "/links/preview?url=https://example.com/"),
    ),
    Operation(
        method="POST",
        path="/links/preview",
        name="preview_posted",
        group=Group.LINKS,
        summary="The same, with the parameters in a body",
        about="`url` is needed in one of both.",
        parameters=(replace(_URL, required=False), _LANG, _FORCE, _EXPLAINED),
        body={
            JSON: members(_ASKED, optional=tuple(_ASKED)),
            FORM: members(_ASKED_IN_FORM, optional=tuple(_ASKED)),
        },
        body_required=False,
        answers=(_PREVIEWED,),
        failures=(*PREVIEWING, *SENT_JSON),
        failure_members=_FAILED,
        curl=("-d url=https://example.com/", "/links/preview"),
    ),
    Operation(
        method="DELETE",
        path="/links/preview",
        name="forget_preview",
        group=Group.LINKS,
        summary="Forget a preview, in all languages",
        parameters=(replace(_URL, example=_EXAMPLE),),
        answers=(
            json_answer("It is forgotten.", done({"purged": whole("How many there were.", minimum=0)})),
        ),
        failures=(*URL, FailureCode.BAD_PARAMETER),
        curl=("-X DELETE", "/links/preview?url=https://example.com/"),
    ),
    Operation(
        method="POST",
        path="/links/previews",
        name="previews",
        group=Group.LINKS,
        summary="Many previews, each as a line when it is ready",
        about="All share one deadline. A line that failed has a `code`, and costs the others nothing.",
        body={
            JSON: members(
                {
                    "urls": listed(text(), minItems=1, examples=[["https://example.com/"]]),
                    "lang": _LANGUAGE,
                    "force": on_or_off(),
                },
                optional=("lang", "force"),
            )
        },
        answers=(Answer(about="A line for each URL.", contents={NDJSON: ref("PreviewLine")}),),
        failures=SENT_JSON,
        curl=(
            "-N -H 'Content-Type: application/json' -d '{\"urls\": [\"https://example.com/\"]}'",
            "/links/previews",
        ),
    ),
    Operation(
        method="GET",
        path="/links/image",
        name="image",
        group=Group.LINKS,
        summary="A picture by its URL, made anew",
        about="No bytes of the site are passed on. `fit`, `avatar`, `info` and `preset` exclude each other.",
        parameters=(
            replace(_URL, example="https://www.python.org/static/img/python-logo.png"),
            Parameter("fit", "A box, as of `/images/fit`.", text(pattern=BOX_PATTERN), example="200"),
            Parameter(
                "avatar",
                "A square of this side, or the largest that there is.",
                word(*map(str, AVATAR_SIZES)),
            ),
            Parameter("info", "What the header says, instead.", ref("Switch")),
            METADATA,
            Parameter("preset", "A preset of one output, alone.", text(pattern="^[a-z0-9][a-z0-9-]{0,31}$")),
            FORMAT,
            QUALITY,
            ANIMATED,
            *PLACING,
            _IF_NONE_MATCH,
        ),
        answers=_PICTURE,
        failures=(*_OF_PICTURES, FailureCode.ONLY_PRESETS),
        curl=("-o small.webp", "/links/image?url=https://www.python.org/static/img/python-logo.png&fit=200"),
    ),
    Operation(
        method="GET",
        path="/links/proxy/{signature}/{rest:path}",
        shown_as="/links/proxy/{signature}/{expiry}/{operation}/{url}",
        name="proxy",
        group=Group.LINKS,
        summary="The same by a signed address, for pages",
        about="Off without `REMOTE_PROXY_KEYS`. Open to any browser: the signature decides.",
        parameters=(
            Parameter(
                "signature",
                "HMAC-SHA256 of `expiry/operation/url`, in lower-case hex.",
                text(pattern="^[0-9a-f]{64}$"),
                where="path",
            ),
            Parameter("expiry", "In seconds of the epoch.", whole(minimum=0), where="path"),
            Parameter(
                "operation",
                "What is made of it.",
                text(
                    examples=["original", "fit:800x600,format:webp", "avatar:73", "preset:card"], minLength=1
                ),
                where="path",
            ),
            Parameter("url", "Of the picture, in base64url.", text(pattern="^[A-Za-z0-9_-]+$"), where="path"),
            _IF_NONE_MATCH,
        ),
        answers=_PICTURE,
        failures=_SIGNED,
        is_open=True,
    ),
    _camo("/camo/{digest}/{encoded}", "camo", _BELOW_CAMO, _ENCODED),
    _camo("/camo/{digest}", "camo_query", _BELOW_CAMO, _URL),
    _camo("/{digest:digest}/{encoded}", "camo_at_root", _DIGEST, _ENCODED),
    _camo("/{digest:digest}", "camo_query_at_root", _DIGEST, _URL),
)
