"""URLs of what is fetched: what passes is plain and stays the same, and no special address is let through.

The rules for addresses are written here a second time, from the same registries in another form.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from remote_worker.contract.addresses import Address
from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.links import Verdict
from remote_worker.fetch import url
from remote_worker.fetch.policy import Listener, Policy
from remote_worker.fetch.settings import FetchSettings

from ..choices import Choices

Parse = Callable[..., url.Target]
Judge = Callable[[url.Target, Sequence[Address]], tuple[Verdict, ...]]

_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_PATH = frozenset(map(chr, range(0x21, 0x7F))) - frozenset('"<>#')
_BASES = tuple(
    url.parse(base)
    for base in ("https://example.test/a/b?c", "http://8.8.8.8:8080/a/", "http://[2606:2800:220:1::1]/")
)
_NAT64 = IPv6Network("2a00:64::/96")
_POLICY = Policy(FetchSettings(nat64=(_NAT64,)), (Listener("8.8.4.4", 80),), lambda _: False)
_NAMED = url.parse("http://example.test/")


def parsed(data: bytes, parse: Parse = url.parse) -> None:
    """A URL that passes, alone or as a link, has a plain host, and parses to itself again."""
    choices = Choices(data)
    base = (None, *_BASES)[choices.number(0, len(_BASES))]
    text = choices.rest().decode("utf-8", "surrogateescape" if len(data) % 2 else "replace")
    try:
        target = parse(text, base)
    except WorkFailed as failed:
        assert len(failed.detail) < 40, failed.detail
        return
    assert parse(target.href) == target, target
    assert parse(target.href, _BASES[0]) == target, target
    assert len(target.href) <= 2048 and target.scheme in ("http", "https"), target
    assert target.href == f"{target.scheme}://{target.authority}{target.path}", target
    assert target.path.startswith("/") and set(target.path) <= _PATH, target
    assert 0 < target.port <= 65_535 and target.port not in (22, 25, 6000), target
    if target.address is None:
        labels = target.host.split(".")
        assert set(target.host) <= _HOST and all(0 < len(label) <= 63 for label in labels), target
        assert len(target.host) <= 253 and not labels[-1].isdigit(), target
        assert target.host == target.site or target.host.endswith(f".{target.site}"), target
    else:
        assert int(ip_address(target.host)) == int(target.address), target
    if base is None:
        _said_what_it_is(text, target)


def _said_what_it_is(text: str, target: url.Target) -> None:
    """A caller's URL has its scheme and its host where everybody looks for them."""
    scheme, slashes, rest = text.strip(" ").partition("://")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    assert slashes and scheme.lower() == target.scheme, (text, target)
    assert not set("@\\%") & set(host), (text, target)
    # What IDNA makes of other characters is the parser's affair.
    if host.isascii():
        bare = host.lower() if host.endswith("]") else host.lower().rpartition(":")[0] or host.lower()
        assert bare.removesuffix(".").strip("[]") == target.host, (text, target)


def judged(data: bytes, judge: Judge = _POLICY.judge) -> None:
    """No address is let through that the second set of rules calls special, and no other is refused."""
    choices = Choices(data)
    wanted = choices.number(1, 4)
    addresses = [_address(choices) for _ in range(wanted)]
    verdicts = judge(_NAMED, addresses)
    assert [verdict.address for verdict in verdicts] == list(map(str, addresses))
    for address, verdict in zip(addresses, verdicts, strict=True):
        plain = _ipv4_of(address)
        is_special = special_ipv4(plain) if plain is not None else special_ipv6(int(address))
        is_ours = plain == 0x0808_0404
        assert verdict.allowed is not (is_special or is_ours), verdict
    failed = Policy.refusal(verdicts)
    assert (failed is None) is all(verdict.allowed for verdict in verdicts), verdicts


def _address(choices: Choices) -> Address:
    """Any IPv4 address, or an IPv6 address that begins with one of the starts that mean something."""
    if choices.flag():
        return IPv4Address(choices.filled(4))
    start = choices.one_of(_STARTS)
    return IPv6Address((start + choices.filled(16))[:16])


_STARTS = (
    b"",
    bytes(12),
    bytes(10) + b"\xff\xff",
    bytes(8) + b"\xff\xff\0\0",
    bytes.fromhex("0064ff9b") + bytes(8),
    bytes.fromhex("0064ff9b0001"),
    bytes.fromhex("0100"),
    bytes.fromhex("2001"),
    bytes.fromhex("20010000"),
    bytes.fromhex("20010db8"),
    bytes.fromhex("2002"),
    bytes.fromhex("2606280002200001"),
    bytes.fromhex("260028000000000000005efe"),
    bytes.fromhex("260028000000000002005efe"),
    _NAT64.network_address.packed[:12],
    bytes.fromhex("3fff"),
    bytes.fromhex("5f00"),
    bytes.fromhex("fd00"),
    bytes.fromhex("fe80"),
    bytes.fromhex("fec0"),
    bytes.fromhex("ff02"),
)


def _ipv4_of(address: Address) -> int | None:
    octets = address.packed
    if len(octets) == 4:
        return int.from_bytes(octets, "big")
    starts = ("00000000000000000000ffff", "0064ff9b0000000000000000", "2a0000640000000000000000")
    return int.from_bytes(octets[12:], "big") if octets[:12].hex() in starts else None


def special_ipv4(value: int) -> bool:
    """By octets, as the registry reads aloud."""
    a, b, c, d = value.to_bytes(4, "big")
    return (
        a in (0, 10, 127)
        or a >= 224
        or (a == 100 and 64 <= b <= 127)
        or (a == 169 and b == 254)
        or (a == 172 and 16 <= b <= 31)
        or (a == 192 and b == 168)
        or (a == 192 and b == 0 and c in (0, 2))
        or (a == 192 and b == 88 and c == 99)
        or (a == 198 and b in (18, 19))
        or (a == 198 and b == 51 and c == 100)
        or (a == 203 and b == 0 and c == 113)
        or (a, b, c, d) == (168, 63, 129, 16)
    )


def special_ipv6(value: int) -> bool:
    """By hexadecimal digits."""
    digits = f"{value:032x}"
    return (
        digits[0] not in "23"
        or digits.startswith(("20010db8", "2002", "3fff0"))
        or (digits.startswith("2001") and int(digits[4:8], 16) < 0x200)
        or digits[16:24] in ("00005efe", "02005efe")
    )
