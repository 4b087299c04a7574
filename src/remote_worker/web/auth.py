"""Who may call while there is no authentication: programs on this machine, no page of another site."""

import functools
import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers

from ..contract.failures import FailureCode, WorkFailed
from .settings import WebSettings

CAMO_DIGEST = "[0-9a-fA-F]{40}|[A-Za-z0-9_-]{27}"
"""How a digest of camo, or of go-camo's base64url, looks in a path."""
_SIGNED = re.compile(rf"/links/proxy/.*|/camo/.*|/(?:{CAMO_DIGEST})(?:/.*)?", re.DOTALL)
"""Paths of signed addresses. Nothing else of ours looks like camo's at the root."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class UnsafeListening(ValueError):
    """The worker would listen beyond loopback without anything that decides who may call."""


def check_listening(settings: WebSettings) -> None:
    """Refuse to listen beyond loopback unless told to. Raises UnsafeListening."""
    if not settings.open and not is_loopback(settings.host):
        raise UnsafeListening(
            f"listening on {settings.host} lets other machines call without authentication: "
            "listen on 127.0.0.1, or say that this is meant by `open`"
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


def check_caller(headers: Headers, settings: WebSettings, path: str = "") -> None:
    """Refuse a request that a web page of another site may have sent. Raises WorkFailed.

    Signed addresses are made for such pages, and their signature decides.
    """
    if _SIGNED.fullmatch(path):
        return
    hosts = headers.getlist("host")
    # Only HTTP/1.0 comes without a Host, and no browser speaks that.
    host = hosts[0].lower() if hosts else "localhost"
    if not settings.open and not _is_our_name(host, settings.host_names):
        raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the Host header names another host")
    if any(not _is_same_host(origin.lower(), host) for origin in headers.getlist("origin")):
        raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the Origin header names another site")
    # `same-site` is another port or another name of this machine, so it is foreign like its Origin.
    if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        raise WorkFailed(FailureCode.FOREIGN_ORIGIN, "the request comes from a page of another site")


def _is_our_name(host: str, host_names: Collection[str]) -> bool:
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
