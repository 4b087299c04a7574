"""Behind the seal pages, oEmbed and Markdown are read as in front of it: nothing had to be loaded late."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from pool.test_pool import soon
from pool.test_texts import MIB

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import PageFacts
from remote_worker.contract.texts import ReadOembed, ReadPage, RenderMarkdown
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.texts import Texts


def with_texts(work: Callable[[Texts], Awaitable[None]], *, jail: bool = True) -> None:
    async def run() -> None:
        async with Texts(PoolSettings(text_children=1, jail=jail)) as texts:
            await work(texts)

    asyncio.run(run())


async def page_of(texts: Texts, body: bytes, charset: str = "") -> PageFacts:
    with Document.of(body) as document:
        task = ReadPage(url="https://a.example/b", charset=charset)
        return await texts.read_page(document, task, deadline=soon())


async def outcome_of(job: Awaitable[object]) -> str:
    try:
        await job
    except WorkFailed as failed:
        return failed.code
    return "read"


def test_the_probe_sends_one_of_each_kind_through() -> None:
    async def work(texts: Texts) -> None:
        assert await texts.check() == ""
        assert texts.report()["kinds"] == ["markdown", "oembed", "page"]

    with_texts(work)


def test_the_probe_says_that_the_seal_is_off() -> None:
    async def work(texts: Texts) -> None:
        assert await texts.check() == "REMOTE_JAIL is off"

    with_texts(work, jail=False)


def test_pages_in_every_kind_of_encoding_are_read_behind_the_seal() -> None:
    """Codecs are modules and tables that the interpreter loads when they are first asked for."""

    async def work(texts: Texts) -> None:
        for label, codec, title in (
            ("utf-8", "utf-8", "Grüße, 世界"),
            ("gbk", "gbk", "世界"),
            ("gb18030", "gb18030", "世界 ü"),
            ("big5", "big5", "世界"),
            ("euc-jp", "euc_jp", "世界"),
            ("shift_jis", "shift_jis", "世界"),
            ("iso-2022-jp", "iso2022_jp", "世界"),
            ("euc-kr", "euc_kr", "세계"),
            ("windows-1252", "cp1252", "Grüße"),
            ("windows-1251", "cp1251", "мир"),
            ("windows-1255", "cp1255", "עולם"),
            ("windows-874", "cp874", "โลก"),
            ("koi8-u", "koi8_u", "мир"),
            ("iso-8859-7", "iso8859_7", "κόσμε"),
            ("macintosh", "mac_roman", "Grüße"),
            ("ibm866", "cp866", "мир"),
            ("utf-16be", "utf-16-be", "世界"),
        ):
            page = await page_of(texts, f"<title>{title}</title>".encode(codec), label)
            assert (page.title, page.charset) == (title, label)

    with_texts(work)


def test_oembed_is_read_behind_the_seal() -> None:
    async def work(texts: Texts) -> None:
        as_json = json.dumps({"version": "1.0", "type": "link", "title": "Grüße"}).encode()
        as_xml = "<oembed><version>1.0</version><type>link</type><title>Grüße</title></oembed>".encode()
        for body, media_type in ((as_json, "application/json"), (as_xml, "text/xml")):
            with Document.of(body) as document:
                task = ReadOembed(url="https://a.example/oembed", media_type=media_type)
                answer = await texts.read_oembed(document, task, deadline=soon())
            assert answer["title"] == "Grüße"

    with_texts(work)


def test_markdown_is_rendered_behind_the_seal() -> None:
    async def work(texts: Texts) -> None:
        text = b"*a* ~~b~~ https://c.example/ ![d](https://e.example/f)\n\n|g|\n|-|\n|h|\n"
        reply = await texts.render(text, RenderMarkdown(), deadline=soon())

        assert "<em>a</em>" in reply.html
        assert "<td>h</td>" in reply.html
        ((start, end),) = reply.image_sources
        assert reply.html[start:end] == "https://e.example/f"

    with_texts(work)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "*a_" * 50_000,
        "> " * 50_000,
        "![](" * 50_000,
        "|a" * 50_000,
        "- " * 50_000,
        "`" * 100_000,
    ],
    ids=lambda text: text[:4],
)
def test_a_hostile_text_takes_its_processor_time_at_most(text: str) -> None:
    """It is read, or refused for what it takes; never does it crash or hold up the next one."""

    async def work(texts: Texts) -> None:
        for job in (
            texts.render(text.encode(), RenderMarkdown(), deadline=soon()),
            page_of(texts, text.encode()),
            page_of(texts, (text.replace("[", "<").replace("|a", "<a ") * 20).encode()[:MIB]),
        ):
            assert await outcome_of(job) in ("read", FailureCode.PARSE_LIMIT, FailureCode.OUTPUT_TOO_LARGE)
        assert await texts.check() == ""

    with_texts(work)
