"""The one place that reads the environment, `REMOTE_` variables, and the file that one of them names.

Both are checked, into the settings of each part.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from . import tracing
from .contract.formats import FormatName, switched_on
from .contract.limits import LONGEST_SIDE, MIB, Limits
from .fetch.settings import FetchSettings, Nameserver, Opening
from .pool.settings import PoolSettings
from .service import presets
from .service.presets import BadPresets, Preset
from .service.settings import CheckSettings, LinkSettings, NetworkSettings
from .telemetry import Listening, LogFormat, TelemetrySettings
from .web.auth import is_loopback
from .web.callers import network
from .web.settings import Network, WebSettings

PREFIX = "REMOTE_"
FILE = "REMOTE_SETTINGS_FILE"
PRESETS = "presets"
ENVIRONMENT, IN_FILE, DEFAULT = "environment", "file", "default"
"""Where a value comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """Where there are more settings, and presets."""

    settings_file: str = ""


PARTS: dict[str, type] = {
    "web": WebSettings,
    "limits": Limits,
    "pool": PoolSettings,
    "fetch": FetchSettings,
    "links": LinkSettings,
    "network": NetworkSettings,
    "check": CheckSettings,
    "file": FileSettings,
    "telemetry": TelemetrySettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What variables of other makers ask for. OpenTelemetry's SDK reads the rest of OTEL_ itself."""

    traces: bool = False
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
    outside: Outside = field(default_factory=Outside)


@dataclass(frozen=True, slots=True)
class Row:
    """One variable: the field that it fills, what it is for, and the range of a number."""

    part: str
    field: str
    about: str
    least: float = 0
    most: float = math.inf
    default: str = ""
    """What the documentation says where the default depends on the machine."""
    secret: bool = False

    @property
    def name(self) -> str:
        """The environment variable."""
        return PREFIX + self.field.upper()

    @property
    def kind(self) -> object:
        """The field's type."""
        return get_type_hints(PARTS[self.part])[self.field]


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
        traces=tracing.is_wanted(environment), sentry_dsn=environment.get("SENTRY_DSN", "").strip()
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


def shown(row: Row, value: object) -> str:
    """The value as text, or a mask when it is a secret that is set."""
    if row.secret and value:
        return "(hidden)"
    match value:
        case bool():
            return "on" if value else "off"
        case tuple():
            return ",".join(map(str, value))
        case int() if row.field.endswith("_bytes"):
            return _size(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def markdown() -> str:
    """The table of settings for the documentation."""
    lines = ["| variable | default | takes | what it is |", "|---|---|---|---|"]
    for row in TABLE:
        default = row.default or shown(row, getattr(PARTS[row.part](), row.field))
        lines.append(f"| `{row.name}` | {default or 'empty'} | {_takes(row)} | {row.about} |")
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
            self.values[row.part][row.field] = _value(row, _as_text(row, told))
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


def _as_text(row: Row, value: object) -> str:
    """As it would stand in a variable. Raises ValueError with what would do."""
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int() | float():
            return str(value).strip()
        case list() if all(isinstance(word, str | int) and "," not in str(word) for word in value):
            return ",".join(map(str, value))
        case _:
            raise ValueError(_takes(row))


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


def _unknown(name: str, known: Iterable[str], prefix: str = "") -> str:
    # Compared without the prefix, which would make every two names alike.
    ours = {word.removeprefix(prefix): word for word in known}
    near = difflib.get_close_matches(name.removeprefix(prefix), ours, n=1, cutoff=0.6)
    hint = f"did you mean {ours[near[0]]}?" if near else "`remote-worker settings` lists the ones there are"
    return f"{name} is not a setting: {hint}"


def _value(row: Row, text: str) -> object:
    """The text as the field's type. Raises ValueError with what would do."""
    try:
        value = _READERS[row.kind](row, text)
    except (ValueError, OverflowError) as wrong:
        raise ValueError(_takes(row)) from wrong
    if isinstance(value, (int, float)) and not row.least <= value <= row.most:
        raise ValueError(_takes(row))
    return value


def _takes(row: Row) -> str:
    """What would do, as it follows `must be`."""
    return _WORDS[row.kind](row) + (_range(row) if row.kind in (int, float) else "")


def _range(row: Row) -> str:
    if row.most < math.inf:
        return f" from {shown(row, row.least)} to {shown(row, row.most)}"
    return f", {shown(row, row.least)} or more"


def _size(count: int) -> str:
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if count and count % _UNITS[unit] == 0), "")
    return f"{count // _UNITS[unit]}{unit}"


