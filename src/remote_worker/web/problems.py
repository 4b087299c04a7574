"""The one place with status codes: what each failure is called on the wire, and its JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..contract.failures import FailureCode, WorkFailed
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
    FailureCode.TOO_LARGE: Problem(413, "Too large", "The upload has too many bytes"),
    FailureCode.URI_TOO_LONG: Problem(414, "URI too long", "The address is too long"),
    FailureCode.HEADERS_TOO_LARGE: Problem(431, "Headers too large", "The request's headers are too large"),
    FailureCode.UNSUPPORTED_FORMAT: Problem(415, "Unsupported format", "Unable to determine the file type"),
    FailureCode.FORMAT_UNAVAILABLE: Problem(
        415, "Format unavailable", "This format cannot be processed on this machine"
    ),
    FailureCode.DAMAGED: Problem(422, "Damaged file", "the file is damaged"),
    FailureCode.TOO_MANY_PIXELS: Problem(422, "Too many pixels", "the image has too many pixels"),
    FailureCode.TOO_MANY_FRAMES: Problem(422, "Too many frames", "the image has too many frames"),
    FailureCode.TOO_MUCH_MEMORY: Problem(422, "Too much memory", "the image takes too much memory"),
    FailureCode.DECODER_CRASHED: Problem(422, "Decoder crashed", "the decoder could not finish"),
    FailureCode.OUTPUT_TOO_LARGE: Problem(422, "Output too large", "the result has too many bytes"),
    FailureCode.BUSY: Problem(503, "Busy", "The worker is busy, try again later"),
    FailureCode.JAIL_UNAVAILABLE: Problem(
        503, "Jail unavailable", "Images are refused because they cannot be decoded safely right now"
    ),
    FailureCode.DEADLINE: Problem(504, "Deadline exceeded", "The work took too long"),
    FailureCode.INTERNAL: Problem(500, "Internal error", "The worker failed, and has logged why"),
}

_ABOUT_THE_PICTURE = {code for code, problem in PROBLEMS.items() if problem.status == 422}
_LEADS = {
    "fit": "Error occurred during rescaling",
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
_RETRY_SECONDS = {FailureCode.BUSY: 1, FailureCode.JAIL_UNAVAILABLE: 5}


@dataclass(frozen=True, slots=True)
class ProblemAnswer:
    """A failure ready to be sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def rescaling(reason: str) -> str:
    """A message of fit about its box, which begins like those about the picture."""
    return f"{_LEADS['fit']}: {reason}"


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
    members: dict[str, Any] = {"code": failure.code, "request_id": request_id, **(more or {})}
    if wants_problem(accept):
        media_type = PROBLEM_TYPE
        members |= {
            "type": f"urn:remote-worker:error:{failure.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": message,
            "instance": f"urn:remote-worker:request:{request_id}",
        }
    else:
        media_type = JSON_TYPE
        members |= {"message": message, "status": "error", "success": False}
    headers = {"content-type": media_type}
    if failure.code in _RETRY_SECONDS:
        headers["retry-after"] = str(failure.retry_seconds or _RETRY_SECONDS[failure.code])
    return ProblemAnswer(problem.status, headers, json.dumps(members, sort_keys=True).encode())


def _message(failure: WorkFailed, problem: Problem, kind: str) -> str:
    if failure.in_header:
        return PROBLEMS[FailureCode.UNSUPPORTED_FORMAT].message
    detail = problem.message if failure.code in _FIXED else failure.detail or problem.message
    if failure.code in _ABOUT_THE_PICTURE and kind in _LEADS:
        return f"{_LEADS[kind]}: {detail}"
    return detail[:1].upper() + detail[1:]
