"""The pool keeps its promises whatever its children, templates and callers do."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.template import TemplateFailed

ATTACKS = Path(__file__).parents[1] / "attacks"
sys.path.insert(0, str(ATTACKS))

from host import SAMPLE, entry  # noqa: E402  the attack template lies beside, not in a package
from task import REFUSED, Attack  # noqa: E402

LIMITS = Limits(decode_seconds=5.0, cpu_seconds=5)
PICTURE = SAMPLE.read_bytes()


def attack(name: str) -> Any:
    return Attack(name=name)


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def until(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for an outside fact; fail when it does not come true."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.005)


def children_of(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return set()


def is_running(pid: int) -> bool:
    """It exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # The second: reaped between opening and reading.
        return False


def template_pid(pool: Pool, name: str = "raster") -> int:
    return int(pool.reports()[name]["pid"])


async def ready_children(pool: Pool, count: int) -> set[int]:
    """The children that wait, once the host has all of them in its hands: none that just did its work."""
    pids: set[int] = set()

    def are_held() -> bool:
        nonlocal pids
        pids = children_of(template_pid(pool))
        return len(pids) == count and pids <= held()

    await until(are_held)
    for _ in range(5):  # From reading the word of a birth to having a child to lend it is some turns.
        await asyncio.sleep(0)
    return pids


async def only_child(pool: Pool) -> int:
    (child,) = await ready_children(pool, 1)
    return child


def held() -> set[int]:
    """The processes that this one has a pidfd of."""
    pids = set()
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
            pids.add(int(lines.get("Pid", -1)))
    return pids


def with_pool(
    work: Callable[[Pool, Document], Awaitable[None]], *, limits: Limits = LIMITS, **settings: Any
) -> None:
    async def run() -> None:
        chosen = PoolSettings(**{"children": 1, "ready": 1, **settings})
        async with Pool(chosen, limits, entry=entry()) as pool:
            with Document.of(PICTURE) as document:
                await work(pool, document)

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


async def code_of(answer: Awaitable[Any]) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        await answer
    return failed.value.code


def test_a_benign_document_is_answered() -> None:
    async def work(pool: Pool, document: Document) -> None:
        reply = await pool.decode(Info(), document, deadline=soon())

        assert reply.mime == "image/png"
        assert (await pool.check()).ok

    with_pool(work)


def test_each_document_gets_a_child_of_its_own() -> None:
    async def work(pool: Pool, document: Document) -> None:
        seen: set[int] = set()
        for _ in range(20):
            ready = await only_child(pool)
            assert ready not in seen
            seen.add(ready)
            await pool.decode(Info(), document, deadline=soon())
            await until(lambda ready=ready: ready not in children_of(template_pid(pool)))

    with_pool(work)


def test_a_caller_that_goes_away_frees_its_child() -> None:
    async def work(pool: Pool, document: Document) -> None:
        before = await ready_children(pool, 1)
        job = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
        # The ready child took the job; it lives on until the caller goes.
        await asyncio.sleep(0)
        await until(lambda: children_of(template_pid(pool)) == before)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

        await until(lambda: not before & children_of(template_pid(pool)))
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work)


def test_one_more_than_the_queue_holds_is_told_to_come_back() -> None:
    async def work(pool: Pool, document: Document) -> None:
        jobs = [
            asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon())) for _ in range(1 + 2)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert await code_of(pool.decode(Info(), document, deadline=soon())) is FailureCode.BUSY
        jobs[2].cancel()
        await asyncio.gather(jobs[2], return_exceptions=True)
        last = asyncio.create_task(pool.decode(Info(), document, deadline=soon()))
        for job in jobs[:2]:
            job.cancel()
        assert (await last).mime == "image/png"
        await asyncio.gather(*jobs, return_exceptions=True)

    with_pool(work, waiting_per_child=2)


def test_waiting_counts_against_the_deadline() -> None:
    async def work(pool: Pool, document: Document) -> None:
        slow = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
        await asyncio.sleep(0)

        assert await code_of(pool.decode(Info(), document, deadline=soon(0.1))) is FailureCode.DEADLINE
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    with_pool(work)


@pytest.mark.parametrize("name", ["sleep", "spin", "leave_a_thread"])
def test_work_that_takes_too_long_is_killed(name: str) -> None:
    async def work(pool: Pool, document: Document) -> None:
        assert await code_of(pool.decode(attack(name), document, deadline=soon())) is FailureCode.DEADLINE
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work, limits=Limits(decode_seconds=0.3))


