"""Who may wait, who is next and who is refused. Pure: times come in, decisions go out; `turns` waits.

The rules and their sources are in docs/decisions/0012-queue.md.
"""

import heapq
import math
from dataclasses import dataclass, field
from itertools import count, cycle
from operator import itemgetter

from ..contract.failures import FailureCode, WorkFailed
from ..metrics import QueueLoad

_WEIGHT = 1 / 8
"""Of the newest time in an average, as RFC 6298 smooths round trips."""
_SHARE = 2
"""A caller may have this many times as many waiting as there are places free."""
_LONGEST_WAIT_SECONDS = 30
_MOST_DEBTS = 1024


@dataclass(eq=False, slots=True)
class Ticket:
    """A job's place in the line, then its hold on a slot."""

    caller: str
    kind: str
    deadline: float
    number: int
    cost: float
    """Seconds that it will hold a slot, as far as is known: 0 for an unknown kind."""
    places: int = 1
    """That it takes while it waits: more than one if it holds much memory."""
    started: float = math.inf
    """When it got its slot."""

    @property
    def is_waiting(self) -> bool:
        """It has no slot yet."""
        return self.started == math.inf


@dataclass(slots=True)
class _Caller:
    used: float
    """Seconds of slots, those of running jobs by their expected cost; it starts where virtual time is."""
    waiting: dict[Ticket, None] = field(default_factory=dict)
    running: dict[Ticket, None] = field(default_factory=dict)
    work: float = 0.0
    """Expected seconds of all that waits."""
    places: int = 0
    """That all of it takes."""

    def used_by(self, now: float) -> float:
        """With what running jobs have taken beyond their expected cost."""
        used = self.used
        for ticket in self.running:
            used += max(0.0, now - ticket.started - ticket.cost)
        return used


