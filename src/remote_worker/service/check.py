"""Asks a service that the operator named whether a picture may be given out: by its hash and a thumbnail."""

import asyncio
import base64
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .. import telemetry
from ..contract import wire
from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, Purpose, Want
from ..contract.messages import Info, Output, Recipe, Reply, Task
from ..telemetry import Event
from . import told
from .hashes import PHASH
from .settings import CheckSettings

THUMBNAIL = "thumbnail"
LONGEST_THUMBNAIL_SIDE = 256
THUMBNAIL_QUALITY = 60
"""At which even noise goes into one message to the process that fetches."""
MOST_CHECK_BYTES = wire.JSON_BYTES
"""Of an answer, which has 50."""
RECIPE = Recipe(
    outputs=(
        Output(
            name=THUMBNAIL,
            width=LONGEST_THUMBNAIL_SIDE,
            height=LONGEST_THUMBNAIL_SIDE,
            background="ffffff",
            format="jpeg",
            quality=THUMBNAIL_QUALITY,
        ),
    ),
    facts=("phash",),
)
"""What is made of each picture for the check. The upload itself never leaves."""

_REASON = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""A word that may be told to whoever sent the picture; anything else stays here."""


class Fetcher(Protocol):
    """The one door out."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What a URL leads to. Raises WorkFailed."""
        ...


class Decoder(Protocol):
    """Does tasks on documents."""

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Do it by `deadline`. Raises WorkFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks, and until when."""

    deadline: float
    caller: str = ""
    request_id: str = ""


class Check:
    """Refuses pictures, and every picture as long as the service does not answer."""

    def __init__(self, fetcher: Fetcher, decoder: Decoder, settings: CheckSettings) -> None:
        self._fetcher = fetcher
        self._decoder = decoder
        self._settings = settings

    async def judge(self, document: Document, asking: Asking) -> None:
        """Return if it may be given out. Raises WorkFailed if not, or if that cannot be told."""
        seen = await self._seen(document, asking)
        deadline = min(asking.deadline, time.monotonic() + self._settings.external_check_seconds)
        token = self._settings.external_check_token
        want = Want(
            url=self._settings.external_check_url,
            purpose=Purpose.CHECK,
            body=json.dumps(seen).encode(),
            authorization=f"Bearer {token}" if token else "",
        )
        try:
            with await self._fetcher.fetch(want, deadline=deadline) as fetched:
                answer = _read(fetched)
        except WorkFailed as failed:
            telemetry.emit(
                Event.CHECK_FAILED,
                level=logging.ERROR,
                request_id=asking.request_id,
                code=failed.code,
                reason=failed.detail,
            )
            raise WorkFailed(FailureCode.CHECK_FAILED) from failed
        if not answer["allow"]:
            reason = answer.get("reason")
            is_word = isinstance(reason, str) and _REASON.fullmatch(reason)
            raise WorkFailed(FailureCode.REFUSED_BY_CHECK, str(reason) if is_word else "")

    async def _seen(self, document: Document, asking: Asking) -> dict[str, Any]:
        """What the service gets to see."""
        # One after the other: beside the caller's own task that is two children at once, not three.
        header = await self._decode(Info(), document, asking)
        reply = await self._decode(RECIPE, document, asking)
        thumbnail, phash = reply.pictures.get(THUMBNAIL), reply.info.get("phash")
        sides = [header.info.get(name) for name in ("display_width", "display_height")]
        is_hash = isinstance(phash, str) and PHASH.fullmatch(phash)
        if thumbnail is None or not is_hash or any(type(side) is not int for side in sides):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return {
            "request_id": asking.request_id,
            "mime": reply.mime,
            "size": document.size_bytes,
            "width": sides[0],
            "height": sides[1],
            "phash": phash,
            "thumbnail": base64.b64encode(thumbnail.body).decode(),
        }

    async def _decode(self, task: Task, document: Document, asking: Asking) -> Reply:
        return await self._decoder.decode(task, document, deadline=asking.deadline, caller=asking.caller)


async def both(making: "asyncio.Task[Reply]", checking: "asyncio.Task[None]") -> Reply:
    """What is made, when the check has let it through. Whatever fails first ends the other."""
    tasks = (making, checking)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
        return making.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(fetched: Fetched) -> Mapping[str, Any]:
    """The answer, in which `allow` is true or false. Raises WorkFailed."""
    try:
        answer = told.read(fetched, MOST_CHECK_BYTES)
    except told.NothingTold as nothing:
        raise WorkFailed(FailureCode.CHECK_FAILED, str(nothing)) from nothing
    if not isinstance(answer.get("allow"), bool):
        raise WorkFailed(FailureCode.CHECK_FAILED, "an answer whose allow is neither true nor false")
    return answer