def _number(row: Row, text: str) -> int:
    if not row.field.endswith("_bytes"):
        return _digits(text)
    size = re.fullmatch(r"([0-9]+) ?(KiB|MiB|GiB)?", text)
    if size is None:
        raise ValueError
    return _digits(size[1]) * _UNITS[size[2] or ""]


def _digits(text: str) -> int:
    # int() alone would take "1_000", " 7" and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError
    return int(text)


def _decimal(_: Row, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text):
        raise ValueError
    return float(text)


def _switch(_: Row, text: str) -> bool:
    return _SWITCH[text.lower()] if text.lower() in _SWITCH else _refuse()


def _text(_: Row, text: str) -> str:
    return text if text.isprintable() else _refuse()


def _list(row: Row, text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in _text(row, text).split(",") if word.strip())
    # A list of nothing but commas was to hold something: a key that is not there would be missed silently.
    return words if words or not text.strip() else _refuse()


def _formats(row: Row, text: str) -> tuple[FormatName, ...]:
    return switched_on(_list(row, text))


def _networks(row: Row, text: str) -> tuple[Network, ...]:
    return tuple(network(word) for word in _list(row, text))


def _ports(row: Row, text: str) -> tuple[int, ...]:
    ports = tuple(_digits(word) for word in _list(row, text))
    return ports if all(0 < port <= 65_535 for port in ports) else _refuse()


def _openings(row: Row, text: str) -> tuple[Opening, ...]:
    return tuple(_opening(word) for word in _list(row, text))


def _opening(text: str) -> Opening:
    # [::1]/128:8000, [::1]:8000, 10.0.0.0/8:*, 10.0.0.1:80
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+)(/[0-9]{1,3})?:([0-9]{1,5}|\*)", text)
    if found is None:
        raise ValueError
    network_text = found[1].strip("[]") + (found[2] or "")
    port = 0 if found[3] == "*" else _digits(found[3])
    if found[3] != "*" and not 0 < port <= 65_535:
        raise ValueError
    return Opening(network(network_text), port)


def _nameservers(row: Row, text: str) -> tuple[Nameserver, ...]:
    return tuple(_nameserver(word) for word in _list(row, text))


def _nameserver(text: str) -> Nameserver:
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if found is None:
        return Nameserver(str(ip_address(text)))
    port = _digits(found[2] or found[4])
    if not 0 < port <= 65_535:
        raise ValueError
    return Nameserver(str(ip_address(found[1] or found[3])), port)


def _listening(_: Row, text: str) -> Listening:
    if not text:
        return Listening()
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|localhost)):([0-9]{1,5})", text)
    if found is None or _digits(found[3]) > 65_535:
        raise ValueError
    host = found[1] or found[2]
    return Listening(host if host == "localhost" else str(ip_address(host)), _digits(found[3]))


def _log_format(_: Row, text: str) -> LogFormat:
    return LogFormat(text)


def _prefixes(row: Row, text: str) -> tuple[IPv6Network, ...]:
    networks = tuple(ip_network(word) for word in _list(row, text))
    prefixes = tuple(found for found in networks if isinstance(found, IPv6Network))
    lengths = {prefix.prefixlen for prefix in prefixes}
    return prefixes if len(prefixes) == len(networks) and lengths <= _NAT64_LENGTHS else _refuse()


_NAT64_LENGTHS = {32, 40, 48, 56, 64, 96}
"""RFC 6052, 2.2."""


def _refuse() -> NoReturn:
    raise ValueError


_UNITS = {"": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}
_SWITCH = dict.fromkeys(("1", "on", "true", "yes"), True) | dict.fromkeys(("0", "off", "false", "no"), False)

