"""Writes the documentation pages that are made from tables in the code, or tells which are stale."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import api_reference
import limits_table

from remote_worker import metrics, settings
from remote_worker.decoder.codecs import CODECS
from remote_worker.decoder.formats import FORMATS
from remote_worker.web.problems import PROBLEMS

DOCS = Path(__file__).resolve().parent.parent / "docs"
SETTINGS_HEAD = """# Settings

<!-- Made by scripts/make-docs from src/remote_worker/settings/table.py; edit there. -->

Every setting is an environment variable that begins with `REMOTE_`. They are read once, at start. A variable
of that prefix that is not in this table, or a value that does not fit, stops the start with status 78, and
the message names the variable and says what would do. `remote-worker settings` prints the values in effect,
`--origins` also where each comes from.

`REMOTE_SETTINGS_FILE` names a TOML file in which the same settings may stand: without the prefix, in small
letters, as numbers, `true` and `false`, text, or lists. A variable wins over the file, the file over the
default. Unknown names are refused there too, and every mistake is told at once. The file also has the
[presets](recipes.md), which are read again at `SIGHUP`; a change of the rest takes a restart.

```toml
connections = 512
input_bytes = "20MiB"
formats = ["jpeg", "png", "webp"]
only_presets = true

[presets.thumb]
outputs = [{name = "thumb", width = 320, height = 200, mode = "cover", format = "webp"}]
```

"""

FORMATS_HEAD = """# Formats

<!-- Made by scripts/make-docs from src/remote_worker/decoder/formats.py; edit there. -->

The bytes decide: neither a file's name nor its declared type is looked at. Each picture is read by one
decoder, in a child of the template that is named here. `fit` writes what the table says unless
`?format=` asks for `png`, `jpeg`, `webp` or `avif`; avatars are always PNG.

All are on unless `REMOTE_FORMATS` says otherwise: [how](codec-fixes.md#switching-a-format-off).

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
and `request_id`. 409, 429 and 503 come with `Retry-After`. What is past which limit: [limits.md](limits.md).

A failure of a URL or of a fetch says in a word or a few what was the matter, such as the rule that refused
an address: at the end of the message in brackets, and alone as `detail` (as `reason` in the RFC's form).

| code | status | message |
|---|---|---|
"""


def errors_page() -> str:
    """docs/errors.md."""
    rows = ((f"`{code}`", str(problem.status), problem.message) for code, problem in PROBLEMS.items())
    return ERRORS_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


CODECS_HEAD = """# Codecs

<!-- Made by scripts/make-docs from docs/sbom.cdx.json and remote_worker/decoder/codecs.py; edit there. -->

What the wheels bring besides their Python code, as of the lock: every shared library, and the parts of
those and of the extension modules that meet a picture. [sbom.cdx.json](sbom.cdx.json) (CycloneDX 1.6, made
by `scripts/sbom`) has all packages and crates. `remote-worker doctor` prints the versions that are
installed on a machine, and `scripts/audit` holds them against known holes; [a fix within a
day](codec-fixes.md) says what to do about one.

The licence's text is in the wheel's `.dist-info/licenses`, in the file that is named, behind the colon its
heading there. Two wheels hold code under the GNU GPL: pillow-jxl-plugin is GPL-3.0-or-later as a whole,
with the crates that bind libjxl, and pillow-heif brings x265 (GPL-2.0-or-later), for which it puts its
wheel under the GPL; libheif and libde265 are under the LGPL. Who passes the worker on together with these
wheels has to keep to those terms. Without them (uninstalled) the worker runs, and HEIC or JPEG XL are
`format_unavailable`.

| codec | version | told by | in the wheel | serves | licence | its text |
|---|---|---|---|---|---|---|
"""


def codecs_page() -> str:
    """docs/codecs.md. The versions are those of the bill that scripts/sbom makes, so any Python will do."""
    bill = json.loads((DOCS / "sbom.cdx.json").read_text())
    versions = {
        part["bom-ref"]: part["version"]
        for wheel in bill["components"]
        for part in wheel.get("components", ())
    }
    rows = (
        (
            codec.name,
            versions[codec.reference][:_MOST_VERSION] if codec.wheel else "of the machine",
            codec.told_by,
            codec.wheel or "none",
            codec.serves,
            codec.licence,
            codec.licence_text,
        )
        for codec in CODECS
    )
    return CODECS_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


_MOST_VERSION = 24
"""Characters; a commit is told by fewer."""

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


METRICS_BEGIN = "<!-- metrics: made by scripts/make-docs from src/remote_worker/metrics.py; edit there. -->\n"
METRICS_END = "<!-- end of metrics -->\n"


def observing_page() -> str:
    """docs/observing.md, with its table of metrics made anew; the rest is written by hand."""
    before, _, rest = (DOCS / "observing.md").read_text().partition(METRICS_BEGIN)
    _, _, after = rest.partition(METRICS_END)
    rows = "".join(
        f"| `{metric.name}{'_total' if metric.kind == 'counter' else ''}` | {metric.kind} "
        f"| {', '.join(f'`{label}`' for label in metric.labels)} | {metric.about} |\n"
        for metric in metrics.EVERY
    )
    head = "| metric | kind | labels | what it is |\n|---|---|---|---|\n"
    return f"{before}{METRICS_BEGIN}\n{head}{rows}\n{METRICS_END}{after}"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": lambda: SETTINGS_HEAD + settings.markdown(),
    "formats.md": formats_page,
    "errors.md": errors_page,
    "codecs.md": codecs_page,
    "limits.md": limits_page,
    "observing.md": observing_page,
    "api.md": api_reference.page,
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
