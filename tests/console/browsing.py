"""Chromium for the tests of the console: a page that notes whatever a browser complains about."""

import base64
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright, Route

CHROMIUM = Path("/usr/bin/chromium")
YOUNG = frozenset({"/images/facts", "/images/preset", "/openapi.json", "/stats"})
"""Paths that a worker may not have; the page asks, and a browser notes the 404."""
_WATCH = """
    window.violations = [];
    window.alerts = 0;
    window.alert = () => { window.alerts += 1; };
    addEventListener("securitypolicyviolation", (event) => {
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
"""


def launch(playwright: Playwright) -> Browser:
    """One browser."""
    return playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])


@contextmanager
def visit(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    scheme: str = "light",
    refused: Collection[str] = (),
    blocked: tuple[str, ...] = (),
    routes: dict[str, Any] | None = None,
) -> Iterator[Page]:
    """The console in a window of its own; nothing may go wrong but what is `refused` or `blocked`.

    `routes` answers paths by the value in place of the worker: a dict is JSON, a number a failure.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    context.add_init_script(_WATCH)
    page = context.new_page()
    page.set_default_timeout(15_000)
    noted: list[str] = []
    elsewhere: list[str] = []
    own = urlsplit(address).netloc

    def note(kind: str, text: str, place: str) -> None:
        path = urlsplit(place).path
        is_known = (bool(blocked) and "Content Security Policy directive" in text) or (
            "Failed to load resource" in text
            and (path in refused or (path in YOUNG and "404" in text) or path[1:] in (routes or {}))
        )
        if kind in ("error", "warning") and not is_known:
            noted.append(f"{kind}: {text} {place}")

    page.on("console", lambda message: note(message.type, message.text, message.location["url"]))
    page.on("pageerror", lambda error: noted.append(str(error)))
    context.on(
        "request",
        lambda request: (
            elsewhere.append(request.url)
            if urlsplit(request.url).scheme not in ("blob", "data") and urlsplit(request.url).netloc != own
            else None
        ),
    )
    for path, value in (routes or {}).items():
        page.route(f"{address}{path}", _answering(value))
    page.goto(address)
    page.get_by_text("Ready and sealed").wait_for()
    yield page

    violations = [text for text in page.evaluate("window.violations") if not text.startswith(blocked)]
    assert not violations, violations
    assert page.evaluate("window.alerts") == 0
    assert not noted, noted
    assert not elsewhere, elsewhere
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def drop(page: Page, name: str, data: bytes) -> None:
    """Drop a file on the page, as a hand would."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, base64.b64encode(data).decode()],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", kind, {"dataTransfer": transfer})


def paste(page: Page, text: str) -> None:
    """Paste a text where no field has the cursor."""
    page.evaluate(
        """(text) => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        text,
    )


def natural_sizes(page: Page, selector: str) -> list[tuple[int, int]]:
    """Of all pictures there."""
    sizes = page.locator(selector).evaluate_all("(all) => all.map((i) => [i.naturalWidth, i.naturalHeight])")
    return [tuple(size) for size in sizes]


def _answering(value: Any) -> Any:
    def answer(route: Route) -> None:
        if callable(value):
            value(route)
        elif isinstance(value, int):
            failure = {"code": "not_found", "message": "no", "status": "error", "success": False}
            route.fulfill(status=value, json=failure)
        else:
            route.fulfill(body=json.dumps(value), content_type="application/json")

    return answer
