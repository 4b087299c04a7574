"""Whoever waits gets a turn, and no slot is ever lost, whenever callers come and go."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from pool.test_pool import attack, code_of, soon, until, with_pool

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.pool.pool import Pool
from remote_worker.pool.queue import Ticket
from remote_worker.pool.turns import Turns


def with_turns(work: Callable[[Turns], Awaitable[None]], *, slots: int = 1, places: int = 16) -> None:
    async def run() -> None:
        turns = Turns(slots=slots, places=places)
        await work(turns)
        # Whatever happened, all slots are free again, and there is none more.
        held = [await turns.take("last", "fit", soon()) for _ in range(slots)]
        with pytest.raises(WorkFailed):
            await turns.take("last", "fit", time.monotonic())
        for ticket in held:
            turns.give_back(ticket, is_typical=True)

    asyncio.run(run())


def test_the_next_one_gets_the_slot_that_is_given_back() -> None:
    async def work(turns: Turns) -> None:
        first = await turns.take("a", "fit", soon())
        waiting = asyncio.create_task(turns.take("a", "fit", soon()))
        await asyncio.sleep(0)
        assert not waiting.done()
        turns.give_back(first, is_typical=True)
        turns.give_back(await waiting, is_typical=True)

    with_turns(work)


def test_waiting_ends_at_the_deadline() -> None:
    async def work(turns: Turns) -> None:
        held = await turns.take("a", "fit", soon())
        assert await code_of(turns.take("a", "fit", soon(0.02))) is FailureCode.DEADLINE
        turns.give_back(held, is_typical=True)

    with_turns(work)


@pytest.mark.parametrize("is_given_back_first", [True, False])
def test_one_that_is_cancelled_at_any_moment_loses_no_slot(is_given_back_first: bool) -> None:
    """Two wait; the first is cancelled some turns of the loop before or after a slot comes."""

    async def work(turns: Turns) -> None:
        for between in range(6):
            held = await turns.take("a", "fit", soon())
            leaving = asyncio.create_task(turns.take("b", "fit", soon()))
            staying = asyncio.create_task(turns.take("b", "fit", soon()))
            await asyncio.sleep(0)
            steps = [lambda held=held: turns.give_back(held, is_typical=True), leaving.cancel]
            first, second = steps if is_given_back_first else reversed(steps)
            first()
            for _ in range(between):
                await asyncio.sleep(0)
            second()
            got = await asyncio.gather(leaving, return_exceptions=True)
            if isinstance(got[0], Ticket):
                turns.give_back(got[0], is_typical=True)
            turns.give_back(await staying, is_typical=True)

    with_turns(work)


def test_one_whose_deadline_meets_its_turn_loses_no_slot() -> None:
    """The slot comes back around the deadline, in steps of 0.1 ms."""

    async def work(turns: Turns) -> None:
        for step in range(100):
            held = await turns.take("a", "fit", soon())
            late = asyncio.create_task(turns.take("a", "fit", soon(0.005)))
            await asyncio.sleep(0)
            back = time.monotonic() + 0.0001 * step
            while time.monotonic() < back:
                await asyncio.sleep(0)
            turns.give_back(held, is_typical=True)
            got = await asyncio.gather(late, return_exceptions=True)
            if isinstance(got[0], Ticket):
                turns.give_back(got[0], is_typical=True)
            else:
                assert isinstance(got[0], WorkFailed)

    with_turns(work)


def test_work_of_one_caller_that_hangs_until_the_deadline_does_not_starve_another() -> None:
    """Each polite request waits for one of the flood at most, which would otherwise be ten in a row."""

    async def work(pool: Pool, document: Document) -> None:
        ended = 0

        async def hang() -> None:
            nonlocal ended
            assert await code_of(
                pool.decode(attack("sleep"), document, deadline=soon(60), caller="flood")
            ) in (FailureCode.DEADLINE, FailureCode.BUSY)
            ended += 1

        flood = [asyncio.create_task(hang()) for _ in range(11)]
        await asyncio.sleep(0)
        for turn in range(3):
            assert await pool.decode(Info(), document, deadline=soon(), caller="polite")
            assert ended <= turn + 1
        for job in flood:
            job.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    with_pool(work, limits=Limits(decode_seconds=0.5), waiting_per_child=16)


def test_a_flood_leaves_room_for_others_and_is_told_when_to_come_back() -> None:
    async def work(pool: Pool, document: Document) -> None:
        flood = [
            asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon(60), caller="flood"))
            for _ in range(1 + 4)  # Of 6 places one caller gets 4.
        ]
        await asyncio.sleep(0)

        with pytest.raises(WorkFailed) as refused:
            pool.check_room("flood")
        assert refused.value.code is FailureCode.BUSY
        assert refused.value.retry_seconds >= 1
        pool.check_room("polite")
        polite = asyncio.create_task(pool.decode(Info(), document, deadline=soon(), caller="polite"))
        await asyncio.sleep(0)
        flood[0].cancel()
        assert await polite
        for job in flood:
            job.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        await until(lambda: all(job.done() for job in flood))

    with_pool(work, waiting_per_child=6)
