"""What the engine in a file does beyond what all engines do: its file, its clocks, its disk."""

import asyncio
import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from engines.drivers import TESTS, policies, until, working

from remote_worker.engines.engine import (
    DEDUPE_SECONDS,
    MOST_UNIT_BYTES,
    Again,
    Depth,
    EngineFailed,
    Full,
    Kind,
    Lease,
    Policy,
    Unit,
)
from remote_worker.engines.local import LocalEngine
from remote_worker.engines.local_file import Admission, Ending, Taken, UnitsFile
from remote_worker.engines.retries import Line, seconds_until_again

POLICY = Policy(most_attempts=2, lease_seconds=30.0, places=1000)


def job(id: str, body: bytes = b"") -> Unit:
    return Unit(id=id, kind=Kind.JOB, body=body)


class Machine:
    """A file on a machine whose clocks a test turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.up = 1000.0
        self.wall = 1_800_000_000.0
        self._open: list[UnitsFile] = []

    def file(self) -> UnitsFile:
        """Opened by one more process."""
        file = UnitsFile(self.path, clock=lambda: self.up, wall=lambda: self.wall)
        file.open()
        self._open.append(file)
        return file

    def goes_on(self, seconds: float) -> None:
        self.up += seconds
        self.wall += seconds

    def close(self) -> None:
        for file in self._open:
            file.close()
        self._open.clear()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "queue" / "units")
    yield machine
    machine.close()


def submit(file: UnitsFile, *units: Unit, places: int = 1000) -> Admission:
    return file.submit([units], lambda kind: places)[0]


def take(file: UnitsFile, room: int = 1, policy: Policy = POLICY) -> list[Taken]:
    return file.turn(Kind.JOB, policy, (), room)


def end(file: UnitsFile, taken: Taken, again: float | None = None) -> None:
    file.turn(Kind.JOB, POLICY, (Ending(taken=taken, again_seconds=again),), 0)


def test_the_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "jobs" / "units"
    before = os.umask(0)
    try:
        file = UnitsFile(path)
        file.open()
        submit(file, job("one"))
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
        file.close()
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes == {"units": 0o600, "units-wal": 0o600, "units-shm": 0o600}


def test_a_lease_holds_for_its_time_and_not_longer(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("one"))
    (first,) = take(file)

    machine.goes_on(29.9)
    before = take(file), file.depth(Kind.JOB)
    machine.goes_on(0.2)
    after = file.depth(Kind.JOB)
    (second,) = take(file)

    assert before == ([], Depth(pending=0, leased=1))
    assert after == Depth(pending=1, leased=0)
    assert (first.attempt, second.attempt) == (1, 2)


def test_a_renewed_lease_holds_from_then_and_one_that_was_lost_is_not_renewed(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("one"))
    (first,) = take(file)

    machine.goes_on(20)
    file.renew([first], 30.0)
    machine.goes_on(20)
    renewed = take(file)
    machine.goes_on(11)
    (second,) = take(file)
    machine.goes_on(20)
    file.renew([first], 30.0)
    machine.goes_on(11)
    lost = take(file)

    assert renewed == []
    assert second.attempt == 2
    assert [taken.attempt for taken in lost] == [3]


def test_a_lease_that_ran_out_is_kept_by_who_renews_it_before_anybody_else_has_the_unit(
    machine: Machine,
) -> None:
    file = machine.file()
    submit(file, job("zero"), job("one"))
    _, held = take(file, 2)
    machine.goes_on(31)
    take(file)

    file.renew([held], 30.0)

    assert take(file) == []


def test_who_lost_the_lease_may_still_be_done_but_not_give_it_back(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("one"))
    (first,) = take(file)
    machine.goes_on(31)
    (second,) = take(file)

    end(file, first, again=0.0)
    given_back = file.depth(Kind.JOB)
    end(file, first)
    done = file.depth(Kind.JOB)
    end(file, second, again=0.0)

    assert (given_back.pending, given_back.leased) == (0, 1)
    assert done == file.depth(Kind.JOB) == Depth(pending=0, leased=0)


def test_an_id_is_known_for_its_time_after_it_was_done_and_new_again_then(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("one"))
    machine.goes_on(2 * DEDUPE_SECONDS)
    while_there = submit(file, job("one")).taken
    end(file, take(file)[0])

    machine.goes_on(DEDUPE_SECONDS - 0.1)
    known = submit(file, job("one")).taken
    machine.goes_on(0.2)
    new = submit(file, job("one")).taken

    assert (while_there, known, new) == (0, 0, 1)
    assert [taken.attempt for taken in take(file)] == [1]


def test_one_that_dies_over_the_recording_has_the_unit_dropped(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("poison"))
    attempts = []
    for _ in range(4):
        attempts += [taken.attempt for taken in take(file)]
        machine.goes_on(31)

    assert attempts == [1, 2, 3]
    assert file.depth(Kind.JOB) == Depth(pending=0, leased=0)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_is_set_changes_no_lease_no_delay_and_no_window(
    machine: Machine, jump: float
) -> None:
    file = machine.file()
    submit(file, job("leased"), job("later"), job("done"))
    _, later, done = take(file, 3)
    end(file, later, again=10.0)
    end(file, done)

    machine.wall += jump
    at_once = take(file)
    known = submit(file, job("done")).taken
    machine.goes_on(10.1)
    delayed = [taken.unit.id for taken in take(file)]
    machine.goes_on(20)
    lapsed = [taken.unit.id for taken in take(file)]

    assert (at_once, known) == ([], 0)
    assert (delayed, lapsed) == (["later"], ["leased"])
    assert file.depth(Kind.JOB).oldest_seconds == 0.0


def test_a_clock_that_was_set_back_makes_no_wait_negative(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("one"))
    machine.wall -= 3600

    assert file.depth(Kind.JOB).oldest_seconds == 0.0
    assert take(file)[0].waited_seconds == 0.0


def test_after_a_start_of_the_machine_nobody_holds_anything(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("leased"), job("later"), job("waits"), job("done"))
    _, later = take(file, 2)
    end(file, later, again=20.0)
    machine.close()
    machine.up = 5.0

    ids = [taken.unit.id for taken in take(machine.file(), 10)]

    assert ids == ["leased", "later", "waits", "done"]


def test_one_more_process_that_opens_the_file_takes_nothing_from_those_that_work(machine: Machine) -> None:
    file = machine.file()
    submit(file, job("leased"), job("done"), job("waits"))
    _, done = take(file, 2)
    end(file, done)

    other = machine.file()

    assert submit(other, job("done")).taken == 0
    assert [taken.unit.id for taken in take(other, 5)] == ["waits"]
    assert other.depth(Kind.JOB) == Depth(pending=0, leased=2)


def test_a_second_engine_of_a_process_leaves_the_locks_of_the_first_alone(machine: Machine) -> None:
    first, second = machine.file(), machine.file()
    program = """
