"""Who may call: whoever has a key, or without any key programs on this machine; no page of another site."""

import asyncio
import functools
import ipaddress
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from starlette.types import Scope

from .. import telemetry
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import MIB, NO_CEILINGS, Ceilings, Limits
from ..telemetry import Event
from . import digest, signed
from .digest import BodyDigest
from .keys import BadKeys, Identity, Key, Keys, read_keys
from .quota import Quotas
from .settings import WebSettings

CAMO_DIGEST = "[0-9a-fA-F]{40}|[A-Za-z0-9_-]{27}"
"""How a digest of camo, or of go-camo's base64url, looks in a path."""
_SIGNED = re.compile(rf"/links/proxy/.*|/camo/.*|/(?:{CAMO_DIGEST})(?:/.*)?", re.DOTALL)
"""Paths of signed addresses. Nothing else of ours looks like camo's at the root."""
_OWN_SITES = frozenset((b"same-origin", b"none"))
_DEFAULT_PORTS = {"http": "80", "https": "443"}
LIMITS_HEADER = b"remote-limits"
"""By which a request lowers its own ceilings: `pixels=1000000, work_seconds=2.5`."""
LONGEST_LIMITS_HEADER = 256
UNREAD_BYTES = MIB
"""Of a body that nobody takes so much counts all the same: the server reads it, so that its client hears."""
_LIMIT = re.compile(r"([a-z_]{1,32})=([0-9]{1,12}(?:\.[0-9]{1,3})?)")
_OPEN = frozenset(("/", "/livez", "/readyz", "/health", "/ping", "/hello", "/docs", "/openapi.json"))
_OPEN_BELOW = ("/console/", "/docs/")
"""What needs no key: that somebody answers, and the pages that are the same for everyone."""
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]{1,256}=*)")
_AREAS = (
    ("/images/", "images"),
    ("/links/", "links"),
    ("/text/", "text"),
    ("/dns/", "network"),
    ("/ip/", "network"),
    ("/ipip/", "network"),
    ("/geo/", "network"),
    ("/ens/", "network"),
    ("/stats/", "stats"),
)
"""Which area a path belongs to, a slash put behind it. What is in none is for every key."""
_OF_PRESETS = ("/images/preset/", "/images/distance/")
"""What of the images is for presets too: they tell hashes, and no picture is needed to compare two."""


class UnsafeListening(ValueError):
    """The worker would listen beyond loopback without anything that decides who may call."""


def check_listening(settings: WebSettings) -> None:
    """Refuse to listen beyond loopback unless told to. Raises UnsafeListening."""
    if not settings.open and not settings.is_authenticating and not is_loopback(settings.host):
        raise UnsafeListening(
            f"listening on {settings.host} lets other machines call without authentication: "
            "set up keys, listen on 127.0.0.1, or say that this is meant by `open`"
        )