def test_processor_time_is_a_limit_of_its_own() -> None:
    async def work(pool: Pool, document: Document) -> None:
        async with asyncio.timeout(60):  # Long before the other limit.
            code = await code_of(pool.decode(attack("spin_in_threads"), document, deadline=soon(600)))

        assert code is FailureCode.DEADLINE

    with_pool(work, limits=Limits(decode_seconds=600.0, cpu_seconds=1))


@pytest.mark.parametrize("name", ["segfault", "abort", "execute", "leave_silently", "reply_garbage"])
def test_a_crash_is_told_as_such(name: str) -> None:
    async def work(pool: Pool, document: Document) -> None:
        code = await code_of(pool.decode(attack(name), document, deadline=soon()))

        assert code is FailureCode.DECODER_CRASHED
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work)


def test_a_failure_that_the_child_names_is_passed_on() -> None:
    async def work(pool: Pool, document: Document) -> None:
        assert await code_of(pool.decode(attack("execute"), document, deadline=soon()))
        assert await code_of(pool.decode(attack("write_input"), document, deadline=soon())) is REFUSED

    with_pool(work)


def test_an_empty_document_never_reaches_a_child() -> None:
    async def work(pool: Pool, _: Document) -> None:
        with Document() as empty:
            assert await code_of(pool.decode(Info(), empty, deadline=soon())) is FailureCode.EMPTY_FILE

    with_pool(work)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_template_is_replaced(ending: signal.Signals) -> None:
    async def work(pool: Pool, document: Document) -> None:
        lost = template_pid(pool)
        os.kill(lost, ending)
        if ending is signal.SIGKILL:
            await until(lambda: not is_running(lost))
        # The answer may be an honest 503; the pool comes back by itself.
        answers = 0
        async with asyncio.timeout(30):
            while answers < 3:
                try:
                    await pool.decode(Info(), document, deadline=soon())
                    answers += 1
                except WorkFailed as failed:
                    assert failed.code is FailureCode.JAIL_UNAVAILABLE  # noqa: PT017  either outcome is right

        assert template_pid(pool) != lost
        assert not is_running(lost)

    with_pool(work)


def test_the_template_is_replaced_on_schedule_and_every_job_is_answered() -> None:
    async def work(pool: Pool, document: Document) -> None:
        first = template_pid(pool)
        for _ in range(12):
            await pool.decode(Info(), document, deadline=soon())

        await until(lambda: template_pid(pool) != first)
        await pool.decode(Info(), document, deadline=soon())
        await until(lambda: not is_running(first))

    with_pool(work, template_jobs=5, limits=Limits(decode_seconds=1.0))


def test_renewed_templates_are_fresh_and_running_work_goes_on() -> None:
    async def work(pool: Pool, document: Document) -> None:
        former = {name: template_pid(pool, name) for name in ("raster", "svg")}
        child = await only_child(pool)
        slow = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
        await asyncio.sleep(0)

        await pool.renew()

        assert not set(former.values()) & {template_pid(pool, name) for name in former}
        assert is_running(child)
        assert not slow.done()
        assert await pool.decode(Info(), document, deadline=soon())
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    with_pool(work, children=2, limits=Limits(decode_seconds=20.0))


def test_a_renewal_that_fails_keeps_the_former_template(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    program = f"import os, sys; os.path.exists({str(broken)!r}) and sys.exit(1); {entry()[1]}"

    async def run() -> None:
        async with Pool(PoolSettings(children=1, ready=1), LIMITS, entry=["-c", program]) as pool:
            former = template_pid(pool)
            broken.touch()
            with pytest.raises(TemplateFailed):
                await pool.renew()
            assert template_pid(pool) == former
            with Document.of(PICTURE) as document:
                assert await pool.decode(Info(), document, deadline=soon())
            broken.unlink()
            await pool.renew()
            assert template_pid(pool) != former

    asyncio.run(run())


def test_a_burst_of_crashes_replaces_the_template() -> None:
    async def work(pool: Pool, document: Document) -> None:
        first = template_pid(pool)
        for name in ("segfault", "leave_silently", "segfault"):
            await code_of(pool.decode(attack(name), document, deadline=soon()))
        assert template_pid(pool) == first
        await code_of(pool.decode(attack("segfault"), document, deadline=soon()))

        await until(lambda: template_pid(pool) != first)
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work, crash_burst=3)


def test_nothing_is_left_when_the_pool_closes() -> None:
    async def run() -> set[int]:
        async with Pool(PoolSettings(children=2, ready=2), LIMITS, entry=entry()) as pool:
            with Document.of(PICTURE) as document:
                job = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
                await until(lambda: len(children_of(template_pid(pool))) == 2)
                templates = {int(report["pid"]) for report in pool.reports().values()}
                everyone = templates.union(*(children_of(pid) for pid in templates))
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
        return everyone

    everyone = asyncio.run(run())
    deadline = time.monotonic() + 5
    while any(is_running(pid) for pid in everyone) and time.monotonic() < deadline:
        os.sched_yield()

    assert len(everyone) >= 4
    assert not [pid for pid in everyone if is_running(pid)]


