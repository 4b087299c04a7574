"""Verdicts: the egress table from the URL to the code, openings and reports. Numbers are the table's rows."""

import io
import logging
import socket
from collections.abc import Iterator
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Any

import pytest

from remote_worker import telemetry
from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.links import Purpose, Verdict
from remote_worker.fetch.policy import Listener, Policy, is_own_address
from remote_worker.fetch.settings import FetchSettings, Opening
from remote_worker.fetch.url import parse

PUBLIC = "93.184.216.34"
OK = ("", "")


def row(number: int, *values: object) -> object:
    """A case of the egress table, named by its row."""
    return pytest.param(*values, id=f"row {number}: {values[0]!a}")


def opening(text: str, port: int = 0) -> Opening:
    return Opening(ip_network(text), port)


def policy(*own: Listener, local: tuple[str, ...] = (), **settings: Any) -> Policy:
    """One whose machine has these addresses."""
    return Policy(FetchSettings(**settings), own, lambda address: str(address) in local)


def outcome(url: str, *resolved: str, rules: Policy | None = None) -> tuple[str, str]:
    """How far a URL comes, its name having these addresses: code and detail, both empty when it passes."""
    rules = rules or policy()
    try:
        target = parse(url)
        rules.check(target)
    except WorkFailed as refused:
        return refused.code.value, refused.detail
    addresses = (target.address,) if target.address else tuple(map(ip_address, resolved or (PUBLIC,)))
    failed = rules.refusal(rules.judge(target, addresses))
    return (failed.code.value, failed.detail) if failed else OK


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        row(1, "http://127.0.0.1/", "loopback"),
        row(2, "http://127.255.255.254/", "loopback"),
        row(4, "http://127.0.0.1./", "noncanonical"),
        row(5, "http://2130706433/", "noncanonical"),
        row(6, "http://0x7f000001/", "noncanonical"),
        row(6, "http://0x7f.1/", "noncanonical"),
        row(7, "http://0177.0.0.1/", "noncanonical"),
        row(7, "http://017700000001/", "noncanonical"),
        row(8, "http://127.1/", "noncanonical"),
        row(8, "http://127.0.1/", "noncanonical"),
        row(9, "http://0/", "noncanonical"),
        row(9, "http://0.0.0.0/", "this_network"),
        row(9, "http://0.1.2.3/", "this_network"),
        row(10, "http://①②⑦.⓪.⓪.①/", "noncanonical"),
        row(11, "http://127。0。0。1/", "noncanonical"),
        row(12, "http://169.254.169.254\u00ad/", "noncanonical"),
        row(12, "http://169.254.169.254\u200b/", "noncanonical"),
        row(14, "http://[::1]/", "loopback"),
        row(14, "http://[0:0:0:0:0:0:0:1]/", "noncanonical"),
        row(15, "http://[::]/", "unspecified"),
        row(16, "http://[::ffff:127.0.0.1]/", "noncanonical"),
        row(16, "http://[::ffff:7f00:1]/", "loopback"),
        row(17, "http://[::127.0.0.1]/", "noncanonical"),
        row(17, "http://[::7f00:1]/", "not_global"),
        row(18, "http://[::ffff:0:127.0.0.1]/", "noncanonical"),
        row(18, "http://[::ffff:0:7f00:1]/", "translated"),
        row(19, "http://[64:ff9b::7f00:1]/", "loopback"),
        row(19, "http://[64:ff9b::a9fe:a9fe]/", "metadata"),
        row(21, "http://[64:ff9b:1::a00:1]/", "translated"),
        row(22, "http://[2002:7f00:1::]/", "6to4"),
        row(22, "http://[2002:a9fe:a9fe::1]/", "metadata"),
        row(23, "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "teredo"),
        row(24, "http://[fe80::1]/", "link_local"),
        row(25, "http://[fc00::1]/", "private"),
        row(25, "http://[fd00:ec2::254]/", "metadata"),
        row(25, "http://[fd20:ce::254]/", "metadata"),
        row(26, "http://[fec0::1]/", "private"),
        row(26, "http://[ff02::1]/", "multicast"),
        row(26, "http://[5f00::1]/", "reserved"),
        row(26, "http://[3fff::1]/", "documentation"),
        row(26, "http://[4000::1]/", "not_global"),
        row(26, "http://[100::1]/", "reserved"),
        row(27, "http://[fe80::5efe:10.0.0.1]/", "noncanonical"),
        row(27, "http://[fe80::5efe:a00:1]/", "isatap"),
        row(28, "http://10.0.0.0/", "private"),
        row(28, "http://10.255.255.255/", "private"),
        row(28, "http://172.16.0.0/", "private"),
        row(28, "http://172.31.255.255/", "private"),
        row(28, "http://192.168.0.0/", "private"),
        row(28, "http://192.168.255.255/", "private"),
        row(28, "http://100.64.0.0/", "shared"),
        row(28, "http://100.127.255.255/", "shared"),
        row(29, "http://169.254.169.254/latest/meta-data/", "metadata"),
        row(29, "http://169.254.170.2/", "metadata"),
        row(30, "http://100.100.100.200/", "metadata"),
        row(30, "http://168.63.129.16/", "metadata"),
        row(30, "http://192.0.0.192/", "metadata"),
        row(32, "http://192.0.2.1/", "documentation"),
        row(32, "http://198.51.100.1/", "documentation"),
        row(32, "http://203.0.113.1/", "documentation"),
        row(32, "http://198.18.0.1/", "benchmarking"),
        row(32, "http://192.88.99.1/", "6to4"),
        row(33, "http://224.0.0.1/", "multicast"),
        row(33, "http://239.255.255.250/", "multicast"),
        row(33, "http://240.0.0.1/", "reserved"),
        row(33, "http://255.255.255.255/", "reserved"),
    ],
)
def test_an_address_that_is_not_public_is_refused_with_its_rule(url: str, detail: str) -> None:
    assert outcome(url) == ("blocked_address", detail)


