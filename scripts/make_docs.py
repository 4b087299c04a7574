"""Writes the documentation pages that are made from tables in the code, or tells which are stale."""

import sys
from collections.abc import Callable
from pathlib import Path

from remote_worker import settings
from remote_worker.decoder.formats import FORMATS
from remote_worker.web.problems import PROBLEMS

DOCS = Path(__file__).resolve().parent.parent / "docs"
SETTINGS_HEAD = """# Settings

<!-- Made by scripts/make-docs from src/remote_worker/settings.py; edit there. -->

Every setting is an environment variable that begins with `REMOTE_`. They are read once, at start. A variable
of that prefix that is not in this table, or a value that does not fit, stops the start with status 78, and
the message names the variable and says what would do. `remote-worker settings` prints the values in effect.

"""

FORMATS_HEAD = """# Formats

<!-- Made by scripts/make-docs from src/remote_worker/decoder/formats.py; edit there. -->

The bytes decide: neither a file's name nor its declared type is looked at. Each upload is read by one
decoder, in a child of the template that is named here. `fit` writes what the table says unless
`?format=` asks for `png`, `jpeg`, `webp` or `avif`; avatars are always PNG.

## Switching one off

`REMOTE_FORMATS=-jp2,-psd` leaves out these two, `REMOTE_FORMATS=jpeg,png,webp` all but these three. What is off
is neither read nor written; [a codec with a hole](codecs.md#how-to-take-a-codec-fix-within-a-day) is shut out by that at once:

- Its uploads, `?format=` with its name, and a `fit` that would write it because no format is named (a PSD while `png` is
  off) get 415 `format_unavailable`. Avatars need `png`, `prepare_jpeg` needs `jpeg`.
- Its decoder is not run, for the warm-up neither, and what serves it alone is not even loaded: libheif and libde265 (`heic`),
  libjxl (`jxl`), libavif with dav1d and libaom (`avif`), libwebp (`webp`). Without `svg` there is no SVG template. JPEG,
  JPEG 2000 and TIFF are parts of one Pillow module with PNG, GIF and BMP: their libraries stay loaded, and are not called.
- A container is refused when what it holds is off: PNG, JPEG 2000 and bitmaps (`bmp`) in ICO and ICNS, JPEG in TIFF, JPEG in
  JPEG XL. `info` still tells such a container's header, for which nothing is decoded.
- SVG is drawn by resvg, which has decoders of its own, in Rust, for the PNG, JPEG, GIF and WebP pictures that a
  document embeds: only `-svg` switches those off. It gives its drawing as PNG, which Pillow reads while `svg` is on.
- Without `svg`, whatever begins like XML or gzip is `format_unavailable`: nobody looks whether it is SVG.

`GET /capabilities` and `/readyz` tell clients and operators what is on; `remote-worker doctor` tries it.

## The table

All are on unless `REMOTE_FORMATS` says otherwise.

| format | type | template | `fit` writes | with alpha | all frames with `?animated=1` |
|---|---|---|---|---|---|
"""


def formats_page() -> str:
    """docs/formats.md."""
    rows = (
        (row.name, row.mime, row.template, row.fit, row.fit_with_alpha, "yes" if row.keeps_frames else "no")
        for row in FORMATS
    )
    return FORMATS_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


ERRORS_HEAD = """# Errors

<!-- Made by scripts/make-docs from src/remote_worker/web/problems.py; edit there. -->

Every failure is JSON with `message`, `status` (`"error"`), `success` (`false`), `code` and `request_id`.
Compare the code; the message is for people. With `Accept: application/problem+json` the same failure comes
as RFC 9457: `type` is `urn:remote-worker:error:<code>`, with `title`, `status`, `detail`, `instance`, `code`
and `request_id`. 503 comes with `Retry-After`.

| code | status | message |
|---|---|---|
"""


def errors_page() -> str:
    """docs/errors.md."""
    rows = ((f"`{code}`", str(problem.status), problem.message) for code, problem in PROBLEMS.items())
    return ERRORS_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": lambda: SETTINGS_HEAD + settings.markdown(),
    "formats.md": formats_page,
    "errors.md": errors_page,
}


def main(*, check: bool) -> int:
    """Write the pages; with `check`, leave them and answer 1 when one is stale."""
    stale = [name for name, page in PAGES.items() if not _is_fresh(name, page())]
    for name in stale:
        if check:
            print(f"docs/{name} is stale: run scripts/make-docs", file=sys.stderr)
        else:
            (DOCS / name).write_text(PAGES[name]())
    return 1 if check and stale else 0


def _is_fresh(name: str, text: str) -> bool:
    path = DOCS / name
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
