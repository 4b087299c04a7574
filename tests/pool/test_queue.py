"""The queue's decisions, with times and orders that were worked out by hand."""

import heapq
import math
import random
from collections import Counter

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.pool.queue import Queue, Ticket

FAR = 1e9


def arrive(
    queue: Queue, caller: str, now: float = 0.0, *, kind: str = "fit", deadline: float = FAR, places: int = 1
) -> Ticket:
    return queue.arrive(caller, kind, deadline, now, places=places)


def refusal(
    queue: Queue, caller: str, now: float = 0.0, *, kind: str = "fit", deadline: float = FAR
) -> WorkFailed:
    with pytest.raises(WorkFailed) as refused:
        queue.arrive(caller, kind, deadline, now)
    return refused.value


def end(queue: Queue, ticket: Ticket, now: float) -> list[Ticket]:
    return queue.leave(ticket, now, is_typical=True)


def taught(queue: Queue, seconds: float, *, kind: str = "fit") -> Queue:
    """It has seen one job of this kind take so long, and is idle again."""
    end(queue, arrive(queue, "teacher", -seconds, kind=kind), 0.0)
    return queue


def order(queue: Queue, running: Ticket, seconds: dict[str, float], now: float = 0.0) -> str:
    """The callers in the order in which one slot serves them, each job taking its caller's seconds."""
    served = ""
    while True:
        served += running.caller
        now += seconds[running.caller]
        started = end(queue, running, now)
        if not started:
            return served
        (running,) = started


def test_jobs_start_at_once_while_slots_are_free() -> None:
    queue = Queue(slots=2, places=0)

    assert not arrive(queue, "a").is_waiting
    assert not arrive(queue, "a").is_waiting
    assert refusal(queue, "a").code is FailureCode.BUSY


def test_one_caller_alone_fills_two_thirds_of_the_places() -> None:
    """Of 6 places it gets 4: 3 waiting are less than twice the 3 free ones, 4 are no less than twice 2."""
    queue = Queue(slots=1, places=6)
    arrive(queue, "a")
    for _ in range(4):
        queue.check_room("a", 0.0)
        assert arrive(queue, "a").is_waiting

    assert refusal(queue, "a").code is FailureCode.BUSY
    with pytest.raises(WorkFailed):
        queue.check_room("a", 0.0)


def test_a_newcomer_finds_the_places_that_one_flood_leaves() -> None:
    """Of the 2 free ones it may take both: with 1 waiting and 1 free, 1 is less than 2."""
    queue = Queue(slots=1, places=6)
    for _ in range(5):
        arrive(queue, "a")

    queue.check_room("b", 0.0)
    assert arrive(queue, "b").is_waiting
    assert arrive(queue, "b").is_waiting
    assert refusal(queue, "b").code is FailureCode.BUSY
    assert refusal(queue, "c").code is FailureCode.BUSY


@pytest.mark.parametrize(("places", "most"), [(0, 0), (1, 1), (2, 2), (3, 2), (16, 11), (64, 43)])
def test_how_many_of_one_caller_wait_at_most(places: int, most: int) -> None:
    """The least number that is not less than twice the rest: two thirds, rounded up."""
    queue = Queue(slots=1, places=places)
    arrive(queue, "a")
    for _ in range(most):
        arrive(queue, "a")

    assert refusal(queue, "a").code is FailureCode.BUSY


def test_a_job_may_take_several_places_and_gives_them_back() -> None:
    queue = Queue(slots=1, places=10)
    running = arrive(queue, "a")
    large = arrive(queue, "a", places=4)
    arrive(queue, "b", places=5)
    with pytest.raises(WorkFailed):
        arrive(queue, "c", places=2)
    arrive(queue, "c")
    assert refusal(queue, "d").code is FailureCode.BUSY

    assert end(queue, large, 0.0) == []
    assert arrive(queue, "d", places=4).is_waiting
    assert len(end(queue, running, 1.0)) == 1


def test_a_job_without_so_many_places_starts_when_a_slot_is_free() -> None:
    queue = Queue(slots=1, places=1)

    assert not arrive(queue, "a", places=16).is_waiting
    with pytest.raises(WorkFailed):
        arrive(queue, "b", places=2)
    assert arrive(queue, "b").is_waiting


def test_callers_take_turns_by_the_time_that_they_use() -> None:
    """Jobs of `a` take 3 s, those of `b` 1 s: `b` has three turns for each of `a`."""
    queue = Queue(slots=1, places=60)
    first = arrive(queue, "a")
    for _ in range(2):
        arrive(queue, "a")
    for _ in range(9):
        arrive(queue, "b")

    assert order(queue, first, {"a": 3.0, "b": 1.0}) == "abbbabbbabbb"


