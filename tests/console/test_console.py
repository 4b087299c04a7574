"""The console in a real browser, in front of the real worker."""

import base64
import itertools
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import blurhash
import pytest
import thumbhash
from console.browsing import drop, launch, natural_sizes, paste, visit
from fetch.origin import Origin, answer, page, redirect
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from benchmarks.servers import free_port, worker

pytestmark = pytest.mark.needs_chromium

SAMPLE = Path("src/remote_worker/web/console/sample.jpg")
STATS = {
    "status": "ok",
    "success": True,
    "version": "1.2.3",
    "uptime": 125.0,
    "stage": "serving",
    "queue": {
        "pictures": {"waiting": 3, "running": 1, "slots": 4, "places": 64, "ready": 4},
        "texts": {"waiting": 0, "running": 0, "slots": 7, "places": 64, "ready": 7},
        "fetches": {"running": 5, "slots": 32},
    },
    "rates": {"seconds": 10, "requests": 41.3, "pictures": 12.0, "texts": 9.0, "fetches": 20.0},
    "totals": {"requests": 4821, "by_status": {"2xx": 4700, "4xx": 119, "5xx": 2}, "by_code": {"busy": 2}},
    "latency_ms": {"p50": 18.2, "p90": 61.0, "p99": 142.0},
    "jail": {"starts": 100, "kills": 2, "crashes": 1, "memory_peak_bytes": 1},
    "bytes": {"in": 1, "out": 2},
}
METADATA = {
    "exif": {"Make": "Example", "BodySerialNumber": "<b>EX7</b>"},
    "gps": {"latitude": -33.8568, "longitude": 151.2153, "altitude": None},
    "xmp": True,
    "iptc": False,
    "comment": False,
    "icc": None,
}
CLEAN = {"exif": {}, "gps": None, "xmp": False, "iptc": False, "comment": False, "icc": None}
HOSTILE_HTML = """
<h2 onclick="alert(1)" style="position:fixed;inset:0" id="work">Title</h2>
<script>alert(1)</script><img src=x onerror="alert(1)"><svg onload="alert(1)"><p>in a drawing</p></svg>
<iframe srcdoc="<script>parent.alert(1)</script>"></iframe><form action="https://evil.example/"><input></form>
<a href="javascript:alert(1)">one</a>
<a href="https://example.org/" target="_self" onmouseover="alert(1)">two</a>
<style>body{display:none}</style><math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style>
<object data="https://evil.example/"></object><link rel="stylesheet" href="https://evil.example/x.css">
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    head = (
        '<meta property="og:image" content="/lake.jpg"><link rel="icon" href="/icon.png">'
        '<meta property="og:description" content="Nobody &lt;b&gt;else&lt;/b&gt; about">'
        '<meta property="og:site_name" content="Walkers">'
    )
    icon = BytesIO()
    Image.new("RGB", (32, 32), "teal").save(icon, "PNG")
    with Origin(
        {
            "/short": redirect("/story"),
            "/story": answer(page("A lake before sunrise", head=head)),
            "/lake.jpg": answer(SAMPLE.read_bytes(), media_type="image/jpeg"),
            "/icon.png": answer(icon.getvalue(), media_type="image/png"),
        }
    ) as server:
        yield server


@pytest.fixture(scope="module")
def address(origin: Origin) -> Iterator[str]:
    port = free_port()
    opened = {"REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{origin.port}"}
    with worker(port, os.sched_getaffinity(0), **opened):
        yield f"http://127.0.0.1:{port}/"


def finished(page: Page) -> None:
    expect(page.locator("#picture-says")).to_contain_text("made in", timeout=20_000)


def test_a_dropped_picture_is_shown_beside_everything_that_is_made_of_it(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as tab:
        drop(tab, "lake.jpg", SAMPLE.read_bytes())
        finished(tab)

        assert natural_sizes(tab, "#picture-before img") == [(1600, 1066)]
        upright = tab.get_by_role("article", name="Upright, metadata gone")
        fitted = tab.get_by_role("article", name="Made to fit")
        for card, size in ((upright, (1600, 1066)), (fitted, (1024, 682))):
            assert card.locator(".frame img").evaluate("(i) => [i.naturalWidth, i.naturalHeight]") == [*size]
            expect(card.locator(".facts")).to_contain_text(f"{size[0]} × {size[1]}")
            expect(card.locator(".facts")).to_contain_text(re.compile(r"\d ms"))
        assert natural_sizes(tab, ".avatars img") == [(side, side) for side in (24, 48, 73, 128, 256, 512)]
        expect(tab.locator(".left-nothing")).to_have_text("Nothing left in what comes out")

        with tab.expect_download() as waiting:
            upright.get_by_role("link", name="Download").click()
        with Image.open(waiting.value.path()) as saved:
            assert (saved.format, saved.size, dict(saved.getexif())) == ("JPEG", (1600, 1066), {})
        assert waiting.value.suggested_filename == "picture.jpg"


def test_a_part_is_shown_exactly_where_the_worker_has_its_path(browser: Browser, address: str) -> None:
    def has(path: str) -> bool:
        try:
            with urllib.request.urlopen(address + path) as answered:
                return bool(answered.status == 200)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False

    with visit(browser, address) as tab:
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)

        for path, part in (
            ("images/facts", tab.get_by_role("article", name="Facts")),
            ("images/facts", tab.get_by_role("article", name="Cut to what draws the eye")),
            ("stats", tab.get_by_role("region", name="Right now")),
            ("openapi.json", tab.get_by_role("link", name="API")),
        ):
            expect(part).to_have_count(1 if has(path) else 0)


def test_other_options_make_that_one_picture_anew(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)
        made: list[str] = []
        tab.on("request", lambda request: made.append(request.url) if "/images/" in request.url else None)

        tab.get_by_label("Longest side").fill("200")
        tab.get_by_label("Longest side").press("Tab")
        fitted = tab.get_by_role("article", name="Made to fit")
        expect(fitted.locator(".facts")).to_contain_text("200 × 133")

        assert [url.removeprefix(address) for url in made] == ["images/fit/200?format=webp"]


def test_what_a_browser_cannot_show_is_shown_by_the_worker(
    browser: Browser, address: str, samples: Path
) -> None:
    with visit(browser, address) as tab:
        drop(tab, "photo.heic", (samples / "heic" / "orientation-6.heic").read_bytes())
        finished(tab)

        shown = tab.get_by_alt_text("The original, as the worker shows it")
        expect(shown).to_be_visible()
        # As tests/corpus/MANIFEST.csv has it.
        assert shown.evaluate("(i) => [i.naturalWidth, i.naturalHeight]") == [128, 64]
        expect(tab.get_by_role("article", name="Upright, metadata gone")).to_have_count(0)
        expect(tab.get_by_role("article", name="As a JPEG").locator(".facts")).to_contain_text("128 × 64")


def test_a_screen_reader_finds_its_way_through_what_is_made(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        drop(tab, "lake.jpg", SAMPLE.read_bytes())
        finished(tab)

        levels = [
            int(heading.evaluate("(one) => one.tagName")[1])
            for heading in tab.locator("h1, h2, h3, h4").filter(visible=True).all()
        ]
        assert levels[0] == 1
        assert all(below <= above + 1 for above, below in itertools.pairwise(levels)), levels
        # A group would no longer be a list of terms and what they are.
        assert tab.locator("dl").count() == tab.locator("dl:not([role])").count() > 0
        for side in (24, 512):
            link = tab.get_by_role(
                "link", name=re.compile(rf"^Download the avatar of {side} pixels, [0-9.]+ [kKM]?i?B$")
            )
            # The words that are read out are in the page: who speaks to the computer says them (WCAG 2.5.3).
            expect(link).to_contain_text(f"{side}")
            assert link.get_attribute("aria-label") is None


def test_what_is_over_the_limit_is_not_even_sent(browser: Browser, address: str) -> None:
    limit = 30 * 1024 * 1024
    with visit(browser, address, refused={"/images/info"}) as tab:
        sent: list[str] = []
        tab.on("request", lambda request: sent.append(request.url) if "/images/" in request.url else None)
        take = """async (size) => {
            const { take } = await import("/console/picture.js");
            await take(new File([new Uint8Array(size)], "x"));
        }"""

        tab.evaluate(take, limit + 1)
        expect(tab.get_by_role("alert")).to_contain_text("takes up to 30 MiB. Nothing was sent.")
        assert sent == []

        tab.evaluate(take, limit)
        expect(tab.get_by_role("alert")).to_contain_text("unsupported_format")
        assert len(sent) == 1


def test_a_failure_says_its_code_and_where_that_is_explained(
    browser: Browser, address: str, samples: Path
) -> None:
    with visit(browser, address, refused={"/images/info"}) as tab:
        drop(tab, "x.jpg", b"<b>no picture</b>")
        alert = tab.get_by_role("alert")
        expect(alert).to_contain_text("unsupported_format")
        with tab.context.expect_page() as opened:
            alert.get_by_role("link", name="What that means").click()

        row = opened.value.locator("tr:target")
        expect(row).to_contain_text("unsupported_format")
        expect(row).to_contain_text("415")


def test_what_was_removed_is_told_field_by_field(browser: Browser, address: str) -> None:
    said = {"format": "jpeg", "width": 64, "height": 40, "display_width": 64, "display_height": 40}
    said |= {"frames": 1, "orientation": 1, "has_alpha": False, "bit_depth": 8, "mime_type": "image/jpeg"}
    answers = iter(({**said, "metadata": METADATA}, {**said, "metadata": CLEAN}))
    routes = {"images/info?metadata=1": lambda route: route.fulfill(json=next(answers))}
    with visit(browser, address, routes=routes) as tab:
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)

        removed = tab.get_by_role("region", name="What was removed")
        expect(removed).to_contain_text("33.8568° S 151.2153° E")
        expect(removed).to_contain_text("BodySerialNumber<b>EX7</b>")  # a text, and no element
        expect(removed.locator("b")).to_have_count(0)
        expect(removed).to_contain_text("XMP")
        expect(removed).to_contain_text("4 things")
        expect(removed).to_contain_text("Nothing left")
        expect(removed.get_by_role("img", name="The place on a globe")).to_be_visible()


def test_the_facts_are_drawn_as_their_algorithms_say(browser: Browser, address: str) -> None:
    with Image.open(SAMPLE) as opened:
        small = opened.convert("RGB").resize((60, 90))
    blur = blurhash.encode([[small.getpixel((x, y)) for x in range(60)] for y in range(90)], 4, 3)
    rgba = [value for y in range(90) for x in range(60) for value in (*small.getpixel((x, y)), 255)]
    thumb = bytes(thumbhash.rgba_to_thumb_hash(60, 90, rgba))
    facts = {
        "blurhash": blur,
        "thumbhash": base64.b64encode(thumb).decode(),
        "colors": ["#112233", "#ddeeff"],
        "phash": "8000000000000001",
    }
    with visit(browser, address, routes={"images/facts": {"facts": facts}}) as tab:
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)
        card = tab.get_by_role("article", name="Facts")

        def pixels(name: str) -> tuple[int, int, list[int]]:
            width, height, data = card.get_by_role("img", name=name).evaluate(
                """(c) => {
                    const { width, height } = c;
                    return [width, height, [...c.getContext("2d").getImageData(0, 0, width, height).data]];
                }"""
            )
            return width, height, data

        width, height, drawn = pixels("Placeholder made of the blurhash")
        oracle = blurhash.decode(blur, width, height)
        wanted = [value for row in oracle for pixel in row for value in (*map(round, pixel), 255)]
        assert max(abs(one - other) for one, other in zip(drawn, wanted, strict=True)) <= 2

        # No decoder to compare with is right, but the picture itself is known.
        width, height, drawn = pixels("Placeholder made of the thumbhash")
        assert (width, height) == (round(32 * 5 / 7), 32)
        seen = small.resize((width, height))
        for picture, is_near in ((seen, True), (seen.transpose(Image.Transpose.FLIP_TOP_BOTTOM), False)):
            values = picture.convert("RGBA").tobytes()
            far = sum(abs(one - other) for one, other in zip(drawn, values, strict=True)) / len(values)
            assert (far < 15) is is_near, far

        width, height, drawn = pixels("The bits of the perceptual hash")
        dark = [index for index in range(64) if drawn[4 * index] < 100]
        assert (width, height, dark) == (8, 8, [0, 63])
        expect(card).to_contain_text("#112233 #ddeeff")


def test_a_pasted_link_becomes_the_card_of_a_forum(browser: Browser, address: str, origin: Origin) -> None:
    with visit(browser, address) as tab:
        paste(tab, f"http://127.0.0.1:{origin.port}/short")
        card = tab.get_by_role("article", name="The card")

        expect(card).to_contain_text("A lake before sunrise")
        expect(card).to_contain_text("Nobody <b>else</b> about")
        expect(card).to_contain_text("Walkers")
        expect(card.locator("img")).to_have_count(2)
        assert natural_sizes(tab, ".unfurl .frame img") == [(1000, 666)]
        hops = tab.get_by_role("region", name="How it went").get_by_role("listitem")
        expect(hops).to_have_count(2)
        expect(hops.first).to_contain_text("302")
        expect(hops.last).to_contain_text("127.0.0.1 may be asked: opened")


def test_a_link_that_is_refused_says_which_rule_it_was(browser: Browser, address: str) -> None:
    with visit(browser, address, refused={"/links/preview"}) as tab:
        tab.get_by_role("tab", name="Link").click()
        tab.get_by_label("Address of a page").fill("http://10.0.0.1/admin")
        tab.get_by_role("button", name="Preview").click()

        expect(tab.get_by_role("alert")).to_contain_text("blocked_address: private")
        expect(tab.get_by_role("region", name="How it went")).to_contain_text("10.0.0.1 is refused: private")


def test_a_hostile_post_is_only_a_text(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        tab.get_by_role("tab", name="Post").click()
        tab.get_by_role("button", name="Try a hostile one").click()
        post = tab.get_by_role("region", name="Rendered post")

        expect(post.get_by_role("heading", name="Hello from a stranger")).to_be_visible()
        expect(post.get_by_role("table")).to_be_visible()
        expect(post.get_by_role("link", name="link")).to_have_attribute("href", "https://example.org/")
        assert post.locator("script, iframe, form, input, [style], [onclick], [onerror]").count() == 0


def test_the_page_does_not_rely_on_the_worker_for_harmless_html(browser: Browser, address: str) -> None:
    rendered = {"output": HOSTILE_HTML, "status": "ok", "success": True}
    blocked = ("script-src-attr", "style-src")  # Chromium tells it of a document too that is never shown.
    with visit(browser, address, blocked=blocked, routes={"text/render_markdown": rendered}) as tab:
        paste(tab, "anything")
        post = tab.get_by_role("region", name="Rendered post")
        expect(post.get_by_role("heading", name="Title")).to_be_visible()

        made = post.locator("*").evaluate_all("(all) => all.map((e) => [e.localName, e.getAttributeNames()])")
        assert {name for name, _ in made} == {"h2", "span", "p", "a"}
        allowed = {"a": {"href", "target", "rel"}, "span": {"class"}}
        assert all(set(attributes) <= allowed.get(name, set()) for name, attributes in made)
        links = post.locator("a").evaluate_all(
            "(all) => all.map((a) => [a.textContent, a.getAttribute('href'), a.target])"
        )
        assert links == [["one", None, ""], ["two", "https://example.org/", "_blank"]]


def test_the_load_is_shown_where_the_worker_tells_it(browser: Browser, address: str) -> None:
    with visit(browser, address, routes={"stats": STATS}) as tab:
        load = tab.get_by_role("region", name="Right now")

        expect(load).to_contain_text("41requests a second")
        expect(load).to_contain_text("18 mshalf are faster")
        expect(load).to_contain_text("1 of 4, 3 wait")
        meter = load.get_by_role("meter", name="Fetches at work")
        expect(meter).to_have_attribute("aria-valuenow", "5")
        expect(meter).to_have_attribute("aria-valuemax", "32")
    with visit(browser, address, routes={"stats": 404}) as tab:
        expect(tab.get_by_role("region", name="The seal")).to_be_visible()
        expect(tab.get_by_role("region", name="Right now")).to_have_count(0)


def test_the_seal_shows_the_layers_that_hold_and_those_that_do_not(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        seal = tab.get_by_role("region", name="The seal")
        for name in ("Pictures", "Drawings", "Texts and pages"):
            expect(seal.get_by_role("heading", name=name)).to_be_visible()
        expect(seal.get_by_role("img", name="3 of 3 layers hold")).to_have_count(3)
    layers = {"user_changed": True, "landlock_abi": 0, "readable": [], "seccomp": True, "new_one": "x"}
    told = {"status": "ok", "success": True, "templates": {"raster": {"layers": layers, "formats": {}}}}
    with visit(browser, address, routes={"readyz": told}) as tab:
        seal = tab.get_by_role("region", name="The seal")
        expect(seal.get_by_role("img", name="3 of 4 layers hold")).to_have_count(1)
        expect(seal.locator("li.open")).to_contain_text("no Landlock")
        expect(seal).to_contain_text("new one: x")


def test_a_key_is_asked_for_and_kept_in_memory_alone(browser: Browser, address: str) -> None:
    seen: list[str | None] = []

    def guard(route: Route) -> None:
        seen.append(route.request.headers.get("authorization"))
        if seen[-1] == "Bearer rw_right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "unauthenticated", "message": "A key is needed"})

    with visit(browser, address, routes={"capabilities": guard}) as tab:
        field = tab.get_by_label("API key")
        expect(field).to_be_focused()
        field.fill("rw_wrong")
        field.press("Enter")
        expect(tab.get_by_role("region", name="wants a key")).to_contain_text("not known there")
        expect(field).to_be_focused()
        expect(field).to_have_value("")
        field.fill("rw_right")
        field.press("Enter")
        expect(tab.get_by_text("version ")).to_be_visible()
        expect(field).to_be_hidden()

        assert seen == [None, "Bearer rw_wrong", "Bearer rw_right"]
        stored = "[JSON.stringify({ ...localStorage, ...sessionStorage }), document.cookie, location.href]"
        assert tab.evaluate(stored) == ["{}", "", address]
        tab.reload()
        expect(field).to_be_focused()


def test_everything_can_be_done_from_the_keyboard(browser: Browser, address: str, origin: Origin) -> None:
    with visit(browser, address) as tab:
        keys = tab.keyboard

        def focused() -> str:
            outline = tab.evaluate("getComputedStyle(document.activeElement).outline")
            assert outline.endswith("solid 3px"), outline
            return str(tab.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))

        keys.press("Tab")
        assert focused() == "Skip to the work"
        keys.press("Enter")
        keys.press("Tab")
        assert focused() == "Picture"
        keys.press("Tab")
        assert focused() == "Choose a file"
        keys.press("Tab")
        assert focused() == "Try a sample"
        keys.press("Enter")
        finished(tab)
        keys.press("Shift+Tab")
        keys.press("Shift+Tab")
        keys.press("ArrowRight")
        assert focused() == "Link"
        keys.press("Tab")
        assert focused() == "link-field"
        keys.type(f"http://127.0.0.1:{origin.port}/story")
        keys.press("Enter")
        expect(tab.get_by_role("article", name="The card")).to_contain_text("A lake before sunrise")
        keys.press("Shift+Tab")
        keys.press("End")
        assert focused() == "Post"
        keys.press("Tab")
        keys.press("Tab")
        assert focused() == "post-field"
        keys.type("*quietly*")
        expect(tab.get_by_role("region", name="Rendered post").locator("em")).to_have_text("quietly")


def test_it_works_below_a_path_of_a_proxy(browser: Browser, address: str) -> None:
    below = f"{address}tools/pictures/"

    def passed_on(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace(below, address, 1)))

    with visit(browser, below, routes={"**": passed_on}) as tab:
        drop(tab, "lake.jpg", SAMPLE.read_bytes())
        finished(tab)
        expect(tab.locator(".left-nothing")).to_have_text("Nothing left in what comes out")
        assert f"'{below}images/fit/" in tab.content()
        asked = tab.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        assert len(asked) > 10
        assert [url for url in asked if not url.startswith((below, "blob:", "data:"))] == []
        for link, back in (("API", "Console"), ("What each error means", "Console")):
            tab.get_by_role("link", name=link).first.click()
            tab.get_by_role("link", name=back).click()
            tab.wait_for_url(below)


def test_the_chosen_colours_are_remembered(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = tab.evaluate(ground)
        toggle = tab.get_by_role("button", name="Colours")
        toggle.click()
        toggle.click()
        expect(toggle).to_have_accessible_name("Colours: dark")
        dark = tab.evaluate(ground)
        tab.reload()

        assert tab.evaluate(ground) == dark != light
        tab.goto(f"{address}docs")
        assert tab.evaluate(ground) == dark


CONTRASTS = """() => {
    const channels = (text) => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return [r, g, b, a];
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => (v <= 10.31475 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility() || element.closest("noscript")) continue;
        const ground = (e) => getComputedStyle(e).backgroundColor;
        let behind = element;
        while (behind !== document.body && channels(ground(behind))[3] === 0) behind = behind.parentElement;
        const [one, other] = [getComputedStyle(element).color, ground(behind)];
        const [a, b] = [light(channels(one).slice(0, 3)), light(channels(other).slice(0, 3))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found.push([ratio, node.data.trim().slice(0, 30), one, other]);
    }
    return found.sort((one, other) => one[0] - other[0]);
}"""
SHAPES = """() => ({
    nameless: document.querySelectorAll(
        "img:not([alt]), canvas:not([aria-label]), svg:not([aria-hidden]):not([aria-label])").length,
    scroll: document.documentElement.scrollWidth - innerWidth,
    small: [...document.querySelectorAll("button, select, input:not([type=checkbox]), .tool")]
        .filter((e) => e.checkVisibility() && !e.classList.contains("gone"))
        .filter((e) => e.getBoundingClientRect().height < 30)
        .map((e) => e.outerHTML),
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_it_fits_and_can_be_read(
    browser: Browser, address: str, origin: Origin, width: int, scheme: str
) -> None:
    with visit(
        browser, address, width=width, scheme=scheme, routes={"stats": STATS}, refused={"/links/preview"}
    ) as tab:
        client = tab.context.new_cdp_session(tab)
        expect(tab.get_by_role("banner")).to_be_visible()
        expect(tab.get_by_role("main")).to_be_visible()
        expect(tab.get_by_role("contentinfo")).to_be_visible()
        expect(tab.get_by_role("heading", level=1)).to_have_text("Remote Worker")
        expect(tab.get_by_role("tabpanel", name="Picture")).to_be_visible()
        expect(tab.get_by_role("tab", name="Picture", selected=True)).to_be_visible()

        for step in ("sample", "refused", "link", "post"):
            if step == "sample":
                tab.get_by_role("button", name="Try a sample").click()
                finished(tab)
            elif step == "refused":
                tab.get_by_role("tab", name="Link").click()
                tab.get_by_label("Address of a page").fill("http://10.0.0.1/" + "long" * 40)
                tab.get_by_label("Address of a page").press("Enter")
                tab.get_by_role("alert").wait_for()
            elif step == "link":
                paste(tab, f"http://127.0.0.1:{origin.port}/short")
                tab.get_by_role("article", name="The card").wait_for()
            else:
                tab.get_by_role("tab", name="Post").click()
                tab.get_by_role("button", name="Try a hostile one").click()
                tab.get_by_role("table").wait_for()

            assert tab.evaluate(SHAPES) == {"nameless": 0, "scroll": 0, "small": []}, step
            worst = tab.evaluate(CONTRASTS)
            assert len(worst) > 20
            assert worst[0][0] >= 4.5, (step, worst[:3])
            nodes = client.send("Accessibility.getFullAXTree")["nodes"]
            nameless = [
                node["role"]["value"]
                for node in nodes
                if not node["ignored"]
                and any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
                and not node.get("name", {}).get("value")
                and node["role"]["value"] not in ("RootWebArea", "main", "generic")
            ]
            assert nameless == [], step


def test_it_fits_a_phone_on_which_letters_are_twice_as_large(browser: Browser, address: str) -> None:
    with visit(browser, address, width=390) as tab:
        tab.evaluate("document.documentElement.style.fontSize = '200%'")
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)

        assert tab.evaluate(SHAPES)["scroll"] == 0


def test_what_colours_tell_is_told_in_a_scheme_that_the_system_forces(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        tab.emulate_media(forced_colors="active")
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)

        ground = "(all, pseudo) => all.map((e) => getComputedStyle(e, pseudo).backgroundColor)"
        chosen, *others = tab.get_by_role("tab").evaluate_all(ground)
        assert chosen not in others
        assert tab.locator("#ready").evaluate_all(ground, "::before") != tab.locator("#ready").evaluate_all(
            ground
        )
        swatches = (
            tab.get_by_role("list", name="Dominant colours").get_by_role("listitem").evaluate_all(ground)
        )
        assert len(set(swatches)) == len(swatches) > 1


def test_without_scripts_it_says_so_kindly(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)

    expect(tab.get_by_role("heading", name="This page needs JavaScript")).to_be_visible()
    expect(tab.locator("noscript pre")).to_contain_text("curl -F file=@photo.jpg")
    expect(tab.locator("noscript pre")).to_be_visible()
    expect(tab.get_by_role("button")).to_have_count(0)
    tab.get_by_role("link", name="What each error means").click()
    expect(tab.get_by_role("row", name="too_large 413")).to_be_visible()
    context.close()


SHIFTED = """() => new Promise((resolve) => {
    new PerformanceObserver((list) => {
        resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0));
    }).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve(0), 100);
})"""


@pytest.mark.parametrize("width", [320, 1440])
def test_nothing_moves_while_the_page_comes_up(browser: Browser, address: str, width: int) -> None:
    with visit(browser, address, width=width) as tab:
        expect(tab.get_by_role("region", name="The seal")).to_be_visible()
        expect(tab.get_by_role("contentinfo")).to_be_visible()

        assert tab.evaluate(SHIFTED) < 0.05  # A good page has less than 0.1.
        lines = "(all) => all.map((e) => e.getBoundingClientRect().height)"
        assert max(tab.get_by_role("tab").evaluate_all(lines)) < 50

        tab.goto(f"{address}console/errors.html")
        words = tab.locator(".errors tbody th, .errors tbody td:nth-child(2)")
        assert words.count() > 60
        assert words.evaluate_all("(all) => all.filter((e) => e.getClientRects().length > 1).length") == 0
        assert words.evaluate_all("(all) => Math.max(...all.map((e) => e.firstChild.textContent.length))") > 3


def test_what_a_worker_offers_is_asked_again_after_it_was_away(browser: Browser, address: str) -> None:
    is_away = True

    def gone(route: Route) -> None:
        if is_away:
            route.abort()
        else:
            route.continue_()

    routes = dict.fromkeys(("images/facts", "images/preset", "console/sample.jpg", "stats"), gone)
    with visit(browser, address, routes=routes) as tab:
        sample = tab.get_by_role("button", name="Try a sample")
        sample.click()
        expect(tab.get_by_role("alert")).to_contain_text("The worker cannot be reached")
        drop(tab, "lake.jpg", SAMPLE.read_bytes())
        finished(tab)
        expect(tab.get_by_role("article", name="Facts")).to_have_count(0)

        is_away = False
        sample.click()
        expect(tab.get_by_role("article", name="Facts").locator("canvas")).to_have_count(3)
        finished(tab)


def test_old_figures_are_marked_as_old_while_the_worker_is_away(browser: Browser, address: str) -> None:
    is_away = False

    def told(route: Route) -> None:
        if is_away:
            route.abort()
        else:
            route.fulfill(json=STATS)

    with visit(browser, address, routes={"stats": told, "readyz": told}) as tab:
        load = tab.get_by_role("region", name="Right now")
        expect(load).to_contain_text("serving, up 2 min")
        is_away = True
        expect(load).to_contain_text("no answer: this is how it was")
        expect(tab.get_by_text("Out of reach")).to_be_visible()
        is_away = False
        expect(load).to_contain_text("serving, up 2 min")
        expect(tab.get_by_text("Ready and sealed")).to_be_visible()


def test_a_picture_of_which_nothing_can_be_made_is_one_failure(
    browser: Browser, address: str, samples: Path
) -> None:
    sizes = ("16384", "1024", "480x480")
    refused = {"/images/rescale_avatar", "/images/facts", *(f"/images/fit/{size}" for size in sizes)}
    with visit(browser, address, refused=refused) as tab:
        drop(tab, "cut.png", (samples / "hostile" / "cut" / "apng-animated.png").read_bytes())

        expect(tab.get_by_role("alert")).to_contain_text("Nothing can be made of it")
        expect(tab.get_by_role("alert")).to_contain_text("damaged")
        expect(tab.locator(".failed")).to_have_count(1)
        expect(tab.get_by_role("article", name="Original")).to_be_visible()


def test_sizes_that_are_not_the_callers_to_pick_are_not_offered(browser: Browser, address: str) -> None:
    def mine_alone(route: Route) -> None:
        route.fulfill(status=403, json={"code": "only_presets", "message": "Only presets"})

    fits = ("1024?format=webp", "480x480?mode=cover&gravity=attention&format=webp")
    routes = {f"images/fit/{fit}": mine_alone for fit in fits}
    with visit(browser, address, routes=routes, refused=("/images/fit/1024", "/images/fit/480x480")) as tab:
        tab.get_by_role("button", name="Try a sample").click()
        finished(tab)

        expect(tab.get_by_role("article", name="Avatars")).to_be_visible()
        expect(tab.get_by_role("article", name="Made to fit")).to_have_count(0)
        expect(tab.get_by_label("Longest side")).to_be_hidden()
        expect(tab.locator(".failed")).to_have_count(0)


def test_of_many_files_the_first_is_taken_and_the_others_are_told(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        tab.evaluate(
            """async () => {
                const blob = await (await fetch("/console/sample.jpg")).blob();
                const dataTransfer = new DataTransfer();
                for (const name of ["a", "b", "c"]) dataTransfer.items.add(new File([blob], `${name}.jpg`));
                document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
            }"""
        )
        finished(tab)

        expect(tab.locator("#picture-says")).to_contain_text("2 more came with it and were left out")


def test_an_address_may_be_written_as_people_do(browser: Browser, address: str, origin: Origin) -> None:
    with visit(browser, address, refused={"/links/preview"}) as tab:
        tab.get_by_role("tab", name="Link").click()
        field = tab.get_by_label("Address of a page")
        for written, asked in (
            ("10.0.0.1/admin", "https://10.0.0.1/admin"),
            ("localhost:5000/x", "https://localhost:5000/x"),
            ("ftp://a.b/", "ftp://a.b/"),
            ("mailto:1@a.b", "mailto:1@a.b"),
        ):
            field.fill(written)
            field.press("Enter")
            expect(tab.get_by_role("alert")).to_be_visible()
            expect(field).to_have_value(asked)

        field.fill(f"http://127.0.0.1:{origin.port}/reset?token=abcdef0123456789abcdef0123456789")
        field.press("Enter")
        expect(tab.get_by_role("region", name="How it went")).to_contain_text("as if it worked only once")


def test_what_is_written_from_right_to_left_is_shown_so(browser: Browser, address: str) -> None:
    with visit(browser, address) as tab:
        paste(tab, "# \u0627\u0644\u0633\u0644\u0627\u0645 1.\n\nHello 2.")
        post = tab.get_by_role("region", name="Rendered post")
        post.get_by_role("heading").wait_for()

        field = tab.get_by_label("Markdown of a post")
        assert field.evaluate("(e) => getComputedStyle(e).direction") == "rtl"
        sides = """(all) => all.map((e) => {
            const range = document.createRange();
            range.selectNodeContents(e);
            const [text, box] = [range.getBoundingClientRect(), e.getBoundingClientRect()];
            return text.left - box.left > box.right - text.right ? "right" : "left";
        })"""
        assert post.locator("h1, p").evaluate_all(sides) == ["right", "left"]
