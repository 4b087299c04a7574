"""The one place with status codes: what each failure is called on the wire, and its JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import FetchFailed
from ..service.asked import RESCALING
from .negotiation import wants_problem

JSON_TYPE = "application/json;charset=utf-8"
PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure on the wire: its status, a short title, and what people read when there is no detail."""

    status: int
    title: str
    message: str


PROBLEMS: dict[FailureCode, Problem] = {
    FailureCode.BAD_REQUEST: Problem(400, "Bad request", "The request cannot be read"),
    FailureCode.BAD_PARAMETER: Problem(400, "Bad parameter", "A parameter has a value that is not accepted"),
    FailureCode.NO_FILE: Problem(400, "No file", "No file was uploaded"),
    FailureCode.EMPTY_FILE: Problem(400, "Empty file", "The uploaded file is empty"),
    FailureCode.NOT_A_JPEG: Problem(400, "Not a JPEG", "This endpoint is only for processing JPEG images"),
    FailureCode.FOREIGN_ORIGIN: Problem(403, "Foreign origin", "Requests from other sites are refused"),
    FailureCode.NOT_FOUND: Problem(404, "Not found", "There is nothing at this path"),
    FailureCode.METHOD_NOT_ALLOWED: Problem(405, "Method not allowed", "This path does not take this method"),
    FailureCode.BODY_TIMEOUT: Problem(408, "Request timeout", "The request came too slowly"),
    FailureCode.TOO_LARGE: Problem(
        413, "Too large", "The upload, or what the URL leads to, has too many bytes"
    ),
    FailureCode.URI_TOO_LONG: Problem(414, "URI too long", "The address is too long"),
    FailureCode.HEADERS_TOO_LARGE: Problem(431, "Headers too large", "The request's headers are too large"),
    FailureCode.UNSUPPORTED_FORMAT: Problem(415, "Unsupported format", "Unable to determine the file type"),
    FailureCode.FORMAT_UNAVAILABLE: Problem(
        415, "Format unavailable", "This format cannot be processed on this machine"
    ),
    FailureCode.DAMAGED: Problem(422, "Damaged file", "the file is damaged"),
    FailureCode.TOO_MANY_PIXELS: Problem(422, "Too many pixels", "the image has too many pixels"),
    FailureCode.TOO_MANY_FRAMES: Problem(422, "Too many frames", "the image has too many frames"),
    FailureCode.TOO_MUCH_MEMORY: Problem(422, "Too much memory", "it takes too much memory"),
    FailureCode.DECODER_CRASHED: Problem(422, "Decoder crashed", "the decoder could not finish"),
    FailureCode.OUTPUT_TOO_LARGE: Problem(422, "Output too large", "the result has too many bytes"),
    FailureCode.BUSY: Problem(503, "Busy", "The worker is busy, try again later"),
    FailureCode.JAIL_UNAVAILABLE: Problem(
        503, "Jail unavailable", "It is refused because it cannot be decoded safely right now"
    ),
    FailureCode.DEADLINE: Problem(504, "Deadline exceeded", "The work took too long"),
    FailureCode.INTERNAL: Problem(500, "Internal error", "The worker failed, and has logged why"),
    FailureCode.BAD_URL: Problem(400, "Bad URL", "This is not the absolute URL of a page"),
    FailureCode.BAD_SCHEME: Problem(400, "Bad scheme", "Only http and https URLs are fetched"),
    FailureCode.BAD_HOST: Problem(400, "Bad host", "The URL's host is malformed"),
    FailureCode.BAD_PORT: Problem(400, "Bad port", "The URL's port is not one that is fetched from"),
    FailureCode.USERINFO: Problem(400, "User in URL", "A URL with a user or a password is not fetched"),
    FailureCode.TOO_LONG: Problem(400, "Too long", "The URL, or a part of it, is too long"),
    FailureCode.BLOCKED_ADDRESS: Problem(
        403, "Blocked address", "The URL leads to an address that is refused"
    ),
    FailureCode.BLOCKED_NAME: Problem(403, "Blocked name", "The URL leads to a name that is refused"),
    FailureCode.SELF: Problem(508, "Loop", "The URL leads back to this worker"),
    FailureCode.RATE_LIMITED: Problem(
        429, "Too many requests", "This site is asked too often, try again later"
    ),
    FailureCode.DNS_NOT_FOUND: Problem(
        502, "No such name", "The host's name does not exist or has no address"
    ),
    FailureCode.DNS_FAILED: Problem(502, "DNS failed", "The host's name could not be resolved"),
    FailureCode.DNS_CHAIN: Problem(
        502, "DNS chain too long", "The host's name is an alias of an alias too often"
    ),
    FailureCode.TIMEOUT: Problem(504, "Timeout", "The other side took too long"),
    FailureCode.CONNECT_FAILED: Problem(502, "Connection failed", "The other side could not be reached"),
    FailureCode.TLS_FAILED: Problem(
        502, "TLS failed", "No secure connection could be made to the other side"
    ),
    FailureCode.DOWNGRADE: Problem(502, "Downgrade", "A secure page redirects to an insecure one"),
    FailureCode.REDIRECT_LOOP: Problem(502, "Redirect loop", "The URL redirects in a circle"),
    FailureCode.REDIRECT_LIMIT: Problem(502, "Too many redirects", "The URL redirects too often"),
    FailureCode.REDIRECT_INVALID: Problem(502, "Bad redirect", "The URL redirects to nowhere"),
    FailureCode.BAD_HTTP: Problem(502, "Bad HTTP", "The other side does not answer as HTTP wants it"),
    FailureCode.BAD_ENCODING: Problem(502, "Bad encoding", "The answer's content coding cannot be read"),
    FailureCode.HTTP_4XX: Problem(502, "Refused there", "The other side refused the request"),
    FailureCode.HTTP_5XX: Problem(502, "Failed there", "The other side failed"),
    FailureCode.HTTP_STATUS: Problem(502, "No content", "The other side answered without a page"),
    FailureCode.NOT_HTML: Problem(502, "Not a page", "The URL leads to something that is not a web page"),
    FailureCode.TYPE_MISMATCH: Problem(502, "Type mismatch", "The content is not of the type that it claims"),
    FailureCode.ATTACHMENT: Problem(502, "Attachment", "The URL leads to a download"),
    FailureCode.PARSE_LIMIT: Problem(422, "Too complex", "it takes too much work to read"),
    FailureCode.FETCH_UNAVAILABLE: Problem(503, "Fetching unavailable", "Nothing can be fetched right now"),
    FailureCode.BAD_SIGNATURE: Problem(403, "Bad signature", "The address is not signed by this worker"),
    FailureCode.UNSUPPORTED_MEDIA_TYPE: Problem(415, "Unsupported media type", "The body must be JSON"),
    FailureCode.UNRESOLVED: Problem(400, "Unresolved", "Unable to resolve the specified domain"),
    FailureCode.NO_IP_FACTS: Problem(404, "No IP facts", "IP info not found"),
    FailureCode.NOT_CONFIGURED: Problem(404, "Not configured", "This is switched off on this worker"),
    FailureCode.ENS_FAILED: Problem(
        404, "ENS failed", "Error occurred when communicating with the Ethereum network"
    ),
    FailureCode.UNAUTHENTICATED: Problem(
        401, "Unauthenticated", "A key, a signature or a certificate that is known here is needed"
    ),
    FailureCode.FORBIDDEN: Problem(403, "Forbidden", "This key may not do this"),
    FailureCode.BAD_DIGEST: Problem(
        400, "Bad digest", "The body is not the one that Content-Digest was made from"
    ),
    FailureCode.QUOTA_EXCEEDED: Problem(429, "Quota exceeded", "This key has used up what it may for now"),
    FailureCode.ONLY_PRESETS: Problem(403, "Only presets", "Only presets are made here"),
    FailureCode.REFUSED_BY_CHECK: Problem(422, "Refused", "the picture is refused"),
    FailureCode.CHECK_FAILED: Problem(
        503, "Check failed", "The picture could not be checked, so it is not given out"
    ),
    FailureCode.KEY_REUSED: Problem(
        422, "Key reused", "This Idempotency-Key has come with another request before"
    ),
    FailureCode.NOT_READY: Problem(409, "Not ready", "The job has no answer yet"),
    FailureCode.WORKER_KILLED: Problem(
        500, "Worker killed", "Worker after worker was killed while it did this"
    ),
}

