"""The endpoints under /text/."""

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB
from ..contract.texts import MOST_TEXT_BYTES
from ..service.asked import is_on
from ..service.texts import Texts
from .answers import json_answer, texts_in_json
from .budget import Budget
from .callers import Callers
from .exchange import exchange_of
from .json_body import read_json
from .settings import WebSettings
from .work import while_wanted

MOST_BODY_BYTES = 3 * MOST_TEXT_BYTES + MIB // 16
"""JSON may spell characters out, the two bytes of UTF-8 for an accented letter in six."""

_USAGE = (
    "POST JSON with Markdown as its member `text`. It comes back as sanitised HTML in `output`. "
    "?proxy_images=1, or the member `proxy_images`, gives pictures addresses of this worker."
)


class TextEndpoints:
    """One method for each path; each answers GET with its usage."""

    def __init__(self, texts: Texts, settings: WebSettings, callers: Callers, budget: Budget) -> None:
        self._texts = texts
        self._settings = settings
        self._callers = callers
        self._budget = budget

    async def render_markdown(self, request: Request) -> Response:
        """Markdown as HTML."""
        if request.method != "POST":
            return json_answer({"status": "ok", "success": True, "usage": _USAGE})
        exchange = exchange_of(request)
        exchange.kind = "markdown"
        caller = self._callers.of(request.scope)
        share = self._budget.share(caller)
        with share.lease() as lease:
            began = time.perf_counter()
            body = await read_json(request, self._settings, lease, most_bytes=MOST_BODY_BYTES)
            read = time.perf_counter()
            exchange.upload_seconds = read - began
            deadline = time.monotonic() + self._settings.work_seconds
            text = _text(body)
            work = self._texts.markdown(
                text, proxy_images=_proxy_images(request, body), deadline=deadline, caller=caller
            )
            try:
                html = await while_wanted(request, work, deadline=deadline)
            finally:
                exchange.decode_seconds = time.perf_counter() - read
            members: dict[str, str | bool] = {
                "input": text,
                "message": "Successfully rendered Markdown",
                "output": html,
                "status": "ok",
                "success": True,
            }
            return await texts_in_json(members, share)


def _text(body: Any) -> str:
    if not body or not isinstance(body, Mapping):
        raise WorkFailed(FailureCode.BAD_REQUEST, "Invalid input")
    if "text" not in body:
        raise WorkFailed(FailureCode.BAD_REQUEST, "Missing text input")
    text = body["text"]
    if not isinstance(text, str):
        raise WorkFailed(FailureCode.BAD_REQUEST, "Failed to render markdown")
    return text


def _proxy_images(request: Request, body: Mapping[str, Any]) -> bool:
    wanted = body.get("proxy_images", False)
    if not isinstance(wanted, bool):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "proxy_images is true or false")
    return wanted or bool(request.scope["query_string"] and is_on(request.query_params, "proxy_images"))