import sys
from pathlib import Path
from remote_worker.engines.engine import Kind, Unit
from remote_worker.engines.local_file import UnitsFile
file = UnitsFile(Path(sys.argv[1]))
file.open()
file.submit([[Unit(id="another", kind=Kind.JOB, body=b"")]], lambda kind: 9)
file.close()
"""
    submit(first, job("one"))

    subprocess.run(
        [sys.executable, "-c", program, machine.path],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent / "src")},
        check=True,
    )

    # Who believes to be the last one takes the journal along.
    assert machine.path.with_name("units-wal").exists()
    submit(second, job("two"))
    assert [taken.unit.id for taken in take(first, 9)] == ["one", "another", "two"]


def test_places_are_counted_over_processes_and_over_a_new_start(machine: Machine) -> None:
    first, second = machine.file(), machine.file()
    submit(first, job("one"), places=2)
    submit(second, job("two"), places=2)
    refused = [submit(file, job("three"), places=2).full for file in (first, second, machine.file())]
    end(second, take(second)[0])
    machine.close()

    assert refused == [Kind.JOB] * 3
    assert submit(machine.file(), job("three"), places=2) == Admission(taken=1, full=None)


def test_the_file_is_small_again_when_what_was_in_it_is_done_with(machine: Machine) -> None:
    file = machine.file()
    for start in range(0, 3000, 1000):
        submit(file, *(job(f"job-{start + n}", bytes(MOST_UNIT_BYTES)) for n in range(1000)), places=5000)
    for taken in take(file, 3000):
        end(file, taken)
    machine.goes_on(DEDUPE_SECONDS - 1)
    while file.sweep():
        pass
    kept = count(machine.path)
    machine.goes_on(2)
    while file.sweep():
        pass
    left = count(machine.path)
    machine.close()
    sizes = [path.stat().st_size for path in machine.path.parent.iterdir()]

    assert (kept, left) == (3000, 0)
    assert sum(sizes) < 2 * 1024 * 1024  # they were 24 MiB


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT count(*) FROM units").fetchone()[0]


@pytest.mark.parametrize("what", ["folder", "damaged", "foreign", "newer"])
def test_what_is_no_queue_is_left_alone_and_said_to_be_none(tmp_path: Path, what: str) -> None:
    path = tmp_path / "units"
    if what == "folder":
        path.mkdir()
    elif what == "damaged":
        path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 32)
    else:
        if what == "newer":
            file = UnitsFile(path)
            file.open()
            file.close()
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE more (x)")
            database.execute("PRAGMA user_version = 9")
    before = None if what == "folder" else path.read_bytes()

    async def act() -> None:
        with pytest.raises(EngineFailed):
            async with LocalEngine(path, policies()):
                pass

    asyncio.run(act())

    assert before is None or path.read_bytes() == before


def test_an_engine_that_is_not_open_has_failed(tmp_path: Path) -> None:
    async def act() -> None:
        engine = LocalEngine(tmp_path / "units", policies())
        with pytest.raises(EngineFailed):
            await engine.submit([job("one")])
        async with engine:
            await engine.submit([job("one")])
        with pytest.raises(EngineFailed):
            await engine.depth(Kind.JOB)

    asyncio.run(act())


def test_many_who_submit_at_once_are_each_told_of_their_own_units(tmp_path: Path) -> None:
    async def act() -> tuple[list[object], Depth]:
        async with LocalEngine(tmp_path / "units", policies(places=50)) as engine:
            calls = [
                engine.submit([job(f"job-{number % 40}"), job(f"more-{number}")]) for number in range(60)
            ]
            told = await asyncio.gather(*calls, return_exceptions=True)
            return told, await engine.depth(Kind.JOB)

    told, depth = asyncio.run(act())

    assert told[:25] == [2] * 25
    assert all(isinstance(each, Full) for each in told[25:])
    assert (depth.pending, depth.leased) == (50, 0)


def test_a_kind_without_a_policy_is_an_error_for_who_submits_it_and_nothing_more(tmp_path: Path) -> None:
    async def act() -> int:
        async with LocalEngine(tmp_path / "units", {Kind.JOB: POLICY}) as engine:
            with pytest.raises(KeyError):
                await engine.submit([job("one"), Unit(id="one", kind=Kind.SHARD, body=b"")])
            return await engine.submit([job("one")])

    assert asyncio.run(act()) == 1


def test_one_cancelled_at_any_moment_keeps_no_unit(tmp_path: Path) -> None:
    done = []

    async def handle(unit: Unit, lease: Lease) -> None:
        done.append(unit.id)

    async def hang(unit: Unit, lease: Lease) -> None:
        await asyncio.Event().wait()

    async def act() -> None:
        async with LocalEngine(tmp_path / "units", policies(most_attempts=99)) as engine:
            await engine.submit([job("one"), job("two")])
            for moments in range(20):
                work = asyncio.create_task(engine.work(Kind.JOB, hang, slots=2, stop=asyncio.Event()))
                for _ in range(moments):
                    await asyncio.sleep(0)
                work.cancel()
                await asyncio.wait([work])
            async with working(engine, handle):
                await until(lambda: len(done) == 2, seconds=20)  # well before a lease would have run out

    asyncio.run(act())

    assert sorted(done) == ["one", "two"]


def test_one_who_gives_up_while_submitting_holds_up_nobody(tmp_path: Path) -> None:
    async def act() -> int:
        async with LocalEngine(tmp_path / "units", policies()) as engine:
            first = asyncio.create_task(engine.submit([job("first")]))
            second = asyncio.create_task(engine.submit([job("second")]))
            await asyncio.sleep(0)
            first.cancel()
            return await second

    assert asyncio.run(act()) == 1


@contextmanager
def no_room(most: int) -> Iterator[None]:
    """No file grows past so many bytes: to this process the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_fails_what_is_submitted_and_a_worker_goes_on_when_there_is_room_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "units"
    large = [job(f"large-{number}", bytes(MOST_UNIT_BYTES)) for number in range(20)]
    done: list[str] = []

    async def act() -> int:
        full = asyncio.Event()

        async def handle(unit: Unit, lease: Lease) -> None:
            await full.wait()
            done.append(unit.id)

        async with LocalEngine(path, policies()) as engine, working(engine, handle):
            await engine.submit([job("before")])
            while not (await engine.depth(Kind.JOB)).leased:
                await asyncio.sleep(0.01)
            with no_room(path.with_name("units-wal").stat().st_size):
                with pytest.raises(EngineFailed):
                    await engine.submit(large)
                full.set()
                await until(lambda: done)
                await asyncio.sleep(0.1)  # the worker tries to note the end, and cannot
                not_noted = await engine.depth(Kind.JOB)
            taken = await engine.submit(large)
            await until(lambda: len(done) == 21)
            while await engine.depth(Kind.JOB) != Depth(pending=0, leased=0):
                await asyncio.sleep(0.01)
        assert not_noted.leased == 1
        return taken

    assert asyncio.run(act()) == 20
    assert done == ["before", *(unit.id for unit in large)]