_ABOUT_THE_PICTURE = {code for code, problem in PROBLEMS.items() if problem.status == 422}
_LEADS = {
    "fit": RESCALING,
    "avatars": "Failed to resize the uploaded image file",
    "prepare": "Failed to prepare image",
    "info": "Unable to determine the file type",
}
"""How a message about the picture begins, by the kind of task: words of the service before."""
_FIXED = {
    # Clients of the service before compare these whole.
    FailureCode.NO_FILE,
    FailureCode.NOT_A_JPEG,
    FailureCode.UNSUPPORTED_FORMAT,
    # What is wrong with the worker is for its log.
    FailureCode.JAIL_UNAVAILABLE,
    FailureCode.INTERNAL,
}
"""Failures whose message never has a detail."""
_WITH_A_WORD = {
    FailureCode.BAD_URL,
    FailureCode.BAD_SCHEME,
    FailureCode.BAD_HOST,
    FailureCode.BAD_PORT,
    FailureCode.USERINFO,
    FailureCode.TOO_LONG,
    FailureCode.BLOCKED_ADDRESS,
    FailureCode.BLOCKED_NAME,
    FailureCode.SELF,
    FailureCode.PARSE_LIMIT,
    FailureCode.REFUSED_BY_CHECK,
}
"""Failures whose detail is a word or a few, whoever raises them; so is that of every fetch."""
_RETRY_SECONDS = {
    FailureCode.BUSY: 1,
    FailureCode.JAIL_UNAVAILABLE: 5,
    FailureCode.FETCH_UNAVAILABLE: 5,
    FailureCode.RATE_LIMITED: 1,
    FailureCode.QUOTA_EXCEEDED: 1,
    FailureCode.CHECK_FAILED: 5,
    FailureCode.NOT_READY: 1,
}


