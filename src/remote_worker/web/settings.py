"""How the worker listens, what it calls itself, and how long a client may take over each step."""

import secrets
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from ..contract.limits import MIB

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Safe defaults: loopback only, and a bound on everything that a client decides."""

    host: str = "127.0.0.1"
    port: int = 5000
    open: bool = False
    """Anyone who reaches the worker may call it; without it the worker listens on loopback alone."""
    only_presets: bool = False
    """No caller picks sizes and formats."""
    host_names: tuple[str, ...] = ()
    """What `Host` may say besides loopback while there is no authentication."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose `X-Forwarded-For` says who calls."""
    keys_file: str = ""
    """Who may call by which secret (`keys`); empty for no keys."""
    signature_seconds: int = 300
    """How old a signed request may be."""
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    """Certificates in PEM of who signs those of clients. With it or a key file, who calls has to be known."""
    tls_client_required: bool = False
    """No connection without a certificate."""

    uid: str = field(default_factory=lambda: secrets.token_hex(6))
    region: str = ""
    country: str = ""

    connections: int = 1024
    head_seconds: float = 10.0
    """For a request's head, from the connection or from the first byte of the next request."""
    keep_alive_seconds: float = 30.0
    body_seconds: float = 30.0
    body_idle_seconds: float = 5.0
    work_seconds: float = 15.0
    """For queue and decode, from the last byte of the body."""
    write_idle_seconds: float = 10.0
    """How long a client may take nothing of its answer."""
    write_seconds: float = 120.0
    """How long the whole answer may take to leave."""
    drain_seconds: float = 0.0
    """How long a stop serves on, so that whoever asks `/readyz` can send requests elsewhere first."""
    shutdown_seconds: float = 20.0
    """How long a stop then waits for requests in hand."""
    bodies_bytes: int = 512 * MIB
    """Of all uploads held in memory at once."""

    @property
    def is_authenticating(self) -> bool:
        """Whether who calls has to show who that is."""
        return bool(self.keys_file or self.tls_client_ca)
