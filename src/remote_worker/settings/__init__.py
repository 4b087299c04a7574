"""The one place that reads the environment, `REMOTE_` variables, and the file that one of them names.

Both are checked, into the settings of each part.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import tracing
from ..contract.limits import Limits
from ..fetch.settings import FetchSettings
from ..jobs import signature
from ..jobs.settings import GRACE_SECONDS, JobSettings
from ..pool.settings import PoolSettings
from ..service import presets
from ..service.presets import BadPresets, Preset
from ..service.settings import CheckSettings, LinkSettings, NetworkSettings
from ..telemetry import TelemetrySettings
from ..web.auth import is_loopback
from ..web.settings import WebSettings
from .table import PARTS, PREFIX, TABLE, FileSettings, Row
from .values import as_text, shown, takes, value_of

FILE = "REMOTE_SETTINGS_FILE"
PRESETS = "presets"
ENVIRONMENT, IN_FILE, DEFAULT = "environment", "file", "default"
"""Where a value comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What variables of other makers ask for. OpenTelemetry's SDK reads the rest of OTEL_ itself."""

    traces: bool = False
    state_directory: str = ""
    """A folder that systemd keeps for us."""
    sentry_dsn: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of every part."""

    web: WebSettings
    limits: Limits
    pool: PoolSettings
    fetch: FetchSettings
    links: LinkSettings
    network: NetworkSettings
    check: CheckSettings
    file: FileSettings
    presets: Mapping[str, Preset] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """By the names of variables, for those that are no defaults."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    outside: Outside = field(default_factory=Outside)


class BadSettings(Exception):
    """The environment cannot be used; each problem names a variable and says what would do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from these variables, the file that they name, and defaults; what comes first wins.

    Raises BadSettings with every problem there is.
    """
    given = _Given()
    path = environment.get(FILE, "").strip()
    found = _read_file(path, given) if path else {}
    rows = {row.name: row for row in TABLE}
    for name in sorted(name for name in environment if name.startswith(PREFIX)):
        row = rows.get(name)
        if row is None:
            given.problems.append(_unknown(name, rows, PREFIX))
        else:
            given.take(row, environment[name], ENVIRONMENT, name)
    given.problems += tracing.problems(environment)
    if given.problems:
        raise BadSettings(given.problems)
    parts = {part: kind(**given.values[part]) for part, kind in PARTS.items()}
    outside = Outside(
        traces=tracing.is_wanted(environment),
        sentry_dsn=environment.get("SENTRY_DSN", "").strip(),
        state_directory=environment.get("STATE_DIRECTORY", "").partition(":")[0],
    )
    settings = Settings(**parts, presets=found, origins=given.origins, outside=outside)
    if problems := list(_conflicts(settings)):
        raise BadSettings(problems)
    return settings


def read_presets(path: str) -> Mapping[str, Preset]:
    """The presets of a settings file. Raises BadSettings."""
    return _presets(path, _members(path))