def test_a_worker_that_is_to_stop_does_not_wait_for_a_disk_that_stays_full(tmp_path: Path) -> None:
    path = tmp_path / "units"

    async def act() -> None:
        stop = asyncio.Event()
        running = asyncio.Event()

        async def handle(unit: Unit, lease: Lease) -> None:
            running.set()
            await stop.wait()

        async with LocalEngine(path, policies()) as engine:
            await engine.submit([job("one")])
            work = asyncio.create_task(engine.work(Kind.JOB, handle, slots=1, stop=stop))
            await running.wait()
            with no_room(1):
                stop.set()
                async with asyncio.timeout(20):
                    with pytest.raises(EngineFailed):
                        await work

    asyncio.run(act())


@pytest.mark.needs_strace
def test_what_is_accepted_has_been_forced_to_the_disk_and_what_is_taken_up_costs_no_such_wait(
    tmp_path: Path,
) -> None:
    program = """
import os, sys
from pathlib import Path
from remote_worker.engines.engine import Kind, Policy, Unit
from remote_worker.engines.local_file import Ending, UnitsFile
policy = Policy(most_attempts=1, lease_seconds=9.0, places=9)
file = UnitsFile(Path(sys.argv[1]))
file.open()
os.path.exists("/said/opened")
file.submit([[Unit(id="one", kind=Kind.JOB, body=b"")]], lambda kind: 9)
os.path.exists("/said/submitted")
(taken,) = file.turn(Kind.JOB, policy, (), 1)
file.turn(Kind.JOB, policy, (Ending(taken=taken),), 0)
os.path.exists("/said/done")
"""
    trace = tmp_path / "trace"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-o", trace, "-e", "trace=fsync,fdatasync,stat,newfstatat"),
            *(sys.executable, "-c", program, tmp_path / "units"),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent / "src")},
        check=True,
        timeout=60,
    )
    steps = trace.read_text()
    submitting = steps[steps.index("/said/opened") : steps.index("/said/submitted")]
    working_off = steps[steps.index("/said/submitted") : steps.index("/said/done")]

    assert "sync(" in submitting
    assert "units-wal" in submitting
    assert "sync(" not in working_off


