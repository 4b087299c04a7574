"""Previews are kept as long as they are good, in memory and in a file, and no longer."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from service.doors import EPOCH, Clock, Door, Page, World

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import FetchFailed, PageFacts, PageMedia, Want
from remote_worker.service.cache import Cache, Key
from remote_worker.service.cache_file import CacheFile, CacheUnusable, Entry
from remote_worker.service.previews import Previews

URL = "https://www.example.org/page"
DAY = 86_400.0


def entry(text: str = "x", *, made: float = EPOCH, is_kept: bool = True) -> Entry:
    return Entry(
        before=text.encode(),
        after=b"",
        hops=b"[]",
        made=made,
        fresh_until=made + 1,
        stale_until=made + 2,
        error_until=made + 3,
        is_kept=is_kept,
        etag='"e"',
    )


@dataclass
class Visit:
    """Previews at a clock that the test turns, asked one after the other."""

    previews: Previews
    clock: Clock
    door: Door
    told: list[str] = field(default_factory=list)

    async def at(self, seconds: float, url: str = URL, language: str = "") -> str:
        """How the preview came, or the code of its failure, so many seconds after the beginning."""
        self.clock.now = EPOCH + seconds
        try:
            body = await self.previews.preview(url, language=language, deadline=time.monotonic() + 10)
        except WorkFailed as failed:
            return str(failed.code)
        came: str = json.loads(body)["fetch"]["cache"]
        return came

    async def settled(self) -> None:
        """Until what was begun behind is done."""
        while self.previews._flights or self.previews._refreshes:
            await asyncio.sleep(0)


def visit(world: World, do: Callable[[Visit], Awaitable[Any]]) -> Any:
    async def opened() -> Any:
        async with world.previews() as previews:
            return await do(Visit(previews, world.clock, world.door))

    return asyncio.run(opened())


def world(answer: Any = None, cache: Cache | None = None) -> World:
    made = World(cache=cache)
    made.door.answers = {URL: answer or Page({"cache-control": "max-age=600"})}
    return made


def test_a_preview_is_a_hit_while_it_is_fresh_then_stale_while_it_is_made_anew() -> None:
    here = world()

    async def day(visit: Visit) -> list[str]:
        told = [await visit.at(0), await visit.at(599), await visit.at(600), await visit.at(601)]
        await visit.settled()
        told += [await visit.at(602), await visit.at(1200), await visit.at(1201)]
        await visit.settled()
        return told

    told = visit(here, day)

    assert told == ["miss", "hit", "stale", "stale", "hit", "hit", "stale"]
    # The one refresh for both stale answers, then the next.
    assert len(here.door.urls) == 3


def test_past_its_stale_time_it_is_waited_for() -> None:
    assert visit(world(), lambda v: _both(v, 600 + DAY)) == ["miss", "miss"]
    assert visit(world(), lambda v: _both(v, 600 + DAY - 1)) == ["miss", "stale"]


async def _both(visit: Visit, later: float) -> list[str]:
    return [await visit.at(0), await visit.at(later)]


@pytest.mark.parametrize("value", ["no-store", "private", "no-cache", "max-age=0, must-revalidate"])
def test_what_must_not_be_stale_is_not(value: str) -> None:
    here = world(Page({"cache-control": value}))

    async def day(visit: Visit) -> list[str]:
        return [await visit.at(0), await visit.at(299), await visit.at(300)]

    assert visit(here, day) == ["miss", "hit", "miss"]


def test_a_page_that_has_not_changed_is_fresh_again() -> None:
    def not_twice(want: Want) -> Page:
        if want.etag == '"v1"' and want.last_modified == "Mon, 21 Sep 2026 14:13:20 GMT":
            return Page({"cache-control": "max-age=900"}, b"", status=304)
        return Page(
            {
                "cache-control": "no-cache",
                "etag": '"v1"',
                "last-modified": "Mon, 21 Sep 2026 14:13:20 GMT",
            }
        )

    async def day(visit: Visit) -> list[str]:
        return [await visit.at(0), await visit.at(300), await visit.at(1199), await visit.at(1200)]

    assert visit(world(not_twice), day) == ["miss", "revalidated", "hit", "stale"]


def test_what_was_private_stays_so_when_it_has_not_changed(tmp_path: Path) -> None:
    def not_twice(want: Want) -> Page:
        if want.etag:
            return Page({}, b"", status=304)
        return Page({"cache-control": "private", "etag": '"v1"'})

    path = tmp_path / "cache"
    here = world(not_twice, Cache(2**20, file_at(path)))

    async def day(visit: Visit) -> list[str]:
        return [await visit.at(0), await visit.at(300), await visit.at(599), await visit.at(600)]

    assert visit(here, day) == ["miss", "revalidated", "hit", "revalidated"]
    assert not kept(path)


@pytest.mark.parametrize(
    ("code", "later"),
    [(FailureCode.BUSY, "stale"), (FailureCode.RATE_LIMITED, "stale"), (FailureCode.HTTP_5XX, "hit")],
)
def test_a_card_without_a_part_that_had_no_room_here_is_made_anew_soon(code: FailureCode, later: str) -> None:
    oembed = "https://www.example.org/oembed"
    here = world(Page({"cache-control": "max-age=6000"}))
    here.door.answers[oembed] = FetchFailed(code)
    told = PageFacts(title="x", oembed=(PageMedia(url=oembed, type="application/json+oembed"),))
    here.sight.pages = {URL: told}

    async def day(visit: Visit) -> list[str]:
        return [await visit.at(0), await visit.at(299), await visit.at(300)]

    assert visit(here, day) == ["miss", "hit", later]


@pytest.mark.parametrize(
    "failed",
    [
        FetchFailed(FailureCode.HTTP_5XX, status=500),
        FetchFailed(FailureCode.TIMEOUT, "total"),
        FetchFailed(FailureCode.HTTP_4XX, status=403, headers={"cf-mitigated": "challenge"}),
        FetchFailed(FailureCode.DNS_NOT_FOUND),
    ],
)
def test_an_old_card_stands_in_while_the_site_fails(failed: FetchFailed) -> None:
    here = world()

    async def week(visit: Visit) -> list[str]:
        first = await visit.at(0)
        here.door.answers[URL] = failed
        last = 600 + 7 * DAY
        return [
            first,
            await visit.at(600 + 2 * DAY),
            await visit.at(660 + 2 * DAY - 1),
            await visit.at(last - 1),
        ]

    assert visit(here, week) == ["miss", "stale", "stale", "stale"]
    # For a minute nobody asks the site again.
    assert len(here.door.urls) == 3


def test_past_a_week_it_does_not_stand_in() -> None:
    here = world()

    async def week(visit: Visit) -> list[str]:
        first = await visit.at(0)
        here.door.answers[URL] = FetchFailed(FailureCode.HTTP_5XX, status=500)
        return [first, await visit.at(600 + 7 * DAY)]

    assert visit(here, week) == ["miss", "http_5xx"]


@pytest.mark.parametrize(
    "failed", [FetchFailed(FailureCode.HTTP_4XX, status=404), FetchFailed(FailureCode.BLOCKED_ADDRESS)]
)
def test_it_does_not_stand_in_for_a_page_that_is_gone_or_refused(failed: FetchFailed) -> None:
    here = world()

    async def days(visit: Visit) -> list[str]:
        first = await visit.at(0)
        here.door.answers[URL] = failed
        return [first, await visit.at(600 + 2 * DAY)]

    assert visit(here, days) == ["miss", str(failed.code)]


@pytest.mark.parametrize(
    ("failed", "seconds"),
    [
        (FetchFailed(FailureCode.HTTP_4XX, status=404), 600),
        (FetchFailed(FailureCode.HTTP_4XX, status=410), 600),
        (FetchFailed(FailureCode.HTTP_4XX, status=403), 60),
        (FetchFailed(FailureCode.HTTP_5XX, status=503), 60),
        (FetchFailed(FailureCode.TIMEOUT, "connect"), 60),
        (FetchFailed(FailureCode.BLOCKED_ADDRESS, "private"), 0),
        (FetchFailed(FailureCode.BLOCKED_NAME), 0),
        (FetchFailed(FailureCode.RATE_LIMITED), 0),
        (FetchFailed(FailureCode.FETCH_UNAVAILABLE), 0),
    ],
)
def test_failures_are_remembered_for_their_time(failed: FetchFailed, seconds: int) -> None:
    here = world(failed)

    async def day(visit: Visit) -> None:
        for moment in (0, seconds - 1, seconds) if seconds else (0, 0):
            assert await visit.at(moment) == str(failed.code)

    visit(here, day)

    assert len(here.door.urls) == 2


def test_a_card_made_at_a_wall_is_kept_for_five_minutes() -> None:
    here = world(FetchFailed(FailureCode.HTTP_4XX, status=403, headers={"cf-mitigated": "challenge"}))

    async def day(visit: Visit) -> list[str]:
        return [await visit.at(0), await visit.at(299), await visit.at(300)]

    assert visit(here, day) == ["miss", "hit", "miss"]


def test_languages_are_kept_apart_and_purged_together() -> None:
    here = world()

    async def day(visit: Visit) -> list[Any]:
        told: list[Any] = [await visit.at(0, language=word) for word in ("de", "en", "de")]
        told.append(await visit.previews.purge(URL + "#there"))
        told.append(await visit.previews.purge(URL))
        return [*told, await visit.at(1, language="de")]

    assert visit(here, day) == ["miss", "miss", "hit", 2, 0, "miss"]
    assert [want.language for want in here.door.wants] == ["de", "en", "de"]


def test_what_was_on_its_way_when_its_url_was_purged_is_not_kept() -> None:
    here = world()

    async def day(visit: Visit) -> list[str]:
        here.door.held[URL] = asyncio.Event()
        asked = asyncio.create_task(visit.at(0))
        while not here.door.urls:
            await asyncio.sleep(0)
        await visit.previews.purge(URL)
        here.door.held.pop(URL).set()
        return [await asked, await visit.at(1)]

    assert visit(here, day) == ["miss", "miss"]


def test_who_asks_after_a_purge_does_not_get_what_was_on_its_way_before() -> None:
    here = world()

    async def day(visit: Visit) -> list[str]:
        held = here.door.held[URL] = asyncio.Event()
        asked = asyncio.create_task(visit.at(0))
        while not here.door.urls:
            await asyncio.sleep(0)
        await visit.previews.purge(URL)
        del here.door.held[URL]
        after = await visit.at(1)
        held.set()
        return [after, await asked, await visit.at(2)]

    assert visit(here, day) == ["miss", "miss", "hit"]
    assert here.door.urls == [URL, URL]


def test_what_is_read_from_the_file_during_a_purge_does_not_come_back(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")

    async def both() -> list[bool]:
        async with Cache(2**20, file_at(path)) as cache:
            read = asyncio.create_task(cache.load(Key(URL, "")))
            await asyncio.sleep(0)
            await cache.purge(URL)
            return [await read is None, cache.get(Key(URL, "")) is None]

    assert asyncio.run(both()) == [True, True]


def test_so_many_are_made_anew_at_once_and_the_next_is_waited_for() -> None:
    here = World()
    urls = [f"https://{number}.example.org/" for number in range(65)]
    here.door.answers = {url: Page({"cache-control": "max-age=600"}) for url in urls}

    async def crowd(visit: Visit) -> list[str]:
        for url in urls:
            await visit.at(0, url)
        here.door.held = {url: asyncio.Event() for url in urls[:64]}
        told = [await visit.at(600, url) for url in urls]
        for held in here.door.held.values():
            held.set()
        await visit.settled()
        return told

    assert visit(here, crowd) == ["stale"] * 64 + ["miss"]


# Memory.


def test_memory_holds_so_many_bytes_and_those_longest_without_use_go() -> None:
    size = entry().size_bytes
    cache = Cache(3 * size)
    a, b, c, d = (Key(f"https://{name}.example.org/", "") for name in "abcd")

    async def fill() -> list[bool]:
        for key in (a, b, c):
            cache.put(key, entry())
        cache.get(a)
        cache.put(d, entry())
        return [cache.get(key) is not None for key in (a, b, c, d)]

    assert asyncio.run(fill()) == [True, False, True, True]
    assert cache.size_bytes == 3 * size


def test_an_entry_larger_than_all_memory_is_not_kept() -> None:
    cache = Cache(entry().size_bytes)
    key = Key(URL, "")

    async def put(text: str) -> bool:
        cache.put(key, entry(text))
        return cache.get(key) is not None

    assert asyncio.run(put("x"))
    assert not asyncio.run(put("xx"))
    assert cache.size_bytes == 0


# The file.


def file_at(path: Path, *, most_bytes: int = 2**20, generation: str = "g") -> CacheFile:
    return CacheFile(str(path), most_bytes, generation)


def kept(path: Path, key: str = URL, **more: Any) -> bool:
    file = file_at(path, **more)
    file.open()
    found = file.read(key, "")
    file.close()
    return found is not None


def filled(path: Path) -> Path:
    file = file_at(path)
    file.open()
    file.write(URL, "", entry())
    file.close()
    return path


def test_previews_outlive_the_worker_in_a_file(tmp_path: Path) -> None:
    def opened() -> World:
        return world(cache=Cache(2**20, file_at(tmp_path / "cache")))

    first, second = opened(), opened()

    assert visit(first, lambda v: v.at(0)) == "miss"
    assert visit(second, lambda v: v.at(1)) == "hit"
    assert second.door.urls == []


def test_what_must_not_be_stored_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    here = world(Page({"cache-control": "no-store"}), Cache(2**20, file_at(path)))

    visit(here, lambda v: v.at(0))

    assert not kept(path)


def test_a_purge_reaches_the_file(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")
    here = world(cache=Cache(2**20, file_at(path)))

    assert visit(here, lambda v: v.previews.purge(URL)) == 1
    assert not kept(path)


def test_an_entry_comes_out_of_the_file_as_it_went_in(tmp_path: Path) -> None:
    file = file_at(tmp_path / "cache")
    file.open()
    there = entry("\0 any bytes \xff", is_kept=True)
    file.write(URL, "de", there)

    assert file.read(URL, "de") == there
    assert file.read(URL, "en") is None
    file.close()


class SlowFile(CacheFile):
    """Writes when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), 2**30, "g")
        self.go = threading.Event()

    def write(self, url: str, language: str, entry: Entry) -> None:
        """Wait, then write."""
        assert self.go.wait(10)
        super().write(url, language, entry)


