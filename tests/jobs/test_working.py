"""How jobs are worked off: once, until there is an answer, and never for ever."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from jobs.killed import Stepping, Steps
from jobs.office import ALICE, CALL, Office, Refusing, in_a_loop, office, shout, until

from remote_worker import metrics
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.engines.engine import Again, EngineFailed, Kind, Lease, Unit
from remote_worker.jobs.job import Job, Outcome, State
from remote_worker.jobs.records import MOST_RECORD_BYTES, Records
from remote_worker.jobs.settings import MOST_ATTEMPTS, JobSettings
from remote_worker.jobs.submitting import Jobs, unit_of
from remote_worker.jobs.working import commit


@dataclass(frozen=True, kw_only=True)
class Held:
    """A lease, as an engine gives it."""

    attempt: int = 1
    is_beyond: bool = False
    waited_seconds: float = 0.0


def transient(code: str) -> Outcome:
    return Outcome(status=503, headers={"retry-after": "0"}, code=code, body=b"later")


async def webhooks(place: Office) -> Sequence[tuple[str, bytes]]:
    """The units that wait for who tells callbacks."""
    if await place.is_idle(Kind.WEBHOOK):
        return []
    found: list[tuple[str, bytes]] = []

    async def note(unit: Unit, _: Lease) -> None:
        found.append((unit.id, unit.body))

    stop = asyncio.Event()
    task = asyncio.create_task(place.engine.work(Kind.WEBHOOK, note, slots=1, stop=stop))
    await until(lambda: place.is_idle(Kind.WEBHOOK))
    stop.set()
    await task
    return found


@pytest.mark.parametrize("code", ["busy", "jail_unavailable", "fetch_unavailable", "check_failed"])
def test_what_may_go_better_in_a_while_is_tried_again(tmp_path: Path, code: str) -> None:
    answers = [transient(code)]

    async def recovering(job: Job, body: bytes) -> Outcome:
        return answers.pop() if answers else await shout(job, body)

    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit(b"abc")).job.id
            await place.work_off(recovering)
            outcome = await place.jobs.outcome(id, ALICE)

            assert (outcome.body, outcome.attempts, len(place.performed)) == (b"ABC", 1, 2)

    asyncio.run(act())


@pytest.mark.parametrize(
    "answer",
    [
        Outcome(status=422, code="damaged", body=b"no"),
        Outcome(status=429, headers={"retry-after": "0"}, code="rate_limited", body=b"no"),
        Outcome(status=503, headers={"retry-after": "0"}, body=b"of another's making"),
    ],
)
def test_any_other_failure_is_the_answer_at_once(tmp_path: Path, answer: Outcome) -> None:
    async def failing(job: Job, body: bytes) -> Outcome:
        return answer

    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit()).job.id
            await place.work_off(failing)
            outcome = await place.jobs.outcome(id, ALICE)

            assert (outcome.status, outcome.code, len(place.performed)) == (answer.status, answer.code, 1)

    asyncio.run(act())


@in_a_loop
async def test_what_does_not_go_better_until_the_deadline_is_the_answer(tmp_path: Path) -> None:
    async with office(tmp_path) as place:

        async def busy(job: Job, body: bytes) -> Outcome:
            if len(place.performed) == 2:
                place.clock.now = job.deadline
            return transient("busy")

        id = (await place.submit()).job.id
        await place.work_off(busy)
        outcome = await place.jobs.outcome(id, ALICE)

    assert (outcome.status, outcome.code, len(place.performed)) == (503, "busy", 2)


@pytest.mark.parametrize(("late", "code"), [(-1, ""), (0, "deadline")])
def test_a_job_is_not_begun_past_its_deadline(tmp_path: Path, late: float, code: str) -> None:
    async def act() -> None:
        async with office(tmp_path, JobSettings(jobs_seconds=100)) as place:
            id = (await place.submit()).job.id
            place.clock.now += 100 + late
            await place.work_off()
            outcome = await place.jobs.outcome(id, ALICE)

            assert outcome.code == code
            assert place.performed == ([] if code else [id])

    asyncio.run(act())


@pytest.mark.parametrize(("deaths", "code"), [(MOST_ATTEMPTS - 1, ""), (MOST_ATTEMPTS, "worker_killed")])
def test_a_job_that_workers_die_over_is_given_up(tmp_path: Path, deaths: int, code: str) -> None:
    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit()).job.id
            for number in range(deaths):
                place.records.begin(id, number + 1)
            await place.work_off()
            outcome = await place.jobs.outcome(id, ALICE)

            assert outcome.code == code
            assert place.performed == ([] if code else [id])

    asyncio.run(act())


@in_a_loop
async def test_attempts_of_the_engine_alone_do_not_end_a_job(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        await place.worker().handle(unit_of(id), Held(attempt=4, is_beyond=True), asyncio.Event())

        assert (await place.jobs.look(id, ALICE)).state is State.DONE


@in_a_loop
async def test_before_it_is_given_up_a_job_is_tried_alone(tmp_path: Path) -> None:
    beside: list[int] = []
    running: set[str] = set()
    both, go = asyncio.Event(), asyncio.Event()

    async with office(tmp_path) as place:
        missing = Jobs(place.store, Refusing(EngineFailed("gone")), place.settings, clock=place.clock)
        suspect = (await missing.submit(CALL, b"suspect", ALICE)).job.id
        for number in range(MOST_ATTEMPTS - 1):
            place.records.begin(suspect, number + 1)

        async def are_all_in_hand() -> bool:
            return bool(beside) or (await place.engine.depth(Kind.JOB)).leased == 3

        async def watching(job: Job, body: bytes) -> Outcome:
            running.add(job.id)
            if job.id == suspect:
                beside.append(len(running))
            else:
                if len(running) == 2:  # Two others do run beside each other.
                    both.set()
                await go.wait()
            running.discard(job.id)
            return await shout(job, body)

        for _ in range(2):
            await place.submit()
        async with place.working(watching, slots=3):
            await both.wait()
            await place.engine.submit([unit_of(suspect)])
            await until(are_all_in_hand)
            go.set()
            await until(lambda: place.is_idle(Kind.JOB))

    assert beside == [1]
    assert len(place.performed) == 3


@in_a_loop
async def test_a_worker_that_stops_ends_what_it_has_in_hand_and_takes_no_more(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(job: Job, body: bytes) -> Outcome:
        begun.set()
        await go.wait()
        return await shout(job, body)

    async with office(tmp_path) as place:
        first, second = [(await place.submit()).job.id for _ in range(2)]
        async with place.working(slow, slots=1) as stop:
            await begun.wait()
            stop.set()
            go.set()
        states = [(await place.jobs.look(id, ALICE)).state for id in (first, second)]

    assert states == [State.DONE, State.QUEUED]


@in_a_loop
async def test_a_worker_that_is_cancelled_lets_go_and_nothing_counts_against_the_job(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        for _ in range(MOST_ATTEMPTS + 1):
            begun = asyncio.Event()

            async def hang(job: Job, body: bytes, begun: asyncio.Event = begun) -> Outcome:
                begun.set()
                return await asyncio.Event().wait() or Outcome(status=200)

            task = asyncio.create_task(place.worker(hang).handle(unit_of(id), Held(), asyncio.Event()))
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
        await place.work_off()
        outcome = await place.jobs.outcome(id, ALICE)

    assert (outcome.status, outcome.attempts) == (200, 1)


@in_a_loop
async def test_a_worker_that_stops_does_not_wait_for_what_may_go_better(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def busy(job: Job, body: bytes) -> Outcome:
        stop.set()
        return Outcome(status=503, headers={"retry-after": "3600"}, code="busy")

    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        with pytest.raises(Again):
            await place.worker(busy).handle(unit_of(id), Held(), stop)
        seen = await place.jobs.look(id, ALICE)

    assert (seen.state, seen.attempts) == (State.QUEUED, 0)


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError(), "internal"), (WorkFailed(FailureCode.DAMAGED), "damaged")]
)
def test_whatever_is_raised_becomes_an_answer(tmp_path: Path, error: Exception, code: str) -> None:
    async def broken(job: Job, body: bytes) -> Outcome:
        raise error

    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit()).job.id
            await place.work_off(broken)

            assert (await place.jobs.outcome(id, ALICE)).code == code

    asyncio.run(act())


@in_a_loop
async def test_the_first_answer_stays(tmp_path: Path) -> None:
    async with office(tmp_path) as place:

        async def overtaken(job: Job, body: bytes) -> Outcome:
            place.records.commit(job.id, Outcome(status=200, body=b"first"))
            return await shout(job, body)

        id = (await place.submit(b"second")).job.id
        await place.work_off(overtaken)
        outcome = await place.jobs.outcome(id, ALICE)
        answers = [key for key in place.kept() if "/answer/" in key]

    assert outcome.body == b"first"
    assert len(answers) == 1


@in_a_loop
async def test_a_job_that_has_an_answer_is_not_done_again(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        place.records.commit(id, Outcome(status=200))
        await place.work_off()

    assert place.performed == []


@in_a_loop
async def test_whoever_is_to_be_told_of_an_answer_is(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        told = (await place.submit(callback="https://example.com/")).job.id
        await place.submit()
        await place.work_off()

        assert await webhooks(place) == [(f"{told}.webhook", told.encode())]


@in_a_loop
async def test_a_worker_that_died_before_it_could_have_somebody_told_is_made_up_for(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        told = (await place.submit(callback="https://example.com/")).job.id
        over = (await place.submit(callback="https://example.com/")).job.id
        for id in (told, over):
            place.records.commit(id, Outcome(status=200))
        place.records.write_told(over, {"delivered": True})
        await place.work_off()

        assert place.performed == []
        assert await webhooks(place) == [(f"{told}.webhook", told.encode())]


@in_a_loop
async def test_a_job_whose_upload_is_gone_ends_honestly(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        place.store.delete(f"jobs/{id}/body")
        await place.work_off()

        assert (await place.jobs.outcome(id, ALICE)).code == "internal"
        assert place.performed == []


@in_a_loop
async def test_a_store_that_fails_has_the_unit_handed_out_again(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        in_the_way = tmp_path / "jobs" / id / "begun"
        in_the_way.write_bytes(b"where a folder has to be")
        with pytest.raises(Again):
            await place.worker().handle(unit_of(id), Held(), asyncio.Event())
        in_the_way.unlink()
        await place.work_off()

        assert (await place.jobs.look(id, ALICE)).state is State.DONE


@in_a_loop
async def test_what_was_waited_and_how_it_ended_is_counted(tmp_path: Path) -> None:
    def counted() -> tuple[float, int]:
        return dict(metrics.JOBS_ENDED.items())[("ok",)], metrics.JOB_WAIT.total

    before = counted()
    async with office(tmp_path) as place:
        await place.submit()
        await place.work_off()
    after = counted()

    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: "",
        lambda record: record[:-1],
        lambda record: "[]",
        lambda record: "[" * 100_000,
        lambda record: json.dumps(json.loads(record) | {"status": "200"}),
        lambda record: json.dumps(json.loads(record) | {"status": 99}),
        lambda record: json.dumps(json.loads(record) | {"status": True}),
        lambda record: json.dumps(json.loads(record) | {"code": "no code"}),
        lambda record: json.dumps(json.loads(record) | {"headers": {"a": 1}}),
        lambda record: json.dumps(json.loads(record) | {"body": "../job.json"}),
        lambda record: json.dumps(json.loads(record) | {"body_bytes": 4}),
        lambda record: json.dumps(json.loads(record) | {"body": "0" * 16}),
        lambda record: json.dumps(json.loads(record) | {"more": 1}),
        lambda record: json.dumps({"status": 200}),
    ],
)
def test_a_damaged_answer_is_an_honest_failure(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit(b"abc")).job.id
            await place.work_off()
            record = place.store.get(f"jobs/{id}/result", 1000).data.decode()
            assert (await place.jobs.outcome(id, ALICE)).body == b"ABC"
            place.store.put(f"jobs/{id}/result", damage(record).encode())
            with pytest.raises(WorkFailed) as refused:
                await place.jobs.outcome(id, ALICE)

            assert refused.value.code is FailureCode.INTERNAL

    asyncio.run(act())


@pytest.mark.parametrize("more", [0, 1])
def test_a_record_has_so_many_bytes_and_not_one_more(tmp_path: Path, more: int) -> None:
    async def act() -> None:
        async with office(tmp_path) as place:
            id = (await place.submit(b"abc")).job.id
            key = f"jobs/{id}/job.json"
            record = place.store.get(key, MOST_RECORD_BYTES).data
            place.store.put(key, record.ljust(MOST_RECORD_BYTES + more))
            if not more:
                assert (await place.jobs.look(id, ALICE)).job.id == id
                return
            with pytest.raises(WorkFailed) as refused:
                await place.jobs.look(id, ALICE)
            assert refused.value.code is FailureCode.INTERNAL

    asyncio.run(act())


class Overtaken(Stepping):
    """A store in which a job is forgotten at the very moment that its answer is put there."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Put it, too late."""
        if key.endswith("/result"):
            Records(self._store).forget(key.split("/")[1])
        return super().put(key, data, if_absent=if_absent)


