"""Which addresses are not ordinary public ones, and what they are. Pure: an address in, a word out.

Our own table, because the interpreter's (`is_global`, `is_private`) changes with its patch releases and
misses NAT64, 6to4 and others. docs/decisions/0014-egress-rules.md has the reasons.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

METADATA = "metadata"
"""The word for where a cloud tells a machine its secrets: nobody can open these."""

METADATA_ADDRESSES = (
    "169.254.169.254",  # AWS, Google, Azure, OpenStack, DigitalOcean, Hetzner, Oracle and most others
    "169.254.170.2",  # AWS: credentials of ECS tasks
    "169.254.170.23",  # AWS: credentials of EKS pods
    "169.254.0.23",  # Tencent
    "169.254.42.42",  # Scaleway
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure's wire server, which is a public address
    "192.0.0.192",  # Oracle, classic
    "fd00:ec2::254",  # AWS
    "fd00:ec2::23",  # AWS: credentials of EKS pods
    "fd20:ce::254",  # Google
    "fd00:42::42",  # Scaleway
    "fd00:c1::a9fe:a9fe",  # Oracle
    "fe80::a9fe:a9fe",  # OpenStack
)
V4 = (
    ("0.0.0.0/8", "this_network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link_local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
"""What is refused of IPv4; the rest is public."""
V6 = (
    ("2001::/32", "teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:db8::/32", "documentation"),
    ("2001::/23", "reserved"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("2000::/3", ""),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0:0/96", "translated"),
    ("64:ff9b:1::/48", "translated"),
    ("100::/64", "reserved"),
    ("5f00::/16", "reserved"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link_local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
    ("::/0", "not_global"),
)
"""The first row that holds an address decides: of IPv6 only 2000::/3 is public, without what is above it."""


def special(address: Address, nat64: Sequence[IPv6Network] = ()) -> str:
    """The word for an address that is not an ordinary public one, and nothing for one that is.

    An address that stands for an IPv4 address (`embedded`) is judged as that.
    """
    address = embedded(address, nat64)
    value = int(address)
    if isinstance(address, IPv4Address):
        return _V4.of(value)
    if nat64 and any(address in prefix for prefix in nat64):
        return "translated"  # Not as RFC 6052 writes it, so who knows where it leads.
    is_isatap = value >> 32 & 0xFDFF_FFFF == 0x5EFE
    word = "isatap" if is_isatap else _V6.of(value)
    if word and any(_V4.of(carried & 0xFFFF_FFFF) == METADATA for carried in _carried(value, word)):
        return METADATA
    return word


def embedded(address: Address, nat64: Sequence[IPv6Network] = ()) -> Address:
    """The IPv4 address that an IPv6 address stands for: mapped, or behind a NAT64 (RFC 6052). Else itself."""
    if isinstance(address, IPv4Address):
        return address
    value = int(address)
    if value >> 32 in _ENDS_IN_IPV4:
        return IPv4Address(value & 0xFFFF_FFFF)
    prefixes = [prefix for prefix in nat64 if address in prefix]
    if not prefixes:
        return address
    length = max(prefix.prefixlen for prefix in prefixes)
    octets = address.packed
    if length == 96:
        return IPv4Address(octets[12:])
    # Bits 64 to 71 belong to nobody and are zero.
    return address if octets[8] else IPv4Address((octets[:8] + octets[9:])[length // 8 :][:4])


def _carried(value: int, word: str) -> tuple[int, ...]:
    """Where a tunnel or a translator would take the packet: IPv4 addresses, in the lowest 32 bits of each."""
    if word == "6to4":
        return (value >> 80,)
    if word == "teredo":
        return (value >> 64, ~value)
    return (value,) if word in ("isatap", "translated", "not_global") else ()


@dataclass(frozen=True, slots=True)
class _Words:
    """All addresses of a family, cut where the word changes."""

    starts: tuple[int, ...]
    words: tuple[str, ...]

    def of(self, value: int) -> str:
        return self.words[bisect_right(self.starts, value) - 1]


def _words(version: int, rows: Iterable[tuple[str, str]]) -> _Words:
    """The first row that holds an address decides, metadata services before all."""
    metadata = ((address, METADATA) for address in METADATA_ADDRESSES)
    networks = [(ip_network(text), word) for text, word in (*metadata, *rows)]
    ranges = [
        (int(network.network_address), int(network.broadcast_address), word)
        for network, word in networks
        if network.version == version
    ]
    starts = tuple(sorted({0} | {first for first, _, _ in ranges} | {last + 1 for _, last, _ in ranges}))
    words = (next((word for first, last, word in ranges if first <= at <= last), "") for at in starts)
    return _Words(starts, tuple(words))


_ENDS_IN_IPV4 = (0xFFFF, 0x64_FF9B << 64)
"""::ffff:0:0/96 and 64:ff9b::/96 without their last 32 bits."""
_V4 = _words(4, V4)
_V6 = _words(6, V6)