@pytest.mark.parametrize(
    ("error", "attempt", "seconds"),
    [
        (None, 1, None),
        (Again(7.5), 1, 7.5),
        (Again(-1), 1, 0.0),
        (ValueError(), 1, 0.2),
        (ValueError(), 2, 0.4),
        (ValueError(), 5, 3.2),
        (ValueError(), 6, 5.0),  # the longest there is
        (ValueError(), 10, 5.0),
        (ValueError(), 11, None),
        (Again(1), 11, None),
        (asyncio.CancelledError(), 3, 0.0),
        (asyncio.CancelledError(), 11, 0.0),
    ],
)
def test_how_long_a_unit_waits_for_its_next_attempt(
    error: BaseException | None, attempt: int, seconds: float | None
) -> None:
    assert seconds_until_again(error, attempt, 10) == seconds


def test_those_who_found_no_place_come_back_as_fast_as_places_become_free() -> None:
    line = Line()

    four_a_second = [line.retry_seconds(4.0, 100.0) for _ in range(6)]
    long_after = line.retry_seconds(4.0, 500.0)

    assert four_a_second == [1, 1, 1, 1, 2, 2]
    assert long_after == 1


def test_when_all_appointments_are_given_away_the_second_half_is_once_more() -> None:
    line = Line()

    told = [line.retry_seconds(1.0, 0.0) for _ in range(47)]

    assert told[:30] == list(range(1, 31))
    assert told[30:46] == [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 16]