@pytest.mark.parametrize(
    "url",
    [
        row(20, "http://[64:ff9b::808:808]/"),
        row(28, "http://9.255.255.255/"),
        row(28, "http://11.0.0.0/"),
        row(28, "http://172.15.255.255/"),
        row(28, "http://172.32.0.1/"),
        row(28, "http://192.167.255.255/"),
        row(28, "http://192.169.0.0/"),
        row(28, "http://100.63.255.255/"),
        row(28, "http://100.128.0.1/"),
        row(28, "http://192.0.1.1/"),
        row(28, "http://198.20.0.1/"),
        row(30, "http://168.63.129.15/"),
        row(30, "http://168.63.129.17/"),
        row(38, "http://example.test#@127.0.0.1/"),
        row(44, "http://example.test/%0d%0aX:1"),
        row(46, "http://faß.test/"),
    ],
)
def test_a_public_address_and_an_ordinary_name_pass(url: str) -> None:
    assert outcome(url) == OK


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        row(3, "http://localhost/", "localhost"),
        row(3, "http://LOCALHOST/", "localhost"),
        row(3, "http://a.localhost/", "localhost"),
        row(4, "http://localhost./", "localhost"),
        row(13, "http://localho\u017ft/", "localhost"),
        row(31, "http://metadata.google.internal/", "metadata"),
        row(31, "http://x.metadata.google.internal/", "metadata"),
        row(31, "http://metadata/", "metadata"),
        row(31, "http://instance-data/", "metadata"),
        row(31, "http://metadata.tencentyun.com/", "metadata"),
        row(47, "http://intranet/", "internal"),
        row(47, "http://wiki/", "single_label"),
        row(47, "http://com/", "single_label"),
        row(47, "http://printer.local/", "local"),
        row(47, "http://a.b.internal/", "internal"),
        row(47, "http://router.home.arpa/", "internal"),
        row(47, "http://home.arpa/", "internal"),
        row(47, "http://nas.lan/", "internal"),
        row(47, "http://x.onion/", "no_dns"),
        row(47, "http://x.i2p/", "no_dns"),
    ],
)
def test_a_name_that_public_servers_do_not_know_is_refused_before_they_are_asked(
    url: str, detail: str
) -> None:
    with pytest.raises(WorkFailed) as refused:
        policy().check(parse(url))

    assert (refused.value.code, refused.value.detail) == ("blocked_name", detail)


