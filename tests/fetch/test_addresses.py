"""The table of addresses: what must be refused, what must not, and the neighbours of every range."""

from ipaddress import IPv6Network, ip_address, ip_network

import pytest

from remote_worker.contract.addresses import embedded, special

MUST_DENY = {
    "0.0.0.0": "this_network",
    "0.1.2.3": "this_network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared",
    "100.127.255.254": "shared",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.1.1": "link_local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "reserved",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.0.1": "private",
    "192.168.255.255": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "not_global",
    "::10.0.0.1": "not_global",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "metadata",
    "::ffff:0:127.0.0.1": "translated",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b::169.254.169.254": "metadata",
    "64:ff9b:1::10.0.0.1": "translated",
    "100::1": "reserved",
    "2001::1": "teredo",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "teredo",
    "2001:2::1": "benchmarking",
    "2001:10::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "metadata",
    "3fff::1": "documentation",
    "4000::1": "not_global",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fd20:ce::254": "metadata",
    "fdff:ffff::1": "private",
    "fe80::1": "link_local",
    "fe80::5efe:10.0.0.1": "isatap",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
}
"""61 addresses, one or more of each range that other guards let through."""
MUST_ALLOW = (
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "192.31.196.1",  # AS112, which IANA calls globally reachable
    "198.20.0.1",
    "223.255.255.255",
    "2606:2800:220:1::1",
    "2620:4f:8000::1",  # AS112
    "2a00:1450:4001:81b::200e",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
)
"""15 public addresses, most of them beside a range that is not."""