@functools.lru_cache(16)
def is_loopback(name: str) -> bool:
    """Whether this is `localhost` or a literal address of the loopback network."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_caller(told: "Told", settings: WebSettings, path: str = "") -> None:
    """Refuse a request that a web page of another site may have sent. Raises WorkFailed.

    Signed addresses are made for such pages, and their signature decides.
    """
    if _SIGNED.fullmatch(path):
        return
    # Only HTTP/1.0 comes without a Host, and no browser speaks that.
    host = told.hosts[0].decode("latin-1").lower() if told.hosts else "localhost"
    is_any_name = settings.open or settings.is_authenticating
    if not is_any_name and not _is_our_name(host, settings.host_names):
        raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the Host header names another host")
    for origin in told.origins:
        if not _is_same_host(origin.decode("latin-1").lower(), host):
            raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the Origin header names another site")
    # `same-site` is another port or another name of this machine, so it is foreign like its Origin.
    if not _OWN_SITES.issuperset(told.sites):
        raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the request comes from a page of another site")


def check_loop(scope: Scope, via: str) -> None:
    """Refuse what this worker, which is called so in `Via`, has asked for itself. Raises WorkFailed."""
    for name, value in scope["headers"]:
        if name == b"via" and via and via.encode() in value:
            raise WorkFailed(FailureCode.SELF)


class Gate:
    """Lets requests in, each with the identity of who calls in its scope's state, where keys are in use."""

    def __init__(
        self,
        settings: WebSettings,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises BadKeys."""
        self._settings = settings
        self._most = {**asdict(limits or Limits()), "work_seconds": settings.work_seconds}
        self._clock = clock
        self._quotas = Quotas(steady)
        self._replays = signed.Replays(settings.signature_seconds)
        self.keys: Keys | None = None
        """Those in force."""
        if settings.keys_file:
            self.keys = read_keys(settings.keys_file, self._most)
        self._is_changed = False
        self._reading: asyncio.Task[None] | None = None

    def read_again(self) -> None:
        """Take the key file as it is now, as soon as it is read: the event loop does not wait for that.

        One that cannot be used leaves the former keys in force.
        """
        if self.keys is None:
            return
        self._is_changed = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        while self._is_changed:  # Asked meanwhile, it reads once more.
            self._is_changed = False
            try:
                self.keys = await asyncio.to_thread(read_keys, self._settings.keys_file, self._most)
            except BadKeys as bad:
                telemetry.emit(Event.KEYS_FAILED, level=logging.ERROR, reason=str(bad))
                continue
            self._quotas.keep_only(self.keys.named)
            self._replays.keep_only(self.keys.signers)
            telemetry.emit(Event.KEYS_READ, keys=len(self.keys.named))

    def check(self, scope: Scope) -> None:
        """Let the request in by its head, once. Raises WorkFailed.

        From then on its scope's state has its `identity`, if it has one, and what its body must hash to.
        """
        state = scope.setdefault("state", {})
        if "is_let_in" in state:
            return
        path = _path(scope)
        told = Told(scope["headers"])
        if told.is_ambiguous:
            raise WorkFailed(FailureCode.BAD_REQUEST, "a header that says who calls, or what, is there twice")
        key, is_by_request, must_be_empty = self._who(scope, told, path)
        if not is_by_request:
            check_caller(told, self._settings, path)
        if key is None and self._settings.is_authenticating and not is_open(path):
            raise WorkFailed(FailureCode.UNAUTHENTICATED)
        if key is not None:
            check_area(key.identity.may, path)
            state["key"], state["identity"] = key, key.identity
        if told.digest is not None:
            expected = digest.expected(told.digest)
            if must_be_empty is False and not expected:
                raise WorkFailed(FailureCode.BAD_DIGEST, "Content-Digest needs sha-256 or sha-512")
            state["body_digest"] = BodyDigest(expected)
        if must_be_empty:
            if _stated_bytes(scope):
                raise WorkFailed(FailureCode.BAD_DIGEST)  # It need not come to be known as unsigned.
            state["body_digest"] = digest.of_nothing()
        if told.limits is not None:
            state["ceilings"] = _ceilings(told.limits)
        state["is_let_in"] = True

    def let_in_again(self, name: str, path: str, limits: str) -> dict[str, Any]:
        """The state of a request that was let in and charged before, with its key as it is now.

        `name` is that of the key, empty for none; `limits` is its Remote-Limits. Raises WorkFailed.
        """
        state: dict[str, Any] = {"is_let_in": True, "is_charged": True}
        if name or self._settings.is_authenticating:
            identity = self._named(name)
            if identity is None:
                raise WorkFailed(FailureCode.UNAUTHENTICATED, "the key of this job is gone")
            check_area(identity.may, path)
            state["identity"] = identity
        if limits:
            state["ceilings"] = _ceilings(limits.encode("latin-1"))
        return state

    def has_let_in(self, scope: Scope) -> bool:
        """Whether the request's head was looked at already."""
        return "is_let_in" in scope["state"]

    def charge(self, scope: Scope) -> None:
        """Count the request, once, against what its key may. Raises WorkFailed."""
        state = scope["state"]
        key: Key | None = state.get("key")
        if key is None or "is_charged" in state:
            return
        stated = _stated_bytes(scope)
        self._quotas.charge(key, stated or 0, has_body=stated != 0)
        state["is_charged"] = True

    def running(self, scope: Scope) -> AbstractContextManager[None]:
        """The request is under way. Raises WorkFailed when so many of its key are already."""
        key: Key | None = scope["state"].get("key")
        if key is None or not key.allowance.at_once:
            return _FREELY
        return self._quotas.running(key)

    def count_rest(self, scope: Scope, received_bytes: int) -> None:
        """Count what came of a body of unknown length, and give back what will not come of another."""
        key: Key | None = scope["state"].get("key")
        if key is None:
            return
        stated = _stated_bytes(scope) or 0
        self._quotas.count(key, max(received_bytes, min(stated, received_bytes + UNREAD_BYTES)) - stated)

    def _who(self, scope: Scope, told: "Told", path: str) -> tuple[Key | None, bool, bool | None]:
        """The key, whether the request itself shows it, and if signed whether it must have no body.

        A browser adds a certificate to what other sites have it send, but neither key nor signature.
        """
        if not self._settings.is_authenticating or is_open(path):
            return None, False, None
        bearer = None if told.authorization is None else _BEARER.fullmatch(told.authorization.strip())
        is_signed = told.signature is not None or told.signature_input is not None
        if bearer is not None and is_signed:
            raise WorkFailed(FailureCode.UNAUTHENTICATED, "a key or a signature, not both")
        if is_signed:
            head = signed.read(told.signature_input or b"", told.signature or b"")
            return self._signer(scope, head, told), True, not head.covers_digest
        if told.authorization is not None:
            key = self.keys.by_bearer(bearer[1]) if bearer is not None and self.keys is not None else None
            if key is None:
                raise WorkFailed(FailureCode.UNAUTHENTICATED)
            return key, True, None
        return self._certified(scope["state"].get("certificate", "")), False, None

    def _signer(self, scope: Scope, head: signed.SignedHead, told: "Told") -> Key:
        now = self._clock()
        self._replays.check_time(head, now)
        if head.covers_digest and told.digest is None:
            raise WorkFailed(
                FailureCode.UNAUTHENTICATED, "the signature covers a Content-Digest that is not there"
            )
        base = head.base(
            scope["method"],
            (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            (told.digest or b"").decode("latin-1").strip(" \t"),
        )
        key = None if self.keys is None else self.keys.by_signature(head.key_id, base, head.signature)
        if key is None:
            raise WorkFailed(FailureCode.UNAUTHENTICATED)
        self._replays.use(head.key_id, head, now)
        return key

    def _certified(self, fingerprint: str) -> Key | None:
        if not fingerprint:
            return None
        if self.keys is not None:
            return self.keys.by_certificate(fingerprint)
        return Key(identity=_of_certificate(fingerprint))

    def _named(self, name: str) -> Identity | None:
        """Who has this name now."""
        if self.keys is not None:
            key = self.keys.named.get(name)
            return None if key is None else key.identity
        return _of_certificate(name) if name and self._settings.tls_client_ca else None


def _of_certificate(fingerprint: str) -> Identity:
    """Without a key file whoever has a certificate of that authority may do everything."""
    name = fingerprint[:16]
    return Identity(name=name, trust=name)


class Told:
    """The headers by which a request says who calls, and from where; found in one round."""

    __slots__ = (
        "authorization", "digest", "hosts", "is_ambiguous", "limits", "origins", "signature",
        "signature_input", "sites",
    )  # fmt: skip

    def __init__(self, headers: Collection[tuple[bytes, bytes]]) -> None:
        self.authorization: bytes | None = None
        self.signature: bytes | None = None
        self.signature_input: bytes | None = None
        self.digest: bytes | None = None
        self.limits: bytes | None = None
        self.is_ambiguous = False
        self.hosts: list[bytes] = []
        self.origins: list[bytes] = []
        self.sites: list[bytes] = []
        for name, value in headers:
            attribute = _HEADERS.get(name)
            if attribute is None:
                continue
            known = getattr(self, attribute)
            if isinstance(known, list):
                known.append(value)
            else:
                self.is_ambiguous = self.is_ambiguous or known is not None
                setattr(self, attribute, value)


_HEADERS = {
    b"authorization": "authorization",
    b"signature": "signature",
    b"signature-input": "signature_input",
    digest.HEADER: "digest",
    LIMITS_HEADER: "limits",
    b"host": "hosts",
    b"origin": "origins",
    b"sec-fetch-site": "sites",
}


_FREELY = nullcontext()


def is_open(path: str) -> bool:
    """Whether this path needs no key. Signed addresses have a signature of their own."""
    return path in _OPEN or path.startswith(_OPEN_BELOW) or _SIGNED.fullmatch(path) is not None


def check_area(may: Collection[str], path: str) -> None:
    """Whether a key that may do this may ask for that path. Raises WorkFailed."""
    behind = f"{path}/"
    area = next((area for prefix, area in _AREAS if behind.startswith(prefix)), "")
    if not area or area in may:
        return
    if area == "images" and "presets" in may:
        if behind.startswith(_OF_PRESETS):
            return
        if behind.startswith("/images/fit/"):
            raise WorkFailed(FailureCode.ONLY_PRESETS)
    raise WorkFailed(FailureCode.FORBIDDEN, f"this key is not for {area}")


def ceilings_of(state: Mapping[str, Any]) -> Ceilings:
    """The lower of what the key may ask for, and what the request itself says that it does."""
    identity: Identity | None = state.get("identity")
    own: Ceilings = state.get("ceilings", NO_CEILINGS)
    if identity is None or identity.ceilings == NO_CEILINGS:
        return own
    return identity.ceilings if own is NO_CEILINGS else identity.ceilings.and_also(own)


def _ceilings(value: bytes) -> Ceilings:
    told: dict[str, float] = {}
    for member in value[: LONGEST_LIMITS_HEADER + 1].decode("latin-1").split(","):
        found = _LIMIT.fullmatch(member.strip(" \t"))
        is_known = found is not None and found[1] in Ceilings.__slots__ and found[1] not in told
        if found is None or not is_known or len(value) > LONGEST_LIMITS_HEADER:
            raise _bad_limits()
        is_whole = not found[1].endswith("_seconds")
        if (is_whole and "." in found[2]) or float(found[2]) <= 0:
            raise _bad_limits()
        told[found[1]] = int(found[2]) if is_whole else float(found[2])
    return Ceilings(**told)  # type: ignore[arg-type]  # whole numbers are where they must be


def _bad_limits() -> WorkFailed:
    names = ", ".join(Ceilings.__slots__)
    return WorkFailed(FailureCode.BAD_PARAMETER, f"Remote-Limits is a list of name=number out of {names}")


def _path(scope: Scope) -> str:
    """The path as the router takes it: without what the application lies below at another server."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def _stated_bytes(scope: Scope) -> int | None:
    """The body's length as its head tells; None where there is one of a length that it does not tell."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
        if name == b"transfer-encoding":
            return None
    # HTTP/2 and its like have bodies that no header tells of.
    is_told = scope.get("http_version", "1.1") in ("1.0", "1.1")
    return 0 if is_told or scope["method"] in ("GET", "HEAD", "OPTIONS") else None


@functools.lru_cache(16)
def _is_our_name(host: str, host_names: tuple[str, ...]) -> bool:
    # A name that resolves to loopback is not enough: that is how DNS rebinding reaches local services.
    name, _ = _split_port(host)
    if name.startswith("["):
        return name.endswith("]") and is_loopback(name[1:-1])
    return (is_loopback(name) and ":" not in name) or name in {known.lower() for known in host_names}


def _is_same_host(origin: str, host: str) -> bool:
    """Compares without the scheme, because a proxy in front may speak TLS for us."""
    scheme, separator, rest = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    if not separator or default is None:
        return False
    return _with_port(rest, default) == _with_port(host, default)


def _with_port(host: str, default: str) -> tuple[str, str]:
    name, port = _split_port(host)
    return name, port or default


def _split_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit() and (":" not in name or name.endswith("]")):
        return name.removesuffix("."), port
    return host.removesuffix("."), ""