@in_a_loop
async def test_an_answer_that_comes_the_moment_its_job_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit()).job.id
        commit(Records(Overtaken(place.store, Steps(100))), id, Outcome(status=200, body=b"abc"))

        assert place.kept() == []


@in_a_loop
async def test_a_job_that_is_accepted_a_moment_after_it_has_its_place_is_done(tmp_path: Path) -> None:
    async with office(tmp_path) as place:
        id = (await place.submit(b"abc")).job.id
        job = place.records.job(id)
        place.store.delete(f"jobs/{id}/job.json")

        async def is_in_hand() -> bool:
            return (await place.engine.depth(Kind.JOB)).leased == 1

        async with place.working():
            await until(is_in_hand)
            assert place.records.write_job(job)
            await until(lambda: place.is_idle(Kind.JOB))
        outcome = await place.jobs.outcome(id, ALICE)

    assert outcome.body == b"ABC"


@in_a_loop
async def test_a_job_that_is_not_accepted_keeps_its_place_for_who_comes_again(
    tmp_path: Path,
) -> None:
    async with office(tmp_path) as place:
        unit = Unit(id=(await place.submit(b"abc")).job.id, kind=Kind.JOB, body=b"")
        place.store.delete(f"jobs/{unit.id}/job.json")
        worker = place.worker()
        with pytest.raises(Again):
            await worker.handle(unit, Held(), asyncio.Event())
        place.store.delete(f"jobs/{unit.id}/body")
        await worker.handle(unit, Held(), asyncio.Event())

    assert place.performed == []


@in_a_loop
async def test_an_answer_that_is_larger_than_all_that_may_be_kept_is_a_failure(tmp_path: Path) -> None:
    async with office(tmp_path, JobSettings(jobs_bytes=20)) as place:
        ids = [(await place.submit(body)).job.id for body in (b"twenty bytes in all.", b"")]

        async def answer(job: Job, body: bytes) -> Outcome:
            return Outcome(status=200, body=body or b"one byte more, it is.")

        await place.work_off(answer)
        outcomes = [await place.jobs.outcome(id, ALICE) for id in ids]

    assert [outcome.code for outcome in outcomes] == ["", "output_too_large"]
    assert outcomes[0].body == b"twenty bytes in all."
