"""Previews are shared within one trust key: what reads pages may be in the hands of a page before."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from service.doors import Page, World

from remote_worker.contract.callers import Caller
from remote_worker.contract.limits import Ceilings
from remote_worker.service.cache import Cache
from remote_worker.service.cache_file import CacheFile
from remote_worker.service.previews import Previews

URL = "https://www.example.org/page"
A, B = Caller("key:a", trust="one"), Caller("key:b", trust="two")
A_TOO = Caller("key:c", trust="one", ceilings=Ceilings(input_bytes=1))


def world(cache: Cache | None = None) -> World:
    made = World(cache=cache)
    made.door.answers = {URL: Page({"cache-control": "max-age=600"})}
    return made


async def came(previews: Previews, caller: str) -> Any:
    body = await previews.preview(URL, deadline=time.monotonic() + 10, caller=caller)
    return json.loads(body)["fetch"]["cache"]


def test_a_card_is_a_hit_for_its_own_trust_key_alone() -> None:
    here = world()

    async def run() -> list[Any]:
        async with here.previews() as previews:
            told = [await came(previews, caller) for caller in (A, A_TOO, B, B, "", A)]
            assert await previews.purge(URL) == 3
            return [*told, await came(previews, A)]

    assert asyncio.run(run()) == ["miss", "hit", "miss", "hit", "miss", "hit", "miss"]


def test_who_waits_for_the_same_page_waits_with_its_own_trust_key() -> None:
    here = world()

    async def run() -> list[Any]:
        async with here.previews() as previews:
            return await asyncio.gather(*(came(previews, caller) for caller in (A, A_TOO, B)))

    assert asyncio.run(run()) == ["miss"] * 3
    assert here.door.urls == [URL] * 2


def test_the_file_keeps_them_apart_too(tmp_path: Path) -> None:
    async def run(*callers: str) -> list[Any]:
        cache = Cache(2**20, CacheFile(str(tmp_path / "cache"), 2**20, "g"))
        async with world(cache).previews() as previews:
            return [await came(previews, caller) for caller in callers]

    assert asyncio.run(run(A)) == ["miss"]
    assert asyncio.run(run(A_TOO, B, "")) == ["hit", "miss", "miss"]