@pytest.mark.parametrize(
    "host",
    [
        "localhost.test",
        "alocalhost.test",
        "local.test",
        "xn--local-x.test",
        "metadata.test",
        "google.internal.test",
        "arpa.test",
        "a.arpa",
        "nothome.arpa",
        "tencentyun.com",
        "ametadata.tencentyun.com",
        "onions.test",
    ],
)
def test_a_name_that_only_looks_like_one_of_those_passes(host: str) -> None:
    assert outcome(f"http://{host}/") == OK


@pytest.mark.parametrize(
    ("resolved", "expected"),
    [
        row(48, ["127.0.0.1"], ("blocked_address", "loopback")),
        row(49, [PUBLIC, "10.0.0.1"], ("blocked_address", "mixed")),
        row(49, ["10.0.0.1", PUBLIC], ("blocked_address", "mixed")),
        row(49, [PUBLIC, "10.0.0.1", PUBLIC], ("blocked_address", "mixed")),
        row(49, [PUBLIC, "2606:2800:220:1::1"], OK),
        row(50, ["::ffff:10.0.0.1"], ("blocked_address", "private")),
        row(50, ["::ffff:8.8.8.8"], OK),
        row(51, ["10.0.0.5"], ("blocked_address", "private")),
        (["10.0.0.5", "127.0.0.1"], ("blocked_address", "private")),
    ],
)
def test_one_bad_address_refuses_all_of_a_name(resolved: list[str], expected: tuple[str, str]) -> None:
    assert outcome("http://example.test/", *resolved) == expected


@pytest.mark.parametrize(
    ("url", "code"),
    [
        row(43, "http://example.test:22/", "bad_port"),
        row(43, "http://example.test:25/", "bad_port"),
        row(43, "http://example.test:6379/", "bad_port"),
        row(43, "http://example.test:8080/", "bad_port"),
        row(43, "http://example.test:81/", "bad_port"),
        row(43, "http://example.test:443/", ""),
        row(43, "https://example.test:80/", ""),
        row(43, "http://8.8.8.8:8080/", "bad_port"),
        row(43, "http://127.0.0.1:8080/", "blocked_address"),
    ],
)
def test_only_the_ports_of_the_web_are_dialled(url: str, code: str) -> None:
    assert outcome(url)[0] == code


def test_a_port_is_refused_before_any_name_server_is_asked() -> None:
    with pytest.raises(WorkFailed) as refused:
        policy().check(parse("http://example.test:8080/"))

    assert (refused.value.code, refused.value.detail) == ("bad_port", "8080")


def test_the_operator_decides_which_ports_of_public_addresses_are_dialled() -> None:
    rules = policy(egress_ports=(443, 8080))

    assert outcome("http://example.test:8080/", rules=rules) == OK
    assert outcome("http://example.test:8081/", rules=rules)[0] == "bad_port"
    assert outcome("http://example.test/", rules=rules)[0] == "bad_port"
    assert outcome("http://example.test:8080/", "10.0.0.1", rules=rules) == ("blocked_address", "private")


OWN_NETWORK = {
    "egress_allow": (opening("10.1.0.0/16", 8000), opening("fd01::/16"), opening("127.0.0.1/32", 80))
}


@pytest.mark.parametrize(
    ("url", "resolved", "expected"),
    [
        ("http://10.1.2.3:8000/", [], OK),
        ("http://10.1.2.3:8001/", [], ("blocked_address", "private")),
        ("http://10.1.2.3/", [], ("blocked_address", "private")),
        ("http://10.2.0.0:8000/", [], ("blocked_address", "private")),
        ("http://[fd01::1]/", [], OK),
        ("http://[fd01::1]:12345/", [], OK),
        ("http://[fd02::1]/", [], ("blocked_address", "private")),
        ("http://example.test:8000/", ["10.1.2.3"], OK),
        ("http://example.test:8000/", ["::ffff:10.1.2.3"], OK),
        ("http://example.test:8000/", ["64:ff9b::10.1.2.3"], OK),
        ("http://example.test:8000/", [PUBLIC], ("bad_port", "")),
        ("http://example.test:8000/", ["10.1.2.3", PUBLIC], ("blocked_address", "mixed")),
        ("http://example.test:8000/", [PUBLIC, "10.3.0.1"], ("blocked_address", "private")),
        ("http://example.test/", [PUBLIC], OK),
        ("http://example.test/", ["127.0.0.1"], OK),
        ("http://example.test/", ["127.0.0.2"], ("blocked_address", "loopback")),
    ],
)
def test_an_opening_opens_its_addresses_on_its_port(
    url: str, resolved: list[str], expected: tuple[str, str]
) -> None:
    assert outcome(url, *resolved, rules=policy(**OWN_NETWORK)) == expected


