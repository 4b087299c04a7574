"""What a shard has made goes into the store in groups, and no row is told before."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_worker.bulk.lanes import Lanes
from remote_worker.bulk.outbox import GROUP_BYTES, GROUP_ITEMS, GROUP_SECONDS, Outbox, Parcel
from remote_worker.bulk.rows import Row
from remote_worker.stores.directory import Directory
from remote_worker.stores.store import StoreFailed


class Desk:
    """An outbox, the folder that it sends to, and a clock that stands still."""

    def __init__(self, folder: Path, lanes: Lanes) -> None:
        self.store = Directory(folder)
        self.now = 1000.0
        self.told: list[int] = []
        self.outbox = Outbox(self.store, lanes, lambda index, _: self.told.append(index), clock=self.clock)

    def clock(self) -> float:
        return self.now

    def add(self, *parcels: Parcel) -> None:
        async def one_after_the_other() -> None:
            for parcel in parcels:
                await self.outbox.add(parcel)

        asyncio.run(one_after_the_other())

    def put(self) -> list[str]:
        return [key for key, _ in self.store.list()]


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    with Lanes(1, 0) as lanes:
        yield lanes


@pytest.fixture
def desk(tmp_path: Path, lanes: Lanes) -> Desk:
    return Desk(tmp_path / "out", lanes)


def parcel(index: int, *keys: str, data: bytes = b"", after: str = "") -> Parcel:
    return Parcel(
        index=index,
        row=Row(key=f"{index}", version="v"),
        objects=[(key, data) for key in keys],
        after=[(after, b"")] if after else [],
    )


def test_a_full_group_is_put_and_a_smaller_one_waits(desk: Desk) -> None:
    parcels = [parcel(n, f"{n:02d}") for n in range(GROUP_ITEMS)]

    desk.add(*parcels[:-1])
    assert (desk.put(), desk.told) == ([], [])
    desk.add(parcels[-1])
    assert desk.put() == [f"{n:02d}" for n in range(GROUP_ITEMS)]
    assert desk.told == list(range(GROUP_ITEMS))


@pytest.mark.parametrize(("spared", "told"), [(1, []), (0, [0])])
def test_a_group_is_full_by_its_bytes_too(desk: Desk, spared: int, told: list[int]) -> None:
    desk.add(parcel(0, "a", data=bytes(GROUP_BYTES - spared)))

    assert desk.told == told


@pytest.mark.parametrize(("share", "told"), [(0.99, []), (1.01, [0])])
def test_what_comes_long_after_the_last_group_waits_for_nothing(
    desk: Desk, share: float, told: list[int]
) -> None:
    desk.now += GROUP_SECONDS * share

    desk.add(parcel(0, "a"))
    assert desk.told == told
    assert desk.put() == ["a"] * len(told)


def test_what_has_nothing_to_put_is_told_at_once(desk: Desk) -> None:
    desk.add(parcel(0, "a"), parcel(1))

    assert desk.told == [1]


def test_the_rest_is_put_when_there_is_no_more(desk: Desk) -> None:
    desk.add(parcel(0, "a"), parcel(1, after="b"))

    asyncio.run(desk.outbox.send())
    assert (desk.put(), desk.told) == (["a", "b"], [0, 1])


def test_a_failure_is_raised_and_neither_a_row_nor_that_all_is_there_is_told(desk: Desk) -> None:
    desk.add(parcel(0, "a", after="told"), parcel(1, "b/c", "b/c/below"))

    with pytest.raises(StoreFailed):
        asyncio.run(desk.outbox.send())

    assert "told" not in desk.put()
    assert desk.told == []


def test_what_nobody_waits_for_is_put_before_the_lanes_end(tmp_path: Path) -> None:
    with Lanes(1, 0) as lanes:
        desk = Desk(tmp_path, lanes)
        desk.add(parcel(0, "a"))
        desk.outbox.leave()

    assert (desk.put(), desk.told) == (["a"], [])
