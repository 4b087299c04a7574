"""Takes the pictures of the console, at two widths in two schemes, from a worker that has something to do."""

import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from io import BytesIO
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks.servers import free_port, worker  # noqa: E402  # the path to it stands above

TO = PROJECT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
WIDTHS = {"wide": (1360, 2400), "phone": (390, 1900)}
"""Of the window, and how much of the page's height is kept."""
COLOURS = 256
MOST_BYTES = 300_000
LOOKED_AT_SECONDS = 20
PRESETS = """[presets.card]
outputs = [
  {name = "square", width = 240, height = 240, mode = "cover", gravity = "attention", format = "webp"},
  {name = "wide", width = 480, height = 240, mode = "cover", format = "avif"},
]
"""


def main() -> int:
    """Take all four."""
    TO.mkdir(exist_ok=True)
    port = free_port()
    with ExitStack() as stack:
        settings = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".toml"))
        playwright = stack.enter_context(sync_playwright())
        settings.write(PRESETS)
        settings.flush()
        stack.enter_context(worker(port, os.sched_getaffinity(0), REMOTE_SETTINGS_FILE=settings.name))
        address = f"http://127.0.0.1:{port}/"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        stop = threading.Event()
        busy = threading.Thread(target=keep_busy, args=(address, stop))
        busy.start()
        try:
            for width, scheme in product(WIDTHS, ("light", "dark")):
                take(browser, address, width, scheme)
        finally:
            stop.set()
            busy.join()
            browser.close()
    return 0


def take(browser: Browser, address: str, width: str, scheme: str) -> None:
    """One picture, with as few colours as it takes to be small."""
    across, down = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": across, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(address)
    show_sample(page)
    shot = page.screenshot(full_page=True)
    with Image.open(BytesIO(shot)) as opened:
        kept = opened.convert("RGB").crop((0, 0, opened.width, min(down, opened.height)))
    path = TO / f"console-{width}-{scheme}.png"
    kept.quantize(COLOURS, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(PROJECT)}: {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"more than {MOST_BYTES:,} bytes")
    context.close()


def show_sample(page: Page) -> None:
    """The sample and all that is made of it; the curve of the load needs a while to become one."""
    page.get_by_text("Ready and sealed").wait_for()
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("#picture-says")).to_contain_text("made in", timeout=30_000)
    page.mouse.move(0, 0)
    page.wait_for_timeout(LOOKED_AT_SECONDS * 1000)


def keep_busy(address: str, stop: threading.Event) -> None:
    """A little work of others, so that there is a load to be seen."""
    sample = PROJECT / "src" / "remote_worker" / "decoder" / "samples" / "sample.jpg"
    command = ["curl", "-s", "-o", os.devnull, "-F", f"file=@{sample}", f"{address}images/fit/800"]
    while not stop.wait(0.15):
        subprocess.run(command, check=False)
        with urllib.request.urlopen(f"{address}ping", timeout=10):  # noqa: S310 - our own address
            pass


if __name__ == "__main__":
    sys.exit(main())
