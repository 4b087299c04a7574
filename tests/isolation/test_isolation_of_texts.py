"""One sealed child reads the texts of many callers: nothing of one shows in what another gets."""

import asyncio
import json
import os
import re
import time
from typing import Any

from fetch.names import Names
from fetch.origin import Origin, answer, page

from remote_worker.contract.document import Document
from remote_worker.contract.texts import ReadPage, RenderMarkdown
from remote_worker.fetch.door import Door
from remote_worker.fetch.settings import FetchSettings
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.texts import Texts
from remote_worker.service.cache import Cache
from remote_worker.service.previews import Previews
from remote_worker.service.settings import LinkSettings
from remote_worker.service.signing import Signer

CALLERS = 8
ROUNDS = 12
NONCE = os.urandom(6).hex()
MARKER = re.compile(rf"{NONCE}-(\d+)-")
ADDRESS = "93.184.216.34"


def marked(caller: int, count: int) -> str:
    return f"{NONCE}-{caller}- " * count


def callers_in(text: str) -> set[int]:
    return {int(caller) for caller in MARKER.findall(text)}


def test_no_post_and_no_page_holds_anything_of_another_caller() -> None:
    """Long ones before short ones, and ones that fail in between: what malloc keeps is full of markers."""

    async def one(texts: Texts, caller: int, turn: int) -> tuple[int, str]:
        own = marked(caller, 1 + (turn * 977 + caller * 131) % 2000)
        deadline = time.monotonic() + 60
        if turn % 2:
            rendered = await texts.render(
                f"*{own}* @{caller}".encode(), RenderMarkdown(), deadline=deadline, caller=str(caller)
            )
            return caller, rendered.html
        html = f"<title>{own[:80]}</title><meta name=description content='{own}'><body>{own}"
        with Document.of(html.encode()) as document:
            task = ReadPage(url=f"https://{caller}.example/", charset="utf-8")
            facts = await texts.read_page(document, task, deadline=deadline, caller=str(caller))
        return caller, repr(facts)

    async def run() -> list[tuple[int, str]]:
        async with Texts(PoolSettings(text_children=1)) as texts:
            jobs = [one(texts, caller, turn) for turn in range(ROUNDS) for caller in range(CALLERS)]
            return list(await asyncio.gather(*jobs))

    told = asyncio.run(run())

    assert len(told) == CALLERS * ROUNDS
    assert [callers_in(text) for _, text in told] == [{caller} for caller, _ in told]


def test_previews_of_many_callers_are_kept_by_url_and_language_alone() -> None:
    """Everyone asks for a site of their own, and all for one that speaks the language it is asked in."""
    origin = Origin()
    for caller in range(CALLERS):
        origin.on(f"/{caller}", answer(page(f"{NONCE}-{caller}- own")))

    async def speaking(exchange: Any) -> None:
        language = exchange.request.headers["accept-language"]
        await exchange.send(answer(page(f"In {language}"), headers={"Cache-Control": "max-age=600"}))

    origin.on("/spoken", speaking)

    async def run() -> tuple[list[set[int]], list[dict[str, Any]]]:
        signer = Signer([], seconds=60, public_url="", clock=time.time)
        async with Names() as names:
            names.has("a.test", ADDRESS)
            settings = FetchSettings(nameservers=(names.nameserver,), site_burst=100)
            dialled = {(ADDRESS, 80): ("127.0.0.1", origin.port)}
            async with (
                Door(settings, dial_map=dialled) as door,
                Texts(PoolSettings(text_children=1)) as texts,
                Previews(door, texts, Cache(2**20), signer, LinkSettings()) as previews,
            ):

                async def ask(path: str, caller: int = 0, **how: Any) -> dict[str, Any]:
                    body = await previews.preview(
                        f"http://a.test{path}", deadline=time.monotonic() + 60, caller=str(caller), **how
                    )
                    told: dict[str, Any] = json.loads(body)
                    return told

                own = await asyncio.gather(*(ask(f"/{caller}", caller) for caller in range(CALLERS)))
                spoken = [
                    await ask("/spoken", 1, language="de", explain=True),
                    await ask("/spoken", 2, language="de"),
                    await ask("/spoken", 3, language="fr"),
                    await ask("/spoken", 4, language="fr", explain=True),
                ]
                return [callers_in(json.dumps(one)) for one in own], spoken

    with origin:
        own, spoken = asyncio.run(run())

    assert own == [{caller} for caller in range(CALLERS)]
    assert [one["title"] for one in spoken] == ["In de", "In de", "In fr", "In fr"]
    assert [one["fetch"]["cache"] for one in spoken] == ["miss", "hit", "miss", "hit"]
    assert ["explain" in one for one in spoken] == [True, False, False, True]
    assert spoken[3]["explain"]["cache"]["decision"] == "hit"