def test_a_seal_that_cannot_be_put_up_stops_the_start() -> None:
    """A second thread in the template would hold locks for ever in its children, so the seal refuses it."""
    thread = "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); "
    program = thread + entry()[1]

    async def run() -> None:
        async with Pool(PoolSettings(children=1, ready=1), LIMITS, entry=["-c", program]):
            pass

    with pytest.raises(TemplateFailed, match="threads"):
        asyncio.run(run())


def test_without_landlock_pictures_are_decoded_and_svg_is_refused() -> None:
    async def run() -> None:
        async with Pool(PoolSettings(children=1, ready=1), LIMITS, entry=entry(), landlock="absent") as pool:
            with Document.of(PICTURE) as document, Document.of(b"<svg/>") as drawing:
                assert await pool.decode(Info(), document, deadline=soon())
                code = await code_of(pool.decode(Info(), drawing, deadline=soon()))
            health = await pool.check()

            assert code is FailureCode.FORMAT_UNAVAILABLE
            assert health.ok
            assert set(health.templates) == {"raster"}
            assert health.templates["raster"]["layers"]["landlock_abi"] == 0

    asyncio.run(run())


def test_work_that_is_under_way_when_the_pool_closes_is_told_so() -> None:
    """Its child is lost, and there is no template that could fork another one."""

    async def work(pool: Pool, document: Document) -> None:
        job = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
        await asyncio.sleep(0)
        await pool.__aexit__(None, None, None)

        assert await code_of(job) is FailureCode.JAIL_UNAVAILABLE
        assert await code_of(pool.decode(Info(), document, deadline=soon())) is FailureCode.JAIL_UNAVAILABLE

    with_pool(work)


def test_renewals_under_way_when_the_pool_closes_start_nothing_more() -> None:
    """The second one waits for the first, and its turn comes while the pool closes."""

    async def work(pool: Pool, _: Document) -> None:
        former = children_of(os.getpid())
        others = former - {template_pid(pool, name) for name in ("raster", "svg")}
        renewals = [asyncio.create_task(pool.renew()) for _ in range(2)]
        await until(lambda: children_of(os.getpid()) > former)
        await pool.__aexit__(None, None, None)
        await asyncio.gather(*renewals, return_exceptions=True)

        assert children_of(os.getpid()) == others

    with_pool(work)


def test_callers_that_leave_at_any_moment_leave_nothing_behind() -> None:
    async def work(pool: Pool, document: Document) -> None:
        for turns in list(range(10)) * 30:
            job = asyncio.create_task(pool.decode(Info(), document, deadline=soon()))
            # The template forks, and its word of that is read in one of the next turns of the loop.
            while not children_of(template_pid(pool)):
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
            await until(lambda: children_of(template_pid(pool)) == set())

        await until(lambda: children_of(template_pid(pool)) == set())

    with_pool(work, ready=0)


def test_as_many_wait_ahead_as_were_asked_for() -> None:
    async def work(pool: Pool, document: Document) -> None:
        await asyncio.gather(*(pool.decode(Info(), document, deadline=soon()) for _ in range(40)))

        await until(lambda: len(children_of(template_pid(pool))) == 3)
        await pool.decode(Info(), document, deadline=soon())
        await until(lambda: len(children_of(template_pid(pool))) == 3)

    with_pool(work, children=4, ready=3)


def test_templates_and_children_yield_the_processor_to_the_host() -> None:
    async def work(pool: Pool, _: Document) -> None:
        await until(lambda: len(children_of(template_pid(pool))) == 1)
        everyone = {template_pid(pool), *children_of(template_pid(pool))}

        expected = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in everyone} == {expected}

    with_pool(work)


def test_the_kernel_holds_a_child_to_the_documented_number_of_threads() -> None:
    async def work(pool: Pool, _: Document) -> None:
        await until(lambda: len(children_of(template_pid(pool))) == 1)
        (child,) = children_of(template_pid(pool))

        def threads() -> list[str]:
            limits = Path(f"/proc/{child}/limits").read_text().splitlines()
            return next(line.split()[2:4] for line in limits if line.startswith("Max processes"))

        _, most = resource.getrlimit(resource.RLIMIT_NPROC)
        expected = str(8192 if most == resource.RLIM_INFINITY else min(8192, most))
        await until(lambda: threads() == [expected, expected])

    with_pool(work)