def test_so_many_entries_wait_for_the_file_and_the_next_does_not(tmp_path: Path) -> None:
    file = SlowFile(tmp_path / "cache")
    keys = [Key(f"https://{number}.example.org/", "") for number in range(257)]

    async def fill() -> list[bool]:
        async with Cache(2**20, file) as cache:
            for key in keys:
                cache.put(key, entry())
            file.go.set()
            return [cache.get(key) is not None for key in keys]

    assert asyncio.run(fill()) == [True] * 257
    assert [kept(tmp_path / "cache", key.url) for key in keys[-3:]] == [True, True, False]


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_holds_so_many_bytes(tmp_path: Path) -> None:
    size = entry().size_bytes
    file = file_at(tmp_path / "cache", most_bytes=10 * size)
    file.open()
    for number in range(10):
        file.write(f"https://{number}.example.org/", "", entry(made=EPOCH + number))
    full = [file.read(f"https://{number}.example.org/", "") is not None for number in range(10)]
    file.write("https://10.example.org/", "", entry(made=EPOCH + 10))
    over = [file.read(f"https://{number}.example.org/", "") is not None for number in range(11)]
    file.close()

    assert full == [True] * 10
    # Down to nine tenths, so that not every write has to make room.
    assert over == [False] * 2 + [True] * 9


