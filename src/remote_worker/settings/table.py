"""Every setting as a row: the field that it fills, what it is for, and the range of a number."""

import math
from dataclasses import dataclass
from typing import get_type_hints

from ..contract.limits import LONGEST_SIDE, MIB, Limits
from ..fetch.settings import FetchSettings
from ..jobs.settings import JobSettings
from ..pool.settings import PoolSettings
from ..service.settings import CheckSettings, LinkSettings, NetworkSettings
from ..telemetry import TelemetrySettings
from ..web.settings import WebSettings

PREFIX = "REMOTE_"


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
    "jobs": JobSettings,
}


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
    Row(
        "fetch",
        "webhook_allow",
        "Addresses with a port that [webhooks](webhooks.md) alone may be sent to although they are not "
        "public: `REMOTE_EGRESS_ALLOW` opens nothing for them.",
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
_JOBS = (
    Row(
        "jobs",
        "jobs",
        "Where [jobs](jobs.md) are kept: a folder, `s3://bucket/prefix`, or `off`.",
        default="`jobs` in systemd's `$STATE_DIRECTORY`, else a private folder that goes with the worker",
    ),
    Row(
        "jobs",
        "engine",
        "What hands jobs to workers: `nats://host:port`. Empty: a file in the folder of the jobs, for the "
        "workers of this machine.",
        secret=True,  # It may have a password in it.
    ),
    Row(
        "jobs",
        "jobs_slots",
        "Jobs at once. With 0, `serve` takes half as many as `REMOTE_CHILDREN` from a queue of this machine, "
        "and none from `REMOTE_ENGINE`; `worker` takes as many as `REMOTE_CHILDREN`.",
        most=400,
    ),
    Row("jobs", "jobs_queue", "Jobs that wait or are in hand; past them, 503.", least=1, most=1_000_000),
    Row(
        "jobs",
        "jobs_bytes",
        "All that was sent with jobs, and their answers; past that, 503.",
        least=MIB,
        most=1024 * TIB,
    ),
    Row(
        "jobs",
        "jobs_seconds",
        "How long a job may wait for its turn; then its answer is 504.",
        least=1,
        most=604_800,
    ),
    Row(
        "jobs",
        "jobs_keep_seconds",
        "How long a job and its answer are kept, from its submission.",
        least=1,
        most=31_536_000,
    ),
    Row(
        "jobs",
        "webhook_keys",
        "Keys that sign [webhooks](webhooks.md), 24 to 64 bytes each: all of them do, so that one can be "
        "replaced; empty refuses `callback`.",
        secret=True,
    ),
    Row("jobs", "webhook_attempts", "Attempts to tell somebody that a job has ended.", least=1, most=50),
    Row(
        "jobs",
        "bulk_stores",
        "Folders and `s3://bucket/prefix` whose bulk jobs `worker` works on, with everything below them.",
    ),
)
TABLE: tuple[Row, ...] = (
    *_WEB,
    *_LIMITS,
    *_POOL,
    *_FETCH,
    *_LINKS,
    *_NETWORK,
    *_CHECK,
    *_FILE,
    *_TELEMETRY,
    *_JOBS,
)
"""Every setting there is."""