def test_jobs_of_one_caller_start_in_the_order_in_which_they_came() -> None:
    queue = Queue(slots=1, places=60)
    running = arrive(queue, "a")
    tickets = [arrive(queue, "a") for _ in range(5)]

    started = []
    for now in range(5):
        (running,) = end(queue, running, now)
        started.append(running)
    assert started == tickets


def test_idling_saves_nothing_up() -> None:
    """`a` has used 100 s when `b` comes for the first time: from then on they alternate."""
    queue = Queue(slots=1, places=60)
    running = arrive(queue, "a", 0.0)
    arrive(queue, "a", 0.0)
    (running,) = end(queue, running, 100.0)
    for _ in range(3):
        arrive(queue, "a", 100.0)
    for _ in range(4):
        arrive(queue, "b", 100.0)

    assert order(queue, running, {"a": 1.0, "b": 1.0}, 100.0) == "abababab"


def test_to_leave_and_come_back_pays_off_no_debt() -> None:
    """`a` has used 10 s when it returns. `b` catches up with ten jobs; its eleventh came before `a` did."""
    queue = Queue(slots=1, places=60)
    running = arrive(queue, "a", 0.0)
    for _ in range(20):
        arrive(queue, "b", 0.0)
    (running,) = end(queue, running, 10.0)
    arrive(queue, "a", 10.0)

    assert order(queue, running, {"a": 10.0, "b": 1.0}, 10.0) == "b" * 11 + "a" + "b" * 9


def test_a_share_that_was_not_asked_for_is_not_saved_up() -> None:
    """`b` keeps one of 4 slots all the time, `a` uses the others. After 20 s `b` floods too: two each."""
    queue = Queue(slots=4, places=60)
    arrive(queue, "b")
    running = [arrive(queue, "a") for _ in range(3)]
    for _ in range(3):
        arrive(queue, "a")

    served = ""
    for now in range(1, 40):
        for _ in range(6 if now == 20 else 0):
            arrive(queue, "b", now)
        running = [started for ended in running for started in end(queue, ended, now)]
        for ticket in running:
            arrive(queue, ticket.caller, now)
        if now >= 20:
            served += "".join(ticket.caller for ticket in running)
    assert len(served) == 3 * 20
    assert abs(served.count("a") - 40) <= 5  # Jin and others 2004: slots + 1 jobs of a second.
    assert "bbb" not in served


def test_jobs_that_hang_are_charged_from_where_the_others_are() -> None:
    """At 10 `b` has used 10 s and `a` 20 s; at 15 two jobs of `b` have hung for 5 s more."""
    queue = Queue(slots=3, places=60)
    arrive(queue, "b", 0.0)
    for ticket in [arrive(queue, "a", 0.0) for _ in range(2)]:
        queue.leave(ticket, 10.0, is_typical=False)
    running = arrive(queue, "a", 10.0)
    arrive(queue, "b", 10.0)
    arrive(queue, "b", 15.0)
    later = arrive(queue, "a", 15.0)

    assert end(queue, running, 15.0) == [later]


def test_newcomers_without_end_do_not_starve_who_has_used_more() -> None:
    """`a` has used 1 s more than those who come each second, 6 callers at a time: it owes 6 s."""
    queue = Queue(slots=1, places=60)
    first = arrive(queue, "a")
    for number in range(5):
        arrive(queue, f"former {number}")
    (running,) = end(queue, first, 1.0)
    arrive(queue, "a", 1.0)

    served = []
    for now in range(2, 22):
        arrive(queue, f"newcomer {now}", now)
        (running,) = end(queue, running, now)
        served.append(running.caller)
    assert 4 <= served.index("a") <= 5 + 6


def test_a_job_that_hangs_counts_while_it_runs() -> None:
    """Two slots hang for `a` since 0, and 5 s later `b` has used half as much: the third is for `b` again."""
    queue = Queue(slots=3, places=60)
    for _ in range(2):
        arrive(queue, "a", 0.0)
    running = arrive(queue, "b", 0.0)
    arrive(queue, "a", 0.0)
    later = arrive(queue, "b", 0.0)

    assert end(queue, running, 5.0) == [later]


def test_what_cannot_end_in_time_is_refused_when_it_comes() -> None:
    """Jobs take 4 s. At 11, two run since 10 and one waits: (3 + 3 + 4) / 2 slots = 5 s to wait, 4 to do."""
    queue = taught(Queue(slots=2, places=60), 4.0)
    for _ in range(3):
        arrive(queue, "a", 10.0)

    assert refusal(queue, "a", 11.0, deadline=19.9).code is FailureCode.BUSY
    assert arrive(queue, "a", 11.0, deadline=20.0).is_waiting