_READERS: dict[Any, Callable[[Row, str], object]] = {
    int: _number,
    float: _decimal,
    bool: _switch,
    str: _text,
    tuple[str, ...]: _list,
    tuple[FormatName, ...]: _formats,
    tuple[Network, ...]: _networks,
    tuple[int, ...]: _ports,
    tuple[Opening, ...]: _openings,
    tuple[Nameserver, ...]: _nameservers,
    tuple[IPv6Network, ...]: _prefixes,
    Listening: _listening,
    LogFormat: _log_format,
}
_WORDS: dict[Any, Callable[[Row], str]] = {
    int: lambda row: "bytes (`30MiB` and the like do)" if row.field.endswith("_bytes") else "a whole number",
    float: lambda row: "seconds" if row.field.endswith("_seconds") else "a number",
    bool: lambda _: "`on` or `off`",
    str: lambda _: "text",
    tuple[str, ...]: lambda _: "a list with commas",
    tuple[FormatName, ...]: lambda _: (
        "a list with commas, `jpeg,png` for these alone or `-jp2,-psd` for all but these, out of "
        + ", ".join(FormatName)
    ),
    tuple[Network, ...]: lambda _: "a list of addresses and networks with commas",
    tuple[int, ...]: lambda _: "a list of ports with commas",
    tuple[Opening, ...]: lambda _: (
        "a list with commas of addresses or networks with a port: `10.0.0.0/8:80`, `127.0.0.1/32:*`, "
        "`[::1]/128:8000`"
    ),
    tuple[Nameserver, ...]: lambda _: "a list of addresses with commas, with `:port` if it is not 53",
    tuple[IPv6Network, ...]: lambda _: "a list of IPv6 prefixes with commas",
    Listening: lambda _: "an address with a port (`127.0.0.1:9464`, `[::1]:9464`), or nothing",
    LogFormat: lambda _: "one of " + ", ".join(f"`{form}`" for form in LogFormat),
}