@pytest.mark.parametrize(
    ("url", "resolved", "expected"),
    [
        ("http://localhost/", ["127.0.0.1"], OK),
        ("http://localhost/", ["127.0.0.1", "::1"], ("blocked_name", "localhost")),
        ("http://localhost/", ["::1"], ("blocked_name", "localhost")),
        ("http://localhost/", [PUBLIC], ("blocked_name", "localhost")),
        ("http://localhost:8080/", ["127.0.0.1"], ("blocked_name", "localhost")),
        ("http://nas.lan/", ["127.0.0.1"], OK),
        ("http://nas.lan/", ["10.1.2.3"], ("blocked_name", "internal")),
        ("http://intranet/", ["127.0.0.1"], OK),
    ],
)
def test_a_special_name_passes_when_all_its_addresses_are_opened(
    url: str, resolved: list[str], expected: tuple[str, str]
) -> None:
    rules = policy(egress_allow=(opening("127.0.0.1/32", 80),))

    assert outcome(url, *resolved, rules=rules) == expected


def test_a_special_name_is_not_asked_for_when_no_opening_has_its_port() -> None:
    with pytest.raises(WorkFailed):
        policy(egress_allow=(opening("127.0.0.1/32", 8000),)).check(parse("http://localhost:8001/"))
    policy(egress_allow=(opening("127.0.0.1/32", 8000),)).check(parse("http://localhost:8000/"))
    policy(egress_allow=(opening("127.0.0.1/32"),)).check(parse("http://localhost:8001/"))


@pytest.mark.parametrize(
    ("url", "purpose", "code"),
    [
        ("http://127.0.0.1:9000/", Purpose.CHECK, ""),
        ("http://127.0.0.1:9001/", Purpose.CHECK, "blocked_address"),
        ("http://127.0.0.2:9000/", Purpose.CHECK, "blocked_address"),
        ("http://127.0.0.1:9000/", Purpose.PAGE, "blocked_address"),
        ("http://127.0.0.1:9000/", Purpose.IMAGE, "blocked_address"),
        ("http://127.0.0.1:9000/", Purpose.OEMBED, "blocked_address"),
        ("http://127.0.0.1:9000/", Purpose.RPC, "blocked_address"),
        ("http://169.254.169.254:9000/", Purpose.CHECK, "blocked_address"),
        ("http://10.1.2.3:8000/", Purpose.CHECK, ""),
        ("http://checker:9000/", Purpose.CHECK, ""),
        ("http://checker:9000/", Purpose.IMAGE, "blocked_name"),
    ],
)
def test_what_is_opened_for_the_check_is_opened_for_nothing_else(
    url: str, purpose: Purpose, code: str
) -> None:
    own = (opening("127.0.0.1/32", 9000), opening("169.254.169.254/32", 9000))
    rules = policy(external_check_allow=own, egress_allow=(opening("10.1.0.0/16", 8000),))
    target = parse(url)
    addresses = [target.address or ip_address("127.0.0.1")]

    try:
        rules.check(target, purpose)
        refused = rules.refusal(rules.judge(target, addresses, purpose))
    except WorkFailed as failed:
        refused = failed

    assert (refused.code if refused else "") == code


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9000/", ""),
        ("http://127.0.0.1:9001/", "blocked_address"),
        ("http://10.1.2.3:8000/", "blocked_address"),  # Open to be read from, and not to be POSTed to.
        ("http://10.2.2.3:8000/", "blocked_address"),  # Open for the check.
        ("http://169.254.169.254:9000/", "blocked_address"),
        ("http://93.184.216.34/", ""),
        ("http://93.184.216.34:8000/", "bad_port"),
        ("http://hooks:9000/", ""),
        ("http://hooks:8000/", "blocked_name"),
    ],
)
def test_webhooks_go_to_public_addresses_and_to_what_is_opened_for_them_alone(url: str, code: str) -> None:
    rules = policy(
        webhook_allow=(opening("127.0.0.1/32", 9000), opening("169.254.169.254/32", 9000)),
        egress_allow=(opening("10.1.0.0/16", 8000),),
        external_check_allow=(opening("10.2.0.0/16", 8000),),
    )
    target = parse(url)
    addresses = [target.address or ip_address("127.0.0.1")]

    try:
        rules.check(target, Purpose.WEBHOOK)
        refused = rules.refusal(rules.judge(target, addresses, Purpose.WEBHOOK))
    except WorkFailed as failed:
        refused = failed

    assert (refused.code if refused else "") == code


