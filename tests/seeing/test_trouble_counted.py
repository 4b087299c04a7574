"""Trouble that is made on purpose moves the numbers that stand for it, and no others of their kind."""

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import Any

import pytest
from pool.test_pool import attack, code_of, is_running, only_child, soon, template_pid, until, with_pool
from task import Attack  # beside the attack template, not in a package

from remote_worker import metrics
from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.metrics import Counter
from remote_worker.pool.pool import Pool

TROUBLE = (
    metrics.DECODES,
    metrics.SANDBOX_KILLS,
    metrics.SANDBOX_RETRIES,
    metrics.TEMPLATE_LOSSES,
)
MIB = 2**20


def counts(*counters: Counter) -> dict[tuple[str, ...], float]:
    return {(one.name, *labels): count for one in counters for labels, count in one.items()}


async def moved(work: Awaitable[Any]) -> dict[tuple[str, ...], float]:
    """By how much each number of trouble grew while this was done, without the prefix."""
    before = counts(*TROUBLE)
    await work
    after = counts(*TROUBLE)
    assert all(after[key] >= count for key, count in before.items())
    return {
        (key[0].removeprefix(metrics.PREFIX), *key[1:]): count - before.get(key, 0)
        for key, count in after.items()
        if count != before.get(key, 0)
    }


@pytest.mark.parametrize(
    ("name", "parameter", "told"),
    [
        ("segfault", 0, {("decode_outcomes", "png", "crash"): 1}),
        ("memory_at_once", 1024 * MIB, {("decode_outcomes", "png", "memory"): 1}),
        (
            "sleep",
            0,
            {("decode_outcomes", "png", "timeout"): 1, ("sandbox_kills", "deadline"): 1},
        ),
        (
            "reply_long",
            0,
            {("decode_outcomes", "png", "crash"): 1, ("sandbox_kills", "talk"): 1},
        ),
    ],
)
def test_what_a_picture_does_is_counted(
    name: str, parameter: int, told: dict[tuple[str, ...], float]
) -> None:
    async def work(pool: Pool, document: Document) -> None:
        task = Attack(name=name, number=parameter)

        async def fail() -> None:
            with pytest.raises(WorkFailed):
                await pool.decode(task, document, deadline=soon())

        assert await moved(fail()) == told

    with_pool(work, limits=Limits(decode_seconds=1.0, memory_bytes=256 * MIB), crash_burst=1000)


def test_work_that_is_lost_from_outside_is_counted_as_tried_again_and_once_in_the_end() -> None:
    async def work(pool: Pool, document: Document) -> None:
        async def be_killed_once() -> None:
            child = await only_child(pool)
            job = asyncio.create_task(code_of(pool.decode(attack("sleep"), document, deadline=soon())))
            await until(lambda: pool.load().running == 1)
            os.kill(child, signal.SIGKILL)
            await job

        assert await moved(be_killed_once()) == {
            ("decode_outcomes", "png", "timeout"): 1,
            ("sandbox_kills", "deadline"): 1,
            ("sandbox_retries",): 1,
        }

    with_pool(work, limits=Limits(decode_seconds=0.5))


def test_a_template_that_is_killed_is_a_loss_and_a_renewed_one_is_not() -> None:
    async def work(pool: Pool, document: Document) -> None:
        lost = template_pid(pool)

        async def lose() -> None:
            os.kill(lost, signal.SIGKILL)
            await until(lambda: not is_running(lost))
            await until(lambda: metrics.TEMPLATE_STARTS.total > starts)

        starts = metrics.TEMPLATE_STARTS.total
        assert await moved(lose()) == {("template_losses", "raster"): 1}
        assert await moved(pool.renew()) == {}

    with_pool(work)


def test_a_wait_for_a_turn_is_in_the_queues_time_and_depth() -> None:
    async def work(pool: Pool, document: Document) -> None:
        def waited() -> tuple[int, float]:
            cell = metrics.SPAN_SECONDS.cells[("queue",)]
            return sum(cell.counts), cell.sum

        await pool.decode(Info(), document, deadline=soon())
        before = waited()
        first = asyncio.create_task(code_of(pool.decode(attack("sleep"), document, deadline=soon())))
        await until(lambda: pool.load().running == 1)
        second = asyncio.create_task(pool.decode(Info(), document, deadline=soon()))
        await until(lambda: pool.load().waiting == 1)
        assert await first is FailureCode.DEADLINE
        await second
        after = waited()

        assert after[0] - before[0] == 2
        assert 0.2 < after[1] - before[1] < 10  # As long as the first one's child lived.
        assert (pool.load().running, pool.load().waiting) == (0, 0)

    with_pool(work, limits=Limits(decode_seconds=0.5))


def test_a_child_that_takes_memory_is_seen_in_the_peaks() -> None:
    async def work(pool: Pool, document: Document) -> None:
        await pool.decode(Info(), document, deadline=soon())
        cell = metrics.CHILD_MEMORY.cells
        child = await only_child(pool)
        before = metrics.CHILD_MEMORY.total
        await code_of(
            pool.decode(Attack(name="memory_in_steps", number=1024 * MIB), document, deadline=soon())
        )
        await until(lambda: not is_running(child))
        await until(lambda: metrics.CHILD_MEMORY.total > before)

        # What it may have, less what it needs itself, was written to before there was no more.
        assert metrics.CHILD_MEMORY.largest > 128 * MIB
        assert cell[("raster",)].largest < 1024 * MIB

    with_pool(work, limits=Limits(decode_seconds=10.0, memory_bytes=256 * MIB))
