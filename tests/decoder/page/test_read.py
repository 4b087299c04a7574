"""Whatever a page says, its facts are few, clean, and fit a reply."""

import json
from typing import Any

import pytest

from remote_worker.contract import pages, wire
from remote_worker.contract.texts import ReadPage
from remote_worker.decoder.page import read
from remote_worker.pool import verify_page

MIB = 1 << 20
URL = "https://site.example/a/b"


def facts_of(html: str, url: str = URL) -> dict[str, Any]:
    facts = read.read(ReadPage(url=url, charset="utf-8"), html.encode("utf-8", "surrogatepass")).facts
    reply = json.dumps(facts).encode()
    assert verify_page.facts(wire.read_facts(memoryview(reply)))
    return facts


def meta(name: str, content: str) -> str:
    return f'<meta property="{name}" content="{content}">'


def ld(text: str) -> str:
    return f'<script type="application/ld+json">{text}</script>'


def filled(piece: str) -> str:
    return (piece * (MIB // len(piece) + 1))[:MIB]


HOSTILE = {
    "div": filled("<div>"),
    "a and div": filled("<a><div></a>"),
    "attributes": "<meta " + filled("a ") + ">",
    "attributes of many": filled("<meta " + "a " * 60 + ">"),
    "select": filled("<select><option>"),
    "comments": filled("<!-- "),
    "short comments": filled("<!-->"),
    "comment that never ends": "<!--" + filled("- "),
    "script that never ends": "<script>" + filled("<script>"),
    "scripts in comments": filled("<script><!--"),
    "dashes": "<script><!--" + filled("-"),
    "half comments in a script": "<script>" + filled("<!----"),
    "svg that never ends": "<svg>" + filled("<title>x"),
    "less-than signs": filled("<"),
    "tag that never ends": "<meta" + filled(" "),
    "values that never end": filled("<meta a='"),
    "equals signs": "<meta " + filled("= "),
    "entities in a title": "<title>" + filled("&amp;") + "</title>",
    "entities in values": filled(f'<meta property=og:title content="{"&lt" * 400}">'),
    "long number": "<title>&#" + filled("9") + ";</title>",
    "blocks of JSON-LD": filled(ld("[{}]")),
    "nested JSON-LD": ld(filled("[")),
    "spaces in JSON-LD": ld("{" + filled(" ")),
    "marks": "<title>a" + filled("\u0316\u0301"),
    "headings": filled("<h1>"),
    "paragraphs": filled("<p>x<!--</p>-->"),
    "pictures": filled("<img src=a>"),
    "icons of long names": filled(f'<link rel=icon href="http://{"a." * 900}/">'),
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE)
def test_a_mebibyte_of_anything_is_read(html: str) -> None:
    # What takes more than linear time for one of these takes minutes.
    assert facts_of(html)["charset"] == "utf-8"


def test_what_stands_before_and_behind_a_long_value_is_read() -> None:
    facts = facts_of(meta("og:title", filled("x")) + meta("og:description", "D"))

    assert facts["title"] == "x" * 299 + "\u2026"
    assert facts["description"] == "D"


def test_the_2001st_tag_is_not_read() -> None:
    inside = meta("a", "b") * 1999 + meta("og:title", "T")

    assert facts_of(inside)["title"] == "T"
    assert "title" not in facts_of(meta("a", "b") + inside)


@pytest.mark.parametrize(
    ("member", "piece", "most"),
    [
        ("images", '<meta property="og:image" content="/{}.png">', 10),
        ("icons", "<link rel=icon href=/{}.png>", 10),
        ("videos", '<meta property="og:video" content="/{}.mp4">', 5),
        ("audios", '<meta property="og:audio" content="/{}.mp3">', 5),
        ("oembed", "<link rel=alternate type=application/json+oembed href=/{}>", 5),
    ],
)
def test_a_list_is_so_long_at_most(member: str, piece: str, most: int) -> None:
    pieces = [piece.format(number) for number in range(most + 1)]

    assert len(facts_of("".join(pieces[: most - 1]))[member]) == most - 1
    assert len(facts_of("".join(pieces[:most]))[member]) == most
    assert facts_of("".join(pieces))[member] == facts_of("".join(pieces[:most]))[member]


@pytest.mark.parametrize(
    ("member", "name", "most"),
    [
        ("title", "og:title", 300),
        ("description", "og:description", 1000),
        ("author", "author", 200),
        ("site_name", "og:site_name", 200),
    ],
)
def test_text_is_so_long_at_most(member: str, name: str, most: int) -> None:
    assert facts_of(meta(name, "é" * most))[member] == "é" * most
    assert facts_of(meta(name, "é" * (most + 1)))[member] == "é" * (most - 1) + "\u2026"


def test_a_side_is_so_large_at_most() -> None:
    html = "".join(
        meta("og:image", f"/{side}.png") + meta("og:image:width", str(side))
        for side in (1_000_000, 1_000_001, 0, -5)
    )

    assert [image.get("width") for image in facts_of(html)["images"]] == [1_000_000, None, None, None]


def test_so_many_properties_are_passed_on() -> None:
    metas = [meta(f"og:x{number}", "v") for number in range(201)]

    assert len(facts_of("".join(metas[:200]))["raw"]["og"]) == 200
    assert len(facts_of("".join(metas))["raw"]["og"]) == 200
    assert len(facts_of(meta("og:x", "v") * 201)["raw"]["og"]["og:x"]) == 200


def test_a_tag_has_so_many_names() -> None:
    names = [f"og:x{number}" for number in range(11)]

    assert list(facts_of(meta(" ".join(names[:10]), "v"))["raw"]["og"]) == names[:10]
    assert list(facts_of(meta(" ".join(names), "v"))["raw"]["og"]) == names[:10]


def test_a_property_is_passed_on_up_to_a_length() -> None:
    html = meta("og:a", "x" * 2048) + meta("og:b", "x" * 2049)

    assert facts_of(html)["raw"]["og"] == {"og:a": "x" * 2048, "og:b": "x" * 2048}


def test_blocks_of_json_ld_are_looked_at_and_kept_up_to_a_number() -> None:
    broken = ld("{")

    assert facts_of(broken * 199 + ld('{"a": 1}'))["raw"]["json_ld"] == [{"a": 1}]
    assert "json_ld" not in facts_of(broken * 200 + ld('{"a": 1}'))["raw"]
    assert len(facts_of(ld('{"a": 1}') * 20)["raw"]["json_ld"]) == 20
    assert len(facts_of(ld('{"a": 1}') * 21)["raw"]["json_ld"]) == 20


def test_json_ld_is_read_up_to_a_length() -> None:
    longest = '{"a": 1' + " " * (256 * 1024 - 8) + "}"

    assert facts_of(ld(longest))["raw"]["json_ld"] == [{"a": 1}]
    assert "json_ld" not in facts_of(ld(" " + longest))["raw"]


def test_json_ld_is_cut_in_depth_members_and_nodes() -> None:
    def kept(value: Any) -> Any:
        return facts_of(ld(json.dumps(value)))["raw"]["json_ld"][0]

    assert kept([[[[[1]]]]]) == [[[[[1]]]]]
    assert kept([[[[[1, [2]]]]]]) == [[[[[1]]]]]
    assert kept({"a": list(range(50))}) == {"a": list(range(50))}
    assert kept({"a": list(range(51))}) == {"a": list(range(50))}
    assert len(kept({f"a{number}": 1 for number in range(51)})) == 50
    wide = [[0] * 49 for _ in range(20)]
    assert sum(len(row) for row in kept(wide)) == 979  # 1000 nodes: the list, its 20 rows, and what is left


@pytest.mark.parametrize("text", ['"[[[["', r'"\\\"{{{"', '"\ud83d\ude00"'])
def test_json_ld_is_nested_sixty_four_deep_at_most(text: str) -> None:
    def nested(depth: int) -> str:
        return ld('{"@type": "Article", "a": ' + "[" * (depth - 1) + text + "]" * (depth - 1) + "}")

    assert facts_of(nested(64))["raw"]["json_ld"][0]["@type"] == "Article"
    assert "json_ld" not in facts_of(nested(65))["raw"]


def test_json_ld_of_ten_thousand_levels_is_no_json_ld() -> None:
    assert "json_ld" not in facts_of(ld("[" * 10_000 + "]" * 10_000))["raw"]


def test_brackets_in_text_are_no_depth() -> None:
    facts = facts_of(meta("og:title", "[[[[[[[[[[{{{{") + ld('{"a": "]]]]]]]]]]"}'))

    assert facts["title"] == "[[[[[[[[[[{{{{"
    assert facts["raw"]["json_ld"] == [{"a": "]]]]]]]]]]"}]


@pytest.mark.parametrize("letter", ["x", "\U0001f600", "é", "&lt;"])
def test_a_page_that_says_too_much_keeps_what_is_chosen(letter: str) -> None:
    html = meta("og:title", letter * 300) + meta("og:description", letter * 1000)
    html += "".join(
        meta("og:image", f"/{number}" + "p" * 2000) + meta("og:image:alt", letter * 200)
        for number in range(10)
    )
    html += "".join(f"<link rel=icon href=/{number}{'i' * 2000}>" for number in range(10))
    html += "".join(meta("og:video", f"/{number}" + "v" * 2000) for number in range(5))
    html += "".join(meta(f"og:x{number}", letter * 500) for number in range(150))
    html += ld(json.dumps({"a": ["y" * 2000] * 50}))
    facts = facts_of(html)

    assert len(facts["title"]) == 300
    assert len(facts["description"]) == 1000
    assert facts["images"][0]["url"] == "https://site.example/0" + "p" * 2000
    assert len(json.dumps(facts)) <= wire.JSON_BYTES


def test_a_page_that_just_fits_keeps_all() -> None:
    html = "".join(meta(f"og:x{number}", "v" * 2000) for number in range(25))

    assert len(facts_of(html)["raw"]["og"]) == 25


def test_no_text_is_unclean() -> None:
    unclean = "".join(
        map(chr, [*range(1, 32), *range(127, 160), 0x200B, 0x202E, 0x2066, 0xFEFF, 0xFFFE, 0xE0041])
    )
    facts = facts_of(
        meta("og:title", f"a{unclean}b")
        + meta("og:x", f"a{unclean}b")
        + ld(json.dumps({f"k{unclean}": "v\ud800\0"}))
    )

    assert facts["title"] == "a b"
    assert facts["raw"]["json_ld"] == [{"k": "v"}]
    assert not pages.UNCLEAN.search(facts["raw"]["og"]["og:x"])


def test_a_body_piece_is_read_up_to_a_length() -> None:
    words = "x" * 100 + " "

    assert facts_of(f"<h1>{'y' * 50}</h1><p>{words * 50}</p>")["description"].startswith("x" * 100)
    assert facts_of("<h1>" + " " * 4090 + "abcdef" + "ghi</h1>")["title"] == "abcdef"


def test_so_many_pictures_of_a_body_are_compared() -> None:
    small = "<img src=/s.png width=60 height=60>"
    large = "<img src=/l.png width=900 height=900>"

    assert facts_of("<h1>H</h1>" + small * 49 + large)["images"][0]["url"] == "https://site.example/l.png"
    assert facts_of("<h1>H</h1>" + small * 50 + large)["images"][0]["url"] == "https://site.example/s.png"


def test_marks_of_a_wall_are_looked_for_up_to_a_length() -> None:
    title = "<title>Just a moment...</title>"
    room = 64 * 1024 - len(title) - len("_cf_chl_")

    assert facts_of(title + " " * room + "_cf_chl_")["flags"] == ["bot_wall"]
    assert "flags" not in facts_of(title + " " * (room + 2) + "_cf_chl_")


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("DDoS-Guard review 2024", "ddos"),
        ("Vercel Security Checkpoint explained", "vercel"),
        ("Pardon Our Interruption: the podcast", ""),
        ("Checking your browser support", "a challenge"),
        ("Are you a robot? A history", "the captcha"),
        ("Access Denied: a novel", "behind cloudflare"),
        ("Attention Required! | Cloudflare: what it means", ""),
        ("Login - Vue component docs", "<input type=password>"),
        ("Connexion internet: comparatif", "<input type=password>"),
    ],
)
def test_a_title_that_only_begins_like_a_wall_is_a_page(title: str, body: str) -> None:
    assert "flags" not in facts_of(f"<title>{title}</title><p>{body}")


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("DDoS-Guard", ""),
        ("DDoS-Guard: wait", "<script src=/.well-known/ddos-guard/js-challenge/index.js>"),
        ("Vercel Security Checkpoint", ""),
        ("Vercel Security Checkpoint (1)", "<script src=/.well-known/vercel/security/static/a.js>"),
        ("Pardon Our Interruption", ""),
        ("Pardon Our Interruption...", ""),
        ("Checking your browser before accessing site.example.", "a challenge"),
        ("Bloomberg - Are you a robot?", "<div id=px-captcha>"),
        ("Are you a robot?", "the captcha"),
        ("Access denied | site.example used Cloudflare to restrict access", "cloudflare"),
        ("Sucuri WebSite Firewall - Access Denied", ""),
    ],
)
def test_a_wall_is_told_by_its_title(title: str, body: str) -> None:
    assert facts_of(f"<title>{title}</title><p>{body}")["flags"] == ["bot_wall"]