def test_work_that_others_have_waiting_beyond_their_share_is_not_ahead() -> None:
    """As before, but `b` goes before the one of `a` that waits: (3 + 3) / 2 = 3 s to wait, 4 to do."""
    queue = taught(Queue(slots=2, places=60), 4.0)
    for _ in range(3):
        arrive(queue, "a", 10.0)

    assert refusal(queue, "b", 11.0, deadline=17.9).code is FailureCode.BUSY
    assert arrive(queue, "b", 11.0, deadline=18.0).is_waiting


def test_a_kind_that_nobody_knows_costs_nothing_yet() -> None:
    queue = taught(Queue(slots=2, places=60), 4.0)
    for _ in range(3):
        arrive(queue, "a", 10.0)

    assert refusal(queue, "a", 11.0, kind="new", deadline=15.9).code is FailureCode.BUSY
    assert arrive(queue, "a", 11.0, kind="new", deadline=16.0).is_waiting


def test_what_comes_too_late_is_told_so() -> None:
    queue = Queue(slots=1, places=60)
    arrive(queue, "a", 10.0)

    assert refusal(queue, "a", 10.0, deadline=10.0).code is FailureCode.DEADLINE


def test_a_kind_that_was_slow_is_tried_when_slots_are_idle_and_accepted_again_when_it_is_quick() -> None:
    """100 s sink to 1 + 99 * (7/8)**40 = 1.47 s with forty jobs of 1 s."""
    queue = taught(Queue(slots=1, places=60), 100.0)
    running = arrive(queue, "a", 0.0, deadline=5.0)
    assert not running.is_waiting
    assert refusal(queue, "a", 0.0, deadline=50.0).code is FailureCode.BUSY

    for now in range(40):
        end(queue, running, now + 1.0)
        running = arrive(queue, "a", now + 1.0, deadline=now + 6.0)
    assert arrive(queue, "a", 40.0, deadline=43.0).is_waiting


def test_time_that_is_not_typical_is_charged_and_teaches_nothing() -> None:
    queue = taught(Queue(slots=1, places=60), 1.0)
    hanging = arrive(queue, "a", 0.0)
    arrive(queue, "b", 0.0)
    (running,) = queue.leave(hanging, 10.0, is_typical=False)
    arrive(queue, "a", 10.0)
    third = arrive(queue, "b", 10.0, deadline=12.0)  # 1 s to wait, 1 to do: the average is as before.

    assert end(queue, running, 11.0) == [third]


def test_who_waited_past_the_deadline_is_passed_over() -> None:
    queue = Queue(slots=1, places=60)
    running = arrive(queue, "a")
    late = arrive(queue, "a", deadline=5.0)
    just = arrive(queue, "a", deadline=5.1)

    assert end(queue, running, 5.0) == [just]
    assert queue.leave(late, 5.0, is_typical=False) == []


def test_who_gives_up_waiting_makes_room_and_starts_nobody() -> None:
    queue = Queue(slots=1, places=1)
    arrive(queue, "a")
    waiting = arrive(queue, "a")
    assert refusal(queue, "b")

    assert queue.leave(waiting, 0.0, is_typical=False) == []
    assert arrive(queue, "b").is_waiting


