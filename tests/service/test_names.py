"""Which names are asked for, in which form, and which answers are told."""

import asyncio

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Resolved
from remote_worker.fetch.policy import SPECIAL_NAMES
from remote_worker.service.network import Answered, Network
from remote_worker.service.settings import NetworkSettings

BLOCKED_NAME = FailureCode.BLOCKED_NAME
BLOCKED_ADDRESS = FailureCode.BLOCKED_ADDRESS


class Servers:
    """Name servers that know these records of every name."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, float]] = []

    async def resolve(self, name: str, kind: str, *, deadline: float) -> Resolved:
        """Fill the protocol."""
        self.asked.append((name, kind, deadline))
        return Resolved(answers=self.answers, ttl=299.5, servers=("192.0.2.53",))


def resolve(
    servers: Servers, domain: str, kind: str = "A", *, tells_private: bool = False
) -> Answered | FailureCode:
    network = Network(servers, NetworkSettings(dns_private_answers=tells_private))
    try:
        return asyncio.run(network.resolve(domain, kind, 12.5))
    except WorkFailed as failed:
        return failed.code


def asked(domain: str, kind: str = "TXT", *, tells_private: bool = False) -> str | FailureCode:
    """The name that was asked for, or why none was."""
    servers = Servers()
    outcome = resolve(servers, domain, kind, tells_private=tells_private)
    if isinstance(outcome, FailureCode):
        assert servers.asked == []
        return outcome
    assert servers.asked == [(outcome.name, kind, 12.5)]
    return outcome.name


def test_what_the_servers_say_is_told() -> None:
    servers = Servers("93.184.215.14", "1.1.1.1")

    outcome = resolve(servers, "Example.com.")

    assert outcome == Answered(
        name="example.com",
        resolved=Resolved(answers=("93.184.215.14", "1.1.1.1"), ttl=299.5, servers=("192.0.2.53",)),
    )


@pytest.mark.parametrize("kind", ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "CAA", "SRV", "PTR"])
def test_these_types_are_asked_for(kind: str) -> None:
    assert asked("example.com", kind) == "example.com"


@pytest.mark.parametrize("kind", ["a", "ANY", "AXFR", "HINFO", "", "A "])
def test_other_types_are_not(kind: str) -> None:
    assert asked("example.com", kind) is FailureCode.BAD_PARAMETER


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        # RFC 5891's form of these is what registries have.
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("例え。jp", "xn--r8jz45g.jp"),
        ("EXAMPLE.COM", "example.com"),
        ("example.com.", "example.com"),
        ("_sip._tcp.example.com", "_sip._tcp.example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("a" * 63 + ".de", "a" * 63 + ".de"),
        ("a" * 64 + ".de", FailureCode.BAD_HOST),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", FailureCode.TOO_LONG),
        ("http://example.com/", FailureCode.BAD_HOST),
        ("example.com/path", FailureCode.BAD_HOST),
        ("example.com:53", FailureCode.BAD_HOST),
        ("user@example.com", FailureCode.BAD_HOST),
        ("%65xample.com", FailureCode.BAD_HOST),
        ("*.example.com", FailureCode.BAD_HOST),
        ("exa mple.com", FailureCode.BAD_HOST),
        ("example.com\n", FailureCode.BAD_HOST),
        ("example\0.com", FailureCode.BAD_HOST),
        ("a\\.b.com", FailureCode.BAD_HOST),
        ("a..b.com", FailureCode.BAD_HOST),
        ("example.com..", FailureCode.BAD_HOST),
        (".", FailureCode.BAD_HOST),
        ("a\u200db.com", FailureCode.BAD_HOST),  # a joiner that joins nothing
        ("\ud800.com", FailureCode.BAD_HOST),
        ("1.2.3.4", FailureCode.BAD_HOST),
        ("0x7f.1", FailureCode.BAD_HOST),
        ("example.0x7f", FailureCode.BAD_HOST),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("[::1]", FailureCode.BAD_HOST),
    ],
)
def test_a_name_is_asked_for_in_the_form_of_the_dns(domain: str, name: str | FailureCode) -> None:
    assert asked(domain) == name


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        ("localhost", BLOCKED_NAME),
        ("a.localhost", BLOCKED_NAME),
        ("a.LOCALHOST.", BLOCKED_NAME),
        ("notlocalhost.com", "notlocalhost.com"),
        ("localhost.com", "localhost.com"),
        ("printer.local", BLOCKED_NAME),
        ("local.example", "local.example"),
        ("metadata.google.internal", BLOCKED_NAME),
        ("internal.example", "internal.example"),
        ("x.home.arpa", BLOCKED_NAME),
        ("xhome.arpa", "xhome.arpa"),
        ("router.lan", BLOCKED_NAME),
        ("wlan", BLOCKED_NAME),
        ("x.wlan", "x.wlan"),
        ("x.onion", BLOCKED_NAME),
        ("x.i2p", BLOCKED_NAME),
        ("db", BLOCKED_NAME),
        ("com.", BLOCKED_NAME),
    ],
)
def test_names_of_own_networks_are_not_asked_for(domain: str, outcome: str | FailureCode) -> None:
    assert asked(domain) == outcome


@pytest.mark.parametrize("ending", sorted(SPECIAL_NAMES))
def test_no_name_is_asked_for_that_is_not_fetched_from(ending: str) -> None:
    assert asked(f"x.{ending}") is BLOCKED_NAME


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        ("db", "db"),
        ("metadata.google.internal", "metadata.google.internal"),
        ("localhost", BLOCKED_NAME),
        ("x.onion", BLOCKED_NAME),
    ],
)
def test_who_lets_private_answers_out_asks_for_own_names_too(domain: str, outcome: str | FailureCode) -> None:
    assert asked(domain, tells_private=True) == outcome


@pytest.mark.parametrize(
    ("kind", "answers", "outcome"),
    [
        ("A", ("93.184.215.14",), None),
        ("A", ("93.184.215.14", "127.0.0.1"), BLOCKED_ADDRESS),
        ("A", ("10.0.0.1",), BLOCKED_ADDRESS),
        ("AAAA", ("2606:2800:21f:cb07:6820:80da:af6b:8b2c",), None),
        ("AAAA", ("::1",), BLOCKED_ADDRESS),
        ("AAAA", ("::ffff:127.0.0.1",), BLOCKED_ADDRESS),
        ("AAAA", ("64:ff9b::7f00:1",), BLOCKED_ADDRESS),
        ("A", ("2606:2800::1",), FailureCode.DNS_FAILED),
        ("AAAA", ("93.184.215.14",), FailureCode.DNS_FAILED),
        ("A", ("nothing",), FailureCode.DNS_FAILED),
        ("TXT", ('"10.0.0.1"',), None),
    ],
)
def test_a_private_answer_is_told_to_nobody(
    kind: str, answers: tuple[str, ...], outcome: FailureCode | None
) -> None:
    servers = Servers(*answers)

    told = resolve(servers, "example.com", kind)

    assert len(servers.asked) == 1
    if outcome is None:
        assert isinstance(told, Answered)
        assert told.resolved.answers == answers
    else:
        assert told is outcome


def test_a_private_answer_is_told_where_the_settings_say_so() -> None:
    told = resolve(Servers("10.0.0.1"), "example.com", tells_private=True)

    assert isinstance(told, Answered)
    assert told.resolved.answers == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        # The names are those of RFC 1035, 3.5, and RFC 3596, 2.5.
        ("8.8.4.4", "4.4.8.8.in-addr.arpa"),
        (
            "2a00:4321:567:89ab::1",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.a.9.8.7.6.5.0.1.2.3.4.0.0.a.2.ip6.arpa",
        ),
        ("10.1.2.3", BLOCKED_ADDRESS),
        ("::1", BLOCKED_ADDRESS),
        ("::ffff:10.1.2.3", BLOCKED_ADDRESS),
        ("fe80::1%eth0", FailureCode.BAD_HOST),
        ("4.4.8.8.in-addr.arpa", "4.4.8.8.in-addr.arpa"),
        ("3.2.1.10.in-addr.arpa", BLOCKED_ADDRESS),
        ("3.2.1.11.in-addr.arpa", "3.2.1.11.in-addr.arpa"),
        ("3.2.1.010.in-addr.arpa", BLOCKED_ADDRESS),
        ("10.in-addr.arpa", BLOCKED_ADDRESS),
        ("x.3.2.1.10.in-addr.arpa", BLOCKED_ADDRESS),
        ("0-31.2.1.10.IN-ADDR.ARPA.", BLOCKED_ADDRESS),
        ("0-31.2.1.11.in-addr.arpa", "0-31.2.1.11.in-addr.arpa"),
        ("in-addr.arpa", "in-addr.arpa"),
        ("1.0.0.0.d.f.ip6.arpa", BLOCKED_ADDRESS),
        ("8.b.d.0.1.0.0.2.ip6.arpa", BLOCKED_ADDRESS),  # 2001:db8::/32 is for documentation
        ("0.0.0.0.0.0.6.2.ip6.arpa", "0.0.0.0.0.0.6.2.ip6.arpa"),
        ("3.2.1.10.in-addr.arpa.example", "3.2.1.10.in-addr.arpa.example"),
    ],
)
def test_who_has_an_address_is_asked_of_public_ones_only(domain: str, outcome: str | FailureCode) -> None:
    assert asked(domain, "PTR") == outcome


def test_other_types_are_as_closed_below_the_reverse_names_of_private_addresses() -> None:
    assert asked("10.in-addr.arpa", "SOA") is BLOCKED_ADDRESS
    assert asked("11.in-addr.arpa", "SOA") == "11.in-addr.arpa"
    assert asked("3.2.1.10.in-addr.arpa", "PTR", tells_private=True) == "3.2.1.10.in-addr.arpa"
