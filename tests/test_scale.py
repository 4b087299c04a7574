"""The simulation of large jobs: what must come out where it can be counted without it."""

import json
from dataclasses import replace

import pytest

from benchmarks import scale, tables

TELLS = json.loads((scale.PROJECT / "benchmarks" / "service_times.json").read_text())
STEADY = scale.Mix([{"milliseconds": [40.0], "of_100": 100, "input_bytes": 1, "output_bytes": 1}])
PLAIN = scale.World(
    workers=1,
    items=200_000,
    lanes=100,
    puts_a_second=1e9,
    deaths_an_hour=0.0,
    slow_share=0.0,
    list_seconds=0.0,
    is_engine=False,
    start_seconds=0.0,
)


@pytest.mark.parametrize("workers", [1, 2, 5, 50])
def test_work_without_obstacles_is_shared_among_all_cores(workers: int) -> None:
    ended = scale.simulate(replace(PLAIN, workers=workers), STEADY)

    # 200,000 items of 40 ms on so many workers of four cores.
    assert ended.seconds == pytest.approx(200_000 * 0.040 / (4 * workers))
    assert ended.efficiency == pytest.approx(1)


def test_waiting_for_the_store_idles_children_that_have_too_few_lanes() -> None:
    ended = scale.simulate(replace(PLAIN, lanes=2, store_seconds=0.120), STEADY)

    # Two lanes bring an item each in 160 ms, of which a child decodes 80.
    assert ended.efficiency == pytest.approx(0.5)


def test_the_store_lets_through_only_so_many_however_many_workers_there_are() -> None:
    world = replace(PLAIN, workers=100, puts_a_second=1000.0)

    assert scale.simulate(world, STEADY).seconds == pytest.approx(200, rel=0.02)
    assert scale.simulate(replace(world, prefixes=2), STEADY).seconds == pytest.approx(100, rel=0.02)


def test_deaths_cost_time_and_nothing_else() -> None:
    world = replace(PLAIN, workers=5, deaths_an_hour=10.0)
    ended = scale.simulate(world, STEADY)

    assert ended.deaths > 3
    assert 0 < ended.twice <= ended.deaths
    assert scale.simulate(PLAIN, STEADY).seconds / 5 < ended.seconds


def test_slow_workers_do_fewer_shards_and_do_not_hold_up_the_others() -> None:
    ended = scale.simulate(replace(PLAIN, items=4_000_000, workers=20, slow_share=0.1), STEADY)

    # Two of twenty at half speed are one less: 19 are left.
    assert ended.efficiency == pytest.approx(19 / 20, abs=0.01)


def test_the_same_seed_gives_the_same_end_and_another_one_another() -> None:
    mix = scale.Mix(TELLS["kinds"])
    world = scale.World(workers=5, items=300_000)

    assert scale.simulate(world, mix) == scale.simulate(world, mix)
    assert scale.simulate(replace(world, seed=1), mix) != scale.simulate(world, mix)


def test_the_mix_is_a_hundred_items() -> None:
    assert sum(kind["of_100"] for kind in TELLS["kinds"]) == 100


def test_fifty_million_items_are_in_the_kept_table() -> None:
    kept = (tables.PROJECT / "benchmarks" / "scale.md").read_text()
    mix = scale.Mix(TELLS["kinds"])
    ended = scale.simulate(scale.World(workers=200), mix)

    assert f"{ended.seconds / 3600:.2f} ({ended.efficiency:.0%})" in kept
