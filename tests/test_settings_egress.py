"""Settings of the door out: openings, ports, name servers and NAT64 prefixes, and malformed ones."""

from ipaddress import IPv6Network, ip_network

import pytest

from remote_worker.fetch.settings import FetchSettings, Nameserver, Opening
from remote_worker.settings import BadSettings, effective, read


def problem(**variables: str) -> str:
    """The one problem that these variables have."""
    with pytest.raises(BadSettings) as caught:
        read(variables)
    (only,) = caught.value.problems
    return str(only)


def test_without_a_word_only_public_addresses_on_the_ports_of_the_web_are_dialled() -> None:
    settings = read({}).fetch

    assert settings == FetchSettings()
    assert (settings.egress_allow, settings.egress_deny, settings.nat64) == ((), (), ())
    assert settings.egress_ports == (80, 443)
    assert not settings.egress_report


@pytest.mark.parametrize(
    ("text", "network", "port", "written"),
    [
        ("10.0.0.0/8:80", "10.0.0.0/8", 80, "10.0.0.0/8:80"),
        ("127.0.0.1/32:*", "127.0.0.1/32", 0, "127.0.0.1/32:*"),
        ("127.0.0.1:8000", "127.0.0.1/32", 8000, "127.0.0.1/32:8000"),
        ("[::1]/128:8000", "::1/128", 8000, "[::1]/128:8000"),
        ("[::1]:8000", "::1/128", 8000, "[::1]/128:8000"),
        ("[FD00::]/8:*", "fd00::/8", 0, "[fd00::]/8:*"),
        ("0.0.0.0/0:65535", "0.0.0.0/0", 65_535, "0.0.0.0/0:65535"),
        ("0.0.0.0/0:1", "0.0.0.0/0", 1, "0.0.0.0/0:1"),
    ],
)
@pytest.mark.parametrize("variable", ["REMOTE_EGRESS_ALLOW", "REMOTE_EGRESS_DENY"])
def test_an_opening_is_a_network_and_a_port_and_is_written_as_it_is_read(
    variable: str, text: str, network: str, port: int, written: str
) -> None:
    settings = read({variable: text})

    (opening,) = settings.fetch.egress_allow or settings.fetch.egress_deny
    assert opening == Opening(ip_network(network), port)
    assert dict(effective(settings))[variable] == written


def test_several_openings_have_commas_between_them() -> None:
    openings = read({"REMOTE_EGRESS_ALLOW": "127.0.0.1:8000, [::1]:8000 ,"}).fetch.egress_allow

    assert [str(opening) for opening in openings] == ["127.0.0.1/32:8000", "[::1]/128:8000"]


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/8",  # which port?
        "10.0.0.0/8:",
        "10.0.0.0/8:0",
        "10.0.0.0/8:65536",
        "10.0.0.0/8:http",
        "10.0.0.0/8:80-90",
        "10.0.0.0/8:-1",
        "10.0.0.0/33:80",
        "10.0.0.1/8:80",  # a host within a network
        "10.0.0:80",
        "010.0.0.1:80",
        "10.0.0.0/8:80:80",
        "::1:8000",  # which colon is the port's?
        "::1/128:8000",
        "[::1/128]:8000",
        "[::1]",
        "[::1]/129:80",
        "[fe80::1%eth0]:80",
        "[::ffff:10.0.0.1]/128:80",  # an IPv4 address is written as one
        "[10.0.0.1]:80x",
        "localhost:8000",
        "*:80",
        "10.0.0.1:８０",
        "10.0.0.1:80 10.0.0.2:80",
        "http://10.0.0.1:80",
    ],
)
@pytest.mark.parametrize("variable", ["REMOTE_EGRESS_ALLOW", "REMOTE_EGRESS_DENY"])
def test_what_is_no_opening_stops_the_start(variable: str, text: str) -> None:
    told = problem(**{variable: text})

    assert told.startswith(f"{variable} must be a list with commas of addresses or networks with a port: ")
    assert told.endswith(f"not {text!r}")


@pytest.mark.parametrize(("text", "ports"), [("80", (80,)), ("1, 65535", (1, 65_535)), ("", ())])
def test_ports_are_a_list(text: str, ports: tuple[int, ...]) -> None:
    assert read({"REMOTE_EGRESS_PORTS": text}).fetch.egress_ports == ports


@pytest.mark.parametrize("text", ["0", "65536", "80-90", "http", "-1", "80;443", "*", "8_0"])
def test_what_is_no_port_stops_the_start(text: str) -> None:
    assert problem(REMOTE_EGRESS_PORTS=text) == (
        f"REMOTE_EGRESS_PORTS must be a list of ports with commas, not {text!r}"
    )


@pytest.mark.parametrize(
    ("text", "server", "written"),
    [
        ("9.9.9.9", Nameserver("9.9.9.9"), "9.9.9.9"),
        ("9.9.9.9:53", Nameserver("9.9.9.9"), "9.9.9.9"),
        ("127.0.0.1:5353", Nameserver("127.0.0.1", 5353), "127.0.0.1:5353"),
        ("2620:fe::fe", Nameserver("2620:fe::fe"), "2620:fe::fe"),
        ("[2620:FE::FE]:5353", Nameserver("2620:fe::fe", 5353), "[2620:fe::fe]:5353"),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(
    text: str, server: Nameserver, written: str
) -> None:
    settings = read({"REMOTE_NAMESERVERS": text})

    assert settings.fetch.nameservers == (server,)
    assert dict(effective(settings))["REMOTE_NAMESERVERS"] == written


@pytest.mark.parametrize(
    "text",
    [
        "dns.example",
        "9.9.9",
        "9.9.9.9:0",
        "9.9.9.9:65536",
        "9.9.9.9:",
        "[2620:fe::fe]",
        "[9.9.9.9x]:53",
        "::g",
    ],
)
def test_what_is_no_name_server_stops_the_start(text: str) -> None:
    assert problem(REMOTE_NAMESERVERS=text).startswith("REMOTE_NAMESERVERS must be a list of addresses")


def test_nat64_prefixes_have_the_lengths_of_their_standard() -> None:
    # RFC 6052, 2.2
    lengths = (32, 40, 48, 56, 64, 96)
    text = ",".join(f"2a00:64::/{length}" for length in lengths)

    assert read({"REMOTE_NAT64": text}).fetch.nat64 == tuple(
        IPv6Network(f"2a00:64::/{length}") for length in lengths
    )


@pytest.mark.parametrize(
    "text", ["2a00:64::/95", "2a00:64::/97", "2a00:64::", "10.0.0.0/32", "2a00:64::1/96", "nat64", "::/0"]
)
def test_what_is_no_nat64_prefix_stops_the_start(text: str) -> None:
    assert problem(REMOTE_NAT64=text).startswith("REMOTE_NAT64 must be a list of IPv6 prefixes")