EVERYTHING = (opening("0.0.0.0/0"), opening("::/0"))


@pytest.mark.parametrize(
    ("url", "resolved", "expected"),
    [
        ("http://169.254.169.254/", [], ("blocked_address", "metadata")),
        ("http://169.254.169.253/", [], OK),
        ("http://[fd00:ec2::254]/", [], ("blocked_address", "metadata")),
        ("http://[64:ff9b::a9fe:a9fe]/", [], ("blocked_address", "metadata")),
        ("http://[2002:a9fe:a9fe::1]/", [], ("blocked_address", "metadata")),
        ("http://168.63.129.16/", [], ("blocked_address", "metadata")),
        ("http://example.test/", ["::ffff:169.254.169.254"], ("blocked_address", "metadata")),
        ("http://0.0.0.0/", [], ("blocked_address", "this_network")),
        ("http://0.0.0.1/", [], OK),
        ("http://[::]/", [], ("blocked_address", "unspecified")),
        ("http://[::1]/", [], OK),
        ("http://metadata.google.internal/", ["10.0.0.1"], ("blocked_name", "metadata")),
        ("http://metadata/", ["10.0.0.1"], ("blocked_name", "metadata")),
        ("http://other.google.internal/", ["10.0.0.1"], OK),
        ("http://127.0.0.1:6379/", [], OK),
        ("http://127.0.0.1:6000/", [], ("bad_port", "6000")),
        ("http://127.1/", [], ("blocked_address", "noncanonical")),
    ],
)
def test_no_opening_opens_metadata_services_nobodys_address_or_other_protocols_ports(
    url: str, resolved: list[str], expected: tuple[str, str]
) -> None:
    assert outcome(url, *resolved, rules=policy(egress_allow=EVERYTHING)) == expected


@pytest.mark.parametrize("host", ["metadata", "metadata.google.internal", "metadata.tencentyun.com"])
def test_no_opening_makes_us_ask_for_a_metadata_service(host: str) -> None:
    rules = policy(egress_allow=EVERYTHING)

    with pytest.raises(WorkFailed) as refused:
        rules.check(parse(f"http://{host}/"))
    rules.check(parse(f"http://other.{host.partition('.')[2] or 'internal'}/"))

    assert (refused.value.code, refused.value.detail) == ("blocked_name", "metadata")


def test_a_name_that_is_judged_without_having_been_checked_is_refused_all_the_same() -> None:
    rules = policy(egress_allow=EVERYTHING)
    verdicts = rules.judge(parse("http://metadata.google.internal/"), (ip_address("10.0.0.1"),))

    assert verdicts == (Verdict(address="10.0.0.1", allowed=False, rule="name:metadata"),)


@pytest.mark.parametrize(
    ("url", "resolved", "expected"),
    [
        ("http://8.8.8.8/", [], ("blocked_address", "denied")),
        ("http://8.8.9.8/", [], OK),
        ("http://example.test/", ["8.8.8.8"], ("blocked_address", "denied")),
        ("http://example.test/", ["8.8.8.8", PUBLIC], ("blocked_address", "mixed")),
        ("http://[64:ff9b::808:808]/", [], ("blocked_address", "denied")),
        ("http://[64:ff9b::808:908]/", [], OK),
        ("http://[2a00::1]/", [], ("blocked_address", "denied")),
        ("https://[2a00::1]/", [], OK),
        ("http://10.0.0.1/", [], ("blocked_address", "denied")),
        ("http://10.0.0.2/", [], OK),
    ],
)
def test_what_the_operator_shuts_stays_shut_whatever_is_opened(
    url: str, resolved: list[str], expected: tuple[str, str]
) -> None:
    rules = policy(
        egress_allow=(opening("10.0.0.0/8"),),
        egress_deny=(opening("8.8.8.0/24"), opening("2a00::/16", 80), opening("10.0.0.1/32")),
    )

    assert outcome(url, *resolved, rules=rules) == expected