@dataclass(frozen=True, slots=True)
class ProblemAnswer:
    """A failure ready to be sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def says_when(code: FailureCode) -> bool:
    """Whether the answer has Retry-After."""
    return code in _RETRY_SECONDS


def answer(
    failure: WorkFailed,
    *,
    request_id: str,
    accept: str = "",
    kind: str = "",
    more: Mapping[str, Any] | None = None,
) -> ProblemAnswer:
    """The failure in the form that the client asked for; `kind` is that of the task it came from."""
    problem = PROBLEMS[failure.code]
    message = _message(failure, problem, kind)
    word = _word(failure)
    members: dict[str, Any] = {"code": failure.code, "request_id": request_id}
    if wants_problem(accept):
        media_type = PROBLEM_TYPE
        members |= {"reason": word} if word else {}
        members |= {
            "type": f"urn:remote-worker:error:{failure.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": message,
            "instance": f"urn:remote-worker:request:{request_id}",
        }
    else:
        media_type = JSON_TYPE
        members |= {"detail": word} if word else {}
        members |= {"message": message, "status": "error", "success": False}
    members |= more or {}
    headers = {"content-type": media_type}
    if failure.code is FailureCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if failure.code in _RETRY_SECONDS:
        headers["retry-after"] = str(failure.retry_seconds or _RETRY_SECONDS[failure.code])
    return ProblemAnswer(problem.status, headers, json.dumps(members, sort_keys=True).encode())


def line(failure: WorkFailed) -> dict[str, Any]:
    """The failure of one thing among several, as members."""
    members: dict[str, Any] = {
        "code": failure.code,
        "message": _message(failure, PROBLEMS[failure.code], ""),
        "status": "error",
        "success": False,
    }
    if word := _word(failure):
        members["detail"] = word
    if failure.code in _RETRY_SECONDS:
        members["retry_seconds"] = failure.retry_seconds or _RETRY_SECONDS[failure.code]
    return members


def _word(failure: WorkFailed) -> str:
    """What exactly was the matter; empty where the message is all there is to say."""
    has_word = isinstance(failure, FetchFailed) or failure.code in _WITH_A_WORD
    return failure.detail if has_word and failure.code not in _FIXED else ""


def _message(failure: WorkFailed, problem: Problem, kind: str) -> str:
    if failure.in_header:
        return PROBLEMS[FailureCode.UNSUPPORTED_FORMAT].message
    if word := _word(failure):
        text = f"{problem.message} ({word})"
    else:
        text = problem.message if failure.code in _FIXED else failure.detail or problem.message
    if failure.code in _ABOUT_THE_PICTURE and kind in _LEADS:
        return f"{_LEADS[kind]}: {text}"
    return text[:1].upper() + text[1:]
