"""The endpoints about names and addresses, over HTTP, in the shapes of the service before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdb
import pytest
from mmdb import IPIP
from web.serving import Answer, Service, ask, serving
from web.small_network import SmallNames, small_network

from remote_worker.web.callers import network

GEOLITE = {
    "city": {"names": {"en": "Kolkata"}},
    "continent": {"code": "AS", "names": {"en": "Asia"}},
    "country": {"iso_code": "IN", "names": {"en": "India"}},
    "location": {"latitude": 22.5, "longitude": 88.0, "time_zone": "Asia/Kolkata"},
    "subdivisions": [{"iso_code": "WB", "names": {"en": "West Bengal"}}],
    "traits": {"autonomous_system_number": 9498, "isp": "BHARTI Airtel", "organization": "Airtel"},
}
IPIP_MEMBERS = {*IPIP, "status", "success"}


@pytest.fixture
def names() -> SmallNames:
    """Name servers."""
    return SmallNames()


@pytest.fixture
def service(names: SmallNames, tmp_path: Path) -> Iterator[Service]:
    """A service with a database and a node, behind a proxy on 127.0.0.9."""
    database = tmp_path / "facts.mmdb"
    database.write_bytes(mmdb.database({"1.2.3.0/24": IPIP, "1.2.4.0/24": GEOLITE, "2a00:1::/32": GEOLITE}))
    uses = small_network(names, database=str(database), rpc_url="https://node.example/")
    with serving(network=uses, trusted_proxies=(network("127.0.0.9"),)) as service:
        yield service


@pytest.fixture(scope="module")
def bare() -> Iterator[Service]:
    """A service without a database and without a node."""
    with serving() as service:
        yield service


def get(service: Service, path: str, *headers: str, caller: str = "127.0.0.1", method: str = "GET") -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    return ask(service, "\r\n".join([*lines, "", ""]).encode(), caller)


def is_error(answer: Answer, status: int, code: str, message: str) -> bool:
    """Whether this is the error shape of the service before, with our members."""
    told = answer.json
    return (
        answer.status == status
        and answer.headers["content-type"] == "application/json;charset=utf-8"
        and (told["code"], told["message"]) == (code, message)
        and (told["status"], told["success"]) == ("error", False)
    )


def test_a_name_is_resolved_in_the_shape_of_the_service_before(service: Service) -> None:
    answer = get(service, "/dns/resolve?domain=example.com")

    assert answer.status == 200
    assert answer.json == {
        "answers": ["93.184.215.14"],
        "nameservers": ["192.0.2.53", "2001:db8::53"],
        "status": "ok",
        "success": True,
        "ttl": 300.0,
        "domain": "example.com",
        "type": "A",
    }
    assert b'"ttl": 300.0' in answer.body


@pytest.mark.parametrize("kind", ["MX", "mx", "+Mx+"])
def test_a_type_is_asked_for_in_any_case(service: Service, names: SmallNames, kind: str) -> None:
    told = get(service, f"/dns/resolve?domain=m%C3%BCnchen.de&type={kind}").json

    assert (told["answers"], told["type"]) == (["10 mail.example.com."], "MX")
    assert told["domain"] == "xn--mnchen-3ya.de"
    assert names.asked == [("xn--mnchen-3ya.de", "MX")]


@pytest.mark.parametrize("query", ["", "?domain=", "?domain=+", "?type=A"])
def test_a_name_must_be_given(bare: Service, query: str) -> None:
    message = 'Required parameter "domain" is missing or empty'

    assert is_error(get(bare, f"/dns/resolve{query}"), 400, "bad_parameter", message)


def test_a_type_that_is_not_asked_for_is_a_bad_parameter(bare: Service) -> None:
    answer = get(bare, "/dns/resolve?domain=example.com&type=ANY")

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")
    assert "CNAME" in answer.json["message"]


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("dns_not_found.example", "dns_not_found"),
        ("dns_failed.example", "dns_failed"),
        ("dns_chain.example", "dns_chain"),
        ("timeout.example", "timeout"),
        ("localhost", "blocked_name"),
        ("db", "blocked_name"),
        ("http://example.com", "bad_host"),
        ("a" * 64 + ".example", "bad_host"),
        ("127.0.0.1", "bad_host"),
    ],
)
def test_what_does_not_resolve_is_told_in_one_way_with_its_reason(
    bare: Service, domain: str, reason: str
) -> None:
    answer = get(bare, f"/dns/resolve?domain={domain}")

    assert is_error(answer, 400, "unresolved", f"Unable to resolve the specified domain: {domain}")
    assert answer.json["reason"] == reason


def test_the_reason_is_there_as_a_problem_too(bare: Service) -> None:
    answer = get(bare, "/dns/resolve?domain=timeout.example", "Accept: application/problem+json")

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["code"], answer.json["reason"]) == ("unresolved", "timeout")


@pytest.mark.parametrize(
    ("code", "status"),
    [("fetch_unavailable", 503), ("busy", 503), ("rate_limited", 429), ("deadline", 504)],
)
def test_a_state_of_the_worker_is_no_word_about_the_name(bare: Service, code: str, status: int) -> None:
    answer = get(bare, f"/dns/resolve?domain={code}.example")

    assert (answer.status, answer.json["code"]) == (status, code)
    assert ("retry-after" in answer.headers) is (status != 504)


def test_who_hangs_up_is_not_resolved_for(service: Service, names: SmallNames) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET /dns/resolve?domain=hang.example HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert names.began.wait(10)

    assert names.cancelled.wait(10)


@pytest.mark.parametrize(
    ("forwarded", "told"),
    [
        ([], {"ip": "127.0.0.9", "ipv4": "127.0.0.9", "ipv6": None}),
        (["1.2.3.4"], {"ip": "1.2.3.4", "ipv4": "1.2.3.4", "ipv6": None}),
        (["1.2.3.4, 5.6.7.8"], {"ip": "5.6.7.8", "ipv4": "5.6.7.8", "ipv6": None}),
        (["5.6.7.8, 127.0.0.9"], {"ip": "5.6.7.8", "ipv4": "5.6.7.8", "ipv6": None}),
        (["::ffff:9.8.7.6"], {"ip": "::ffff:9.8.7.6", "ipv4": "9.8.7.6", "ipv6": None}),
        (["2001:db8::1"], {"ip": "2001:db8::1", "ipv4": None, "ipv6": "2001:db8::1"}),
        (["2001:DB8:0::1"], {"ip": "2001:db8::1", "ipv4": None, "ipv6": "2001:db8::1"}),
        (["::FFFF:0908:0706"], {"ip": "::ffff:9.8.7.6", "ipv4": "9.8.7.6", "ipv6": None}),
        (["9.8.7.6:4711"], {"ip": "9.8.7.6", "ipv4": "9.8.7.6", "ipv6": None}),
        (["[2001:db8::1]:4711"], {"ip": "2001:db8::1", "ipv4": None, "ipv6": "2001:db8::1"}),
        (["[2001:db8::1]"], {"ip": "2001:db8::1", "ipv4": None, "ipv6": "2001:db8::1"}),
        (["9.8.7.6:"], {"ip": "127.0.0.9", "ipv4": "127.0.0.9", "ipv6": None}),
        (["9.8.7.6:x"], {"ip": "127.0.0.9", "ipv4": "127.0.0.9", "ipv6": None}),
        (["2001:db8::1]:4711"], {"ip": "127.0.0.9", "ipv4": "127.0.0.9", "ipv6": None}),
        (["nonsense"], {"ip": "127.0.0.9", "ipv4": "127.0.0.9", "ipv6": None}),
    ],
)
def test_a_trusted_proxy_says_who_asks(service: Service, forwarded: list[str], told: dict[str, Any]) -> None:
    headers = [f"X-Forwarded-For: {text}" for text in forwarded]

    answer = get(service, "/ip", *headers, caller="127.0.0.9")

    assert answer.status == 200
    assert answer.json == {
        **told,
        "ipv4_available": told["ipv4"] is not None,
        "ipv6_available": told["ipv6"] is not None,
        "success": True,
    }


@pytest.mark.parametrize("caller", ["127.0.0.1", "127.0.0.8"])
def test_nobody_else_does(service: Service, caller: str) -> None:
    told = get(service, "/ip", "X-Forwarded-For: 1.2.3.4", "X-Real-IP: 1.2.3.4", caller=caller).json

    assert (told["ip"], told["ipv4"]) == (caller, caller)


def test_an_ipip_database_is_told_as_it_is(service: Service) -> None:
    answer = get(service, "/ipip/1.2.3.4")

    assert answer.status == 200
    assert answer.json == {**IPIP, "status": "ok", "success": True}
    assert rb"\u4e0a\u6d77" in answer.body


def test_another_database_has_the_same_members_as_text(service: Service) -> None:
    told = get(service, "/ipip/1.2.4.4").json

    assert told == {
        "country": "India",
        "province": "West Bengal",
        "city": "Kolkata",
        "org": "Airtel",
        "isp": "BHARTI Airtel",
        "latitude": "22.5",
        "longitude": "88",
        "timezone": "Asia/Kolkata",
        "tz_diff": "UTC+5:30",
        "cn_division_code": "",
        "calling_code": "",
        "country_code": "IN",
        "continent_code": "AS",
        "status": "ok",
        "success": True,
    }
    assert told.keys() == IPIP_MEMBERS


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("2001:db8::1", "IPv6 is not supported"),
        (":", "IPv6 is not supported"),
        ("FAKE_IP", "Invalid IPv4 address provided"),
        ("1.2.3", "Invalid IPv4 address provided"),
        ("1.2.3.256", "Invalid IPv4 address provided"),
        ("01.2.3.4", "Invalid IPv4 address provided"),
        ("1.2.3.4%20", "Invalid IPv4 address provided"),
        ("16909060", "Invalid IPv4 address provided"),
    ],
)
def test_what_is_no_ipv4_address_is_refused_in_the_words_of_before(
    bare: Service, address: str, message: str
) -> None:
    assert is_error(get(bare, f"/ipip/{address}"), 400, "bad_parameter", message)


@pytest.mark.parametrize("path", ["/ipip/9.9.9.9", "/ipip/127.0.0.1", "/geo/9.9.9.9", "/geo/2a00:2::1"])
def test_an_address_that_is_not_in_the_database_is_not_found(service: Service, path: str) -> None:
    assert is_error(get(service, path), 404, "no_ip_facts", "IP info not found")


@pytest.mark.parametrize("path", ["/ipip/127.0.0.1", "/ipip/1.2.3.4", "/geo/1.2.3.4", "/geo/2a00:1::1"])
def test_without_a_database_the_setting_is_named(bare: Service, path: str) -> None:
    message = "IP info not found: there is no database (REMOTE_IPIP_DB_PATH)"

    assert is_error(get(bare, path), 404, "no_ip_facts", message)


@pytest.mark.parametrize("address", ["1.2.4.4", "2a00:1::1", "::ffff:1.2.4.4"])
def test_facts_have_their_types_and_null_where_there_are_none(service: Service, address: str) -> None:
    told = get(service, f"/geo/{address}").json

    is_ipv6 = address.startswith("2a00")
    assert told == {
        "ip": "2a00:1::1" if is_ipv6 else "1.2.4.4",
        "version": 6 if is_ipv6 else 4,
        "special": None,
        "network": "2a00:1::/32" if is_ipv6 else "1.2.4.0/24",
        "continent": "Asia",
        "continent_code": "AS",
        "country": "India",
        "country_code": "IN",
        "region": "West Bengal",
        "region_code": "WB",
        "city": "Kolkata",
        "postal_code": None,
        "latitude": 22.5,
        "longitude": 88.0,
        "timezone": "Asia/Kolkata",
        "asn": 9498,
        "organization": "Airtel",
        "isp": "BHARTI Airtel",
        "status": "ok",
        "success": True,
    }


@pytest.mark.parametrize(
    ("address", "special"),
    [
        ("127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("169.254.169.254", "metadata"),
        ("100.64.0.1", "shared"),
        ("192.0.2.1", "documentation"),
        ("::1", "loopback"),
        ("fd00::1", "private"),
        ("64:ff9b::a01:203", "private"),
    ],
)
def test_special_ranges_need_no_database(bare: Service, address: str, special: str) -> None:
    answer = get(bare, f"/geo/{address}")

    assert answer.status == 200
    assert answer.json["special"] == special
    assert answer.json["country"] is answer.json["network"] is None


@pytest.mark.parametrize("address", ["FAKE_IP", "1.2.3", "fe80::1%25eth0", "1.2.3.4:80", "[::1]"])
def test_what_is_no_address_has_no_facts(bare: Service, address: str) -> None:
    assert is_error(get(bare, f"/geo/{address}"), 400, "bad_parameter", "Invalid IP address provided")


def test_the_owner_of_an_ens_name_is_told(service: Service) -> None:
    # The capitals are those of EIP-55.
    owner = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"

    assert get(service, "/ens/Vitalik.eth").json == {
        "name": "vitalik.eth",
        "owner": owner,
        "address": owner,
        "status": "ok",
        "success": True,
    }


@pytest.mark.parametrize("name", ["foo", "foo.com", "f%C3%B6%C3%B6.eth", ".eth"])
def test_what_is_no_ens_name_is_refused_in_the_words_of_before(bare: Service, name: str) -> None:
    message = "Please provide a valid ENS name that ends with .eth"

    assert is_error(get(bare, f"/ens/{name}"), 400, "bad_parameter", message)


def test_ens_is_off_until_an_endpoint_is_named(bare: Service) -> None:
    answer = get(bare, "/ens/vitalik.eth")

    assert (answer.status, answer.json["code"]) == (404, "not_configured")
    assert "REMOTE_ENS_RPC_URL" in answer.json["message"]


def test_a_node_out_of_reach_is_told_in_the_words_of_before() -> None:
    with serving(network=small_network(rpc_url="http://10.0.0.1/blocked")) as service:
        answer = get(service, "/ens/vitalik.eth")

    message = "Error occurred when communicating with the Ethereum network"
    assert is_error(answer, 404, "ens_failed", message)
    assert (answer.json["reason"], answer.json["reason_detail"]) == ("blocked_address", "private")


@pytest.mark.parametrize("path", ["/dns/resolve", "/ip", "/ipip/1.2.3.4", "/geo/1.2.3.4", "/ens/vitalik.eth"])
def test_every_path_answers_its_methods(bare: Service, path: str) -> None:
    options = get(bare, path, method="OPTIONS")
    head = get(bare, path, method="HEAD")
    post = get(bare, path, "Content-Length: 0", method="POST")

    assert (options.status, options.body) == (200, b"")
    assert set(options.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert (head.status, head.body) == (get(bare, path).status, b"")
    assert (post.status, post.json["code"]) == (405, "method_not_allowed")