def effective(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each variable's name and its value in a form that `read` takes again; secrets are masked."""
    for row in TABLE:
        yield row.name, shown(row, getattr(getattr(settings, row.part), row.field))


def markdown() -> str:
    """The table of settings for the documentation."""
    lines = ["| variable | default | takes | what it is |", "|---|---|---|---|"]
    for row in TABLE:
        default = row.default or shown(row, getattr(PARTS[row.part](), row.field))
        lines.append(f"| `{row.name}` | {default or 'empty'} | {takes(row)} | {row.about} |")
    return "\n".join(lines) + "\n"


class _Given:
    """What was found so far: values of the parts' fields, where they come from, and what is wrong."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def take(self, row: Row, told: object, origin: str, called: str) -> None:
        """One value, instead of the one there was."""
        self.origins[row.name] = origin
        try:
            self.values[row.part][row.field] = value_of(row, as_text(row, told))
        except ValueError as wrong:
            got = "" if row.secret else f", not {told!r}"
            self.problems.append(f"{called} must be {wrong}{got}")


def _read_file(path: str, given: _Given) -> Mapping[str, Preset]:
    """Note the settings in the file. The answer is its presets."""
    try:
        members = _members(path)
    except BadSettings as bad:
        given.problems += bad.problems
        return {}
    rows = {row.field: row for row in TABLE if row.name != FILE}
    for name in sorted(members.keys() - {PRESETS}):
        if name in rows:
            given.take(rows[name], members[name], IN_FILE, f"{path}: {name}")
        else:
            given.problems.append(f"{path}: {_unknown(name, [*rows, PRESETS])}")
    try:
        return _presets(path, members)
    except BadSettings as bad:
        given.problems += bad.problems
        return {}


def _members(path: str) -> dict[str, Any]:
    """What stands in the file. Raises BadSettings."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as bad:
        raise BadSettings([f"{FILE} must be a TOML file that can be read, not {path!r}: {bad}"]) from bad


def _presets(path: str, members: Mapping[str, Any]) -> Mapping[str, Preset]:
    try:
        return presets.read(members.get(PRESETS, {}))
    except BadPresets as bad:
        raise BadSettings([f"{path}: {problem}" for problem in bad.problems]) from bad


def _conflicts(settings: Settings) -> Iterator[str]:
    told = settings.telemetry
    if told.metrics.host and not told.metrics_open and not is_loopback(told.metrics.host):
        yield (
            f"REMOTE_METRICS={told.metrics} lets other machines read the metrics: "
            "set REMOTE_METRICS_OPEN=1 if that is meant, or REMOTE_METRICS=127.0.0.1:9464"
        )
    web = settings.web
    if bool(web.tls_cert) != bool(web.tls_key):
        yield "REMOTE_TLS_CERT and REMOTE_TLS_KEY go together"
    if web.tls_client_ca and not web.tls_cert:
        yield "REMOTE_TLS_CLIENT_CA needs REMOTE_TLS_CERT and REMOTE_TLS_KEY"
    if web.tls_client_required and not web.tls_client_ca:
        yield "REMOTE_TLS_CLIENT_REQUIRED needs REMOTE_TLS_CLIENT_CA"
    yield from _of_jobs(settings.jobs)
    if is_loopback(settings.web.host):
        return
    if not settings.pool.jail:
        yield (
            "REMOTE_JAIL=off is for debugging on loopback only: "
            "set REMOTE_HOST=127.0.0.1, or leave REMOTE_JAIL out"
        )
    if not (web.open or web.is_authenticating):
        yield (
            f"REMOTE_HOST={web.host} listens beyond loopback without authentication: set REMOTE_KEYS_FILE or "
            "REMOTE_TLS_CLIENT_CA, REMOTE_OPEN=1 if a firewall or proxy decides who may call, or "
            "REMOTE_HOST=127.0.0.1"
        )


def _of_jobs(jobs: JobSettings) -> Iterator[str]:
    is_far = jobs.jobs.startswith("s3:")
    if jobs.engine and not jobs.engine.startswith(("nats://", "tls://")):
        yield "REMOTE_ENGINE must be nats://host:port, or tls://host:port"
    if jobs.engine and not jobs.bulk_stores and not (jobs.is_on and jobs.jobs):
        yield (
            "REMOTE_ENGINE hands jobs to other machines, which must reach what was sent: set REMOTE_JOBS to "
            "s3://bucket/prefix or to a folder that all of them share, or leave REMOTE_ENGINE out"
        )
    if is_far and not jobs.engine:
        yield (
            "REMOTE_JOBS in a bucket needs REMOTE_ENGINE=nats://host:port, which hands the jobs out; without "
            "it set REMOTE_JOBS to a folder of this machine"
        )
    if jobs.jobs_keep_seconds < jobs.jobs_seconds + GRACE_SECONDS:
        yield (
            f"REMOTE_JOBS_KEEP_SECONDS={jobs.jobs_keep_seconds:g} takes jobs away before they have ended: it "
            f"must be {GRACE_SECONDS:g} more than REMOTE_JOBS_SECONDS={jobs.jobs_seconds:g}, or more"
        )
    try:
        for key in jobs.webhook_keys:
            signature.key_of(key)
    except ValueError as bad:
        yield f"REMOTE_WEBHOOK_KEYS must be keys of {bad}"


def _unknown(name: str, known: Iterable[str], prefix: str = "") -> str:
    # Compared without the prefix, which would make every two names alike.
    ours = {word.removeprefix(prefix): word for word in known}
    near = difflib.get_close_matches(name.removeprefix(prefix), ours, n=1, cutoff=0.6)
    hint = f"did you mean {ours[near[0]]}?" if near else "`remote-worker settings` lists the ones there are"
    return f"{name} is not a setting: {hint}"