@pytest.mark.parametrize(
    "title",
    [
        "Log in",
        "Sign in - Example",
        "Login | Site",
        "Log into Example",
        "Sign in to your account",
        "Log In \u2039 My Own Small Blog \u2014 WordPress",
        "Connexion",
        "Anmelden bei Example",
        "登录 - 知乎",
    ],
)
def test_a_log_in_is_told_by_its_title_and_its_field(title: str) -> None:
    assert facts_of(f"<title>{title}</title><input type=password>")["flags"] == ["login"]
    assert "flags" not in facts_of(f"<title>{title}</title><input type=text>")


@pytest.mark.parametrize(
    "card",
    [
        meta("og:title", "A story"),
        meta("og:description", "Of a story"),
        '<script type="application/ld+json">{"@type": "Article", "headline": "A story"}</script>',
    ],
)
@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("DDoS-Guard", ""),
        ("Just a moment...", "<script>_cf_chl_opt</script>"),
        ("Before you continue", "<form action='https://consent.google.de/save'>"),
        ("Log in", "<input type=password>"),
    ],
)
def test_a_page_with_a_card_of_its_own_is_no_wall(card: str, title: str, body: str) -> None:
    assert "flags" not in facts_of(f"<title>{title}</title>{card}<p>{body}")
    assert "flags" in facts_of(f"<title>{title}</title><p>{body}")


def test_an_address_is_so_long_at_most() -> None:
    longest = "https://c.example/" + "a" * (2048 - 18)

    assert facts_of(meta("og:url", longest))["canonical_url"] == longest
    assert "canonical_url" not in facts_of(meta("og:url", longest + "a"))


def test_warming_leaves_nothing_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    read.warm()
    import builtins

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("something is loaded late")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr("io.open_code", refused)
    for label in ("gbk", "big5", "iso-2022-jp", "koi8-u", "macintosh", "windows-874", "x-mac-cyrillic"):
        read.read(ReadPage(url=URL, charset=label), b"<title>\xe4\xf6</title>")
