"""What a child says of a page is taken as it is, or it is hostile."""

from collections.abc import Callable
from typing import Any

import pytest

from remote_worker.contract.links import PageFacts, PageIcon, PageImage, PageMedia
from remote_worker.pool import verify_page
from remote_worker.pool.verify import HostileReply

URL = "https://a.example/x"
LONGEST_URL = "https://a.example/" + "x" * (2048 - 18)
GOOD: dict[str, Any] = {
    "title": "T" * 300,
    "description": "D" * 1000,
    "site_name": "S" * 200,
    "author": "A" * 200,
    "type": "video.other",
    "canonical_url": LONGEST_URL,
    "lang": "zh-Hans-CN",
    "published_time": "2026-11-22T10:00:00.5+08:00",
    "theme_color": "#fff",
    "images": [{"url": URL, "width": 1_000_000, "height": 1, "alt": "\u00e9" * 200}] * 10,
    "icons": [{"url": URL, "sizes": "16x16 any"}] * 10,
    "videos": [{"url": URL, "type": "video/mp4", "width": 1, "height": 2}] * 5,
    "audios": [{"url": URL}] * 5,
    "oembed": [{"url": URL, "type": "application/json+oembed"}] * 5,
    "flags": ["bot_wall", "consent", "login", "paywall", "nsfw", "noindex"],
    "charset": "shift_jis",
    "raw": {"og": {"og:a": ["x" * 2048]}, "twitter": {}, "json_ld": [{"a": [1, 1.5, None, True, "b"]}]},
}
OEMBED: dict[str, Any] = {
    "type": "rich",
    "version": "1.0",
    "title": "T" * 300,
    "author_name": "A" * 200,
    "thumbnail_url": LONGEST_URL,
    "thumbnail_width": 1_000_000,
    "cache_age": 316_224_000,
    "has_html": True,
}


def test_good_facts_are_taken() -> None:
    assert verify_page.facts(GOOD) == PageFacts(
        **{
            **GOOD,
            "images": (PageImage(url=URL, width=1_000_000, height=1, alt="\u00e9" * 200),) * 10,
            "icons": (PageIcon(url=URL, sizes="16x16 any"),) * 10,
            "videos": (PageMedia(url=URL, type="video/mp4", width=1, height=2),) * 5,
            "audios": (PageMedia(url=URL),) * 5,
            "oembed": (PageMedia(url=URL, type="application/json+oembed"),) * 5,
            "flags": tuple(GOOD["flags"]),
        }
    )
    assert verify_page.facts({}) == PageFacts()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("other", 1),
        ("title", "T" * 301),
        ("title", 5),
        ("title", "a\0b"),
        ("title", "a\nb"),
        ("title", "a\u202eb"),
        ("title", "a\ud800b"),
        ("description", "D" * 1001),
        ("site_name", "S" * 201),
        ("author", "A" * 201),
        ("author", None),
        ("type", "a b"),
        ("type", ""),
        ("lang", "<b>"),
        ("published_time", "now"),
        ("published_time", "2026-11-22\n"),
        ("theme_color", "url(//x)"),
        ("theme_color", "red;background:url(x)"),
        ("charset", "UTF 8"),
        ("canonical_url", LONGEST_URL + "x"),
        ("canonical_url", "javascript:alert(1)"),
        ("canonical_url", "HTTPS://a.example/"),
        ("canonical_url", "https://a.example/ b"),
        ("canonical_url", "https://\u00fc.example/"),
        ("canonical_url", "//a.example/"),
        ("canonical_url", "https://a.example/\n"),
        ("images", {}),
        ("images", [{"url": URL}] * 11),
        ("images", [{"width": 1}]),
        ("images", [{"url": URL, "src": URL}]),
        ("images", [{"url": URL, "width": 1_000_001}]),
        ("images", [{"url": URL, "width": -1}]),
        ("images", [{"url": URL, "width": True}]),
        ("images", [{"url": URL, "width": 1.5}]),
        ("images", [{"url": URL, "alt": "x" * 201}]),
        ("images", [URL]),
        ("icons", [{"url": URL}] * 11),
        ("icons", [{"url": URL, "sizes": "x"}]),
        ("videos", [{"url": URL}] * 6),
        ("videos", [{"url": "data:,x"}]),
        ("audios", [{"url": URL, "type": "mp3"}]),
        ("oembed", [{"url": URL}] * 6),
        ("flags", ["one_time_link"]),
        ("flags", ["login", "login"]),
        ("flags", [["login"]]),
        ("flags", "login"),
        ("raw", []),
        ("raw", {"html": {}}),
        ("raw", {"og": []}),
        ("raw", {"json_ld": {}}),
        ("raw", {"og": {"a": "x" * 2049}}),
        ("raw", {"og": {"a": "\u200b"}}),
        ("raw", {"og": {"a\0": "b"}}),
        ("raw", {"json_ld": [float("inf")]}),
        ("raw", {"json_ld": [1 << 54]}),
    ],
)
def test_anything_else_is_hostile(member: str, value: Any) -> None:
    with pytest.raises(HostileReply):
        verify_page.facts({**GOOD, member: value})


def test_good_members_of_oembed_are_taken() -> None:
    assert verify_page.oembed(OEMBED) == OEMBED


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("html", "<b>"),
        ("type", "script"),
        ("type", []),
        ("title", "T" * 301),
        ("author_name", "A" * 201),
        ("version", "1" * 11),
        ("thumbnail_url", "file:///x"),
        ("thumbnail_width", 1_000_001),
        ("cache_age", 316_224_001),
        ("has_html", 1),
    ],
)
def test_any_other_member_of_oembed_is_hostile(member: str, value: Any) -> None:
    with pytest.raises(HostileReply):
        verify_page.oembed({**OEMBED, member: value})


@pytest.mark.parametrize("check", [verify_page.facts, verify_page.oembed])
def test_every_single_member_alone_is_checked(check: Callable[[Any], Any]) -> None:
    for name in {*GOOD, *OEMBED}:
        for value in (object(), [object()], {"a": object()}):
            with pytest.raises(HostileReply):
                check({name: value})


def test_numbers_of_a_page_are_bounded() -> None:
    raw = {"json_ld": [1 << 53, -(1 << 53)]}

    assert verify_page.facts({"raw": raw}).raw == raw
    for number in ((1 << 53) + 1, -(1 << 53) - 1):
        with pytest.raises(HostileReply):
            verify_page.facts({"raw": {"json_ld": [number]}})
