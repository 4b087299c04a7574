"""The page at /docs, in Chromium: every operation is there and works, and nothing comes from elsewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fetch.worker import Worker
from openapi.worker import SITE, described_worker
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.needs_chromium

CHROMIUM = "/usr/bin/chromium"
CORPUS = Path(__file__).resolve().parents[1] / "corpus"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with described_worker(tmp_path_factory.mktemp("facts")) as worker:
        yield worker


@pytest.fixture(scope="module")
def url(worker: Worker) -> str:
    return f"http://127.0.0.1:{worker.address[1]}/docs"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may ask this machine alone, and must say nothing in its console."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    hosts = {re.sub(r"^(\w+:(?://127\.0\.0\.1)?).*", r"\1", url, flags=re.DOTALL) for url in asked}
    assert hosts <= {"http://127.0.0.1", "blob:", "data:"}
    # Chromium says of itself that an answer was 4xx or 5xx.
    assert [line for line in said if "the server responded with a status" not in line] == []


def opened(page: Page, url: str, operation: str) -> None:
    page.goto(f"{url}#{operation}")
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector(f"#{operation} form")


def sent(page: Page, operation: str) -> str:
    """The status that is shown, with what else is told of it."""
    page.click(f"#{operation} button[type=submit]")
    page.wait_for_selector(f"#{operation} .answer > details")
    return page.inner_text(f"#{operation} .status")


def test_every_operation_is_there_and_opens(worker: Worker, url: str, page: Page) -> None:
    told = worker.ask("GET", "/openapi.json").json["paths"]
    names = {operation["operationId"] for methods in told.values() for operation in methods.values()}

    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.evaluate("for (const card of document.querySelectorAll('details.operation')) card.open = true")
    page.wait_for_function(f"document.querySelectorAll('.operation form').length >= {len(names)}")

    shown = page.eval_on_selector_all(".operation form", "forms => forms.map(form => form.parentElement.id)")
    assert set(shown) == names
    unnamed = page.eval_on_selector_all(
        "input, select, textarea, button",
        "all => all.filter(one => !one.labels?.length && !one.textContent.trim()).map(one => one.id)",
    )
    assert unnamed == []
    ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_a_picture_is_sent_and_the_new_one_is_shown(url: str, page: Page) -> None:
    opened(page, url, "fit")
    page.fill("#fit-path-0-box", "100x60")
    page.set_input_files("#fit input[type=file]", CORPUS / "jpeg" / "all-avatars.jpg")
    page.select_option("#fit-query-0-format", "png")
    page.select_option("#fit-accept", "image/*")

    assert sent(page, "fit").startswith("200 OK")
    page.wait_for_function("document.querySelector('#fit figcaption').textContent.includes('×')")
    assert page.inner_text("#fit figcaption") == "image/png, 75 × 60"
    curl = page.inner_text("#fit .copied code")
    assert curl.startswith("curl -F 'file=@all-avatars.jpg' -H 'Accept: image/*' 'http://127.0.0.1:")
    assert curl.endswith("/images/fit/100x60?format=png'")


def test_pictures_within_json_are_shown_too(url: str, page: Page) -> None:
    opened(page, url, "rescale_avatar")
    page.set_input_files("#rescale_avatar input[type=file]", CORPUS / "png" / "rgb.png")

    assert sent(page, "rescale_avatar").startswith("200 OK")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    names = page.eval_on_selector_all("#rescale_avatar figcaption", "all => all.map(one => one.textContent)")
    assert names[:3] == ["avatar24, 24 × 24", "avatar48, 48 × 48", "avatar73, 73 × 73"]


def test_lines_of_a_batch_are_shown_as_they_come(url: str, page: Page) -> None:
    opened(page, url, "previews")
    page.fill("#previews textarea", json.dumps({"urls": [f"http://{SITE}/", "ftp://x"]}))

    assert sent(page, "previews").startswith("200 OK")
    body = page.inner_text("#previews .answer pre")
    assert '"title": "A title"' in body
    assert '"code": "bad_scheme"' in body


def test_a_failure_is_shown_with_its_code_and_marked(url: str, page: Page) -> None:
    opened(page, url, "info")

    assert sent(page, "info").startswith("400 Bad Request")
    assert page.get_attribute("#info .status", "class") == "status failed"
    assert page.get_attribute("#info .status", "role") == "status"
    assert '"code": "no_file"' in page.inner_text("#info .answer pre")


def test_a_key_goes_along_and_is_not_shown(url: str, page: Page) -> None:
    opened(page, url, "ping")
    page.fill("#key", "rw_secret")
    with page.expect_request("**/ping") as asked:
        sent(page, "ping")

    assert asked.value.headers["authorization"] == "Bearer rw_secret"
    assert "secret" not in page.inner_text("body")
    assert '-H "Authorization: Bearer $KEY"' in page.inner_text("#ping .copied code")


def test_it_goes_by_the_keyboard_alone(url: str, page: Page) -> None:
    opened(page, url, "ping")
    assert page.evaluate("document.activeElement.closest('.operation').id") == "ping"
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Send":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#ping .answer > details")

    assert page.inner_text("#ping .status").startswith("200 OK")


def test_what_is_looked_for_stays(url: str, page: Page) -> None:
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.fill("#filter", "ens_failed")

    page.wait_for_function("document.getElementById('found').textContent")
    assert page.inner_text("#found").startswith("1 of ")
    assert page.locator(".operation:visible").count() == 1


def test_what_a_site_sends_is_shown_as_text(worker: Worker, url: str, page: Page) -> None:
    opened(page, url, "render_markdown")
    page.fill("#render_markdown textarea", json.dumps({"text": "<img src=x onerror=alert(1)> **bold**"}))

    assert sent(page, "render_markdown").startswith("200 OK")
    assert page.locator("#render_markdown .answer strong, #render_markdown .answer img").count() == 0
    assert "<strong>bold</strong>" in page.inner_text("#render_markdown .answer pre")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_width_and_can_be_read_in_both_schemes(
    width: int, scheme: Any, url: str, browser: Browser
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    opened(page, url, "fit")
    page.evaluate("document.querySelector('#fit .more').open = true")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) >= 4.5
    context.close()


CONTRAST = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = color;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(color)) return color;
    }
    return "white";
  };
  const ratios = [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility())
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a))
    .map(([more, less]) => (more + 0.05) / (less + 0.05));
  return Math.min(...ratios);
}"""
"""The least contrast of any text with what it stands on, as WCAG 2 reckons it (1.4.3 asks for 4.5)."""


