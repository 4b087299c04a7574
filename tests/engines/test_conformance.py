"""What every engine driver promises. A new one is a line in `drivers.DRIVERS`, and passes all of these."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines.drivers import DRIVERS, Driver, Processes, open_engine, policies, until, working

from remote_worker.engines.engine import MOST_UNIT_BYTES, Again, Depth, Engine, Full, Kind, Lease, Unit

SHORT_LEASE = 1.0
MARKS = {"nats": [pytest.mark.needs_nats]}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, [])) for name in DRIVERS])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    with DRIVERS[request.param](tmp_path) as driver:
        yield driver


def job(id: str, body: bytes = b"") -> Unit:
    return Unit(id=id, kind=Kind.JOB, body=body)


def jobs(count: int) -> list[Unit]:
    return [job(f"job-{number}") for number in range(count)]


class Calls:
    """A handler that notes its calls, and ends each as it is told: at once, or as `does` does."""

    def __init__(self, does=None) -> None:
        self.does = does
        self.units: list[Unit] = []
        self.attempts: list[tuple[int, bool]] = []
        self.leases: list[Lease] = []
        self.times: list[float] = []

    async def __call__(self, unit: Unit, lease: Lease) -> None:
        self.units.append(unit)
        self.leases.append(lease)
        self.attempts.append((lease.attempt, lease.is_beyond))
        self.times.append(time.monotonic())
        if self.does is not None:
            await self.does(unit, lease)

    @property
    def ids(self) -> list[str]:
        return [unit.id for unit in self.units]


async def hang(unit: Unit, lease: Lease) -> None:
    await asyncio.Event().wait()


async def fail(unit: Unit, lease: Lease) -> None:
    raise LookupError("the handler failed")


async def empty(engine: Engine, kind: Kind = Kind.JOB) -> None:
    """Wait until nothing is there any more."""
    async with asyncio.timeout(30):
        while await engine.depth(kind) != Depth(pending=0, leased=0):
            await asyncio.sleep(0.02)


def test_a_unit_is_handed_out_once_as_it_was_submitted_and_then_it_is_gone(driver: Driver) -> None:
    body = os.urandom(MOST_UNIT_BYTES)
    unit = job("A.z_0-9" + "x" * 121, body)
    calls = Calls()

    async def act() -> int:
        async with open_engine(driver.address, policies()) as engine:
            taken = await engine.submit([unit])
            async with working(engine, calls):
                await empty(engine)
        async with open_engine(driver.address, policies()) as engine, working(engine, calls):
            await engine.submit([job("last")])
            await empty(engine)
        return taken

    assert asyncio.run(act()) == 1
    assert calls.units == [unit, job("last")]
    assert calls.attempts == [(1, False), (1, False)]


def test_an_id_of_other_characters_is_refused(driver: Driver) -> None:
    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine:
            for id in ("", "a b", "a/b", "a*", "a>", "ä", "a\n", "x" * 129):
                with pytest.raises(ValueError, match="id"):
                    await engine.submit([job(id)])

    asyncio.run(act())


def test_a_body_of_one_byte_too_many_is_refused(driver: Driver) -> None:
    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine:
            with pytest.raises(ValueError, match="body"):
                await engine.submit([job("large", bytes(MOST_UNIT_BYTES + 1))])

    asyncio.run(act())


def test_units_come_in_the_order_of_their_submission(driver: Driver) -> None:
    units = jobs(20)
    calls = Calls()

    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit(units[:12])
            for unit in units[12:]:
                await engine.submit([unit])
            async with working(engine, calls):
                await empty(engine)

    asyncio.run(act())

    assert calls.units == units


def test_as_many_run_at_once_as_there_are_slots_and_not_one_more(driver: Driver) -> None:
    calls = Calls(hang)

    async def act() -> Depth:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit(jobs(5))
            async with working(engine, calls, slots=3) as work:
                await until(lambda: len(calls.units) == 3)
                await engine.submit([Unit(id="other", kind=Kind.WEBHOOK, body=b"")])
                async with working(engine, others := Calls(), kind=Kind.WEBHOOK):
                    await until(lambda: others.units)
                depth = await engine.depth(Kind.JOB)
                work.cancel()
        return depth

    depth = asyncio.run(act())

    assert len(calls.units) == 3
    assert (depth.pending, depth.leased) == (2, 3)


def test_kinds_do_not_mix(driver: Driver) -> None:
    calls = {kind: Calls() for kind in Kind}

    async def act() -> int:
        async with open_engine(driver.address, policies()) as engine:
            taken = await engine.submit([Unit(id="same", kind=kind, body=kind.encode()) for kind in Kind])
            for kind in Kind:
                async with working(engine, calls[kind], kind=kind):
                    await empty(engine, kind)
        return taken

    assert asyncio.run(act()) == len(Kind)
    assert {kind: [unit.body for unit in calls[kind].units] for kind in Kind} == {
        kind: [kind.encode()] for kind in Kind
    }


def test_a_handler_that_fails_gets_the_unit_again_and_the_attempts_count(driver: Driver) -> None:
    async def fail_twice(unit: Unit, lease: Lease) -> None:
        if lease.attempt < 3:
            raise LookupError("not yet")

    calls = Calls(fail_twice)

    async def act() -> None:
        async with open_engine(driver.address, policies(most_attempts=3)) as engine:
            await engine.submit([job("one")])
            async with working(engine, calls):
                await empty(engine)

    asyncio.run(act())

    assert calls.attempts == [(1, False), (2, False), (3, False)]


def test_a_handler_that_fails_in_a_task_of_a_group_costs_no_slot(driver: Driver) -> None:
    async def fail_in_a_group(unit: Unit, lease: Lease) -> None:
        if lease.attempt == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail(unit, lease))

    calls = Calls(fail_in_a_group)

    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit(jobs(3))
            async with working(engine, calls, slots=1):
                await empty(engine)

    asyncio.run(act())

    assert Counter(calls.ids) == {"job-0": 2, "job-1": 2, "job-2": 2}


def test_past_its_attempts_a_unit_is_handed_out_once_more_to_be_recorded_and_then_it_is_gone(
    driver: Driver,
) -> None:
    calls = Calls(fail)
    others = Calls()

    async def act() -> None:
        async def handle(unit: Unit, lease: Lease) -> None:
            await (calls if unit.id == "poison" else others)(unit, lease)

        async with open_engine(driver.address, policies(most_attempts=2)) as engine:
            await engine.submit([job("poison"), *jobs(5)])
            async with working(engine, handle):
                await empty(engine)

    asyncio.run(act())

    assert calls.attempts == [(1, False), (2, False), (3, True)]
    assert others.units == jobs(5)


def test_a_handler_may_say_when_to_be_called_again(driver: Driver) -> None:
    async def later(unit: Unit, lease: Lease) -> None:
        if lease.attempt == 1:
            raise Again(0.7)

    calls = Calls(later)

    async def act() -> Depth:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit([job("one")])
            async with working(engine, calls):
                await until(lambda: calls.units)
                async with asyncio.timeout(30):
                    while (depth := await engine.depth(Kind.JOB)).leased and driver.tells_later_from_leased:
                        await asyncio.sleep(0.01)
                await empty(engine)
        return depth

    depth = asyncio.run(act())

    assert (depth.pending, depth.leased) == ((1, 0) if driver.tells_later_from_leased else (0, 1))
    assert calls.attempts == [(1, False), (2, False)]
    assert calls.times[1] - calls.times[0] >= 0.7


def test_to_be_called_again_counts_against_the_attempts(driver: Driver) -> None:
    async def later(unit: Unit, lease: Lease) -> None:
        raise Again(0)

    calls = Calls(later)

    async def act() -> None:
        async with open_engine(driver.address, policies(most_attempts=1)) as engine:
            await engine.submit([job("one")])
            async with working(engine, calls):
                await empty(engine)

    asyncio.run(act())

    assert calls.attempts == [(1, False), (2, True)]


def test_the_same_id_twice_is_one_run_also_when_it_was_done(driver: Driver) -> None:
    calls = Calls()

    async def act() -> list[int]:
        async with open_engine(driver.address, policies()) as engine:
            taken = [await engine.submit([job("same"), job("same")]), await engine.submit([job("same")])]
            async with working(engine, calls):
                await empty(engine)
                taken.append(await engine.submit([job("same"), job("new")]))
                await empty(engine)
        return taken

    assert asyncio.run(act()) == [1, 0, 1]
    assert calls.ids == ["same", "new"]


def test_there_is_room_for_as_many_units_as_there_are_places_and_not_one_more(driver: Driver) -> None:
    async def act() -> tuple[int, list[int], Depth]:
        async with open_engine(driver.address, policies(places=5)) as engine:
            taken = await engine.submit(jobs(5))
            refused = []
            for attempt in (job("more"), job("another")):
                with pytest.raises(Full) as full:
                    await engine.submit([attempt])
                refused.append(full.value.retry_seconds)
            assert await engine.submit(jobs(5)) == 0  # known, so it needs no place
            assert await engine.submit([Unit(id="x", kind=Kind.SHARD, body=b"")]) == 1
            return taken, refused, await engine.depth(Kind.JOB)

    taken, refused, depth = asyncio.run(act())

    assert taken == 5
    assert all(1 <= seconds <= 30 for seconds in refused)
    assert (depth.pending, depth.leased) == (5, 0)


def test_of_many_units_those_are_taken_that_find_a_place(driver: Driver) -> None:
    calls = Calls()

    async def act() -> None:
        async with open_engine(driver.address, policies(places=5)) as engine:
            with pytest.raises(Full):
                await engine.submit(jobs(8))
            async with working(engine, calls):
                await empty(engine)

    asyncio.run(act())

    assert calls.units == jobs(5)


def test_a_unit_in_hand_keeps_its_place_and_one_that_is_done_makes_room(driver: Driver) -> None:
    async def act() -> int:
        go = asyncio.Event()

        async def wait(unit: Unit, lease: Lease) -> None:
            await go.wait()

        calls = Calls(wait)
        async with open_engine(driver.address, policies(places=2)) as engine:
            await engine.submit(jobs(2))
            async with working(engine, calls, slots=2):
                await until(lambda: len(calls.units) == 2)
                with pytest.raises(Full):
                    await engine.submit([job("more")])
                go.set()
                await empty(engine)
                return await engine.submit([job("more")])

    assert asyncio.run(act()) == 1


def test_depth_tells_what_waits_what_is_in_hand_and_how_long_the_next_has_waited(driver: Driver) -> None:
    async def act() -> list[Depth]:
        calls = Calls(hang)
        async with open_engine(driver.address, policies()) as engine:
            seen = [await engine.depth(Kind.JOB)]
            await engine.submit(jobs(3))
            submitted = time.monotonic()
            await until(lambda: time.monotonic() > submitted + 0.2)
            seen.append(await engine.depth(Kind.JOB))
            async with working(engine, calls) as work:
                await until(lambda: calls.units)
                seen.append(await engine.depth(Kind.JOB))
                work.cancel()
        return seen

    before, waiting, begun = asyncio.run(act())

    assert before == Depth(pending=0, leased=0, oldest_seconds=0.0)
    assert (waiting.pending, waiting.leased) == (3, 0)
    assert 0.15 < waiting.oldest_seconds < 30
    assert (begun.pending, begun.leased) == (2, 1)


def test_a_lease_tells_how_long_its_unit_had_waited_before_the_first_attempt(driver: Driver) -> None:
    async def later(unit: Unit, lease: Lease) -> None:
        if lease.attempt == 1:
            raise Again(0.6)

    calls = Calls(later)

    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit([job("one")])
            submitted = time.monotonic()
            await until(lambda: time.monotonic() > submitted + 0.2)
            async with working(engine, calls):
                await empty(engine)

    asyncio.run(act())

    assert calls.leases[0].waited_seconds > 0.15


def test_stop_lets_those_in_hand_end_and_takes_no_more(driver: Driver) -> None:
    async def act() -> tuple[list[str], bool, Depth]:
        go = asyncio.Event()
        ended = []

        async def wait(unit: Unit, lease: Lease) -> None:
            await go.wait()
            ended.append(unit.id)

        calls = Calls(wait)
        stop = asyncio.Event()
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit(jobs(2))
            work = asyncio.create_task(engine.work(Kind.JOB, calls, slots=1, stop=stop))
            await until(lambda: calls.units)
            stop.set()
            await asyncio.wait([work], timeout=0.3)
            has_ended_early = work.done()
            go.set()
            async with asyncio.timeout(30):
                await work
            return ended, has_ended_early, await engine.depth(Kind.JOB)

    ended, has_ended_early, depth = asyncio.run(act())

    assert not has_ended_early
    assert ended == ["job-0"]
    assert (depth.pending, depth.leased) == (1, 0)


def test_stop_ends_one_that_has_nothing_to_do(driver: Driver) -> None:
    async def act() -> None:
        stop = asyncio.Event()
        async with open_engine(driver.address, policies()) as engine:
            work = asyncio.create_task(engine.work(Kind.JOB, Calls(), slots=2, stop=stop))
            await engine.depth(Kind.JOB)
            stop.set()
            async with asyncio.timeout(30):
                await work

    asyncio.run(act())


def test_cancelled_it_gives_back_what_is_in_hand_at_once_and_the_attempt_counts(driver: Driver) -> None:
    first, second = Calls(hang), Calls()

    async def act() -> None:
        async with open_engine(driver.address, policies(lease_seconds=60.0)) as engine:
            await engine.submit([job("one")])
            work = asyncio.create_task(engine.work(Kind.JOB, first, slots=1, stop=asyncio.Event()))
            await until(lambda: first.units)
            work.cancel()
            await asyncio.wait([work])
            assert work.cancelled()
            async with working(engine, second):
                await until(lambda: second.units, seconds=20)  # well before the lease would have run out
                await empty(engine)

    asyncio.run(act())

    assert (first.attempts, second.attempts) == ([(1, False)], [(2, False)])


def test_a_handler_that_takes_longer_than_its_lease_keeps_it(driver: Driver) -> None:
    async def slow(unit: Unit, lease: Lease) -> None:
        await asyncio.sleep(2.5 * SHORT_LEASE)

    calls, others = Calls(slow), Calls()

    async def act() -> None:
        short = policies(lease_seconds=SHORT_LEASE)
        async with (
            open_engine(driver.address, short) as engine,
            open_engine(driver.address, short) as other,
            working(engine, calls),
        ):
            await engine.submit([job("slow")])
            await until(lambda: calls.units)
            async with working(other, others):
                await empty(engine)

    asyncio.run(act())

    assert (calls.attempts, others.attempts) == ([(1, False)], [])


def test_what_a_killed_worker_had_in_hand_is_handed_out_again_after_its_lease_and_not_before(
    driver: Driver, tmp_path: Path
) -> None:
    short = policies(lease_seconds=SHORT_LEASE)
    calls = Calls()

    async def act(processes: Processes) -> None:
        async with open_engine(driver.address, short) as engine:
            await engine.submit([job("one", b"hang")])
            process = processes.start()
            await until(lambda: processes.calls)
            process.kill()
            async with working(engine, calls):
                await until(lambda: calls.units)
                await empty(engine)

    with Processes(driver.address, short, tmp_path) as processes:
        asyncio.run(act(processes))
        begun = processes.calls

    assert [call.attempt for call in begun] == [1]
    assert calls.attempts == [(2, False)]
    assert calls.times[0] - begun[0].at > 0.5 * SHORT_LEASE


def test_a_unit_that_kills_its_workers_is_recorded_once_and_those_behind_it_go_on(
    driver: Driver, tmp_path: Path
) -> None:
    short = policies(lease_seconds=SHORT_LEASE, most_attempts=2)

    async def act(processes: Processes) -> None:
        async with open_engine(driver.address, short) as engine:
            await engine.submit([job("poison", b"die"), *jobs(10)])
            worker = processes.start()

            def is_gone() -> bool:
                nonlocal worker
                if worker.poll() is not None:
                    worker = processes.start()
                return any(call.is_beyond for call in processes.calls)

            await until(is_gone)
            await empty(engine)

    with Processes(driver.address, short, tmp_path) as processes:
        asyncio.run(act(processes))
        calls = processes.calls

    poison = [(call.attempt, call.is_beyond) for call in calls if call.id == "poison"]
    assert poison == [(1, False), (2, False), (3, True)]
    assert sorted(call.id for call in calls if call.id != "poison") == sorted(unit.id for unit in jobs(10))


def test_of_many_workers_in_several_processes_each_unit_gets_to_exactly_one(
    driver: Driver, tmp_path: Path
) -> None:
    units = jobs(300)

    async def act(processes: Processes) -> None:
        async with open_engine(driver.address, policies()) as engine:
            await engine.submit(units[:100])
            for _ in range(3):
                processes.start(slots=3)
            await until(lambda: len({call.pid for call in processes.calls}) > 0)
            for unit in units[100:]:
                await engine.submit([unit])
            await empty(engine)

    with Processes(driver.address, policies(), tmp_path) as processes:
        asyncio.run(act(processes))
        calls = processes.calls

    assert Counter(call.id for call in calls) == Counter(unit.id for unit in units)


def test_of_workers_that_are_killed_again_and_again_no_unit_is_lost(driver: Driver, tmp_path: Path) -> None:
    short = policies(lease_seconds=SHORT_LEASE, most_attempts=99)
    units = [job(f"job-{number}", b"nap") for number in range(120)]

    async def act(processes: Processes) -> None:
        async with open_engine(driver.address, short) as engine:
            await engine.submit(units)
            workers = [processes.start(slots=2) for _ in range(2)]
            for seen in (10, 30, 50, 70):
                await until(lambda seen=seen: len(processes.calls) > seen)
                workers.pop(0).kill()
                workers.append(processes.start(slots=2))
            await empty(engine)

    with Processes(driver.address, short, tmp_path) as processes:
        asyncio.run(act(processes))
        calls = processes.calls
        done = processes.done

    assert done == {unit.id for unit in units}
    assert len(calls) > len(units)  # some were in the hands of those that were killed


def test_what_was_accepted_outlives_a_kill_of_who_submitted_it(driver: Driver, tmp_path: Path) -> None:
    calls = Calls()

    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine, working(engine, calls):
            await empty(engine)

    with Processes(driver.address, policies(), tmp_path) as processes:
        process = processes.start(submit=job("kept"))
        assert process.stdout is not None
        assert process.stdout.readline() == b"submitted\n"
        process.kill()
        process.wait()
        driver.restart()
        asyncio.run(act())

    assert calls.ids == ["kept"]


def test_a_worker_goes_on_over_a_restart_of_what_keeps_the_units(driver: Driver) -> None:
    calls = Calls()

    async def act() -> None:
        async with open_engine(driver.address, policies()) as engine, working(engine, calls, slots=2):
            await engine.submit([job("before")])
            await empty(engine)
            await asyncio.to_thread(driver.restart)
            async with open_engine(driver.address, policies()) as other:
                await other.submit([job("after")])
                await until(lambda: "after" in calls.ids)
                await empty(other)

    asyncio.run(act())

    assert calls.ids == ["before", "after"]
