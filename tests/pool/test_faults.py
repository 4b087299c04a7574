"""What is lost to no fault of its input is tried once more; what the input did is not."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pool.test_pool import (
    LIMITS,
    PICTURE,
    SAMPLE,
    attack,
    children_of,
    code_of,
    entry,
    is_running,
    only_child,
    ready_children,
    soon,
    template_pid,
    until,
    with_pool,
)

from hold.chaos.faults import set_soft_limit
from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Fit, Info
from remote_worker.pool.child import ChildLost, Kill
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings


class Heard(logging.Handler):
    """The words of the events, in order; `act` is called within the first retry's event."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.act: Callable[[], object] = lambda: None

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())
        if self.words[-1] == "child_retried":
            self.act()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logger = logging.getLogger("remote_worker")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def stop(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await until(lambda: all(state_of(pid) == "T" for pid in pids))


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


async def given_to_a_stopped_child(pool: Pool, document: Document) -> tuple[int, asyncio.Task[Any]]:
    """A child that has a task in its socket and cannot begin with it."""
    child = await only_child(pool)
    await stop(child)
    job = asyncio.create_task(pool.decode(Info(), document, deadline=soon()))
    await asyncio.sleep(0)
    return child, job


def end(pid: int, ending: signal.Signals) -> None:
    os.kill(pid, ending)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_work_whose_child_is_killed_from_outside_is_done_by_another(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        for ending in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN):
            if signal.getsignal(ending) is signal.SIG_IGN:
                continue  # As nohup leaves SIGHUP to all that it starts.
            heard.words.clear()
            child, job = await given_to_a_stopped_child(pool, document)
            end(child, ending)

            assert (await job).mime == "image/png", ending
            assert heard.words == ["child_retried"], ending

    with_pool(work)


def test_a_signal_that_a_document_can_cause_is_never_tried_again(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        for ending in (
            signal.SIGSEGV,
            signal.SIGSYS,
            signal.SIGABRT,
            signal.SIGBUS,
            signal.SIGILL,
            signal.SIGFPE,
            signal.SIGTRAP,
        ):
            heard.words.clear()
            child, job = await given_to_a_stopped_child(pool, document)
            end(child, ending)

            assert await code_of(job) is FailureCode.DECODER_CRASHED, ending
            assert heard.words == ["child_crashed"], ending

    with_pool(work, crash_burst=1000)


def test_what_a_document_did_is_never_tried_again(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        for name in (
            "segfault",
            "abort",
            "execute",
            "leave_silently",
            "reply_garbage",
            "reply_short",
            "reply_long",
        ):
            code = await code_of(pool.decode(attack(name), document, deadline=soon()))
            assert code is FailureCode.DECODER_CRASHED, name
        assert await code_of(pool.decode(attack("sleep"), document, deadline=soon())) is FailureCode.DEADLINE
        assert "child_retried" not in heard.words

    with_pool(work, limits=Limits(decode_seconds=0.5), crash_burst=1000)


@pytest.mark.parametrize(
    ("status", "killed", "is_mute", "is_from_outside"),
    [
        (signal.SIGKILL, None, True, True),
        (signal.SIGKILL, None, False, False),  # It began to lie before it was killed.
        (signal.SIGKILL, Kill.STOPPED, True, True),
        (signal.SIGKILL, Kill.DEADLINE, True, False),
        (signal.SIGKILL, Kill.TALK, False, False),
        (None, None, True, True),
        (None, Kill.DEADLINE, True, False),
        (signal.SIGXCPU, None, True, False),
        (0, None, True, False),
        (1 << 8, None, True, False),
    ],
)
def test_which_losses_are_from_outside(
    status: int | None, killed: Kill | None, is_mute: bool, is_from_outside: bool
) -> None:
    assert ChildLost(status, killed=killed, is_mute=is_mute).is_from_outside is is_from_outside


@pytest.mark.parametrize("name", ["spin_in_threads", "spin_deaf"])
def test_a_child_that_used_up_its_processor_time_is_not_tried_again(heard: Heard, name: str) -> None:
    """One that blocks SIGXCPU is killed by the kernel as others are killed from outside."""

    async def work(pool: Pool, document: Document) -> None:
        assert await code_of(pool.decode(attack(name), document, deadline=soon())) is FailureCode.DEADLINE
        assert "child_retried" not in heard.words

    with_pool(work, limits=Limits(decode_seconds=30.0, cpu_seconds=1))


def test_a_second_loss_is_told_as_the_workers_own_trouble(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        job = asyncio.create_task(pool.decode(attack("sleep"), document, deadline=soon()))
        first = await only_child(pool)
        os.kill(first, signal.SIGKILL)
        await until(lambda: children_of(template_pid(pool)) not in ({first}, set()))
        os.kill(await only_child(pool), signal.SIGKILL)

        assert await code_of(job) is FailureCode.JAIL_UNAVAILABLE
        assert heard.words.count("child_retried") == 1
        assert "child_crashed" not in heard.words
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work, ready=0)


def test_stopped_children_do_not_hold_their_work_until_the_deadline(heard: Heard) -> None:
    """Two are stopped, and the second try meets neither."""

    async def work(pool: Pool, document: Document) -> None:
        stopped = await ready_children(pool, 2)
        await stop(*stopped)

        assert await pool.decode(Info(), document, deadline=soon())
        assert heard.words.count("child_retried") == 1
        await until(lambda: not any(is_running(pid) for pid in stopped))

    with_pool(work, ready=2)


def test_a_child_that_goes_on_at_once_is_left_alone(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        child, job = await given_to_a_stopped_child(pool, document)
        os.kill(child, signal.SIGCONT)

        assert await job
        assert "child_retried" not in heard.words

    with_pool(work)


def test_a_ready_child_that_died_is_not_lent(heard: Heard) -> None:
    """The template, which would tell that it died, is stopped."""

    async def work(pool: Pool, document: Document) -> None:
        child = await only_child(pool)
        await stop(template_pid(pool))
        os.kill(child, signal.SIGKILL)
        await until(lambda: not is_running(child))

        assert await pool.decode(Info(), document, deadline=soon())
        assert "child_retried" not in heard.words

    with_pool(work)


def test_work_whose_template_is_killed_is_done_by_the_next_ones_child(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        _, job = await given_to_a_stopped_child(pool, document)
        os.kill(template_pid(pool), signal.SIGKILL)

        assert await job
        assert heard.words.count("child_retried") == 1

    with_pool(work)


def test_a_template_that_dies_just_before_it_is_looked_at_is_replaced(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        template = template_pid(pool)

        def kill_template() -> None:
            os.kill(template, signal.SIGKILL)
            while is_running(template):
                os.sched_yield()

        child, job = await given_to_a_stopped_child(pool, document)
        heard.act = kill_template
        os.kill(child, signal.SIGKILL)

        assert await job
        assert template_pid(pool) != template

    with_pool(work)


def test_everything_stopped_at_once_is_replaced(heard: Heard) -> None:
    async def work(pool: Pool, document: Document) -> None:
        child = await only_child(pool)
        template = template_pid(pool)
        await stop(child, template)

        assert await pool.decode(Info(), document, deadline=soon())
        await until(lambda: not is_running(child) and not is_running(template))

    with_pool(work)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_those_who_come_while_a_template_restarts_wait_for_it(ending: signal.Signals) -> None:
    async def work(pool: Pool, document: Document) -> None:
        former = template_pid(pool)
        os.kill(former, ending)
        replies = await asyncio.gather(
            *(pool.decode(Info(), document, deadline=soon()) for _ in range(4)),
            return_exceptions=True,
        )

        assert [getattr(reply, "mime", reply) for reply in replies] == ["image/png"] * 4
        assert template_pid(pool) != former

    with_pool(work, ready=0, children=4)


def test_a_template_that_does_not_come_in_time_is_told_by_the_deadline() -> None:
    async def work(pool: Pool, document: Document) -> None:
        os.kill(template_pid(pool), signal.SIGKILL)

        assert await code_of(pool.decode(Info(), document, deadline=soon(0.02))) is FailureCode.DEADLINE
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work, ready=0)


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """No further descriptor can be opened until the yielded call, or the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def free() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield free
    finally:
        free()


@pytest.mark.parametrize("ready", [0, 1])
def test_a_shortage_of_descriptors_that_passes_is_not_noticed(heard: Heard, ready: int) -> None:
    """Without a ready child it is the socket that cannot be had, with one the memory of the output."""

    async def work(pool: Pool, document: Document) -> None:
        await ready_children(pool, ready)
        with no_descriptor_left() as free:
            heard.act = free

            assert await pool.decode(Info(), document, deadline=soon())
        assert heard.words.count("child_retried") == 1

    with_pool(work, ready=ready)


@pytest.mark.parametrize("ready", [0, 1])
def test_a_shortage_of_descriptors_that_lasts_is_told(heard: Heard, ready: int) -> None:
    async def work(pool: Pool, document: Document) -> None:
        await ready_children(pool, ready)
        with no_descriptor_left():
            code = await code_of(pool.decode(Info(), document, deadline=soon()))

        assert code is FailureCode.JAIL_UNAVAILABLE
        assert await pool.decode(Info(), document, deadline=soon())

    with_pool(work, ready=ready)


def test_what_has_no_time_left_for_another_try_is_told_at_once(heard: Heard) -> None:
    """The pause before it takes 0.05 s."""

    async def work(pool: Pool, document: Document) -> None:
        with no_descriptor_left():
            code = await code_of(pool.decode(Info(), document, deadline=soon(0.04)))

        assert code is FailureCode.JAIL_UNAVAILABLE
        assert "child_retried" not in heard.words

    with_pool(work, ready=0)


def test_a_template_that_cannot_fork_is_asked_twice_and_kept(heard: Heard) -> None:
    """No process may be added to its user's: fork fails with EAGAIN."""
    program = f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)); {entry()[1]}"

    async def run() -> None:
        async with Pool(PoolSettings(children=1, ready=0), LIMITS, entry=["-c", program]) as pool:
            template = template_pid(pool)
            if Path(f"/proc/{template}").stat().st_uid == 0:
                pytest.skip("this limit does not hold for root")
            with Document.of(PICTURE) as document:
                code = await code_of(pool.decode(Info(), document, deadline=soon()))

            assert code is FailureCode.JAIL_UNAVAILABLE
            assert heard.words.count("child_retried") == 1
            assert template_pid(pool) == template

    asyncio.run(run())


def test_a_good_picture_is_not_called_damaged_where_no_thread_can_be_started() -> None:
    """HEIC is decoded in a thread. A user, or a container, may have as many as there can be."""
    heic = SAMPLE.with_name("sample.heic").read_bytes()
    fit = Fit(width=16, height=16)

    async def run() -> None:
        async with Pool(PoolSettings(children=1, ready=1), LIMITS) as pool:
            with Document.of(heic) as whole, Document.of(heic[:-200]) as cut:
                assert await pool.decode(fit, whole, deadline=soon())
                assert await code_of(pool.decode(fit, cut, deadline=soon())) is FailureCode.DAMAGED
                child = await only_child(pool)
                if Path(f"/proc/{child}").stat().st_uid == 0:
                    pytest.skip("this limit does not hold for root")
                set_soft_limit(child, "nproc", "0")
                code = await code_of(pool.decode(fit, whole, deadline=soon()))

            assert code is FailureCode.FORMAT_UNAVAILABLE

    asyncio.run(run())


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_a_template_that_is_lost_while_it_starts_is_started_again(ending: signal.Signals) -> None:
    async def work(pool: Pool, document: Document) -> None:
        known = children_of(os.getpid())
        os.kill(template_pid(pool), signal.SIGKILL)
        job = asyncio.create_task(pool.decode(Info(), document, deadline=soon()))
        await until(lambda: bool(children_of(os.getpid()) - known))
        (starting,) = children_of(os.getpid()) - known
        os.kill(starting, ending)

        assert await job
        assert template_pid(pool) not in (known | {starting})

    with_pool(work, ready=0)