def test_its_policy_lets_nothing_in_from_elsewhere(worker: Worker) -> None:
    policy = worker.ask("GET", "/docs").headers["content-security-policy"]

    told = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert told["default-src"] == "'none'"
    assert told["script-src"] == told["style-src"] == told["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert told["frame-ancestors"] == told["trusted-types"] == "'none'"
    assert told["require-trusted-types-for"] == "'script'"


@pytest.mark.parametrize(
    ("name", "kind"), [("docs.css", "text/css"), ("docs.js", "text/javascript"), ("index.html", "text/html")]
)
def test_its_files_have_their_types(name: str, kind: str, worker: Worker) -> None:
    answer = worker.ask("GET", f"/docs/{name}")

    assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["none.js", "..%2fopenapi.py", "%2e%2e", ".."])
def test_no_other_file_is_given_out(name: str, worker: Worker) -> None:
    assert worker.ask("GET", f"/docs/{name}").status == 404


def test_what_is_typed_into_a_path_leads_nowhere_else(url: str, page: Page) -> None:
    opened(page, url, "camo_at_root")
    curl = page.locator("#camo_at_root pre code")
    for typed in ("https:evil.example", "//evil.example", ""):
        page.get_by_label("digest").locator("visible=true").first.fill(typed)
        line = curl.inner_text()
        assert line.split("'")[-2].startswith(url.removesuffix("docs")), line


def test_what_has_no_path_yet_is_not_sent(url: str, page: Page) -> None:
    opened(page, url, "camo_query_at_root")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    digest = page.get_by_label("digest").locator("visible=true").first

    page.click("#camo_query_at_root button[type=submit]")
    assert digest.evaluate("(e) => document.activeElement === e")

    digest.fill("0" * 40)
    assert sent(page, "camo_query_at_root").startswith(("400", "403", "404"))
    assert [one.partition("?")[0].rpartition("/")[2] for one in asked] == ["0" * 40]


def test_a_line_is_marked_where_the_clipboard_is_not_for_pages(url: str, page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    opened(page, url, "ping")
    copy = page.locator("#ping .copied button")

    copy.click()

    assert page.evaluate("getSelection().toString()") == page.locator("#ping pre code").inner_text()
    assert copy.inner_text() == "Marked: Ctrl+C"
    page.get_by_role("link", name="Console").click()
    page.wait_for_url(url.removesuffix("docs"))


def test_it_has_the_colours_of_the_console(url: str, page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    opened(page, url, "ping")

    here = page.evaluate(ground)

    page.goto(url.removesuffix("docs"))
    assert here == page.evaluate(ground) == "rgb(245, 244, 240)"
