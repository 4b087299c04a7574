"""Children that read several texts are shared only within one trust key."""

import asyncio

from pool.test_pool import code_of, is_running, until
from pool.test_texts import ask, with_texts

from remote_worker.contract.callers import Caller
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import Ceilings
from remote_worker.pool.texts import Texts

A, B = Caller("key:a", trust="one"), Caller("key:b", trust="two")
A_TOO = Caller("key:c", trust="one")


def test_texts_of_two_trust_keys_are_never_read_by_one_child() -> None:
    async def work(texts: Texts) -> None:
        pids = [await ask(texts, "pid", caller=caller) for caller in (A, A_TOO, B, A, B, "", "127.0.0.1")]

        assert pids[1] == pids[0]
        assert pids[3] == pids[0]
        assert pids[4] == pids[2]
        assert pids[6] == pids[5]
        assert len(set(pids)) == 3

    with_texts(work, text_children=4)


def test_what_a_child_has_kept_is_told_to_its_own_trust_key_alone() -> None:
    async def work(texts: Texts) -> None:
        await ask(texts, "hold a secret", caller=A)

        assert await ask(texts, "tell", caller=B) == ""
        assert await ask(texts, "tell") == ""
        assert await ask(texts, "tell", caller=A_TOO) == "a secret"

    with_texts(work, text_children=4)


def test_many_trust_keys_do_not_make_more_children() -> None:
    async def work(texts: Texts) -> None:
        callers = [Caller(f"key:{number}", trust=str(number)) for number in range(7)]
        pids = [int(await ask(texts, "pid", caller=caller)) for caller in callers]

        assert len(set(pids)) == 7
        await until(lambda: sum(map(is_running, pids)) == 2)
        # The one that was used last is still there for its own.
        assert int(await ask(texts, "pid", caller=callers[-1])) == pids[-1]

    with_texts(work, text_children=2)


def test_two_trust_keys_are_read_side_by_side() -> None:
    async def work(texts: Texts) -> None:
        sleeping = asyncio.create_task(ask(texts, "sleep 60", caller=A))
        await asyncio.sleep(0)
        assert await ask(texts, "say it", caller=B) == "it"
        sleeping.cancel()
        await asyncio.wait([sleeping])

    with_texts(work, text_children=2, text_seconds=60.0)


def test_a_text_may_be_as_long_as_its_caller_may_send_and_no_longer() -> None:
    small = Caller("key:a", trust="one", ceilings=Ceilings(input_bytes=10))

    async def work(texts: Texts) -> None:
        assert await ask(texts, "say 567890", caller=small) == "567890"
        assert await code_of(ask(texts, "say 5678901", caller=small)) is FailureCode.TOO_LARGE

    with_texts(work)


def test_a_text_may_take_as_long_as_its_caller_may_and_no_longer() -> None:
    hasty = Caller("key:a", trust="one", ceilings=Ceilings(work_seconds=0.2))

    async def work(texts: Texts) -> None:
        assert await ask(texts, "sleep 0.01", caller=hasty) == "rested"
        assert await code_of(ask(texts, "sleep 60", caller=hasty)) is FailureCode.DEADLINE

    with_texts(work, text_seconds=60.0)
