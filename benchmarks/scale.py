"""Fifty million items on 1 to 200 workers, simulated: when it is done, what holds it up, and what it costs.

`python -m benchmarks.scale` takes seconds, asks nobody and gives the same tables every time (`scale.md`).
What a reader may want to change stands at the top. Times of items are measured: `service_times.json`.
"""

import gzip
import heapq
import json
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remote_worker.bulk.lanes import LANES_PER_CHILD
from remote_worker.bulk.running import LOOK_SECONDS, MOST_QUEUED

from . import tables
from .servers import PROJECT

SEED = 2026
ITEMS = 50_000_000
SHARD_ITEMS = 1000
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200)
CORES = 4
"""Of each worker, with a child for each."""

FEW_LANES = 2
"""Beside those that the program has."""
LEASE_SECONDS = 60.0
"""After which a dead worker's shards are handed out again."""

# Assumptions about a store as S3 is, within one region. The limits are its documented ones for each prefix.
HEAD_SECONDS, GET_SECONDS, PUT_SECONDS, LIST_SECONDS = 0.015, 0.025, 0.035, 0.1
PUTS_A_SECOND, GETS_A_SECOND = 3500, 5500
KEYS_A_LIST = 1000
DOLLARS_PER_THOUSAND_PUTS, DOLLARS_PER_THOUSAND_GETS = 0.005, 0.0004

ENGINE_UNITS_A_SECOND = 2132
"""Measured: NATS JetStream with 50,000 units waiting, client and server on one core."""
DEATHS_AN_HOUR = 1 / 24
"""Of each worker: on machines that may be taken away any time."""
REPLACED_SECONDS = 180.0
SLOW_SHARE, SLOW_SPEED = 0.05, 0.5
"""So many workers have a bad neighbour, and are so fast."""

MACHINES = (
    # name, its virtual cores, dollars an hour, speed of one of them beside the core that was measured
    ("c7i.xlarge, on demand", 4, 0.1785, 1.0),
    ("c7i.xlarge, spot at 40 %", 4, 0.0714, 1.0),
    ("c7g.xlarge, on demand", 4, 0.1450, 1.0),
    ("n2-standard-4, on demand", 4, 0.1942, 0.8),
    ("c7a.xlarge, on demand", 4, 0.2053, 1.2),
)
PRICED = "assumptions of November 2026, rounded, not asked of the sellers; speeds are guesses"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is simulated. Seconds of items are those of one child."""

    workers: int
    items: int = ITEMS
    shard_items: int = SHARD_ITEMS
    cores: int = CORES
    lanes: int = LANES_PER_CHILD
    prefixes: int = 1
    """That the store serves with separate limits."""
    store_seconds: float = HEAD_SECONDS + GET_SECONDS + PUT_SECONDS
    """One after the other, for one item."""
    puts_a_second: float = PUTS_A_SECOND
    deaths_an_hour: float = DEATHS_AN_HOUR
    slow_share: float = SLOW_SHARE
    list_seconds: float = LIST_SECONDS
    look_seconds: float = LOOK_SECONDS
    is_engine: bool = True
    """Without one the process takes the next shard itself."""
    start_seconds: float = 5.0
    seed: int = SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of it."""

    seconds: float
    ideal_seconds: float
    """Were every child busy decoding from the first second to the last."""
    deaths: int
    twice: int
    """Shards that were begun more than once."""
    idle_share: float
    """Of the workers' time: no shard was there, or the store was at its limit."""
    last_seconds: float
    """From when the first worker found nothing more to do until the end."""
    look_seconds: float
    """The coordinator's longest look."""

    @property
    def efficiency(self) -> float:
        """Of what is ideal."""
        return self.ideal_seconds / self.seconds


