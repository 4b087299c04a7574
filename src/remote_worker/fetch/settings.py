"""What the door lets out, as whom it asks, and what one fetch may cost."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from ..contract.limits import MIB

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Opening:
    """Addresses and the port of them that an operator opens or shuts; port 0 stands for every port."""

    network: Network
    port: int

    def __str__(self) -> str:
        """As it is written in a setting: `127.0.0.1/32:8000`, `[::1]/128:*`."""
        port = str(self.port or "*")
        address, _, length = str(self.network).partition("/")
        return f"[{address}]/{length}:{port}" if ":" in address else f"{address}/{length}:{port}"


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A server that is asked for names; port 53 unless it says another."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        """As it is written in a setting."""
        if self.port == 53:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """Safe defaults: public addresses, ports 80 and 443, and a bound on everything that a server decides."""

    egress_allow: tuple[Opening, ...] = ()
    egress_deny: tuple[Opening, ...] = ()
    external_check_allow: tuple[Opening, ...] = ()
    """For what looks at pictures before they are given out, and nothing else."""
    webhook_allow: tuple[Opening, ...] = ()
    """For webhooks and nothing else; of the other openings none is theirs."""
    egress_report: bool = False
    """Operator's own refusals (`egress_deny`, `egress_ports`) are logged and let through."""
    egress_ports: tuple[int, ...] = (80, 443)
    egress_proxy: str = ""
    """`http://address:port` of a proxy that takes CONNECT; it gets judged addresses, never names."""
    egress_ca_file: str = ""
    """Certificates of authorities that are trusted besides the system's."""
    nameservers: tuple[Nameserver, ...] = ()
    nat64: tuple[IPv6Network, ...] = ()
    """Prefixes of the operator's own NAT64 (RFC 6052), judged as the IPv4 address inside."""

    contact: str = ""
    """For the User-Agent: where someone who is fetched from can ask."""
    accept_language: str = ""
    https_to_http: bool = False
    """Follow a redirect from https to http."""

    page_bytes: int = MIB
    fetched_image_bytes: int = 10 * MIB
    oembed_bytes: int = MIB // 8
    dns_seconds: float = 2.0
    connect_seconds: float = 3.0
    tls_seconds: float = 3.0
    first_byte_seconds: float = 5.0
    fetch_idle_seconds: float = 3.0
    fetch_seconds: float = 8.0
    """One fetch with all its redirects."""
    redirects: int = 5
    fetches: int = 512
    """At once, over all callers."""

    site_per_second: float = 1.0
    """Previews of one registrable domain."""
    site_burst: int = 10
    site_in_flight: int = 2
    address_in_flight: int = 8
