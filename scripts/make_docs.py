"""Writes the documentation pages that are made from tables in the code, or tells which are stale."""

import sys
from collections.abc import Callable
from pathlib import Path

import limits_table

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
and `request_id`. 503 comes with `Retry-After`. What is past which limit: [limits.md](limits.md).

| code | status | message |
|---|---|---|
"""


def errors_page() -> str:
    """docs/errors.md."""
    rows = ((f"`{code}`", str(problem.status), problem.message) for code, problem in PROBLEMS.items())
    return ERRORS_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


LIMITS_HEAD = """# Limits

<!-- Made by scripts/make-docs from scripts/limits_table.py; edit there. -->

Everything that a client, a document or a hijacked decoder decides has a bound, which is checked before the
step that it bounds. Those with a `REMOTE_` name can be set ([settings.md](settings.md)). `value` is the
default; a document at the value passes, one past it gets the answer of the fourth column
([errors.md](errors.md)). The tests of the last column, below `tests/`, try both sides of each.
"""


def limits_page() -> str:
    """docs/limits.md."""
    sections = (
        f"\n## {title}\n\n{limits_table.markdown(rows)}" for title, rows in limits_table.SECTIONS.items()
    )
    parameters = "".join(
        f"| `{name}` | {takes} | {past} | `{test.rpartition('::')[2]}` |\n"
        for name, takes, past, test in limits_table.PARAMETERS
    )
    return (
        LIMITS_HEAD
        + "".join(sections)
        + "\n## Parameters of an address\n\n| parameter | takes | else | shown by |\n|---|---|---|---|\n"
        + parameters
    )


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": lambda: SETTINGS_HEAD + settings.markdown(),
    "formats.md": formats_page,
    "errors.md": errors_page,
    "limits.md": limits_page,
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