def test_previews_made_with_other_settings_are_dropped(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")

    assert kept(path, generation="g")
    assert not kept(path, generation="other")
    assert not kept(path, generation="g")


def test_a_file_of_an_older_form_begins_anew(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("DROP TABLE facts")
    database.close()

    assert not kept(path)
    filled(path)
    assert kept(path)


def test_a_damaged_file_of_ours_begins_anew(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)

    assert not kept(path)
    filled(path)
    assert kept(path)


def test_a_file_that_another_worker_writes_to_is_not_taken_for_damaged(tmp_path: Path) -> None:
    path = filled(tmp_path / "cache")
    before = path.stat().st_ino
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    late = file_at(path, generation="other")
    try:
        with pytest.raises(CacheUnusable, match="locked"):
            late.open()
    finally:
        other.close()

    assert not is_held(path)
    assert path.stat().st_ino == before
    assert kept(path)


def is_held(path: Path) -> bool:
    """Whether this process has the file open."""
    for opened in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # That of the listing itself.
            if opened.readlink() == path:
                return True
    return False


_START = """
import sys
from remote_worker.service.cache_file import CacheFile
files = [CacheFile(f"{sys.argv[1]}/cache{number}", 2**20, "g") for number in range(20)]
sys.stdin.read(1)
for file in files:
    file.open()
sys.stdin.read()
"""


def test_workers_that_start_together_share_one_file(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", _START, str(tmp_path)], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"x")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()

    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]


def test_a_file_that_several_workers_fill_has_room_for_what_comes_next(tmp_path: Path) -> None:
    files = [file_at(tmp_path / "cache", most_bytes=2**18) for _ in range(3)]
    for file in files:
        file.open()
    for number in range(600):
        files[number % 3].write(f"https://{number}.example.org/", "", entry("x" * 2000))

    assert files[0].read("https://599.example.org/", "") is not None
    for file in files:
        file.close()


@pytest.mark.parametrize("is_database", [True, False])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, *, is_database: bool) -> None:
    path = tmp_path / "precious"
    if is_database:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE precious (x)")
        database.close()
    else:
        path.write_bytes(b"precious" * 100)
    before = path.read_bytes()

    with pytest.raises(CacheUnusable, match="not a cache of this worker"):
        file_at(path).open()
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CacheUnusable, match="cannot be opened"):
        file_at(tmp_path / "missing" / "cache").open()


def test_a_file_that_fails_costs_the_file_and_not_the_preview(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    here = world(cache=Cache(2**20, file_at(path)))

    async def break_it(visit: Visit) -> list[str]:
        with sqlite3.connect(path) as database:
            database.execute("DROP TABLE entries")
        database.close()
        return [await visit.at(0), await visit.at(1)]

    assert visit(here, break_it) == ["miss", "hit"]
