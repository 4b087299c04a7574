"""Previews on a door and a reader that answer as they are told."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from service.doors import EPOCH, Page, World, picture

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import (
    FetchFailed,
    Hop,
    PageFacts,
    PageIcon,
    PageImage,
    PageMedia,
    Purpose,
    Verdict,
)
from remote_worker.service.previews import Previews

URL = "https://www.example.org/2026/a-story.html"
FACTS = PageFacts(
    title="A story",
    description="What happened",
    site_name="The Example",
    type="article",
    canonical_url="https://example.org/a-story",
    lang="en",
    author="A. Writer",
    published_time="2026-09-21T00:00:00Z",
    theme_color="#ffffff",
    images=(PageImage(url="https://cdn.example.net/a.jpg", width=1200, height=630, alt="A"),),
    icons=(PageIcon(url="https://www.example.org/i.png", sizes="32x32"),),
    videos=(PageMedia(url="https://cdn.example.net/a.mp4", type="video/mp4", width=640, height=360),),
    audios=(PageMedia(url="https://cdn.example.net/a.mp3"),),
    flags=("paywall",),
    raw={"og": {"title": "A story"}},
)
OEMBED = "https://www.example.org/oembed?u=1"
YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
YOUTUBE_OEMBED = (
    "https://www.youtube.com/oembed?format=json&url=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3DdQw4w9WgXcQ"
)


def soon() -> float:
    return time.monotonic() + 10


def run(world: World, do: Callable[[Previews], Awaitable[Any]], **settings: Any) -> Any:
    """What this does with previews of this world."""

    async def opened() -> Any:
        async with world.previews(**settings) as previews:
            return await do(previews)

    return asyncio.run(opened())


def card(world: World, url: str = URL, *, explain: bool = False, force: bool = False, **settings: Any) -> Any:
    """One preview, as JSON."""
    body = run(world, lambda p: p.preview(url, explain=explain, force=force, deadline=soon()), **settings)
    return json.loads(body)


def failure(world: World, url: str = URL) -> WorkFailed:
    with pytest.raises(WorkFailed) as failed:
        card(world, url)
    return failed.value


def world(facts: PageFacts | WorkFailed = FACTS, **more: Any) -> World:
    made = World()
    made.door.answers = {URL: Page(), **more}
    made.sight.pages = {URL: facts}
    return made


def test_a_page_becomes_a_card_with_these_members_and_no_others() -> None:
    assert card(world()) == {
        "url": URL,
        "final_url": URL,
        "canonical_url": "https://example.org/a-story",
        "title": "A story",
        "description": "What happened",
        "site_name": "The Example",
        "type": "article",
        "lang": "en",
        "author": "A. Writer",
        "published_time": "2026-09-21T00:00:00Z",
        "theme_color": "#ffffff",
        "images": [
            {
                "url": "https://cdn.example.net/a.jpg",
                "width": 1200,
                "height": 630,
                "alt": "A",
                "proxy_url": None,
            }
        ],
        "icons": [{"url": "https://www.example.org/i.png", "sizes": "32x32"}],
        "videos": [
            {"url": "https://cdn.example.net/a.mp4", "type": "video/mp4", "width": 640, "height": 360}
        ],
        "audios": [{"url": "https://cdn.example.net/a.mp3", "type": None, "width": None, "height": None}],
        "oembed": None,
        "embed": None,
        "flags": ["paywall"],
        "raw": {"og": {"title": "A story"}},
        "fetch": {
            "status": 200,
            "final_url": URL,
            "hops": [{"url": URL, "status": 200}],
            "bytes": 16,
            "milliseconds": 1.5,
            "cache": "miss",
            "parts": [],
        },
        "status": "ok",
        "success": True,
    }


def test_a_page_that_says_nothing_has_its_title_and_site_from_the_url() -> None:
    told = card(world(PageFacts()))

    assert told["title"] == "a story"
    assert told["site_name"] == "example.org"
    assert [name for name, value in told.items() if value is None] == [
        "author",
        "canonical_url",
        "description",
        "embed",
        "lang",
        "oembed",
        "published_time",
        "theme_color",
        "type",
    ]
    assert [name for name, value in told.items() if value == []] == [
        "audios",
        "flags",
        "icons",
        "images",
        "videos",
    ]


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://www.example.org/", "www.example.org"),
        ("https://www.example.org/2026/11/", "www.example.org"),
        ("https://www.example.org/a_b-c+d.html", "a b c d"),
        ("https://www.example.org/%E4%BD%A0%E5%A5%BD%E5%90%97/7", "你好吗"),
        ("https://www.example.org/x%E2%80%AEy%00z", "xyz"),
        ("https://www.example.org/x%D8%9Cy%C2%ADz", "xyz"),
        ("https://www.example.org/x%E2%80%8Cy%E2%80%8Dz", "xyz"),
        ("https://www.example.org/" + "ab" * 100, "ab" * 60),
    ],
)
def test_a_url_has_a_title(url: str, title: str) -> None:
    here = World()
    here.door.answers = {url: Page()}
    here.sight.pages = {url: PageFacts()}

    assert card(here, url)["title"] == title


def test_a_canonical_url_of_another_site_is_not_believed() -> None:
    told = card(world(replace(FACTS, canonical_url="https://bank.example.com/")))

    assert told["canonical_url"] is None


def test_the_fragment_is_cut_and_the_charset_of_the_header_is_passed_on() -> None:
    here = world()
    here.door.answers[URL] = Page({"content-type": 'text/html; charset="Shift_JIS"; x=y'})

    assert card(here, URL + "#part")["url"] == URL
    assert [task.charset for task in here.sight.tasks] == ["Shift_JIS"]


def test_the_reader_hears_the_final_url_and_the_card_tells_it() -> None:
    here = World()
    final = "https://www.example.org/b"
    here.door.answers = {"https://t.example.net/x": Page(final=final, way=("https://t.example.net/x",))}
    here.sight.pages = {final: FACTS}

    told = card(here, "https://t.example.net/x")

    assert (told["url"], told["final_url"], told["title"]) == ("https://t.example.net/x", final, "A story")
    assert told["fetch"]["hops"] == [
        {"url": "https://t.example.net/x", "status": 302},
        {"url": final, "status": 200},
    ]


def test_a_picture_is_a_card_of_its_own() -> None:
    url = "https://cdn.example.org/my-cat.png"
    here = World()
    here.door.answers = {url: picture()}

    told = card(here, url)

    assert (told["type"], told["title"]) == ("image", "my cat")
    assert [image["url"] for image in told["images"]] == [url]
    assert here.sight.tasks == []


def test_pictures_have_signed_addresses_when_there_is_a_key() -> None:
    (image,) = card(world(), proxy_keys=("key",), public_url="https://img.example.com")["images"]

    assert image["proxy_url"].startswith("https://img.example.com/links/proxy/")


def test_a_signed_address_outlives_the_card_that_has_it() -> None:
    (image,) = card(world(), proxy_keys=("key",), proxy_seconds=60)["images"]
    day = 86_400

    expires = int(image["proxy_url"].split("/")[4])

    # Fresh for a day at most, and shown for a week more in need.
    assert expires >= EPOCH + 8 * day + 60


# Rows 67 to 69 of the table of hostile servers.


@pytest.mark.parametrize("href", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://[::1]/"])
def test_an_oembed_address_that_is_refused_is_not_asked_and_the_card_is_returned(href: str) -> None:
    here = world(replace(FACTS, oembed=(PageMedia(url=href, type="application/json+oembed"),)))

    told = card(here)

    assert told["title"] == "A story"
    assert told["oembed"] is None
    assert [part["code"] for part in told["fetch"]["parts"]] in (["blocked_address"], ["bad_scheme"])
    assert here.door.urls == [URL]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/a.png", "blocked_address"),
        ("data:image/png;base64,AAAA", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("http://a.internal/a.png", "blocked_name"),
        ("javascript:alert(1)", "bad_scheme"),
    ],
)
def test_a_part_with_a_refused_url_is_dropped(url: str, code: str) -> None:
    facts = replace(
        FACTS,
        images=(PageImage(url=url), *FACTS.images),
        icons=(PageIcon(url=url),),
        videos=(PageMedia(url=url),),
        audios=(PageMedia(url=url),),
        canonical_url=url,
    )

    told = card(world(facts))

    assert [image["url"] for image in told["images"]] == ["https://cdn.example.net/a.jpg"]
    assert (told["icons"], told["videos"], told["audios"], told["canonical_url"]) == ([], [], [], None)
    assert sorted(told["fetch"]["parts"], key=lambda part: part["part"]) == [
        {"part": part, "url": url, "code": code}
        for part in ("audio", "canonical_url", "icon", "image", "video")
    ]


def test_a_provider_that_redirects_to_a_refused_address_costs_only_its_part() -> None:
    here = World()
    blocked = FetchFailed(
        FailureCode.BLOCKED_ADDRESS, "private", hops=(Hop(url=YOUTUBE_OEMBED), Hop(url="http://10.0.0.1/"))
    )
    here.door.answers = {YOUTUBE: Page(), YOUTUBE_OEMBED: blocked}

    told = card(here, YOUTUBE)

    assert told["title"] == "A page"
    assert told["fetch"]["parts"] == [{"part": "oembed", "url": YOUTUBE_OEMBED, "code": "blocked_address"}]


def test_dropped_parts_are_told_up_to_a_number_and_cut() -> None:
    urls = [f"data:{number:02}".ljust(300, "x") for number in range(17)]

    parts = card(world(replace(FACTS, images=tuple(PageImage(url=url) for url in urls))))["fetch"]["parts"]

    assert [part["url"] for part in parts] == [url[:200] for url in urls[:16]]


# oEmbed.


def test_what_oembed_tells_is_shown_without_its_html() -> None:
    here = world(
        PageFacts(title="A story", oembed=(PageMedia(url=OEMBED, type="application/json+oembed"),)),
        **{OEMBED: Page(media_type="application/json")},
    )
    here.sight.oembed = {
        OEMBED: {
            "type": "video",
            "title": "Other",
            "author_name": "Somebody",
            "author_url": "http://127.0.0.1/",
            "thumbnail_url": "https://cdn.example.net/t.jpg",
            "thumbnail_width": 480,
            "thumbnail_height": "360",
            "html": "<script>alert(1)</script>",
        }
    }

    told = card(here)

    assert told["oembed"] == {
        "type": "video",
        "title": "Other",
        "author_name": "Somebody",
        "author_url": None,
        "provider_name": None,
        "provider_url": None,
        "thumbnail_url": "https://cdn.example.net/t.jpg",
        "url": None,
        "width": None,
        "height": None,
        "thumbnail_width": 480,
        "thumbnail_height": None,
    }
    assert (told["title"], told["author"]) == ("A story", "Somebody")
    assert [(image["url"], image["width"]) for image in told["images"]] == [
        ("https://cdn.example.net/t.jpg", 480)
    ]
    assert "alert" not in json.dumps(told)
    assert [(want.purpose, want.site_of) for want in here.door.wants] == [
        (Purpose.PAGE, ""),
        (Purpose.OEMBED, URL),
    ]


@pytest.mark.parametrize("is_json_first", [True, False])
def test_json_is_asked_for_before_xml(*, is_json_first: bool) -> None:
    xml = PageMedia(url="https://www.example.org/o.xml", type="text/xml+oembed")
    json_too = PageMedia(url=OEMBED, type="application/json+oembed")
    offered = (json_too, xml) if is_json_first else (xml, json_too)
    here = world(replace(FACTS, oembed=offered), **{OEMBED: Page(media_type="application/json")})

    card(here)

    assert here.door.urls == [URL, OEMBED]


def test_a_preview_asks_so_many_times_and_not_once_more() -> None:
    facts = replace(FACTS, oembed=(PageMedia(url=OEMBED, type="application/json+oembed"),))

    def asked(redirects: int) -> list[str]:
        here = World()
        way = tuple(f"https://www.example.org/{number}" for number in range(redirects))
        here.door.answers = {way[0]: Page(final=URL, way=way), OEMBED: Page(media_type="application/json")}
        here.sight.pages = {URL: facts}
        card(here, way[0])
        return here.door.urls

    # With the page itself, five and six.
    assert asked(4) == ["https://www.example.org/0", OEMBED]
    assert asked(5) == ["https://www.example.org/0"]


def test_a_preview_goes_to_so_many_hosts_and_not_to_one_more() -> None:
    facts = replace(FACTS, oembed=(PageMedia(url=OEMBED, type="application/json+oembed"),))

    def asked(hosts: int) -> list[str]:
        here = World()
        way = ("https://t.example.com/", *(f"https://h{number}.example.com/" for number in range(hosts - 1)))
        final = way[-1] + "page"
        here.door.answers = {way[0]: Page(final=final, way=way), OEMBED: Page(media_type="application/json")}
        here.sight.pages = {final: facts}
        card(here, way[0])
        return here.door.urls

    assert asked(3) == ["https://t.example.com/", OEMBED]
    assert asked(4) == ["https://t.example.com/"]


# Rows 93 and 94.


@pytest.mark.parametrize("path", ["/verify?token=abc123", "/magic/abc123", "/unsubscribe?u=5"])
def test_a_one_time_link_is_not_fetched_unless_forced(path: str) -> None:
    here = World()
    url = f"https://h.example.org{path}"
    here.door.answers = {url: Page()}

    told = card(here, url)

    assert (told["flags"], told["fetch"]["status"], here.door.urls) == (["one_time_link"], None, [])
    assert (told["title"], told["site_name"]) == (
        {"/v": "verify", "/m": "abc123", "/u": "unsubscribe"}[path[:2]],
        "example.org",
    )
    assert card(here, url, force=True)["title"] == "A page"
    assert here.door.urls == [url]


@pytest.mark.parametrize(
    "headers", [{"cf-mitigated": "challenge"}, {"x-vercel-mitigated": "challenge"}, {"server": "cloudflare"}]
)
def test_a_bot_wall_is_a_card_of_the_url_with_a_flag(headers: dict[str, str]) -> None:
    here = World()
    here.door.answers = {
        URL: FetchFailed(FailureCode.HTTP_4XX, hops=(Hop(url=URL, status=403),), status=403, headers=headers)
    }

    told = card(here)

    assert (told["title"], told["flags"], told["success"]) == ("a story", ["bot_wall"], True)
    assert told["fetch"]["status"] == 403


@pytest.mark.parametrize("flag", ["bot_wall", "consent", "login"])
def test_a_wall_that_only_its_page_tells_is_not_taken_for_the_page(flag: str) -> None:
    told = card(world(PageFacts(title="Attention Required!", flags=(flag,))))

    assert (told["title"], told["flags"], told["site_name"]) == ("a story", [flag], "example.org")


def test_in_front_of_a_consent_page_the_provider_is_asked() -> None:
    here = World()
    here.door.answers = {
        YOUTUBE: Page(final="https://consent.youtube.com/m?continue=x"),
        YOUTUBE_OEMBED: Page(media_type="application/json"),
    }
    here.sight.oembed = {
        YOUTUBE_OEMBED: {"title": "A film", "provider_name": "YouTube", "author_name": "Someone"}
    }

    told = card(here, YOUTUBE)

    assert (told["title"], told["site_name"], told["flags"]) == ("A film", "YouTube", ["consent"])
    assert told["final_url"] == YOUTUBE
    assert told["embed"]["src"] == "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"


def test_a_failure_without_a_wall_is_a_failure() -> None:
    here = World()
    here.door.answers = {URL: FetchFailed(FailureCode.HTTP_4XX, status=403)}

    assert failure(here).code is FailureCode.HTTP_4XX


def test_a_page_that_cannot_be_read_fails_with_its_hops() -> None:
    failed = failure(world(WorkFailed(FailureCode.PARSE_LIMIT)))

    assert failed.code is FailureCode.PARSE_LIMIT
    assert isinstance(failed, FetchFailed)
    assert [hop.url for hop in failed.hops] == [URL]


def test_flags_of_headers_and_page_come_in_a_fixed_order() -> None:
    here = world(replace(FACTS, flags=("nsfw", "paywall", "invented")))
    here.door.answers[URL] = Page({"x-robots-tag": "noindex"})

    assert card(here)["flags"] == ["paywall", "nsfw", "noindex"]


def test_an_explanation_tells_each_hop_and_the_cache() -> None:
    here = World()
    hop = Hop(
        url=URL,
        verdicts=(Verdict(address="93.184.216.34", allowed=True, rule="public"),),
        dialled="93.184.216.34:443",
        status=403,
        milliseconds={"dns": 1.23, "connect": 4.0},
    )
    here.door.answers = {
        URL: FetchFailed(FailureCode.HTTP_4XX, hops=(hop,), status=403, headers={"cf-mitigated": "challenge"})
    }

    explained = card(here, explain=True)["explain"]

    assert explained["hops"] == [
        {
            "url": URL,
            "verdicts": [{"address": "93.184.216.34", "allowed": True, "rule": "public"}],
            "dialled": "93.184.216.34:443",
            "status": 403,
            "milliseconds": {"dns": 1.2, "connect": 4.0},
            "code": None,
            "detail": None,
        }
    ]
    assert explained["cache"]["decision"] == "miss"


# Many at once.


def test_one_url_is_fetched_once_for_all_who_ask_at_once() -> None:
    here = world()

    async def many(previews: Previews) -> set[bytes]:
        return set(await asyncio.gather(*(previews.preview(URL, deadline=soon()) for _ in range(200))))

    assert len(run(here, many)) == 1
    assert here.door.urls == [URL]


def test_a_fetch_ends_when_the_last_who_waited_has_gone() -> None:
    here = world()

    async def some_leave(previews: Previews) -> tuple[list[str], bytes]:
        here.door.held[URL] = asyncio.Event()
        first, second = (asyncio.create_task(previews.preview(URL, deadline=soon())) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        after_one = list(here.door.cancelled)
        second.cancel()
        await asyncio.wait([second])
        here.door.held.clear()
        return after_one, await previews.preview(URL, deadline=soon())

    after_one, body = run(here, some_leave)

    assert after_one == []
    assert here.door.cancelled == [URL]
    assert json.loads(body)["title"] == "A story"


def test_who_has_more_time_asks_again_when_another_had_too_little() -> None:
    here = world()
    answers = iter([FetchFailed(FailureCode.RATE_LIMITED), None])

    def once_late(_: object) -> Page:
        failed = next(answers)
        if failed:
            raise failed
        return Page()

    here.door.answers[URL] = once_late

    async def two(previews: Previews) -> list[Any]:
        now = time.monotonic()
        return await asyncio.gather(
            previews.preview(URL, deadline=now + 1),
            previews.preview(URL, deadline=now + 60),
            return_exceptions=True,
        )

    hasty, patient = run(here, two)

    assert isinstance(hasty, WorkFailed)
    assert hasty.code is FailureCode.RATE_LIMITED
    assert json.loads(patient)["title"] == "A story"


def test_a_door_that_forgets_the_deadline_is_not_waited_for() -> None:
    here = world()

    async def late(previews: Previews) -> None:
        here.door.held[URL] = asyncio.Event()
        await previews.preview(URL, deadline=time.monotonic() - 0.95)

    with pytest.raises(WorkFailed) as failed:
        run(here, late)
    assert (failed.value.code, failed.value.detail) == (FailureCode.TIMEOUT, "total")
    assert here.door.cancelled == [URL]


def test_a_batch_gives_each_as_it_gets_ready_with_its_place() -> None:
    here = world()
    slow, missing = "https://slow.example.org/", "https://missing.example.org/"
    here.door.answers[slow] = Page()

    async def batch(previews: Previews) -> list[tuple[int, Any]]:
        here.door.held[slow] = asyncio.Event()
        told = []
        async for index, made in previews.batch([slow, "nonsense", URL, missing], deadline=soon()):
            told.append((index, made.code if isinstance(made, WorkFailed) else json.loads(made)["title"]))
            if len(told) == 3:
                here.door.held[slow].set()
        return told

    told = run(here, batch)

    assert told[-1] == (0, "A page")
    assert sorted(told[:3]) == [
        (1, FailureCode.BAD_SCHEME),
        (2, "A story"),
        (3, FailureCode.DNS_NOT_FOUND),
    ]


def test_a_batch_that_nobody_reads_on_ends_its_fetches() -> None:
    here = world()
    slow = "https://slow.example.org/"

    async def leave(previews: Previews) -> None:
        here.door.held[slow] = asyncio.Event()
        batch = previews.batch([slow, URL], deadline=soon())
        await anext(batch)
        await batch.aclose()

    run(here, leave)

    assert here.door.cancelled == [slow]