def test_the_refused_are_told_to_come_back_one_after_the_other() -> None:
    """4 slots and 1/8 s each are 32 jobs a second: 960 places in 30 s. The rest shares the last 15."""
    queue = taught(Queue(slots=4, places=0), 0.125)
    for _ in range(4):
        arrive(queue, "a")
    told = Counter(refusal(queue, "a").retry_seconds for _ in range(1710))

    late = 1710 - 960
    assert [told[second] for second in range(1, 31)] == [32] * 15 + [32 + late // 15] * 15
    assert sum(told.values()) == 1710


def test_the_line_of_the_refused_moves_on() -> None:
    """2 s each and one slot: the places are 2 s apart."""
    queue = taught(Queue(slots=1, places=0), 2.0)
    arrive(queue, "a")

    assert [refusal(queue, "a", 0.0).retry_seconds for _ in range(3)] == [2, 4, 6]
    assert refusal(queue, "a", 3.5).retry_seconds == 5  # The fourth place is at 8.
    assert refusal(queue, "a", 100.0).retry_seconds == 2


def test_room_is_refused_with_an_appointment_too() -> None:
    queue = taught(Queue(slots=1, places=0), 2.0)
    arrive(queue, "a")
    told = []
    for _ in range(2):
        with pytest.raises(WorkFailed) as refused:
            queue.check_room("a", 0.0)
        told.append((refused.value.code, refused.value.retry_seconds))

    assert told == [(FailureCode.BUSY, 2), (FailureCode.BUSY, 4)]


def test_before_anything_is_known_a_second_is_told() -> None:
    queue = Queue(slots=1, places=0)
    arrive(queue, "a")

    assert refusal(queue, "a").retry_seconds == 1


def test_callers_that_left_are_forgotten() -> None:
    queue = Queue(slots=2, places=10)
    arrive(queue, "steady", 0.0)
    for number in range(5000):
        end(queue, arrive(queue, f"caller {number}", 0.0), 1.0)

    assert len(queue._callers) == 1
    assert len(queue._debts) <= 1024


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_the_promises_hold(seed: int) -> None:
    """Arrivals, ends and those who give up, at random."""
    rng = random.Random(seed)
    slots, places = rng.randint(1, 6), rng.randint(0, 40)
    queue = Queue(slots=slots, places=places)
    waiting: set[Ticket] = set()
    ends: list[tuple[float, int, Ticket]] = []
    now, began = 0.0, 0

    def begin(tickets: list[Ticket]) -> None:
        nonlocal began
        for ticket in tickets:
            assert not ticket.is_waiting
            assert ticket.deadline > now
            waiting.discard(ticket)
            began += 1
            heapq.heappush(ends, (now + rng.expovariate(2.0), began, ticket))

    for _ in range(2000):
        step = now + rng.expovariate(slots * 2.5)
        while ends and ends[0][0] <= step:
            now, _, ticket = heapq.heappop(ends)
            begin(queue.leave(ticket, now, is_typical=rng.random() < 0.9))
        now = step
        for ticket in [ticket for ticket in waiting if ticket.deadline <= now]:
            waiting.discard(ticket)
            begin(queue.leave(ticket, now, is_typical=False))
        if waiting and rng.random() < 0.1:
            leaving = rng.choice(sorted(waiting, key=lambda ticket: ticket.number))
            waiting.discard(leaving)
            begin(queue.leave(leaving, now, is_typical=False))
        try:
            deadline = now + rng.choice([0.5, 3.0, 15.0])
            ticket = arrive(
                queue,
                rng.choice("aaaabbc"),
                now,
                kind=rng.choice(["fit", "info"]),
                deadline=deadline,
                places=rng.choice([1, 1, 1, 5]),
            )
        except WorkFailed as refused:
            told = refused
        else:
            told = None
            if ticket.is_waiting:
                waiting.add(ticket)
            else:
                begin([ticket])

        if told is not None:
            assert told.code is FailureCode.BUSY
            assert 1 <= told.retry_seconds <= 30
            assert len(ends) == slots
        assert len(ends) <= slots
        assert sum(ticket.places for ticket in waiting) <= places
        assert not waiting or len(ends) == slots
    while ends:
        now, _, ticket = heapq.heappop(ends)
        begin(queue.leave(ticket, now, is_typical=True))
    assert all(ticket.deadline <= now for ticket in waiting)


@pytest.mark.parametrize("seed", range(10))
def test_callers_who_always_have_something_waiting_get_equal_time(seed: int) -> None:
    """With n slots their times differ by (n + 1) of each one's longest jobs at most (Jin and others 2004)."""
    rng = random.Random(seed)
    slots = rng.randint(1, 6)
    longest = {"a": 10.0, "b": 1.0, "c": 0.1}
    queue = Queue(slots=slots, places=1000)
    got = dict.fromkeys(longest, 0.0)
    last = dict.fromkeys(longest, 0.0)
    ends: list[tuple[float, int, Ticket, float]] = []
    now, turn = 0.0, 0

    def begin(ticket: Ticket) -> None:
        nonlocal turn
        turn += 1
        seconds = rng.uniform(0.1, 1.0) * longest[ticket.caller]
        heapq.heappush(ends, (now + seconds, turn, ticket, seconds))
        last[ticket.caller] = now

    for _ in range(slots):
        begin(queue.arrive("a", "fit", math.inf, now))
    for caller in longest:
        for _ in range(slots + 1):
            assert queue.arrive(caller, "fit", math.inf, now).is_waiting
    while now < 500.0:
        now, _, ticket, seconds = heapq.heappop(ends)
        got[ticket.caller] += seconds
        for started in queue.leave(ticket, now, is_typical=True):
            begin(started)
            queue.arrive(started.caller, "fit", math.inf, now)
        for one in longest:
            for other in longest:
                assert abs(got[one] - got[other]) <= (slots + 1) * (longest[one] + longest[other])
            assert now - last[one] <= (slots + 1) * 2 * sum(longest.values())