class Mix:
    """Items as they were measured, drawn at random."""

    def __init__(self, kinds: Sequence[dict[str, Any]]) -> None:
        self._kinds = [kind["milliseconds"] for kind in kinds]
        self._shares = [kind["of_100"] for kind in kinds]
        weighed = list(zip(kinds, self._shares, strict=True))
        self.mean = sum(share * statistics.fmean(kind["milliseconds"]) for kind, share in weighed) / 100_000
        self.input_bytes = sum(share * kind["input_bytes"] for kind, share in weighed) / 100
        self.output_bytes = sum(share * kind["output_bytes"] for kind, share in weighed) / 100

    def shards(self, count: int, items: int, chance: random.Random) -> list[float]:
        """The seconds of work in so many shards."""
        return [
            sum(chance.choice(kind) for kind in chance.choices(self._kinds, self._shares, k=items)) / 1000
            for _ in range(count)
        ]


def simulate(world: World, mix: Mix) -> Ended:
    """Run the job to its end."""
    return _Simulation(world, mix).run()


class _Simulation:
    """Events in the order of time: a worker ends a shard or dies, one comes, shards come back, a look."""

    def __init__(self, world: World, mix: Mix) -> None:
        self._world = world
        self._chance = random.Random(world.seed)
        self._shards = math.ceil(world.items / world.shard_items)
        # A few hundred different shards, again and again: a sum of a thousand items varies little.
        self._sums = mix.shards(min(self._shards, 400), world.shard_items, self._chance)
        self._mean = mix.mean
        self._lane_share = min(1.0, world.lanes * mix.mean / (mix.mean + world.store_seconds))
        """How much of its time a child decodes, when each of its lanes waits for the store in between."""
        self._events: list[tuple[float, int, str, int, int]] = []
        self._count = 0
        self._next = 0
        self._queued: deque[tuple[int, float]] = deque()
        """Shards at the engine, and what is left of each."""
        self._with_engine = 0
        self._seen_done = 0
        self._done: set[int] = set()
        self._careful: set[int] = set()
        """Begun by a worker that died."""
        self._lost: dict[int, float] = {}
        """What is left of each of them."""
        self._in_hand: dict[int, tuple[int, float, float, float]] = {}
        """By worker: the shard, when it was begun, when it will end, and what was left of it."""
        self._life = [0] * world.workers
        self._idle: dict[int, float] = {}
        self._store_free = self._engine_free = 0.0
        self._deaths = self._twice = 0
        self._waited = 0.0
        self._first_idle = 0.0
        self._longest_look = 0.0

    def run(self) -> Ended:
        world = self._world
        now = 0.0
        happens = {
            "comes": self._comes,
            "ends": self._ends,
            "dies": self._dies,
            "returns": self._returns,
            "look": self._look,
            "looked": self._looked,
        }
        for worker in range(world.workers):
            self._at(world.start_seconds, "comes", worker)
        self._at(0.0, "look")
        while len(self._done) < self._shards:
            now, _, kind, about, life = heapq.heappop(self._events)
            if kind in ("ends", "dies") and life != self._life[about]:
                continue
            happens[kind](now, about)
        self._waited += sum(now - since for since in self._idle.values())
        total = sum(self._sums[shard % len(self._sums)] for shard in range(self._shards))
        return Ended(
            seconds=now,
            ideal_seconds=total / (world.workers * world.cores),
            deaths=self._deaths,
            twice=self._twice,
            idle_share=self._waited / (now * world.workers),
            last_seconds=now - self._first_idle if self._first_idle else 0.0,
            look_seconds=self._longest_look,
        )

    def _at(self, when: float, kind: str, about: int = 0) -> None:
        self._count += 1
        life = self._life[about] if kind in ("ends", "dies") else 0
        heapq.heappush(self._events, (when, self._count, kind, about, life))

    def _look(self, now: float, _: int) -> None:
        """Of the coordinator: what is done makes room for more."""
        world = self._world
        took = math.ceil((len(self._done) + 1) / KEYS_A_LIST) * world.list_seconds if world.is_engine else 0.0
        self._longest_look = max(self._longest_look, took)
        self._at(now + took, "looked", len(self._done))

    def _looked(self, now: float, done: int) -> None:
        window = MOST_QUEUED if self._world.is_engine else self._shards
        self._with_engine -= done - self._seen_done
        self._seen_done = done
        while self._with_engine < window and self._next < self._shards:
            self._queued.append((self._next, 1.0))
            self._next += 1
            self._with_engine += 1
        self._wake(now)
        self._at(now + self._world.look_seconds, "look")

    def _comes(self, now: float, worker: int) -> None:
        if self._world.deaths_an_hour:
            self._at(now + self._chance.expovariate(self._world.deaths_an_hour / 3600), "dies", worker)
        self._idle[worker] = now
        self._wake(now)

    def _wake(self, now: float) -> None:
        for worker in list(self._idle):
            if not self._queued:
                return
            self._waited += now - self._idle.pop(worker)
            self._begin(now, worker)

    def _begin(self, now: float, worker: int) -> None:
        world = self._world
        shard, left = self._queued.popleft()
        if world.is_engine:
            self._engine_free = max(now, self._engine_free) + 1 / ENGINE_UNITS_A_SECOND
            now = self._engine_free
        work = self._sums[shard % len(self._sums)] * left
        items = world.shard_items * left
        if shard in self._careful:
            # One item at a time, marked before, and nothing beside it.
            work += items * (world.store_seconds + PUT_SECONDS)
            children = 1.0
        else:
            children = world.cores * self._lane_share
        is_slow = worker < int(world.workers * world.slow_share)
        ready = now + work / children / (SLOW_SPEED if is_slow else 1.0)
        # The store lets so many through, whoever they are from.
        self._store_free = max(now, self._store_free) + items / (world.puts_a_second * world.prefixes)
        ends = max(ready, self._store_free)
        self._waited += ends - ready
        self._in_hand[worker] = (shard, now, ends, left)
        self._at(ends, "ends", worker)

    def _ends(self, now: float, worker: int) -> None:
        shard, *_ = self._in_hand.pop(worker)
        self._done.add(shard)
        if self._queued:
            self._begin(now, worker)
        else:
            self._idle[worker] = now
            if self._next >= self._shards and not self._first_idle:
                self._first_idle = now

    def _dies(self, now: float, worker: int) -> None:
        self._deaths += 1
        self._life[worker] += 1
        if worker in self._idle:
            self._waited += now - self._idle.pop(worker)
        if worker in self._in_hand:
            shard, began, ends, left = self._in_hand.pop(worker)
            # What it has put is adopted by whoever comes next.
            share = min(1.0, max(0.0, (now - began) / (ends - began)))
            self._careful.add(shard)
            self._twice += 1
            self._lost[shard] = left * (1 - share)
            self._at(now + LEASE_SECONDS, "returns", shard)
        self._at(now + REPLACED_SECONDS, "comes", worker)

    def _returns(self, now: float, shard: int) -> None:
        self._queued.appendleft((shard, self._lost[shard]))
        self._wake(now)


