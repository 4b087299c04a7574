"""Work ends when nobody waits for it, and the task that waited goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web.body import EXTENSION, Take
from remote_worker.web.exchange import ClientGone
from remote_worker.web.work import while_wanted


class LeavingClient:
    """Goes as soon as it is watched."""

    has_whole_body = False

    async def pass_on(self, take: Take) -> None:
        """Fill the protocol."""

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Fill the protocol."""
        if tell is not None:
            tell()


class StayingClient(LeavingClient):
    """Is never gone."""

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Fill the protocol."""


async def done_with(client: LeavingClient, work: Awaitable[str], *, seconds: float = 60) -> tuple[Any, int]:
    """The result or failure, and how often the task is still being cancelled."""
    request = Request({"type": "http", "headers": [], "extensions": {EXTENSION: {"client": client}}})
    task = asyncio.current_task()
    assert task is not None
    try:
        result: Any = await while_wanted(request, work, deadline=time.monotonic() + seconds)
    except (ClientGone, WorkFailed) as failure:
        result = failure
    return result, task.cancelling()


async def endless() -> str:
    await asyncio.Event().wait()
    return "never"


async def finished_all_the_same() -> str:
    try:
        await endless()
    except asyncio.CancelledError:
        return "done"
    return "never"


async def failed_all_the_same() -> str:
    try:
        await endless()
    except asyncio.CancelledError:
        raise WorkFailed(FailureCode.DAMAGED) from None
    return "never"


def test_work_for_a_client_that_goes_is_cancelled() -> None:
    result, cancelling = asyncio.run(done_with(LeavingClient(), endless()))

    assert isinstance(result, ClientGone)
    assert cancelling == 0


def test_overdue_work_is_cancelled() -> None:
    result, cancelling = asyncio.run(done_with(StayingClient(), endless(), seconds=-60))

    assert (result.code, cancelling) == (FailureCode.DEADLINE, 0)


def test_work_that_finishes_when_it_is_cancelled_has_its_result() -> None:
    assert asyncio.run(done_with(LeavingClient(), finished_all_the_same())) == ("done", 0)


def test_work_that_fails_when_it_is_cancelled_has_its_failure() -> None:
    result, cancelling = asyncio.run(done_with(LeavingClient(), failed_all_the_same()))

    assert (result.code, cancelling) == (FailureCode.DAMAGED, 0)


@pytest.mark.parametrize("client", [LeavingClient(), StayingClient()])
def test_a_task_that_others_cancel_ends(client: LeavingClient) -> None:
    async def cancelled() -> None:
        began = asyncio.Event()

        async def work() -> str:
            began.set()
            return await endless()

        task = asyncio.create_task(done_with(client, work()))
        await began.wait() if isinstance(client, StayingClient) else await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