@pytest.mark.parametrize(("done_a_second", "seconds"), [(0.0, 30), (0.01, 30), (0.1, 10), (100.0, 1)])
def test_one_alone_is_told_when_the_next_place_is_likely(done_a_second: float, seconds: int) -> None:
    assert Line().retry_seconds(done_a_second, 0.0) == seconds


def test_who_is_refused_is_told_of_the_rate_at_which_units_were_done(tmp_path: Path) -> None:
    async def act() -> list[int]:
        told = []

        async def handle(unit: Unit, lease: Lease) -> None:
            return None

        async with LocalEngine(tmp_path / "units", policies(places=20)) as engine:
            for _ in range(2):
                with pytest.raises(Full) as full:
                    await engine.submit([job(f"{len(told)}-{number}") for number in range(21)])
                told.append(full.value.retry_seconds)
                async with working(engine, handle):
                    while (await engine.depth(Kind.JOB)).pending:
                        await asyncio.sleep(0.01)
        return told

    assert asyncio.run(act()) == [30, 1]  # none done so far; then 20 in 10 seconds


class Model:
    """What the file has to do, in the plainest words: a list, and a time for each unit in it."""

    def __init__(self) -> None:
        self.units: list[dict] = []
        self.done: dict[str, float] = {}

    def submit(self, id: str, now: float, places: int) -> str:
        if any(unit["id"] == id for unit in self.units) or self.done.get(id, -1.0) > now:
            return "known"
        if len(self.units) >= places:
            return "full"
        self.units.append({"id": id, "free": 0.0, "attempt": 0})
        return "taken"

    def take(self, room: int, now: float) -> list[dict]:
        for unit in [u for u in self.units if u["attempt"] > POLICY.most_attempts and 0 < u["free"] <= now]:
            self.finish(unit, now)
        free = [unit for unit in self.units if unit["free"] <= now][:room]
        for unit in free:
            unit["free"], unit["attempt"] = now + POLICY.lease_seconds, unit["attempt"] + 1
        return free

    def finish(self, unit: dict, now: float) -> None:
        if any(each is unit for each in self.units):
            self.units = [each for each in self.units if each is not unit]
            self.done[unit["id"]] = now + DEDUPE_SECONDS


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_of_events_the_file_does_what_a_list_would_do(machine: Machine, seed: int) -> None:
    dice = random.Random(seed)
    model = Model()
    files = [machine.file(), machine.file()]
    hands: list[tuple[Taken, dict]] = []
    events = "submit submit submit take take take done again renew kill open sweep".split()
    seen = set()

    for _ in range(400):
        file = dice.choice(files)
        machine.goes_on(dice.choice([0.0, 0.5, 3.0, 12.0]))
        event = dice.choice(events)
        now = machine.up
        taken = unit = None
        if hands and event in {"done", "again", "kill"}:
            taken, unit = hands.pop(dice.randrange(len(hands)))
        match event:
            case "submit":
                id = f"u{dice.randrange(30)}"
                told = submit(file, job(id), places=8)
                said = "full" if told.full else ["known", "taken"][told.taken]
                seen.add(said)
                assert said == model.submit(id, now, 8)
            case "take":
                room = dice.randrange(1, 4)
                found, units = take(file, room), model.take(room, now)
                told = [(each.unit.id, each.attempt) for each in found]
                seen |= {attempt for _, attempt in told}
                assert told == [(each["id"], each["attempt"]) for each in units]
                hands += zip(found, units, strict=True)
            case "done" if taken is not None:
                end(file, taken)
                model.finish(unit, now)
            case "again" if taken is not None:
                seconds = dice.choice([0.0, 2.0, 40.0])
                end(file, taken, again=seconds)
                if unit["attempt"] == taken.attempt:
                    unit["free"] = now + seconds if seconds else 0.0
            case "renew":
                file.renew([each for each, _ in hands], POLICY.lease_seconds)
                for each, held in hands:
                    if held["attempt"] == each.attempt:
                        held["free"] = now + POLICY.lease_seconds
            case "open":
                files[dice.randrange(2)] = machine.file()
            case "sweep":
                file.sweep()
        depth = file.depth(Kind.JOB)
        assert depth.pending + depth.leased == len(model.units)
    assert {"known", "full", "taken", 1, 2, 3} <= seen


