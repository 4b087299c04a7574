"""What callers of jobs can count on."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from jobs.office import ALICE, BOB, CALL, Refusing, in_a_loop, office, shout, until

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.engines.engine import EngineFailed, Full, Kind, Unit
from remote_worker.jobs.job import Call, Caller, Job, Outcome, State
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.stores.opening import open_store
from remote_worker.stores.store import Meta, Store


@in_a_loop
async def test_a_job_is_answered_later_and_the_answer_is_kept_as_it_was_given(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        accepted = await place.submit(b"abc", request_id="r1")
        before = await place.jobs.look(accepted.job.id, ALICE)
        await place.work_off()
        seen = await place.jobs.look(accepted.job.id, ALICE)
        outcome = await place.jobs.outcome(accepted.job.id, ALICE)

    assert accepted.is_new
    assert (before.state, before.attempts, before.outcome) == (State.QUEUED, 0, None)
    assert (seen.state, seen.attempts, seen.job) == (State.DONE, 1, accepted.job)
    assert seen.outcome is not None
    assert seen.outcome.body == b""
    assert (outcome.status, outcome.headers, outcome.body) == (200, {"content-type": "text/plain"}, b"ABC")


@in_a_loop
async def test_an_answer_that_failed_says_so(tmp_path: Path) -> None:
    async def damaged(job: Job, body: bytes) -> Outcome:
        return Outcome(status=422, code="damaged", body=b"{}")

    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        await place.work_off(damaged)
        seen = await place.jobs.look(id, ALICE)

    assert seen.state is State.FAILED
    assert seen.outcome is not None
    assert seen.outcome.code == FailureCode.DAMAGED


@in_a_loop
async def test_what_was_sent_is_not_kept_once_there_is_an_answer(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit(b"of a stranger")).job.id
        before = place.kept()
        await place.work_off()

        assert f"jobs/{id}/body" in before
        assert f"jobs/{id}/body" not in place.kept()


@in_a_loop
async def test_one_key_makes_one_job_of_many_submissions_at_once(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        many = await asyncio.gather(*(place.submit(idempotency_key="k") for _ in range(12)))
        await place.work_off()
        later = await place.submit(idempotency_key="k")

    assert len({accepted.job.id for accepted in (*many, later)}) == 1
    assert sum(accepted.is_new for accepted in many) == 1
    assert not later.is_new
    assert place.performed == [later.job.id]


@in_a_loop
async def test_without_a_key_every_submission_is_a_job(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        first, second = await place.submit(), await place.submit()

    assert first.job.id != second.job.id


@in_a_loop
@pytest.mark.parametrize(
    ("call", "body", "callback"),
    [
        (CALL, b"other", ""),
        (Call(method="POST", target="/images/info", headers=CALL.headers), b"picture", ""),
        (Call(method="POST", target=CALL.target, headers={}), b"picture", ""),
        (CALL, b"picture", "https://example.com/"),
    ],
)
async def test_a_key_is_not_taken_for_another_request(
    tmp_path: Path, call: Call, body: bytes, callback: str
) -> None:
    async with office(tmp_path) as place:
        await place.submit(idempotency_key="k")

        with pytest.raises(WorkFailed) as refused:
            await place.jobs.submit(call, body, ALICE, idempotency_key="k", callback=callback)

    assert refused.value.code is FailureCode.KEY_REUSED


@in_a_loop
async def test_keys_of_two_callers_are_two_keys(tmp_path: Path) -> None:
    nobody, neighbour = Caller(address="192.0.2.1"), Caller(address="192.0.2.2")
    async with office(tmp_path) as place:
        ids = [
            (await place.submit(b"x", caller, idempotency_key="k")).job.id
            for caller in (ALICE, BOB, nobody, neighbour)
        ]

    assert len(set(ids)) == 4


@in_a_loop
async def test_a_job_is_there_for_who_submitted_it_alone(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        for asked in (place.jobs.look, place.jobs.outcome, place.jobs.forget):
            with pytest.raises(WorkFailed) as refused:
                await asked(id, BOB)
            assert refused.value.code is FailureCode.NOT_FOUND

        assert (await place.jobs.look(id, ALICE)).job.id == id


@in_a_loop
@pytest.mark.parametrize("id", ["", "..", "../keys", "0" * 39, "0" * 41, "0" * 40, "A" * 40, "0" * 39 + "/"])
async def test_what_is_no_job_is_not_found(tmp_path: Path, id: str) -> None:
    async with office(tmp_path) as place:
        with pytest.raises(WorkFailed) as refused:
            await place.jobs.look(id, ALICE)

    assert refused.value.code is FailureCode.NOT_FOUND


@in_a_loop
async def test_an_answer_is_not_ready_before_it_is_there(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        with pytest.raises(WorkFailed) as refused:
            await place.jobs.outcome(id, ALICE)

    assert refused.value.code is FailureCode.NOT_READY


def test_past_the_last_place_a_job_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def act() -> None:
        async with office(tmp_path, JobSettings(jobs_queue=2)) as place:
            first = await place.submit(idempotency_key="k")
            await place.submit()
            before = place.kept()
            with pytest.raises(WorkFailed) as refused:
                await place.submit()
            after = place.kept()
            again = await place.submit(idempotency_key="k")
            await place.work_off()
            last = await place.submit()

        assert refused.value.code is FailureCode.BUSY
        assert refused.value.retry_seconds > 0
        assert after == before
        assert again.job.id == first.job.id
        assert last.is_new

    asyncio.run(act())


@in_a_loop
@pytest.mark.parametrize("key", ["", "k"])
async def test_a_place_that_is_lost_at_the_last_moment_is_refused_too(tmp_path: Path, key: str) -> None:
    async with office(tmp_path) as place:
        late = Jobs(place.store, Refusing(Full(7)), place.settings, clock=place.clock)
        with pytest.raises(WorkFailed) as refused:
            await late.submit(CALL, b"picture", ALICE, idempotency_key=key)
        again = await place.submit(idempotency_key=key)
        await place.keeper().look()
        await place.work_off()

    assert (refused.value.code, refused.value.retry_seconds) == (FailureCode.BUSY, 7)
    assert again.is_new
    assert place.performed == [again.job.id]


@in_a_loop
async def test_two_processes_with_one_key_of_which_one_finds_no_place_lose_no_job(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        late = Jobs(place.store, Refusing(Full(7)), place.settings, clock=place.clock)
        tries = await asyncio.gather(
            *(
                jobs.submit(CALL, b"picture", ALICE, idempotency_key="k")
                for jobs in (place.jobs, late, place.jobs, late)
            ),
            return_exceptions=True,
        )
        await place.work_off()
        accepted = [found.job.id for found in tries if not isinstance(found, BaseException)]
        ends = [(await place.jobs.look(id, ALICE)).state for id in accepted]

    assert all(found.code is FailureCode.BUSY for found in tries if isinstance(found, WorkFailed))
    assert accepted
    assert set(ends) <= {State.DONE, State.FAILED}


@in_a_loop
async def test_a_job_stays_when_another_submission_with_its_key_finds_no_place(
    tmp_path: Path,
) -> None:
    async with office(tmp_path) as place:
        told: list[str] = []

        class Late(Refusing):
            async def submit(self, units: Sequence[Unit]) -> int:
                told.append((await place.submit(idempotency_key="k")).job.id)
                return await super().submit(units)

        late = Jobs(place.store, Late(Full(7)), place.settings, clock=place.clock)
        with pytest.raises(WorkFailed) as refused:
            await late.submit(CALL, b"picture", ALICE, idempotency_key="k")
        await place.work_off()
        seen = await place.jobs.look(told[0], ALICE)
        again = await place.submit(idempotency_key="k")

    assert refused.value.code is FailureCode.BUSY
    assert seen.state is State.DONE
    assert (again.job.id, again.is_new) == (told[0], False)


@in_a_loop
async def test_a_job_is_accepted_while_the_engine_cannot_be_reached_for_a_moment(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        broken = Refusing(EngineFailed("gone"))
        jobs = Jobs(place.store, broken, place.settings, clock=place.clock)
        id = (await jobs.submit(CALL, b"picture", ALICE)).job.id
        place.clock.now += 60
        await place.keeper().look()
        await place.work_off()
        seen = await place.jobs.look(id, ALICE)

    assert seen.state is State.DONE


def test_jobs_and_their_answers_have_so_many_bytes_together(tmp_path: Path) -> None:
    async def act() -> None:
        settings = JobSettings(jobs_bytes=10_000)
        async with office(tmp_path / "fits", settings) as place:
            await place.submit(bytes(10_000))
            with pytest.raises(WorkFailed) as refused:
                await place.submit(b"x")
        async with office(tmp_path / "does not", settings) as place:
            with pytest.raises(WorkFailed) as alone:
                await place.submit(bytes(10_001))
            nothing = place.kept()

        assert refused.value.code is alone.value.code is FailureCode.BUSY
        assert refused.value.retry_seconds > 0
        assert nothing == []

    asyncio.run(act())


@in_a_loop
async def test_answers_take_room_until_a_sweep_has_found_that_they_are_gone(tmp_path: Path) -> None:
    async with office(tmp_path, JobSettings(jobs_bytes=20_000)) as place:
        id = (await place.submit(bytes(8_000))).job.id
        await place.work_off()  # As many bytes once more.
        with pytest.raises(WorkFailed) as refused:
            await place.submit(bytes(8_000))
        await place.jobs.forget(id, ALICE)
        await place.keeper().look()
        accepted = await place.submit(bytes(8_000))

    assert refused.value.code is FailureCode.BUSY
    assert accepted.is_new


@in_a_loop
async def test_where_jobs_are_off_there_are_none() -> None:
    jobs = Jobs(None, None, JobSettings(jobs="off"))
    for asked in (
        jobs.submit(CALL, b"", ALICE),
        jobs.look("0" * 40, ALICE),
        jobs.outcome("0" * 40, ALICE),
        jobs.forget("0" * 40, ALICE),
    ):
        with pytest.raises(WorkFailed) as refused:
            await asked
        assert refused.value.code is FailureCode.NOT_CONFIGURED


@in_a_loop
async def test_who_waits_hears_of_the_answer_of_this_process(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        waiting = asyncio.create_task(place.jobs.look(id, ALICE, wait_seconds=60))
        await asyncio.sleep(0)
        async with place.working():
            seen = await waiting

    assert seen.state is State.DONE


@in_a_loop
async def test_who_waits_finds_the_answer_of_another_process(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        other = Jobs(open_store(str(tmp_path)), place.engine, place.settings, clock=place.clock)
        id = (await place.submit()).job.id
        waiting = asyncio.create_task(other.look(id, ALICE, wait_seconds=60))
        await asyncio.sleep(0)
        await place.work_off()
        seen = await waiting

    assert seen.state is State.DONE


@in_a_loop
async def test_who_waits_in_vain_is_told_how_far_it_is(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        seen = await place.jobs.look(id, ALICE, wait_seconds=0.1)

    assert seen.state is State.QUEUED


@in_a_loop
async def test_a_job_that_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit(idempotency_key="k", callback="https://example.com/")).job.id
        await place.work_off()
        await place.jobs.forget(id, ALICE)
        kept = place.kept()
        with pytest.raises(WorkFailed) as refused:
            await place.jobs.look(id, ALICE)
        again = await place.submit(idempotency_key="k")

    assert kept == []
    assert refused.value.code is FailureCode.NOT_FOUND
    assert again.is_new


@in_a_loop
async def test_the_answer_of_a_job_that_was_forgotten_in_hand_is_discarded(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(job: Job, body: bytes) -> Outcome:
        begun.set()
        await go.wait()
        return await shout(job, body)

    async with office(tmp_path) as place:
        id = (await place.submit(callback="https://example.com/")).job.id
        async with place.working(slow):
            await begun.wait()
            running = (await place.jobs.look(id, ALICE)).state
            await place.jobs.forget(id, ALICE)
            go.set()
            await until(lambda: place.is_idle(Kind.JOB))
        kept = place.kept()

    assert running is State.RUNNING
    assert kept == []


@in_a_loop
async def test_a_damaged_job_is_an_honest_failure(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        place.store.put(f"jobs/{id}/job.json", b'{"id": ')
        with pytest.raises(WorkFailed) as refused:
            await place.jobs.look(id, ALICE)
        await place.work_off()

    assert refused.value.code is FailureCode.INTERNAL
    assert place.performed == []


@in_a_loop
async def test_a_store_that_fails_refuses_jobs_for_now(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_bytes(b"no folder")
    async with office(tmp_path) as place:
        with pytest.raises(WorkFailed) as refused:
            await place.submit()

    assert refused.value.code is FailureCode.BUSY
    assert refused.value.retry_seconds > 0


class Hanging:
    """A store that is asked after results and does not answer, until it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_back = threading.Event()
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def head(self, key: str) -> Meta | None:
        """Wait, and then tell."""
        if key.endswith("/result"):
            self.asked += 1
            self.is_back.wait()
        return self._store.head(key)


@in_a_loop
async def test_whoever_waits_for_a_store_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        store = Hanging(place.store)
        jobs = Jobs(cast(Store, store), place.engine, place.settings, clock=place.clock)
        id = (await place.submit()).job.id
        waiting = [asyncio.create_task(jobs.look(id, ALICE, wait_seconds=0.1)) for _ in range(100)]
        try:
            await until(lambda: store.asked >= 5)  # As many threads as the loop has on one core.
            async with asyncio.timeout(20):
                other = await asyncio.to_thread(lambda: "done")
                accepted = await jobs.submit(CALL, b"another", ALICE)
                seen = await jobs.look(accepted.job.id, ALICE)
        finally:
            store.is_back.set()
        looked = await asyncio.gather(*waiting)

    assert (other, accepted.is_new, seen.state) == ("done", True, State.QUEUED)
    assert {one.state for one in looked} == {State.QUEUED}