def main() -> None:
    """Simulate, count, and keep the tables."""
    told = json.loads((PROJECT / "benchmarks" / "service_times.json").read_text())
    mix = Mix(told["kinds"])
    text = "\n".join(
        [
            "# Fifty million items, simulated",
            "",
            f"Made by `python -m benchmarks.scale`, seed {SEED}, from times measured on {told['date']} "
            f"(`service_times.json`: {told['recipe']}, {1000 * mix.mean:.1f} ms an item, "
            f"{mix.input_bytes / 1e6:.2f} MB in and {mix.output_bytes / 1000:.0f} kB out). What is assumed "
            "stands at the top of `scale.py`; docs/scale.md says what it is worth.",
            "",
            *_finish(mix),
            *_requests(mix),
            *_sizes(),
            *_costs(mix),
            *_checked(mix, told["runs"], told["cores"]),
        ]
    )
    print(text)
    tables.keep("scale", text)


WORLDS: tuple[tuple[str, Callable[[World], World]], ...] = (
    (f"{FEW_LANES} lanes, one prefix", lambda world: replace(world, lanes=FEW_LANES)),
    (f"{LANES_PER_CHILD} lanes, one prefix", lambda world: world),
    (
        f"{LANES_PER_CHILD} lanes, 16 prefixes",
        lambda world: replace(world, prefixes=16),
    ),
)