def test_an_ipv6_range_that_is_shut_shuts_the_addresses_behind_a_nat64_too() -> None:
    rules = policy(egress_deny=(opening("64:ff9b::/96"),))

    assert outcome("http://[64:ff9b::808:808]/", rules=rules) == ("blocked_address", "denied")
    assert outcome("http://8.8.8.8/", rules=rules) == OK


def test_the_networks_own_nat64_is_judged_as_ipv4() -> None:
    rules = policy(nat64=(IPv6Network("2a00:64::/96"),), egress_allow=(opening("10.0.0.1/32", 80),))

    assert outcome("http://example.test/", "2a00:64::8.8.8.8", rules=rules) == OK
    assert outcome("http://example.test/", "2a00:64::10.0.0.1", rules=rules) == OK
    assert outcome("http://example.test/", "2a00:64::10.0.0.2", rules=rules) == ("blocked_address", "private")
    assert outcome("http://example.test/", "2a00:64::a9fe:a9fe", rules=rules) == (
        "blocked_address",
        "metadata",
    )


def test_an_address_that_no_nat64_writes_is_refused() -> None:
    rules = policy(nat64=(IPv6Network("2a00:64::/64"),))

    assert outcome("http://[2a00:64::8:808:800:0]/", rules=rules) == OK
    assert outcome("http://[2a00:64::108:808:800:0]/", rules=rules) == ("blocked_address", "translated")


# The worker itself.

OURS = "93.184.216.1"


@pytest.mark.parametrize(
    ("listener", "url", "resolved", "expected"),
    [
        row(57, Listener("0.0.0.0", 80), "http://example.test/", OURS, ("self", "")),
        row(57, Listener("::", 80), "http://example.test/", OURS, ("self", "")),
        row(57, Listener(OURS, 80), "http://example.test/", OURS, ("self", "")),
        row(57, Listener("0.0.0.0", 80), "http://example.test/", "93.184.216.2", OK),
        row(57, Listener("0.0.0.0", 443), "http://example.test/", OURS, OK),
        row(57, Listener("93.184.216.2", 80), "http://example.test/", OURS, OK),
        row(57, Listener("0.0.0.0", 80), "http://example.test/", f"::ffff:{OURS}", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://127.0.0.1:8000/", "", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://[::ffff:7f00:1]:8000/", "", ("self", "")),
        row(57, Listener("::ffff:127.0.0.1", 8000), "http://127.0.0.1:8000/", "", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://0.0.0.0:8000/", "", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://[::]:8000/", "", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://localhost:8000/", "127.0.0.1", ("self", "")),
        row(57, Listener("127.0.0.1", 8000), "http://127.0.0.1:8001/", "", OK),
        row(57, Listener("127.0.0.1", 8000), "http://127.0.0.2:8000/", "", OK),
        row(57, Listener("fe80::1%eth0", 8000), "http://[fe80::1]:8000/", "", ("self", "")),
    ],
)
def test_the_workers_own_listeners_are_never_opened(
    listener: Listener, url: str, resolved: str, expected: tuple[str, str]
) -> None:
    rules = policy(listener, local=(OURS,), egress_allow=EVERYTHING)

    assert outcome(url, *filter(None, [resolved]), rules=rules) == expected


@pytest.mark.parametrize("other", [PUBLIC, "10.0.0.1"])
def test_an_address_of_our_own_among_others_is_told_as_such(other: str) -> None:
    rules = policy(Listener(OURS, 80))

    assert outcome("http://example.test/", other, OURS, rules=rules)[0] == "self"
    assert outcome("http://example.test/", OURS, other, rules=rules)[0] == "self"


def test_a_listener_can_come_later() -> None:
    rules = policy(egress_allow=EVERYTHING)
    before = outcome("http://127.0.0.1:8000/", rules=rules)

    rules.listens(Listener("127.0.0.1", 8000))

    assert (before, outcome("http://127.0.0.1:8000/", rules=rules)) == (OK, ("self", ""))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "0.0.0.0"])
