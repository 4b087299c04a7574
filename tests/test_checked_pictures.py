"""The check before a picture leaves, through the real door: to a server on loopback, opened for it alone."""

import asyncio
import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from fetch.origin import Behaviour, Exchange, Origin, Request, answer, redirect

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.contract.messages import Fit, Info, Picture, Recipe, Reply, Task
from remote_worker.fetch.door import Door
from remote_worker.fetch.settings import FetchSettings, Opening
from remote_worker.service.check import Check
from remote_worker.service.images import Images
from remote_worker.service.settings import CheckSettings

JSON = "application/json"
YES = answer(b'{"allow": true}', media_type=JSON)
FAR = 1e12


class Paints:
    """A decoder of one picture."""

    def check_room(self, caller: str) -> None:
        """Fill the protocol."""

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Fill the protocol."""
        picture = Picture(format="jpeg", width=4, height=3, frames=1, body=memoryview(b"\xff\xd8 small"))
        names = [output.name for output in task.outputs] if isinstance(task, Recipe) else ["output"]
        info = {"phash": "c3a5963cc35aa569", "display_width": 4, "display_height": 3}
        pictures = {} if isinstance(task, Info) else dict.fromkeys(names, picture)
        return Reply(format="jpeg", mime="image/jpeg", pictures=pictures, info=info)


def checked(
    behaviours: Mapping[str, Behaviour], **settings: Any
) -> tuple[list[FailureCode | str], list[Request]]:
    """What comes of a picture by each of these checks, and what they were asked."""
    outcomes: list[FailureCode | str] = []

    async def run(origin: Origin) -> None:
        opened = Opening(ip_network("127.0.0.1/32"), origin.port)
        async with Door(FetchSettings(external_check_allow=(opened,))) as door:
            for path in behaviours:
                own = CheckSettings(external_check_url=f"http://127.0.0.1:{origin.port}{path}", **settings)
                images = Images(Paints(), Check(door, Paints(), own))
                with Document.of(b"upload") as document:
                    try:
                        made = await images.fit(document, Fit(width=1, height=1), deadline=FAR)
                        outcomes.append(made.mime)
                    except WorkFailed as failed:
                        outcomes.append(failed.code)
            # It is no way in for anybody else.
            for purpose in (Purpose.PAGE, Purpose.IMAGE, Purpose.OEMBED):
                want = Want(url=f"http://127.0.0.1:{origin.port}/yes", purpose=purpose)
                with pytest.raises(FetchFailed) as caught:
                    await door.fetch(want, deadline=FAR)
                assert caught.value.code is FailureCode.BLOCKED_ADDRESS

    with Origin(behaviours) as origin:
        asyncio.run(run(origin))
        return outcomes, origin.requests


def test_a_picture_leaves_by_a_yes_and_by_nothing_else() -> None:
    outcomes, requests = checked(
        {
            "/yes": YES,
            "/no": answer(b'{"allow": false, "reason": "spam"}', media_type=JSON),
            "/text": answer(b"yes", media_type=JSON),
            "/page": answer(b"<html>yes</html>"),
            "/failing": answer(b'{"allow": true}', status="500 Oops", media_type=JSON),
            "/created": answer(b'{"allow": true}', status="201 Created", media_type=JSON),
            "/away": redirect("/yes"),
            "/nothing": b"",
        },
        external_check_token="s3cret",
    )

    assert outcomes == ["image/jpeg", FailureCode.REFUSED_BY_CHECK, *[FailureCode.CHECK_FAILED] * 6]
    assert [request.path for request in requests].count("/yes") == 1
    first = requests[0]
    assert (first.method, first.headers["content-type"]) == ("POST", JSON)
    assert first.headers["authorization"] == "Bearer s3cret"
    assert json.loads(first.body)["size"] == 6
    assert b"upload" not in first.body


def test_a_picture_waits_for_the_check_as_long_as_is_set_and_no_longer() -> None:
    async def at_last(exchange: Exchange) -> None:
        await exchange.send(YES[:20])
        await exchange.send(YES[20:])

    async def never(exchange: Exchange) -> None:
        await exchange.gone()

    outcomes, _ = checked({"/late": at_last, "/never": never}, external_check_seconds=0.5)

    assert outcomes == ["image/jpeg", FailureCode.CHECK_FAILED]
