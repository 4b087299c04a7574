"""The endpoints of previews of links, alone and many at once."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import FetchFailed
from ..service.asked import is_on
from ..service.preview import explained_hop
from ..service.previews import LANGUAGE, Previews
from ..service.settings import LinkSettings
from .answers import json_answer
from .budget import Budget
from .callers import Callers
from .exchange import answer_failure
from .fields import is_form, read_fields
from .json_body import read_json
from .parameters import query
from .problems import JSON_TYPE, line
from .settings import WebSettings
from .stopping import REASON
from .work import GRACE_SECONDS, while_wanted

NDJSON_TYPE = "application/x-ndjson"
BYTES_PER_URL = 4096
"""Of a batch's body."""


class PreviewEndpoints:
    """One method for each path."""

    def __init__(
        self, previews: Previews, links: LinkSettings, settings: WebSettings, callers: Callers, budget: Budget
    ) -> None:
        self._previews = previews
        self._links = links
        self._settings = settings
        self._callers = callers
        self._budget = budget

    async def preview(self, request: Request) -> Response:
        """One preview, or with DELETE its end."""
        asked = await self._asked(request)
        url = _text(asked, "url")
        if not url:
            raise WorkFailed(FailureCode.BAD_PARAMETER, 'Required parameter "url" is missing or empty')
        if request.method == "DELETE":
            purged = await self._previews.purge(url)
            return json_answer({"purged": purged, "status": "ok", "success": True})
        explain, force, language = _is_asked(asked, "explain"), _is_asked(asked, "force"), _language(asked)
        caller = self._callers.of(request.scope)
        try:
            body = self._previews.known(url, force=force, language=language, explain=explain, caller=caller)
            if body is None:
                deadline = time.monotonic() + self._links.preview_seconds
                work = self._previews.made(
                    url, language=language, explain=explain, deadline=deadline, caller=caller
                )
                body = await while_wanted(request, work, deadline=deadline + GRACE_SECONDS)
        except WorkFailed as failed:
            hops = failed.hops if explain and isinstance(failed, FetchFailed) else ()
            more = {"explain": {"hops": [explained_hop(hop) for hop in hops]}} if explain else None
            return await answer_failure(request, failed, more)
        return Response(body, headers={"content-type": JSON_TYPE})

    async def previews(self, request: Request) -> Response:
        """Many, each as a line when it is ready."""
        most = self._links.previews_at_once
        with self._budget.share(self._callers.of(request.scope)).lease() as lease:
            asked = await read_json(request, self._settings, lease, most_bytes=BYTES_PER_URL * (most + 1))
        urls = asked.get("urls") if isinstance(asked, dict) else None
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise WorkFailed(FailureCode.BAD_PARAMETER, "urls is a list of texts")
        if not 0 < len(urls) <= most:
            raise WorkFailed(FailureCode.BAD_PARAMETER, f"urls has 1 to {most} entries")
        return _Lines(self, request, urls, language=_language(asked), force=_is_asked(asked, "force"))

    async def stream(
        self, request: Request, send: Send, urls: list[str], *, language: str, force: bool
    ) -> None:
        """Send the lines of a batch."""
        deadline = time.monotonic() + self._links.previews_seconds
        batch = self._previews.batch(
            urls,
            language=language,
            force=force,
            deadline=deadline,
            caller=self._callers.of(request.scope),
        )

        left = dict.fromkeys(range(len(urls)))

        async def pass_on() -> None:
            async for index, made in batch:
                del left[index]
                if isinstance(made, WorkFailed):
                    text = _json_line({"index": index, "url": urls[index], **line(made)})
                else:
                    text = b'{"index": %d, %b\n' % (index, made[1:])
                await send({"type": "http.response.body", "body": text, "more_body": True})

        try:
            # Each preview ends itself before this would cut all of them off.
            await while_wanted(request, pass_on(), deadline=deadline + GRACE_SECONDS)
        except asyncio.CancelledError:
            # The server stops and cannot wait for the rest any longer.
            stopping = line(WorkFailed(FailureCode.BUSY, REASON))
            lines = [_json_line({"index": index, "url": urls[index], **stopping}) for index in left]
            await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
        finally:
            await batch.aclose()
        await send({"type": "http.response.body", "body": b""})

    async def _asked(self, request: Request) -> Mapping[str, Any]:
        """The parameters, of the address and of the body, which goes first."""
        if request.method != "POST":
            return query(request.scope)
        told: Mapping[str, Any] = {}
        with self._budget.share(self._callers.of(request.scope)).lease() as lease:
            if is_form(request):
                told = await read_fields(request, self._settings, lease)
            elif request.headers.get("content-type"):
                told = await read_json(request, self._settings, lease, most_bytes=2 * BYTES_PER_URL)
        if not isinstance(told, Mapping):
            raise WorkFailed(FailureCode.BAD_PARAMETER, "the body is not an object")
        return {**query(request.scope), **told}


class _Lines(Response):
    """An answer whose lines leave as they get ready."""

    media_type = NDJSON_TYPE

    def __init__(
        self, endpoints: PreviewEndpoints, request: Request, urls: list[str], *, language: str, force: bool
    ) -> None:
        super().__init__(headers={"content-type": NDJSON_TYPE, "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._endpoints = endpoints
        self._request = request
        self._urls = urls
        self._language = language
        self._force = force

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - ASGI's signature
        receive: Receive,  # noqa: ARG002
        send: Send,
    ) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._endpoints.stream(
            self._request, send, self._urls, language=self._language, force=self._force
        )


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise WorkFailed(FailureCode.BAD_PARAMETER, f"{name} is a text")
    return value


def _is_asked(asked: Mapping[str, Any], name: str) -> bool:
    value = asked.get(name, False)
    if isinstance(value, str):
        return is_on(asked, name)
    if value in (False, True):  # And 0 and 1.
        return bool(value)
    raise WorkFailed(FailureCode.BAD_PARAMETER, f"{name} is true or false")


def _language(asked: Mapping[str, Any]) -> str:
    language = _text(asked, "lang")
    if language and not LANGUAGE.fullmatch(language):
        raise WorkFailed(FailureCode.BAD_PARAMETER, "lang is a list of languages as in Accept-Language")
    return language


def _json_line(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, sort_keys=True).encode() + b"\n"