def _finish(mix: Mix) -> list[str]:
    rows = []
    for workers in WORKERS:
        ended = [simulate(changed(World(workers=workers)), mix) for _, changed in WORLDS]
        last = ended[-1]
        rows.append(
            [
                str(workers),
                f"{last.ideal_seconds / 3600:.2f}",
                *(f"{one.seconds / 3600:.2f} ({one.efficiency:.0%})" for one in ended),
                str(last.deaths),
                str(last.twice),
                f"{last.last_seconds:.0f}",
                f"{last.look_seconds:.1f}",
            ]
        )
    titles = ["workers", "ideal", *(name for name, _ in WORLDS), "deaths", "twice", "end s", "look s"]
    return [
        "## Time to finish",
        "",
        f"Hours, and in brackets how much of the time children decode. Workers have {CORES} cores. *Lanes* "
        f"are items in hand for each child: the program has {LANES_PER_CHILD}; *prefixes* those that the "
        "store serves with separate limits. The last columns are of the last world: workers that died, "
        "shards begun twice, seconds from the first worker that finds nothing more to do until the end, "
        "and the coordinator's longest look at what is committed.",
        "",
        tables.table(titles, rows),
    ]


def _requests(mix: Mix) -> list[str]:
    each = CORES * min(1 / mix.mean, LANES_PER_CHILD / (mix.mean + HEAD_SECONDS + GET_SECONDS + PUT_SECONDS))
    slots = 1 / SHARD_ITEMS
    looks = (
        ITEMS / SHARD_ITEMS / KEYS_A_LIST / (LOOK_SECONDS + ITEMS / SHARD_ITEMS / KEYS_A_LIST * LIST_SECONDS)
    )
    rows = (
        ("outputs put", 1.0, PUTS_A_SECOND, 0.0),
        ("outputs looked for", 1.0, GETS_A_SECOND, 0.0),
        ("sources read", 1.0, GETS_A_SECOND, 0.0),
        ("shards: marks and parts put", 2 * slots, PUTS_A_SECOND, 0.0),
        ("shards: read, looked for", 3 * slots, GETS_A_SECOND, 0.0),
        ("coordinator: lists of parts", 0.0, GETS_A_SECOND, looks),
        ("engine: units", slots, ENGINE_UNITS_A_SECOND, 0.0),
    )
    shown = []
    for name, an_item, most, always in rows:
        reached = (most - always) / (each * an_item) if an_item else math.inf
        shown.append(
            [
                name,
                f"{an_item:g}",
                f"{always + 10 * each * an_item:,.1f}",
                f"{always + 200 * each * an_item:,.1f}",
                f"{most:,}",
                f"{reached:,.0f}" if reached < math.inf else "never",
            ]
        )
    return [
        "## Requests",
        "",
        f"A second, where nothing holds {CORES} cores and {LANES_PER_CHILD} lanes up, against the limit of "
        "one prefix or of the engine, and the number of workers that reach it.",
        "",
        tables.table(["what", "for an item", "10 workers", "200 workers", "limit", "reached by"], shown),
    ]


def _sizes() -> list[str]:
    chance = random.Random(SEED)
    keys = [
        f"photos/2026/{chance.randrange(12):02d}/{chance.getrandbits(64):016x}.jpg"
        for _ in range(SHARD_ITEMS)
    ]
    tags = [f"{chance.getrandbits(128):032x}" for _ in keys]
    items = [
        {"key": key, "version": tag, "size_bytes": int(chance.lognormvariate(13, 1))}
        for key, tag in zip(keys, tags, strict=True)
    ]
    rows = [
        {
            "key": item["key"],
            "version": item["version"],
            "outputs": [
                {
                    "name": "output",
                    "key": f"objects/{'0' * 64}/{item['key']}@{item['version']}/output.webp",
                    "size_bytes": int(chance.lognormvariate(10, 1)),
                }
            ],
            "source_bytes": item["size_bytes"],
            "milliseconds": round(chance.lognormvariate(3.5, 1), 1),
        }
        for item in items
    ]
    shown = []
    for name, lines in (("plan: shards", items), ("parts", rows)):
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        packed = len(gzip.compress(text, 1, mtime=0)) / len(lines)
        shown.append(
            [
                name,
                f"{len(text) / len(lines):.0f}",
                f"{packed:.0f}",
                f"{packed * SHARD_ITEMS / 1000:.0f}",
                f"{packed * ITEMS / 1e9:.1f}",
                f"{ITEMS // SHARD_ITEMS:,}",
            ]
        )
    return [
        "## Sizes",
        "",
        "Random keys and versions of 32 hexadecimal digits, which are the most of it, and pack worst.",
        "",
        tables.table(["what", "B a row", "packed B", "kB a shard", "GB in all", "objects"], shown),
    ]


