"""What is looked after: nothing stays too long, and nothing that was accepted is lost."""

import asyncio
from pathlib import Path

import pytest
from jobs.office import ALICE, CALL, Refusing, in_a_loop, office, shout, until

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.engines.engine import EngineFailed, Full, Kind
from remote_worker.jobs.job import Job, Outcome, State
from remote_worker.jobs.records import KeyRecord, new_id
from remote_worker.jobs.settings import GRACE_SECONDS, LEASE_SECONDS, JobSettings
from remote_worker.jobs.submitting import ABANDONED_SECONDS, Jobs

SETTINGS = JobSettings(jobs_seconds=100, jobs_keep_seconds=1000)
CALLBACK = "https://example.com/"


@pytest.mark.parametrize(("age", "is_kept"), [(1000, True), (1001, False)])
def test_nothing_is_kept_longer_than_was_said(tmp_path: Path, age: float, is_kept: bool) -> None:
    async def act() -> None:
        async with office(tmp_path, SETTINGS) as place:
            id = (await place.submit(idempotency_key="k", callback=CALLBACK)).job.id
            await place.work_off()
            place.clock.now += age
            await place.keeper().look()

            assert bool(place.kept()) is is_kept
            if not is_kept:
                with pytest.raises(WorkFailed) as refused:
                    await place.jobs.look(id, ALICE)
                assert refused.value.code is FailureCode.NOT_FOUND
                assert (await place.submit(idempotency_key="k", callback=CALLBACK)).is_new

    asyncio.run(act())


@in_a_loop
async def test_the_old_go_and_the_young_stay(tmp_path: Path) -> None:
    async with office(tmp_path, SETTINGS) as place:
        await place.submit()
        await place.work_off()
        place.clock.now += 1001
        young = (await place.submit()).job.id
        await place.keeper().look()

        assert {key.split("/")[1] for key in place.kept()} == {young}


@pytest.mark.parametrize(("age", "times"), [(LEASE_SECONDS, 0), (LEASE_SECONDS + 1, 1)])
def test_a_job_that_the_engine_never_heard_of_is_submitted_again(
    tmp_path: Path, age: float, times: int
) -> None:
    async def act() -> None:
        async with office(tmp_path) as place:
            jobs = Jobs(place.store, Refusing(EngineFailed("killed")), place.settings, clock=place.clock)
            id = (await jobs.submit(CALL, b"abc", ALICE)).job.id
            place.clock.now += age
            await place.keeper().look()
            await place.work_off()

            assert place.performed == [id] * times

    asyncio.run(act())


@in_a_loop
async def test_a_job_that_waits_or_is_in_hand_is_not_submitted_again(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(job: Job, body: bytes) -> Outcome:
        begun.set()
        await go.wait()
        return await shout(job, body)

    async with office(tmp_path) as place:
        for _ in range(2):
            await place.submit()
        keeper = place.keeper()
        async with place.working(slow, slots=1):
            await begun.wait()
            for _ in range(3):
                place.clock.now += LEASE_SECONDS / 2
                await keeper.look()
            depth = await place.engine.depth(Kind.JOB)
            go.set()
            await until(lambda: place.is_idle(Kind.JOB))

    assert depth.pending + depth.leased == 2
    assert len(place.performed) == 2


@in_a_loop
async def test_a_job_that_the_engine_gave_up_is_submitted_again_at_the_second_look(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        jobs = Jobs(place.store, Refusing(EngineFailed("killed")), place.settings, clock=place.clock)
        id = (await jobs.submit(CALL, b"abc", ALICE)).job.id
        place.records.begin(id, 1)
        place.clock.now += LEASE_SECONDS + 1
        keeper = place.keeper()
        await keeper.look()
        first = await place.engine.depth(Kind.JOB)
        await keeper.look()
        await place.work_off()

    assert first.pending == 0
    assert place.performed == [id]


@in_a_loop
async def test_a_webhook_that_was_lost_is_submitted_again(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        jobs = Jobs(place.store, Refusing(EngineFailed("killed")), place.settings, clock=place.clock)
        lost = (await jobs.submit(CALL, b"abc", ALICE, callback=CALLBACK)).job.id
        told = (await jobs.submit(CALL, b"abc", ALICE, callback=CALLBACK)).job.id
        for id in (lost, told):
            place.records.commit(id, Outcome(status=200))
        place.records.write_told(told, {"delivered": True})
        keeper = place.keeper()
        for _ in range(2):
            await keeper.look()
        depth = await place.engine.depth(Kind.WEBHOOK)

    assert depth.pending == 1


@pytest.mark.parametrize(("late", "state"), [(0, State.QUEUED), (1, State.FAILED)])
def test_a_job_that_nobody_works_on_ends_all_the_same(tmp_path: Path, late: float, state: State) -> None:
    async def act() -> None:
        async with office(tmp_path, SETTINGS) as place:
            id = (await place.submit(callback=CALLBACK)).job.id
            place.clock.now += 100 + GRACE_SECONDS + late
            await place.keeper().look()
            seen = await place.jobs.look(id, ALICE)

            assert seen.state is state
            if seen.outcome:
                assert seen.outcome.code == FailureCode.DEADLINE
                assert (await place.jobs.outcome(id, ALICE)).body == b"deadline"

    asyncio.run(act())


@in_a_loop
async def test_an_upload_whose_job_has_ended_goes_at_the_next_look(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        await place.work_off()
        place.records.write_body(id, b"by a repetition, a moment too late")
        await place.keeper().look()

        assert f"jobs/{id}/body" not in place.kept()
        assert (await place.jobs.outcome(id, ALICE)).status == 200


@pytest.mark.parametrize(("age", "is_kept"), [(ABANDONED_SECONDS, True), (ABANDONED_SECONDS + 1, False)])
def test_half_a_submission_goes_when_nobody_can_go_on_with_it(
    tmp_path: Path, age: float, is_kept: bool
) -> None:
    async def act() -> None:
        async with office(tmp_path) as place:
            id = new_id(place.clock.now)
            place.records.take_key("f" * 64, KeyRecord(id=id, fingerprint="x"))
            place.records.write_body(id, b"of a stranger")
            place.clock.now += age
            await place.keeper().look()

            assert bool(place.kept()) is is_kept

    asyncio.run(act())


@in_a_loop
async def test_a_full_engine_ends_the_look_and_not_the_jobs(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        jobs = Jobs(place.store, Refusing(EngineFailed("killed")), place.settings, clock=place.clock)
        id = (await jobs.submit(CALL, b"abc", ALICE)).job.id
        place.clock.now += LEASE_SECONDS + 1
        place.engine, engine = Refusing(Full(5)), place.engine  # type: ignore[assignment]
        await place.keeper().look()
        place.engine = engine
        await place.keeper().look()
        await place.work_off()

    assert place.performed == [id]
