"""Pages and posts are read by children that go on, and no text can do anything about the next one's."""

import asyncio
import contextlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pool.test_faults import Heard, heard, stop  # noqa: F401  a fixture
from pool.test_pool import children_of, code_of, is_running, soon, until

from remote_worker.contract import wire
from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.texts import ReadPage, Rendered, RenderMarkdown
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.template import TemplateFailed
from remote_worker.pool.texts import Texts

MIB = 1024 * 1024
TEMPLATE = str(Path(__file__).parent / "text_template.py")
ENTRY = [
    "-c",
    f"import runpy, sys; sys.argv[0] = {TEMPLATE!r}; runpy.run_path({TEMPLATE!r}, run_name='__main__')",
]
RECORD = struct.Struct("<HHIQ")
"""Version, outcome, header, length of the body."""


def with_texts(work: Callable[[Texts], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        chosen = PoolSettings(**{"text_children": 1, **settings})
        async with Texts(chosen, entry=ENTRY) as texts:
            await work(texts)

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


async def ask(texts: Texts, command: str, *, caller: str = "", seconds: float = 20.0) -> str:
    """Have a child do what the command says, and hear what it says."""
    reply = await texts.render(command.encode(), RenderMarkdown(), deadline=soon(seconds), caller=caller)
    return reply.html


async def pid_of_child(texts: Texts) -> int:
    return int(await ask(texts, "pid"))


def template_of(texts: Texts) -> int:
    return int(texts.report()["pid"])


def reply_in_hex(html: bytes) -> str:
    """What an honest child would write."""
    facts = b'{"images":[]}'
    table, _, length = wire.layout({"facts": len(facts), "html": len(html)})
    return (RECORD.pack(1, 0, 0, length) + table + facts + html).hex()


def test_a_text_is_read() -> None:
    async def work(texts: Texts) -> None:
        assert await ask(texts, "say Grüße") == "Grüße"
        assert texts.report()["layers"]["seccomp"] is True

    with_texts(work)


def test_one_child_reads_text_after_text() -> None:
    async def work(texts: Texts) -> None:
        assert len({await pid_of_child(texts) for _ in range(20)}) == 1

    with_texts(work)


def test_a_child_reads_so_many_texts_and_is_then_replaced() -> None:
    async def work(texts: Texts) -> None:
        pids = [await pid_of_child(texts) for _ in range(9)]

        assert pids == [pids[0]] * 3 + [pids[3]] * 3 + [pids[6]] * 3
        assert len(set(pids)) == 3
        await until(lambda: not any(is_running(pid) for pid in set(pids)))

    with_texts(work, text_jobs=3)


def test_what_a_child_has_kept_ends_with_it() -> None:
    async def work(texts: Texts) -> None:
        await ask(texts, "hold a secret")
        assert await ask(texts, "tell") == "a secret"

        assert await ask(texts, "tell") == ""

    with_texts(work, text_jobs=2)


def test_texts_are_read_side_by_side() -> None:
    async def work(texts: Texts) -> None:
        sleeping = asyncio.create_task(ask(texts, "sleep 60"))
        await asyncio.sleep(0)
        assert await ask(texts, "say it") == "it"
        assert not sleeping.done()
        sleeping.cancel()
        await asyncio.wait([sleeping])

    with_texts(work, text_children=2, text_seconds=60.0)


@pytest.mark.parametrize("length", [0, 1, 65_500, 65_536, 70_000, 300_000])
def test_texts_of_any_length_go_in_and_out(length: int) -> None:
    async def work(texts: Texts) -> None:
        assert await ask(texts, "say " + "x" * length) == "x" * length

    with_texts(work)


def test_a_post_of_a_mebibyte_passes_and_one_byte_more_does_not() -> None:
    async def work(texts: Texts) -> None:
        longest = "length " + "x" * (MIB - 7)
        assert await ask(texts, longest) == str(MIB - 7)
        assert await code_of(ask(texts, longest + "x")) is FailureCode.TOO_LARGE

    with_texts(work)


def test_a_page_is_read_as_far_as_a_mebibyte() -> None:
    async def work(texts: Texts) -> None:
        for length, read in ((100, 100), (MIB, MIB), (MIB + 1, MIB)):
            with Document.of(b"x" * length) as document:
                page = await texts.read_page(document, ReadPage(url="https://a.example/"), deadline=soon())
            assert page.title == str(read)

    with_texts(work)


def test_what_comes_of_a_text_may_be_four_mebibytes_and_no_more() -> None:
    async def work(texts: Texts) -> None:
        rest = 4 * MIB - 8 - 2 * 32 - len('{"images":[]}')  # The table, with an entry for each of two parts.
        assert len(await ask(texts, f"many {rest}")) == rest
        assert await code_of(ask(texts, f"many {rest + 1}")) is FailureCode.OUTPUT_TOO_LARGE
        assert await ask(texts, "say it") == "it"

    with_texts(work)


def test_a_text_may_use_its_processor_time_and_no_more() -> None:
    """150 ms by default, for each text anew."""

    async def work(texts: Texts) -> None:
        before = await pid_of_child(texts)
        for _ in range(3):
            assert await ask(texts, "burn 0.1") == "burnt"
        assert await pid_of_child(texts) == before
        assert await code_of(ask(texts, "burn 0.3")) is FailureCode.PARSE_LIMIT
        assert await code_of(ask(texts, "burn 10")) is FailureCode.PARSE_LIMIT
        assert await pid_of_child(texts) != before

    with_texts(work)


def test_the_clock_on_the_wall_says_nothing_of_processor_time() -> None:
    async def work(texts: Texts) -> None:
        assert await ask(texts, "sleep 0.5") == "rested"

    with_texts(work)


def test_a_text_keeps_its_processor_time_on_a_busy_machine() -> None:
    """Others take the child's core: it gets a quarter or less, and needs its time all the same."""

    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        core = min(os.sched_getaffinity(0))
        os.sched_setaffinity(child, {core})
        with busy(core):
            started = asyncio.get_running_loop().time()
            assert await ask(texts, "burn 0.1") == "burnt"
            assert asyncio.get_running_loop().time() - started > 0.15
        assert await pid_of_child(texts) == child

    with_texts(work)


@contextlib.contextmanager
def busy(core: int) -> Iterator[None]:
    """A process that does nothing else holds this core."""
    program = f"import os; os.sched_setaffinity(0, {{{core}}}); print('on', flush=True)\nwhile True: pass"
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"on\n"
        yield
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


def test_a_host_that_looks_too_late_still_refuses_what_took_too_long() -> None:
    """The child is done before the host, which was busy itself, can have looked at its clock."""

    async def work(texts: Texts) -> None:
        async def read_while_the_host_is_busy(command: str) -> str:
            job = asyncio.create_task(ask(texts, command))
            await asyncio.sleep(0.01)
            subprocess.run(["sleep", "0.5"], check=True)  # Nothing of the loop goes on here.
            return await job

        assert await read_while_the_host_is_busy("burn 0.1") == "burnt"
        assert await code_of(read_while_the_host_is_busy("burn 0.3")) is FailureCode.PARSE_LIMIT

    with_texts(work)


def test_a_text_that_hangs_is_ended_by_the_clock() -> None:
    async def work(texts: Texts) -> None:
        before = await pid_of_child(texts)
        assert await ask(texts, "sleep 0.05") == "rested"
        assert await code_of(ask(texts, "sleep 60")) is FailureCode.DEADLINE
        await until(lambda: not is_running(before))
        assert await ask(texts, "say it") == "it"

    with_texts(work, text_seconds=0.5)


def test_a_callers_deadline_ends_its_text() -> None:
    async def work(texts: Texts) -> None:
        assert await code_of(ask(texts, "sleep 60", seconds=0.3)) is FailureCode.DEADLINE
        assert await ask(texts, "say it") == "it"

    with_texts(work, text_seconds=60.0)


def test_a_text_may_use_its_memory_and_no_more() -> None:
    async def work(texts: Texts) -> None:
        first = await pid_of_child(texts)
        assert await ask(texts, f"want_memory {100 * MIB}") == str(100 * MIB)
        assert await pid_of_child(texts) == first
        assert await code_of(ask(texts, f"want_memory {140 * MIB}")) is FailureCode.TOO_MUCH_MEMORY
        assert await pid_of_child(texts) != first

    with_texts(work, text_memory_bytes=128 * MIB)


CRASHES = ["segfault", "abort", "execute", "fork", "stop_itself"]


@pytest.mark.parametrize(
    "command",
    [
        *(f"attack {name}\n0\n" for name in CRASHES),
        "surprise",
        "leave",
        "flood",
        f"answer {'ff' * 16}",
        f"answer {RECORD.pack(2, 0, 0, 8).hex()}",
        f"answer {RECORD.pack(1, 0, 0, 7).hex()}",
        f"answer {RECORD.pack(1, 0, 0, 4 * MIB + 1).hex()}",
        f"answer {RECORD.pack(1, 1 + list(FailureCode).index(FailureCode.BUSY), 0, 0).hex()}",
        f"answer {RECORD.pack(1, 0, 0, 8).hex()}{'00' * 8}",
        f"answer {RECORD.pack(1, 0, 0, 8).hex()}{b'RWP1'.hex()}{'00' * 5}",
        f"answer {reply_in_hex(b'html')}00",
        f"answer_and_end {RECORD.pack(1, 0, 0, 8).hex()[:20]}",
        f"answer_and_end {reply_in_hex(b'html')[:-2]}",
        "attack hang_up_and_stay\n0\n",
        'answer_with {"images": [[0, 5]]}\nhtml',
        'answer_with {"images": [[-1, 2]]}\nhtml',
        'answer_with {"images": [[2, 1]]}\nhtml',
        'answer_with {"images": [[2, 4], [0, 1]]}\nhtml',
        'answer_with {"images": [[0, 2], [1, 3]]}\nhtml',
        'answer_with {"images": [[0, true]]}\nhtml',
        'answer_with {"images": [[0]]}\nhtml',
        'answer_with {"images": [0]}\nhtml',
        'answer_with {"images": 0}\nhtml',
        'answer_with {"images": [], "more": 0}\nhtml',
        "answer_with {}\nhtml",
        "answer_with []\nhtml",
    ],
)
def test_what_a_child_does_wrong_is_its_own_end_alone(command: str, heard: Heard) -> None:  # noqa: F811  a fixture
    async def work(texts: Texts) -> None:
        bystander = asyncio.create_task(ask(texts, "sleep 0.05"))
        await asyncio.sleep(0)

        assert await code_of(ask(texts, command)) is FailureCode.DECODER_CRASHED
        assert await bystander == "rested"
        await until(lambda: len(children_of(template_of(texts))) <= 2)
        assert await ask(texts, "say it") == "it"
        assert "child_retried" not in heard.words

    with_texts(work, text_children=2, crash_burst=1000)


def test_places_of_pictures_may_be_anywhere_in_the_html() -> None:
    async def work(texts: Texts) -> None:
        text = 'answer_with {"images": [[0, 1], [1, 1], [2, 4]]}\nhtmü'.encode()
        reply = await texts.render(text, RenderMarkdown(), deadline=soon())

        assert reply == Rendered(html="htmü", image_sources=((0, 1), (1, 1), (2, 4)))

    with_texts(work)


def test_html_that_is_no_text_is_refused() -> None:
    async def work(texts: Texts) -> None:
        bad = texts.render(b"say \xff\xfe", RenderMarkdown(), deadline=soon())

        assert await code_of(bad) is FailureCode.DECODER_CRASHED

    with_texts(work)


@pytest.mark.parametrize("code", [FailureCode.DAMAGED, FailureCode.PARSE_LIMIT])
def test_a_child_that_says_what_is_wrong_with_a_text_goes_on(code: FailureCode) -> None:
    async def work(texts: Texts) -> None:
        before = await pid_of_child(texts)

        assert await code_of(ask(texts, f"fail {code}")) is code
        assert await pid_of_child(texts) == before

    with_texts(work)


def test_a_child_that_speaks_without_being_asked_is_ended() -> None:
    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        assert await ask(texts, f"talk_later {reply_in_hex(b'well')}") == "well"

        await until(lambda: not is_running(child))
        assert await ask(texts, "say it") == "it"

    with_texts(work)


def test_an_answer_to_half_a_text_is_a_lie() -> None:
    """The short text is all with the child when it answers, the long one does not fit into the socket."""

    async def work(texts: Texts) -> None:
        early = f"answer_early {reply_in_hex(b'well')}"
        assert await ask(texts, early) == "well"
        assert await ask(texts, "say it") == "well"
        assert await code_of(ask(texts, "say more")) is FailureCode.DEADLINE

        assert await ask(texts, early) == "well"
        assert await code_of(ask(texts, "say " + "x" * 900_000)) is FailureCode.DECODER_CRASHED
        assert await ask(texts, "say it") == "it"

    with_texts(work, text_seconds=0.5)


def test_an_answer_that_was_there_in_time_counts_though_the_host_comes_late() -> None:
    async def work(texts: Texts) -> None:
        job = asyncio.create_task(ask(texts, "sleep 0.1"))
        await asyncio.sleep(0.01)
        subprocess.run(["sleep", "0.6"], check=True)

        assert await job == "rested"

    with_texts(work, text_seconds=0.4)


def test_a_child_that_works_without_being_asked_is_ended() -> None:
    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        assert await ask(texts, f"work_later {reply_in_hex(b'well')}") == "well"

        await until(lambda: not is_running(child))
        assert await ask(texts, "say it") == "it"

    with_texts(work)


def test_a_child_that_rests_is_left_alone() -> None:
    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        await asyncio.sleep(1.2)  # The round that ends the restless comes every second.

        assert await pid_of_child(texts) == child

    with_texts(work)


def test_a_caller_that_goes_away_ends_the_child() -> None:
    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        job = asyncio.create_task(ask(texts, "sleep 60"))
        await asyncio.sleep(0.01)
        job.cancel()
        await asyncio.wait([job])

        assert job.cancelled()
        await until(lambda: not is_running(child))
        assert await ask(texts, "say it") == "it"

    with_texts(work, text_seconds=60.0)


def test_texts_wait_for_their_turn_and_past_that_are_refused() -> None:
    """Of 128 places for each child and picture that may wait, one caller gets two thirds: 86."""

    async def work(texts: Texts) -> None:
        running = asyncio.create_task(ask(texts, "sleep 0.2"))
        waiting = [asyncio.create_task(ask(texts, f"say {n}")) for n in range(86)]
        await asyncio.sleep(0)
        assert await code_of(ask(texts, "say more")) is FailureCode.BUSY
        with pytest.raises(WorkFailed):
            texts.check_room("")
        texts.check_room("another")

        assert await running == "rested"
        assert await asyncio.gather(*waiting) == [str(n) for n in range(86)]
        texts.check_room("")

    with_texts(work, waiting_per_child=1)


def test_one_caller_may_have_500_texts_in_hand_by_default() -> None:
    async def work(texts: Texts) -> None:
        said = await asyncio.gather(*(ask(texts, f"say {n}", caller="one") for n in range(500)))

        assert said == [str(n) for n in range(500)]

    with_texts(work)


@pytest.mark.parametrize(("length", "waiting"), [(65_536, 86), (65_537, 43), (1024 * 1024, 6)])
def test_long_texts_take_the_places_of_several(length: int, waiting: int) -> None:
    """One for each 64 KiB that it begins: of 128 places one caller gets two thirds."""

    async def work(texts: Texts) -> None:
        running = asyncio.create_task(ask(texts, "sleep 60"))
        long = "say ".ljust(length, "x")
        tasks = [asyncio.create_task(ask(texts, long)) for _ in range(waiting)]
        await asyncio.sleep(0)

        assert await code_of(ask(texts, long)) is FailureCode.BUSY
        assert not any(task.done() for task in tasks)
        for task in (running, *tasks):
            task.cancel()
        await asyncio.wait([running, *tasks])

    with_texts(work, waiting_per_child=1)


def test_a_caller_with_many_texts_leaves_room_for_others() -> None:
    async def work(texts: Texts) -> None:
        order: list[str] = []

        async def one(caller: str) -> None:
            await ask(texts, "sleep 0.02", caller=caller)
            order.append(caller)

        many = [asyncio.create_task(one("many")) for _ in range(10)]
        await asyncio.sleep(0)
        few = [asyncio.create_task(one("few")) for _ in range(2)]
        await asyncio.gather(*many, *few)

        assert [index for index, caller in enumerate(order) if caller == "few"][-1] <= 5

    with_texts(work)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_a_text_whose_child_is_lost_from_outside_is_read_by_another(
    ending: signal.Signals,
    heard: Heard,  # noqa: F811  a fixture
) -> None:
    async def work(texts: Texts) -> None:
        child = await pid_of_child(texts)
        job = asyncio.create_task(ask(texts, "sleep 0.3"))
        await asyncio.sleep(0.01)
        os.kill(child, ending)

        assert await job == "rested"
        assert heard.words.count("child_retried") == 1
        await until(lambda: not is_running(child))

    with_texts(work)


def test_idle_children_that_are_lost_are_not_noticed(heard: Heard) -> None:  # noqa: F811  a fixture
    """All are killed, and the host has not heard of it when the next text comes."""

    async def work(texts: Texts) -> None:
        await asyncio.gather(*(ask(texts, "sleep 0.05") for _ in range(4)))
        children = children_of(template_of(texts))
        for child in children:
            os.kill(child, signal.SIGKILL)
        await until(lambda: not any(is_running(child) for child in children))

        assert await asyncio.gather(*(ask(texts, f"say {n}") for n in range(4))) == ["0", "1", "2", "3"]

    with_texts(work, text_children=4)


def test_stopped_idle_children_are_not_asked_twice(heard: Heard) -> None:  # noqa: F811  a fixture
    async def work(texts: Texts) -> None:
        await asyncio.gather(*(ask(texts, "sleep 0.05") for _ in range(3)))
        children = children_of(template_of(texts))
        await stop(*children)

        assert await ask(texts, "say it") == "it"
        assert heard.words.count("child_retried") == 1
        await until(lambda: not any(is_running(child) for child in children))

    with_texts(work, text_children=3)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_those_who_come_while_the_template_restarts_are_served(ending: signal.Signals) -> None:
    async def work(texts: Texts) -> None:
        former = template_of(texts)
        os.kill(former, ending)
        for child in children_of(former):
            os.kill(child, signal.SIGKILL)

        assert await asyncio.gather(*(ask(texts, f"say {n}") for n in range(4))) == ["0", "1", "2", "3"]
        assert template_of(texts) != former

    with_texts(work, text_children=4)


def test_a_fresh_template_has_fresh_children_and_running_texts_go_on() -> None:
    async def work(texts: Texts) -> None:
        former, child = template_of(texts), await pid_of_child(texts)
        job = asyncio.create_task(ask(texts, "sleep 0.5"))
        await asyncio.sleep(0.01)
        await texts.renew()

        assert template_of(texts) != former
        assert await job == "rested"
        assert await pid_of_child(texts) not in (child, former)
        await until(lambda: not is_running(former))

    with_texts(work, text_seconds=1.0)


def test_after_many_crashes_the_template_is_replaced() -> None:
    async def work(texts: Texts) -> None:
        former = template_of(texts)
        for _ in range(3):
            await code_of(ask(texts, "attack segfault\n0\n"))

        await until(lambda: template_of(texts) != former)
        assert await ask(texts, "say it") == "it"

    with_texts(work, crash_burst=3)


def test_a_template_that_does_not_come_up_is_told() -> None:
    async def run() -> None:
        with pytest.raises(TemplateFailed, match="status 3"):
            async with Texts(PoolSettings(), entry=["-c", "raise SystemExit(3)"]):
                pass

    asyncio.run(run())