def _key(chance: random.Random) -> str:
    return f"photos/2026/{chance.randrange(12):02d}/{chance.getrandbits(64):016x}.jpg"


def _costs(mix: Mix) -> list[str]:
    requests = 1e6 * (1 + 3 / SHARD_ITEMS) * DOLLARS_PER_THOUSAND_PUTS / 1000
    reads = 1e6 * (2 + 3 / SHARD_ITEMS) * DOLLARS_PER_THOUSAND_GETS / 1000
    rows = []
    for name, cores, dollars, speed in MACHINES:
        hours = 1e6 * mix.mean / 3600 / cores / speed / 0.9
        machine = hours * dollars
        rows.append(
            [
                name,
                f"{dollars:.4f}",
                f"{hours:.2f}",
                f"{machine:.2f}",
                f"{requests + reads:.2f}",
                f"{machine + requests + reads:.2f}",
                f"{50 * (machine + requests + reads):,.0f}",
            ]
        )
    return [
        "## Cost of a million items",
        "",
        f"Dollars. Prices: {PRICED}; change them at the top of `scale.py`. Machines are busy for 90 % of "
        f"their time. Requests are those of S3 (${DOLLARS_PER_THOUSAND_PUTS} for a thousand puts, "
        f"${DOLLARS_PER_THOUSAND_GETS} for a thousand reads); storage, traffic to elsewhere and taxes are "
        "not in it.",
        "",
        tables.table(
            ["machine", "an hour", "hours", "machines", "requests", "together", "fifty million"], rows
        ),
    ]


def _checked(mix: Mix, runs: Sequence[dict[str, float]], cores: int) -> list[str]:
    rows = []
    for run in runs:
        items = int(run["items"])
        world = World(
            workers=1,
            items=items,
            shard_items=25,
            cores=int(run["children"]),
            store_seconds=LOCAL_STORE_SECONDS,
            puts_a_second=math.inf,
            deaths_an_hour=0.0,
            list_seconds=0.0,
            is_engine=False,
            start_seconds=run["start_seconds"],
        )
        # No run is shorter than its own processor time on the cores that others left.
        left = run["cpu_seconds"] / (cores - run["others_cores"])
        seconds = statistics.median(simulate(replace(world, seed=seed), mix).seconds for seed in range(21))
        rows.append(
            [
                str(int(run["children"])),
                str(items),
                f"{run['seconds']:.2f}",
                f"{seconds:.2f}",
                f"{seconds / run['seconds'] - 1:+.0%}",
                f"{run['cpu_seconds']:.2f}",
                f"{run['others_cores']:.2f}",
                f"{max(seconds, left):.2f}",
                f"{max(seconds, left) / run['seconds'] - 1:+.0%}",
            ]
        )
    return [
        "## Against real runs",
        "",
        f"One machine of {cores} cores and a folder, no engine: the faster of two runs, and the simulation "
        "of the same job. The machine had other work: the last columns count that no run is shorter than "
        "its own processor time on the cores that other programs left.",
        "",
        tables.table(
            [
                *("children", "items", "real s", "simulated s", "error"),
                *("CPU s", "cores of others", "with what they left", "its error"),
            ],
            rows,
        ),
    ]


LOCAL_STORE_SECONDS = 0.001
"""A folder on the machine's own disk."""


if __name__ == "__main__":
    main()