def test_an_address_of_this_machine_is_known_by_binding_to_it(address: str) -> None:
    assert is_own_address(ip_address(address))


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_no_machine_cannot_be_bound(address: str) -> None:
    assert not is_own_address(ip_address(address))


def test_a_listener_on_every_address_is_found_at_a_real_one() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        rules = Policy(FetchSettings(egress_allow=EVERYTHING), (Listener("0.0.0.0", port),))

        assert outcome(f"http://127.0.0.7:{port}/", rules=rules)[0] == "self"
        assert outcome(f"http://10.99.99.99:{port}/", rules=rules) == OK


# Reporting.


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged while a test runs."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    telemetry.configure(stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


REPORTING = {
    "egress_report": True,
    "egress_deny": (opening("8.8.8.0/24"), opening("10.0.0.0/8")),
    "egress_allow": (opening("10.0.0.0/8"),),
}


@pytest.mark.parametrize(
    ("url", "resolved", "expected"),
    [
        ("http://example.test/", "8.8.8.8", "reported:denied"),
        ("http://10.0.0.1/", "10.0.0.1", "reported:denied"),
        ("http://example.test:6379/", PUBLIC, "reported:port"),
        ("http://8.8.9.8:6379/", "8.8.9.8", "reported:port"),
    ],
)
def test_what_only_the_operator_refuses_is_reported_and_let_through(
    url: str, resolved: str, expected: str, log: io.StringIO
) -> None:
    rules, target = policy(**REPORTING), parse(url)
    rules.check(target)

    verdicts = rules.judge(target, (ip_address(resolved),))

    assert verdicts == (Verdict(address=resolved, allowed=True, rule=expected),)
    rule = expected.partition(":")[2]
    line = f"egress_reported rule={rule} host={target.host} address={resolved} port={target.port}\n"
    assert log.getvalue().endswith(line)
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("url", "resolved", "rule"),
    [
        ("http://example.test/", "127.0.0.1", "loopback"),
        ("http://example.test/", "169.254.169.254", "metadata"),
        ("http://example.test:6379/", "192.168.0.1", "private"),
        ("http://localhost/", "127.0.0.1", "name:localhost"),
    ],
)
def test_the_built_in_rules_are_enforced_while_the_operators_are_reported(
    url: str, resolved: str, rule: str, log: io.StringIO
) -> None:
    verdicts = policy(**REPORTING).judge(parse(url), (ip_address(resolved),))

    assert verdicts == (Verdict(address=resolved, allowed=False, rule=rule),)
    assert log.getvalue() == ""


def test_what_nobody_refuses_is_not_reported(log: io.StringIO) -> None:
    verdicts = policy(**REPORTING).judge(parse("http://example.test/"), (ip_address(PUBLIC),))

    assert verdicts == (Verdict(address=PUBLIC, allowed=True, rule="public"),)
    assert log.getvalue() == ""


def test_a_port_that_is_only_reported_needs_no_opening_to_be_dialled() -> None:
    url = "http://example.test:8080/"

    assert outcome(url, rules=policy(egress_report=True)) == OK
    assert outcome(url, rules=policy()) == ("bad_port", "8080")


def test_a_port_of_another_protocol_is_refused_even_when_ports_are_reported() -> None:
    assert outcome("http://example.test:25/", rules=policy(**REPORTING)) == ("bad_port", "25")


def test_a_verdict_names_what_let_an_address_through() -> None:
    rules = policy(egress_allow=(opening("10.0.0.0/8", 80),))

    verdicts = rules.judge(parse("http://example.test/"), tuple(map(ip_address, (PUBLIC, "10.0.0.1", "::1"))))

    assert [(verdict.address, verdict.allowed, verdict.rule) for verdict in verdicts] == [
        (PUBLIC, True, "public"),
        ("10.0.0.1", True, "opened"),
        ("::1", False, "loopback"),
    ]


def test_nothing_to_judge_gives_nothing_to_refuse() -> None:
    assert policy().judge(parse("http://example.test/"), ()) == ()
    assert Policy.refusal(()) is None