RANGES = {
    # The IANA registries of special-purpose addresses and their notes, 2026.
    "0.0.0.0/8": "this_network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link_local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "168.63.129.16/32": "metadata",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}
"""Ranges with public addresses on both sides, or on the one side where there is no other."""
WITHOUT_A_NEIGHBOUR = {"0.0.0.0/8": ("above",)}


def test_the_lists_are_as_long_as_those_that_other_guards_were_measured_with() -> None:
    assert (len(MUST_DENY), len(MUST_ALLOW)) == (61, 15)


@pytest.mark.parametrize(("address", "word"), MUST_DENY.items())
def test_an_address_that_is_not_public_has_a_word(address: str, word: str) -> None:
    assert special(ip_address(address)) == word


@pytest.mark.parametrize("address", MUST_ALLOW)
def test_a_public_address_has_none(address: str) -> None:
    assert special(ip_address(address)) == ""


@pytest.mark.parametrize(("network", "word"), RANGES.items())
def test_a_range_ends_where_its_registry_says(network: str, word: str) -> None:
    found = ip_network(network)
    first, last = found[0], found[-1]

    assert (special(first), special(last)) == (word, word)
    sides = WITHOUT_A_NEIGHBOUR.get(network, ("below", "above"))
    assert "below" not in sides or special(first - 1) == ""
    assert special(last + 1) == ""


@pytest.mark.parametrize(
    ("first", "last", "word", "below", "above"),
    [
        ("224.0.0.0", "239.255.255.255", "multicast", "", "reserved"),
        ("240.0.0.0", "255.255.255.255", "reserved", "multicast", None),
        ("::", "::", "unspecified", None, "loopback"),
        ("::1", "::1", "loopback", "unspecified", "not_global"),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", "translated", "not_global", "not_global"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "translated", "not_global", "not_global"),
        ("100::", "100::ffff:ffff:ffff:ffff", "reserved", "not_global", "not_global"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "teredo", "", "reserved"),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking", "reserved", "reserved"),
        ("2001:3::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved", "reserved", ""),
        ("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "not_global", "teredo"),
        ("3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "documentation", "not_global"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved", "not_global", "not_global"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private", "not_global", "not_global"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link_local", "not_global", "private"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private", "link_local", "multicast"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast", "private", None),
    ],
)
def test_a_range_beside_another_ends_where_its_registry_says(
    first: str, last: str, word: str, below: str | None, above: str | None
) -> None:
    assert (special(ip_address(first)), special(ip_address(last))) == (word, word)
    assert below is None or special(ip_address(first) - 1) == below
    assert above is None or special(ip_address(last) + 1) == above


@pytest.mark.parametrize(
    ("metadata", "neighbours"),
    [
        ("169.254.169.254", "link_local"),
        ("169.254.170.2", "link_local"),
        ("169.254.170.23", "link_local"),
        ("169.254.0.23", "link_local"),
        ("169.254.42.42", "link_local"),
        ("100.100.100.200", "shared"),
        ("168.63.129.16", ""),
        ("192.0.0.192", "reserved"),
        ("fd00:ec2::254", "private"),
        ("fd00:ec2::23", "private"),
        ("fd20:ce::254", "private"),
        ("fd00:42::42", "private"),
        ("fd00:c1::a9fe:a9fe", "private"),
        ("fe80::a9fe:a9fe", "link_local"),
    ],
)
def test_a_metadata_service_is_told_from_its_neighbours(metadata: str, neighbours: str) -> None:
    address = ip_address(metadata)

    assert special(address) == "metadata"
    assert {special(address - 1), special(address + 1)} == {neighbours}


@pytest.mark.parametrize(
    ("carrier", "neighbour", "word"),
    [
        ("2002:a9fe:a9fe:1:2:3:4:5", "2002:a9fe:a9fd:1:2:3:4:5", "6to4"),
        ("::a9fe:a9fe", "::a9fe:a9fd", "not_global"),
        ("::ffff:0:a9fe:a9fe", "::ffff:0:a9fe:a9ff", "translated"),
        ("64:ff9b:1::a9fe:a9fe", "64:ff9b:1::a9fe:a9ff", "translated"),
        ("fe80::5efe:a9fe:a9fe", "fe80::5efe:a9fe:a9ff", "isatap"),
        ("2600::200:5efe:a9fe:a9fe", "2600::200:5efe:a9fe:a9ff", "isatap"),
        ("2001:0:a9fe:a9fe::1", "2001:0:a9fe:a9ff::1", "teredo"),  # its server
        ("2001::5601:5601", "2001::5601:5602", "teredo"),  # its client, with every bit turned over
    ],
)
def test_a_tunnel_to_a_metadata_service_is_one(carrier: str, neighbour: str, word: str) -> None:
    assert special(ip_address(carrier)) == "metadata"
    assert special(ip_address(neighbour)) == word


def test_an_interface_that_only_looks_like_isatap_is_public() -> None:
    assert special(ip_address("2600::5efe:808:808")) == "isatap"
    assert special(ip_address("2600::100:5efe:808:808")) == ""
    assert special(ip_address("2600::5eff:808:808")) == ""


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        # The table of RFC 6052, 2.4, and 192.0.2.33 in all of them.
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
    ],
)
def test_an_address_behind_the_networks_nat64_is_the_one_inside(prefix: str, address: str) -> None:
    nat64 = (IPv6Network(prefix),)

    assert embedded(ip_address(address), nat64) == ip_address("192.0.2.33")
    assert special(ip_address(address), nat64) == "documentation"


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("2a00:64::8.8.8.8", ""),
        ("2a00:64::10.0.0.1", "private"),
        ("2a00:64::169.254.169.254", "metadata"),
        ("2a00:65::10.0.0.1", ""),  # the neighbour, which is no NAT64
        ("64:ff9b::10.0.0.1", "private"),  # the well-known prefix stays one
    ],
)
def test_what_is_behind_a_nat64_is_judged_as_ipv4(address: str, word: str) -> None:
    assert special(ip_address(address), (IPv6Network("2a00:64::/96"),)) == word


def test_of_two_prefixes_the_longer_one_counts() -> None:
    nat64 = (IPv6Network("2a00:64::/32"), IPv6Network("2a00:64::/96"))

    assert embedded(ip_address("2a00:64::10.0.0.1"), nat64) == ip_address("10.0.0.1")


def test_an_address_behind_a_nat64_that_no_translator_writes_is_refused() -> None:
    nat64 = (IPv6Network("2a00:64::/64"),)

    assert special(ip_address("2a00:64::8:808:800:0"), nat64) == ""
    assert special(ip_address("2a00:64::108:808:800:0"), nat64) == "translated"


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "2606:2800:220:1::1", "::1", "2002:808:808::1"])
def test_an_address_that_stands_for_no_other_is_itself(address: str) -> None:
    assert embedded(ip_address(address)) == ip_address(address)