GIB = 1024 * MIB
TIB = 1024 * GIB
_WEB = (
    Row("web", "host", "Address to listen on."),
    Row("web", "port", "Port to listen on; 0 takes a free one.", most=65_535),
    Row(
        "web",
        "open",
        "Says that anyone who reaches the worker may call it; needed to listen beyond loopback.",
    ),
    Row(
        "web",
        "host_names",
        "Names that `Host` may carry besides loopback's while there is no authentication.",
    ),
    Row(
        "web",
        "trusted_proxies",
        "Proxies in front, whose `X-Forwarded-For` tells callers apart; one caller's flood then leaves room "
        "for the others.",
    ),
    Row(
        "web",
        "only_presets",
        "Sizes and formats that a caller picks are refused (403): presets, avatars, `prepare_jpeg` and what "
        "is told of a picture are left.",
    ),
    Row(
        "web",
        "keys_file",
        "File with the keys of those who may call ([calling.md](calling.md)), read again at SIGHUP. With it, "
        "all but the likes of `/livez` and signed addresses needs a key.",
    ),
    Row("web", "signature_seconds", "How old a signed request may be.", least=1, most=3600),
    Row("web", "tls_cert", "Certificate of this worker in PEM, with those between it and its authority."),
    Row("web", "tls_key", "Its private key in PEM."),
    Row(
        "web",
        "tls_client_ca",
        "Certificates in PEM of the authority of clients' certificates. One whose fingerprint is in the key "
        "file is that key; without a key file every one may do everything.",
    ),
    Row("web", "tls_client_required", "Without a certificate no connection at all, not even for `/livez`."),
    Row("web", "uid", "This worker's name in `/hello`.", default="random at each start"),
    Row("web", "region", "This worker's region in `/hello`."),
    Row("web", "country", "This worker's country in `/hello`."),
    Row(
        "web",
        "connections",
        "Connections that may do everything; one caller gets two thirds at most. As many more may ask once "
        "for what has no body, such as `/livez`; past those, 503 at once.",
        least=1,
    ),
    Row("web", "head_seconds", "Longest wait for a request's head.", least=0.1, most=3600),
    Row("web", "keep_alive_seconds", "How long a connection may stay without a request.", most=3600),
    Row("web", "body_seconds", "Longest time for a whole body.", least=0.1, most=3600),
    Row("web", "body_idle_seconds", "Longest pause within a body.", least=0.1, most=3600),
    Row("web", "work_seconds", "Queue and work, from a body's last byte; then 504.", least=0.1, most=3600),
    Row(
        "web",
        "write_idle_seconds",
        "Longest time a client may take none of its answer.",
        least=0.1,
        most=3600,
    ),
    Row("web", "write_seconds", "Longest time for a whole answer to leave.", least=0.1, most=3600),
    Row(
        "web",
        "drain_seconds",
        "How long a stop serves on while `/readyz` already says 503.",
        most=3600,
    ),
    Row("web", "shutdown_seconds", "How long a stop then waits for requests in hand.", most=3600),
    Row(
        "web",
        "bodies_bytes",
        "All uploads and answers held in memory at once; past them, 503. One caller gets two thirds at most.",
        least=MIB,
        most=TIB,
    ),
)
_LIMITS = (
    Row("limits", "input_bytes", "Largest upload.", least=1, most=16 * GIB),
    Row("limits", "pixels", "Most pixels of one picture.", least=1),
    Row("limits", "side_pixels", "Longest side of a picture.", least=1, most=LONGEST_SIDE),
    Row("limits", "frames", "Most frames where all frames are asked for.", least=1),
    Row("limits", "animation_pixels", "Most pixels over all frames where all frames are asked for.", least=1),
    Row(
        "limits",
        "output_bytes",
        "Most bytes of all pictures that one decode gives.",
        least=64 * 1024,
        most=16 * GIB,
    ),
    Row("limits", "memory_bytes", "Memory that one decode may take.", least=64 * MIB, most=TIB),
    Row("limits", "decode_seconds", "Longest time of one decode by the clock.", least=0.1, most=3600),
    Row("limits", "cpu_seconds", "Most processor time of one decode.", least=1, most=3600),
)
_POOL = (
    Row("pool", "children", "Decodes at once.", least=1, most=400, default="one for each core"),
    Row(
        "pool", "ready", "Sealed processes that wait ahead of demand.", most=400, default="one for each core"
    ),
    Row(
        "pool",
        "waiting_per_child",
        "Uploads that may queue for each decode at once; past them, 503. Of pages and posts, 128 times as "
        "many.",
    ),
    Row("pool", "template_jobs", "Decodes after which a template is replaced by a fresh one.", least=1),
    Row("pool", "template_seconds", "Age at which a template is replaced by a fresh one.", least=1),
    Row("pool", "crash_burst", "Crashes of one template after which it is replaced at once.", least=1),
    Row(
        "pool", "start_seconds", "Longest time a template may take to get warm and sealed.", least=1, most=600
    ),
    Row(
        "pool",
        "jail",
        "The seal. `off` is for debugging, works on loopback only, and decodes strangers' bytes unsealed.",
    ),
    Row("pool", "formats", "Formats that are read and written; the others answer 415.", default="all"),
    Row(
        "pool",
        "text_children",
        "Pages and posts (Markdown) read at once.",
        least=1,
        most=400,
        default="one for each core and three more",
    ),
    Row(
        "pool",
        "text_jobs",
        "Pages and posts that one sealed process reads, one after another, before it is replaced; 1 gives "
        "each its own.",
        least=1,
        most=1_000_000,
    ),
    Row(
        "pool",
        "text_cpu_seconds",
        "Most processor time of one page or post.",
        least=0.01,
        most=60,
    ),
    Row("pool", "text_seconds", "Longest time of one page or post by the clock.", least=0.1, most=600),
    Row(
        "pool",
        "text_memory_bytes",
        "Memory that one process for pages and posts may take.",
        least=64 * MIB,
        most=TIB,
    ),
)
_FETCH = (
    Row(
        "fetch",
        "egress_allow",
        "Addresses with a port that may be fetched from although they are not public: an own network. Never "
        "metadata services or this worker itself.",
    ),
    Row("fetch", "egress_deny", "Addresses with a port that are never fetched from."),
    Row(
        "fetch",
        "external_check_allow",
        "Addresses with a port that the external check alone may be reached at although they are not public.",
    ),
    Row("fetch", "egress_report", "What the operator's own rules refuse is logged and let through."),
    Row("fetch", "egress_ports", "Ports of public addresses that may be fetched from."),
    Row(
        "fetch",
        "egress_proxy",
        "A proxy through which all is fetched, `http://address:port`. Addresses are judged before, and "
        "it is asked for these alone. Proxies in the environment are ignored.",
    ),
    Row("fetch", "egress_ca_file", "Certificates in PEM that are trusted besides those of the system."),
    Row("fetch", "nameservers", "Name servers that are asked.", default="those of the system"),
    Row("fetch", "nat64", "NAT64 prefixes of the network, judged as the IPv4 address inside."),
    Row("fetch", "contact", "A page or a mailbox for those who are fetched from, in `User-Agent`."),
    Row("fetch", "accept_language", "`Accept-Language` where the caller names none."),
    Row("fetch", "https_to_http", "Follow redirects from https to http."),
    Row("fetch", "page_bytes", "Most bytes of a page, decoded.", least=1024, most=64 * MIB),
    Row("fetch", "fetched_image_bytes", "Largest picture that is fetched.", least=1024, most=GIB),
    Row("fetch", "oembed_bytes", "Largest oEmbed answer.", least=1024, most=16 * MIB),
    Row("fetch", "dns_seconds", "Longest time for a name.", least=0.1, most=60),
    Row("fetch", "connect_seconds", "Longest time for a connection.", least=0.1, most=60),
    Row("fetch", "tls_seconds", "Longest time for a TLS handshake.", least=0.1, most=60),
    Row("fetch", "first_byte_seconds", "Longest time for the head of an answer.", least=0.1, most=60),
    Row("fetch", "fetch_idle_seconds", "Longest pause in a body.", least=0.1, most=60),
    Row("fetch", "fetch_seconds", "Longest time for a fetch with its redirects.", least=0.1, most=600),
    Row("fetch", "redirects", "Most redirects of a fetch.", most=20),
    Row("fetch", "fetches", "Fetches at once; past them, 503.", least=1, most=10_000),
    Row("fetch", "site_per_second", "Previews a second of one registrable domain.", least=0.001),
    Row("fetch", "site_burst", "Previews of one registrable domain at a stroke.", least=1),
    Row("fetch", "site_in_flight", "Requests to one registrable domain at once.", least=1),
    Row("fetch", "address_in_flight", "Requests to one public address at once.", least=1),
)
_LINKS = (
    Row("links", "preview_seconds", "Longest time for a preview.", least=0.1, most=600),
    Row("links", "previews_seconds", "Longest time for a batch of previews.", least=0.1, most=600),
    Row("links", "previews_at_once", "Most URLs in a batch.", least=1, most=1000),
    Row("links", "cache_path", "File in which previews are kept over a restart; empty keeps them in memory."),
    Row("links", "cache_bytes", "Most bytes of previews kept.", least=MIB, most=TIB),
    Row("links", "cache_seconds", "How long a preview is fresh when its page does not say.", most=86_400),
    Row(
        "links",
        "proxy_keys",
        "Keys of signed addresses: the first signs, all are accepted. Without one, nothing is signed.",
        secret=True,
    ),
    Row("links", "proxy_seconds", "How long a signed address holds at least.", least=60),
    Row(
        "links",
        "public_url",
        "Where this worker's signed addresses are reached, such as `https://img.example.org`.",
    ),
    Row("links", "camo_key", "Key of camo and go-camo addresses; empty refuses them.", secret=True),
)
_NETWORK = (
    Row("network", "ipip_db_path", "MMDB file for `/ipip` and `/geo`, read again when it changes."),
    Row(
        "network",
        "dns_private_answers",
        "`/dns/resolve` asks for names of an own network too, and tells private addresses.",
    ),
    Row(
        "network",
        "ens_rpc_url",
        "JSON-RPC endpoint of an Ethereum node for `/ens`; empty switches it off. A node in an own network "
        "needs `REMOTE_EGRESS_ALLOW` too.",
        secret=True,  # Providers put their key into it.
    ),
)
_CHECK = (
    Row(
        "check",
        "external_check_url",
        "Where each picture's hash and thumbnail are POSTed before it is given out; empty switches it off. "
        "One in an own network needs `REMOTE_EXTERNAL_CHECK_ALLOW` too.",
        secret=True,  # It may have a key in it.
    ),
    Row(
        "check",
        "external_check_seconds",
        "Longest time for its answer; then the picture is not given out (503).",
        least=0.1,
        most=60,
    ),
    Row("check", "external_check_token", "Sent to it as `Authorization: Bearer`.", secret=True),
)
_FILE = (
    Row(
        "file",
        "settings_file",
        "A TOML file with more settings, and presets; a variable wins over the file.",
    ),
)
_TELEMETRY = (
    Row(
        "telemetry",
        "log_format",
        "How log lines are written: `logfmt`, `json` (one object a line), or `console` for people.",
    ),
    Row(
        "telemetry",
        "metrics",
        "Address and port at which Prometheus reads metrics, `127.0.0.1:9464`; empty is none.",
    ),
    Row("telemetry", "metrics_open", "Says that other machines may read the metrics."),
    Row("telemetry", "top_key", "Key that `remote-worker top` shows to the worker.", secret=True),
)
TABLE: tuple[Row, ...] = (*_WEB, *_LIMITS, *_POOL, *_FETCH, *_LINKS, *_NETWORK, *_CHECK, *_FILE, *_TELEMETRY)
"""Every setting there is."""
