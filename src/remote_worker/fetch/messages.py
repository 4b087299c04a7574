"""What goes between the host and the process that fetches, one JSON message a datagram.

The process parses strangers' TLS, HTTP and DNS, so the host takes its replies for a stranger's: every shape,
length and word is looked at. What the host says is trusted.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv6Network, ip_network
from typing import Any

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, FetchFailed, Hop, Purpose, Resolved, Verdict, Want
from ..contract.nesting import is_deeper
from .policy import Listener
from .settings import FetchSettings, Nameserver, Opening

MESSAGE_BYTES = 64 * 1024
"""Of one message, either way."""

FETCH, RESOLVE, CANCEL, LISTENS = "fetch", "resolve", "cancel", "listens"
FETCHED, FAILED, RESOLVED, CANCELLED = "fetched", "failed", "resolved", "cancelled"

ERROR = "error: "
"""How the detail of a fault of our own begins."""

DEEPEST = 8
"""Arrays and objects of a reply within each other: an honest one has six."""
LONGEST_URL = 8192
LONGEST_DETAIL = 300
LONGEST_HEADER = 8192
MOST_HEADERS = 64
MOST_HOPS = 64
MOST_VERDICTS = 16
MOST_ANSWERS = 64
LONGEST_ANSWER = 4096

Endpoint = tuple[str, int]


class HostileReply(Exception):
    """Not what our process says: it is not ours any more, or broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What the process gets once, before it seals itself. `landlock` is as in `jail.seal.Landlock`."""

    settings: FetchSettings
    via: str = ""
    own: tuple[Listener, ...] = ()
    dial_map: Mapping[Endpoint, Endpoint] = field(default_factory=dict)
    """For tests: who is dialled in place of a judged address."""
    is_sealed: bool = True
    landlock: str = "if_available"

    def write(self) -> bytes:
        """As a message."""
        told = {
            "settings": asdict(self.settings),
            "via": self.via,
            "own": [[listener.address, listener.port] for listener in self.own],
            "dial_map": [[*judged, *dialled] for judged, dialled in self.dial_map.items()],
            "is_sealed": self.is_sealed,
            "landlock": self.landlock,
        }
        return json.dumps(told, default=str).encode()

    @classmethod
    def read(cls, message: bytes) -> "Hello":
        """As it was before it was written."""
        told = json.loads(message)
        settings = told["settings"]
        for name in ("egress_allow", "egress_deny", "external_check_allow", "webhook_allow"):
            settings[name] = tuple(
                Opening(ip_network(opening["network"]), opening["port"]) for opening in settings[name]
            )
        settings["nameservers"] = tuple(Nameserver(**server) for server in settings["nameservers"])
        settings["nat64"] = tuple(IPv6Network(network) for network in settings["nat64"])
        settings["egress_ports"] = tuple(settings["egress_ports"])
        return cls(
            settings=FetchSettings(**settings),
            via=told["via"],
            own=tuple(Listener(address, port) for address, port in told["own"]),
            dial_map={
                (judged, port): (dialled, its_port) for judged, port, dialled, its_port in told["dial_map"]
            },
            is_sealed=told["is_sealed"],
            landlock=told["landlock"],
        )


def write(number: int, word: str, *rest: object) -> bytes:
    """One message. Raises WorkFailed when it is longer than any that makes sense."""
    message = json.dumps([number, word, *rest]).encode()
    if len(message) > MESSAGE_BYTES:
        raise WorkFailed(FailureCode.TOO_LONG)
    return message


def want_as_json(want: Want) -> list[object]:
    """Its fields in their order."""
    return [
        want.url,
        want.purpose,
        want.site_of,
        want.language,
        want.etag,
        want.last_modified,
        want.body.decode("latin-1"),
        want.authorization,
        want.headers,
    ]


def want_of(told: Sequence[Any]) -> Want:
    """The want again."""
    address, purpose, site_of, language, etag, last_modified, body, authorization, headers = told
    return Want(
        url=address,
        purpose=Purpose(purpose),
        site_of=site_of,
        language=language,
        etag=etag,
        last_modified=last_modified,
        body=body.encode("latin-1"),
        authorization=authorization,
        headers=tuple((name, value) for name, value in headers),
    )


def fetched_as_json(fetched: Fetched) -> list[object]:
    """All but the body."""
    return [
        fetched.url,
        fetched.status,
        _headers_as_json(fetched.headers),
        _clean(fetched.media_type, LONGEST_DETAIL),
        fetched.is_cut,
        _hops_as_json(fetched.hops),
        fetched.received_bytes,
        fetched.milliseconds,
    ]


def failed_as_json(failed: WorkFailed) -> list[object]:
    """With how far it came, if it came anywhere."""
    how_far: list[object] = [[], 0, {}]
    if isinstance(failed, FetchFailed):
        how_far = [_hops_as_json(failed.hops), failed.status, _headers_as_json(failed.headers)]
    return [failed.code, _clean(failed.detail, LONGEST_DETAIL), failed.retry_seconds, *how_far]


def resolved_as_json(resolved: Resolved) -> list[object]:
    """Its fields in their order."""
    answers = [_clean(answer, LONGEST_ANSWER) for answer in resolved.answers]
    return [answers, resolved.ttl, list(resolved.servers)]


def read(message: bytes) -> tuple[int, str, list[Any]]:
    """The number, the word and the rest of a reply. Raises HostileReply."""
    if is_deeper(message, DEEPEST):
        raise HostileReply("nested too deep")
    try:
        told = _DECODER.decode(message.decode())
    except ValueError as broken:
        raise HostileReply("no JSON") from broken
    if not (
        isinstance(told, list)
        and len(told) in (2, 3)
        and type(told[0]) is int
        and isinstance(told[1], str)
        and all(isinstance(rest, list) for rest in told[2:])
    ):
        raise HostileReply("no reply")
    return told[0], told[1], told[2] if len(told) == 3 else []


def fetched_of(told: Sequence[Any], body: Document) -> Fetched:
    """What was fetched, with this body. Raises HostileReply."""
    address, status, headers, media_type, is_cut, hops, received, milliseconds = _exactly(told, 8)
    return Fetched(
        url=_href(address),
        status=_whole(status, 599, least=100),
        headers=_headers(headers),
        body=body,
        media_type=_text(media_type, LONGEST_DETAIL),
        is_cut=_boolean(is_cut),
        hops=_hops(hops),
        received_bytes=_whole(received, _MOST),
        milliseconds=_number(milliseconds),
    )


def failed_of(told: Sequence[Any]) -> FetchFailed:
    """Why it failed, in a word that this process may say. Raises HostileReply."""
    code, detail, retry_seconds, hops, status, headers = _exactly(told, 6)
    if not isinstance(code, str) or code not in CODES:
        raise HostileReply("a failure that it cannot have")
    return FetchFailed(
        FailureCode(code),
        _text(detail, LONGEST_DETAIL),
        retry_seconds=_whole(retry_seconds, _MOST),
        hops=_hops(hops),
        status=_whole(status, 999),
        headers=_headers(headers),
    )


def resolved_of(told: Sequence[Any]) -> Resolved:
    """What name servers say. Raises HostileReply."""
    answers, ttl, servers = _exactly(told, 3)
    return Resolved(
        answers=tuple(_text(answer, LONGEST_ANSWER) for answer in _list(answers, MOST_ANSWERS)),
        ttl=_number(ttl),
        servers=tuple(_text(server, LONGEST_DETAIL) for server in _list(servers, MOST_ANSWERS)),
    )


CODES = frozenset(
    code.value
    for code in (
        FailureCode.BAD_PARAMETER,
        FailureCode.TOO_LARGE,
        FailureCode.BUSY,
        FailureCode.BAD_URL,
        FailureCode.BAD_SCHEME,
        FailureCode.BAD_HOST,
        FailureCode.BAD_PORT,
        FailureCode.USERINFO,
        FailureCode.TOO_LONG,
        FailureCode.BLOCKED_ADDRESS,
        FailureCode.BLOCKED_NAME,
        FailureCode.SELF,
        FailureCode.RATE_LIMITED,
        FailureCode.DNS_NOT_FOUND,
        FailureCode.DNS_FAILED,
        FailureCode.DNS_CHAIN,
        FailureCode.TIMEOUT,
        FailureCode.CONNECT_FAILED,
        FailureCode.TLS_FAILED,
        FailureCode.DOWNGRADE,
        FailureCode.REDIRECT_LOOP,
        FailureCode.REDIRECT_LIMIT,
        FailureCode.REDIRECT_INVALID,
        FailureCode.BAD_HTTP,
        FailureCode.BAD_ENCODING,
        FailureCode.HTTP_4XX,
        FailureCode.HTTP_5XX,
        FailureCode.HTTP_STATUS,
        FailureCode.NOT_HTML,
        FailureCode.TYPE_MISMATCH,
        FailureCode.ATTACHMENT,
        FailureCode.FETCH_UNAVAILABLE,
    )
)
"""What a process that fetches may say; the other words are the host's and the jail's."""

_PHASES = frozenset({"wait", "dns", "connect", "tls", "ttfb", "body"})
_MOST = 2**53 - 1
_HREF = re.compile(r"https?://[!-~]+")
_DROPPED = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _hops_as_json(hops: Sequence[Hop]) -> list[object]:
    return [
        [
            _clean(hop.url, LONGEST_URL),
            [[verdict.address, verdict.allowed, verdict.rule] for verdict in hop.verdicts],
            hop.dialled,
            hop.status,
            dict(hop.milliseconds),
            hop.code,
            _clean(hop.detail, LONGEST_DETAIL),
        ]
        for hop in hops
    ]


def _headers_as_json(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: _clean(value, LONGEST_HEADER) for name, value in headers.items()}


def _clean(text: str, most: int) -> str:
    """As the host takes it, whatever a stranger has put into it."""
    return _DROPPED.sub(" ", text)[:most]


def _hops(told: Any) -> tuple[Hop, ...]:
    return tuple([_hop(hop) for hop in _list(told, MOST_HOPS)])


def _hop(told: Any) -> Hop:
    address, verdicts, dialled, status, milliseconds, code, detail = _exactly(told, 7)
    if not isinstance(code, str) or (code and code not in CODES):
        raise HostileReply("a failure that it cannot have")
    if not isinstance(milliseconds, dict) or not milliseconds.keys() <= _PHASES:
        raise HostileReply("a phase that there is not")
    return Hop(
        url=_text(address, LONGEST_URL),
        verdicts=tuple([_verdict(verdict) for verdict in _list(verdicts, MOST_VERDICTS)]),
        dialled=_text(dialled, LONGEST_DETAIL),
        status=_whole(status, 999),
        milliseconds={phase: _number(spent) for phase, spent in milliseconds.items()},
        code=code,
        detail=_text(detail, LONGEST_DETAIL),
    )


def _verdict(told: Any) -> Verdict:
    address, allowed, rule = _exactly(told, 3)
    return Verdict(
        address=_text(address, LONGEST_DETAIL), allowed=_boolean(allowed), rule=_text(rule, LONGEST_DETAIL)
    )


def _headers(told: Any) -> dict[str, str]:
    if not isinstance(told, dict) or len(told) > MOST_HEADERS:
        raise HostileReply("no headers")
    return {_text(name, LONGEST_DETAIL): _text(value, LONGEST_HEADER) for name, value in told.items()}


def _href(told: Any) -> str:
    text = _text(told, LONGEST_URL)
    if not _HREF.fullmatch(text):
        raise HostileReply("no URL")
    return text


def _exactly(told: Any, count: int) -> list[Any]:
    if not isinstance(told, list) or len(told) != count:
        raise HostileReply("not as many members")
    return told


def _list(told: Any, most: int) -> list[Any]:
    if not isinstance(told, list) or len(told) > most:
        raise HostileReply("no list, or a long one")
    return told


def _text(told: Any, most: int) -> str:
    if not isinstance(told, str) or len(told) > most or _DROPPED.search(told):
        raise HostileReply("no text, or a long one")
    return told


def _whole(told: Any, most: int, *, least: int = 0) -> int:
    if type(told) is not int or not least <= told <= most:
        raise HostileReply("no number in its bounds")
    return told


def _number(told: Any) -> float:
    if type(told) not in (int, float) or not 0 <= told <= _MOST or not math.isfinite(told):
        raise HostileReply("no number in its bounds")
    return float(told)


def _boolean(told: Any) -> bool:
    if not isinstance(told, bool):
        raise HostileReply("neither true nor false")
    return told


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads makes one for each call that gives it an option.
_DECODER = json.JSONDecoder(parse_constant=_refuse)