def test_a_process_that_is_killed_at_any_moment_leaves_a_file_that_can_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "units"
    program = """
import sys
from pathlib import Path
from remote_worker.engines.engine import Kind, Policy, Unit
from remote_worker.engines.local_file import Ending, UnitsFile
policy = Policy(most_attempts=9, lease_seconds=0.0, places=99999)
file = UnitsFile(Path(sys.argv[1]))
file.open()
for number in range(int(sys.argv[2]), 99999):
    file.submit([[Unit(id=str(number), kind=Kind.JOB, body=bytes(999))]], lambda kind: 99999)
    print(number, flush=True)
    if number % 3 == 0:
        for taken in file.turn(Kind.JOB, policy, (), 1):
            file.turn(Kind.JOB, policy, (Ending(taken=taken),), 0)
            print("-", taken.unit.id, flush=True)
"""
    accepted, done, start = set(), set(), 0
    for lines in (1, 40, 90):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(start)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(TESTS.parent / "src")},
        )
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        words = [line.split() for line in said if line]
        accepted |= {line[0].decode() for line in words if line[0] != b"-"}
        done |= {line[1].decode() for line in words if line[0] == b"-"}
        start = max(map(int, accepted)) + 2
    file = UnitsFile(path)
    file.open()
    left = {
        taken.unit.id for taken in take(file, 99_999, Policy(most_attempts=99, lease_seconds=9, places=9))
    }
    file.close()

    assert len(accepted) > 40
    assert accepted - done - left == set()
    assert left & done == set()