class Queue:
    """A line in front of `slots`, at most `places` long, that callers share fairly.

    Every `now` and `deadline` is on one clock, in seconds. After each call no slot is free while a job waits.
    """

    def __init__(self, *, slots: int, places: int) -> None:
        self._slots = slots
        self._places = places
        self._callers: dict[str, _Caller] = {}
        self._debts: dict[str, float] = {}
        self._running = 0
        self._waiting = 0
        self._held = 0
        """Places that are taken."""
        self._numbers = count()
        self._virtual = 0.0
        """What a caller has used that has had its share all along: jobs that join the line begin there."""
        self._seconds: dict[str, float] = {}
        self._seconds_of_all: float | None = None
        self._last_appointment = 0.0
        self._late = cycle(range(_LONGEST_WAIT_SECONDS // 2 + 1, _LONGEST_WAIT_SECONDS + 1))

    def load(self, ready: int) -> QueueLoad:
        """What it has in hand, with the children that wait for work."""
        return QueueLoad(
            waiting=self._waiting, running=self._running, slots=self._slots, places=self._places, ready=ready
        )

    def check_room(self, caller: str, now: float) -> None:
        """Refuse what `arrive` would find no place for. Takes the same short time however many wait.

        Raises WorkFailed with a time to come back.
        """
        if self._running < self._slots:
            return
        known = self._callers.get(caller)
        held = known.places if known else 0
        if held >= _SHARE * (self._places - self._held):
            raise self._refusal(now)

    def arrive(self, caller: str, kind: str, deadline: float, now: float, *, places: int = 1) -> Ticket:
        """The job's ticket: it has its slot already unless it `is_waiting`.

        Raises WorkFailed when there is no place for it, or when its turn would come too late.
        """
        self.check_room(caller, now)
        cost = self._seconds.get(kind, 0.0)
        ticket = Ticket(caller, kind, deadline, next(self._numbers), cost, places)
        known = self._callers.get(caller)
        if self._running < self._slots:
            known = known or self._enter(caller)
            known.used += self._unused(known, now)
            self._start(known, ticket, now)
            return ticket
        if deadline <= now:
            raise WorkFailed(FailureCode.DEADLINE, "it came too late")
        is_full = places > self._places - self._held
        if is_full or now + self._wait_of(caller, now) + cost > deadline:
            raise self._refusal(now)
        known = known or self._enter(caller)
        if not known.waiting:
            known.used += self._unused(known, now)
        known.waiting[ticket] = None
        known.work += cost
        known.places += places
        self._waiting += 1
        self._held += places
        return ticket

    def leave(self, ticket: Ticket, now: float, *, is_typical: bool) -> list[Ticket]:
        """It is over or gives up waiting: gives the jobs that start now.

        `is_typical` says that the time it took tells something of others of its kind.
        """
        caller = self._callers.get(ticket.caller)
        if caller is None:
            return []  # It had waited past its deadline, and was passed over.
        if ticket in caller.waiting:
            self._stop_waiting(caller, ticket)
        elif ticket in caller.running:
            held = now - ticket.started
            del caller.running[ticket]
            self._running -= 1
            caller.used += held - ticket.cost
            # Though all the others be new, who has used more is reached in the time that is due to so many.
            self._virtual += held / len(self._callers)
            if is_typical:
                self._seconds[ticket.kind] = _average(self._seconds.get(ticket.kind), held)
            self._seconds_of_all = _average(self._seconds_of_all, held)
        self._forget_if_idle(ticket.caller)
        return self._fill(now)

    def _fill(self, now: float) -> list[Ticket]:
        started = []
        while self._waiting and self._running < self._slots:
            waiting = [caller for caller in self._callers.values() if caller.waiting]
            caller = min(waiting, key=lambda one: (one.used_by(now), next(iter(one.waiting)).number))
            ticket = next(iter(caller.waiting))
            self._stop_waiting(caller, ticket)
            if ticket.deadline > now:
                self._start(caller, ticket, now)
                started.append(ticket)
            else:
                self._forget_if_idle(ticket.caller)
        return started

    def _start(self, caller: _Caller, ticket: Ticket, now: float) -> None:
        self._virtual = max(self._virtual, caller.used_by(now))
        ticket.started = now
        caller.used += ticket.cost
        caller.running[ticket] = None
        self._running += 1

    def _stop_waiting(self, caller: _Caller, ticket: Ticket) -> None:
        del caller.waiting[ticket]
        caller.work = caller.work - ticket.cost if caller.waiting else 0.0
        caller.places -= ticket.places
        self._waiting -= 1
        self._held -= ticket.places

    def _wait_of(self, caller: str, now: float) -> float:
        """Seconds until a job that joins the line now would start."""
        known = self._callers.get(caller)
        own = known.work if known else 0.0
        turn = own + (known.used_by(now) if known else self._used_at_entry(caller))
        ahead = own
        for name, other in self._callers.items():
            if name != caller and other.waiting:
                ahead += min(other.work, max(0.0, turn - other.used_by(now)))
            for ticket in other.running:
                ahead += max(0.0, ticket.started + ticket.cost - now)
        return ahead / self._slots

    def _enter(self, caller: str) -> _Caller:
        used = self._used_at_entry(caller)
        self._debts.pop(caller, None)
        self._callers[caller] = _Caller(used)
        return self._callers[caller]

    def _used_at_entry(self, caller: str) -> float:
        return max(self._debts.get(caller, 0.0), self._virtual)

    def _unused(self, caller: _Caller, now: float) -> float:
        """Seconds of its share that it did not ask for: they are not saved up."""
        return max(0.0, self._virtual - caller.used_by(now))

    def _forget_if_idle(self, name: str) -> None:
        # What it has used is remembered while others are active, or to leave and come back would pay.
        caller = self._callers.get(name)
        if caller is None or caller.waiting or caller.running:
            return
        del self._callers[name]
        if not self._callers:
            self._debts.clear()
            return
        self._debts[name] = caller.used
        if len(self._debts) > _MOST_DEBTS:
            # Those that the others have caught up with mean nothing any more.
            highest = heapq.nlargest(_MOST_DEBTS // 2, self._debts.items(), key=itemgetter(1))
            self._debts = {debtor: used for debtor, used in highest if used > self._virtual}

    def _refusal(self, now: float) -> WorkFailed:
        """With an appointment: the next place in a line that moves as fast as jobs have been done.

        Who finds it full comes in its second half: all at its end would come together.
        """
        step = (self._seconds_of_all or 0.0) / self._slots
        appointment = max(now, self._last_appointment) + step
        if appointment > now + _LONGEST_WAIT_SECONDS:
            seconds = next(self._late)
        else:
            self._last_appointment = appointment
            seconds = max(1, math.ceil(appointment - now))
        return WorkFailed(FailureCode.BUSY, retry_seconds=seconds)


def _average(former: float | None, newest: float) -> float:
    return newest if former is None else former + _WEIGHT * (newest - former)
