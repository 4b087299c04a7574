"""Which word stands for a caller, from its address or from what a trusted proxy says."""

from ipaddress import ip_address
from typing import Any

import pytest
from web.serving import ask, form, post, serving

from remote_worker.web.callers import Callers, network


def caller_of(peer: str | None, *forwarded: str, trusted: str = "") -> str:
    scope: dict[str, Any] = {
        "client": None if peer is None else (peer, 1234),
        "headers": [(b"host", b"x"), *((b"x-forwarded-for", text.encode("latin-1")) for text in forwarded)],
    }
    return Callers([network(text) for text in trusted.split()]).of(scope)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),  # the next /64
        ("2001:db8::1", "2001:DB8:0:0:0:0:0:1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_one_caller_is_told_from_its_neighbour(one: str, other: str, are_one: bool) -> None:
    assert (caller_of(one) == caller_of(other)) is are_one


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("2001:db8::1", [], "2001:db8::1"),
        ("::ffff:192.0.2.1", [], "::ffff:192.0.2.1"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("11.0.0.0", ["2001:db8::7"], "11.0.0.0"),  # the neighbour of those that are trusted
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("/run/socket", ["2001:db8::7"], None),
        (None, [], None),
    ],
)
def test_the_whole_address_is_known_too(peer: str | None, forwarded: list[str], address: str | None) -> None:
    scope: dict[str, Any] = {
        "client": None if peer is None else (peer, 1234),
        "headers": [(b"x-forwarded-for", text.encode()) for text in forwarded],
    }

    found = Callers([network("10.0.0.0/8")]).address(scope)

    assert found == (None if address is None else ip_address(address))


@pytest.mark.parametrize("peer", [None, "", "testclient", "/run/socket"])
def test_without_an_address_all_are_one_caller(peer: str | None) -> None:
    assert caller_of(peer) == caller_of(None) != caller_of("127.0.0.1")


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "::1"])
def test_nobody_is_trusted_unless_told_to(peer: str) -> None:
    assert caller_of(peer, "198.51.100.7") == caller_of(peer)


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the client wrote the first itself
        (["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.0.0.9"], "198.51.100.7"),
        (["198.51.100.7,10.0.0.9 ,\t10.255.255.255"], "198.51.100.7"),
        (["198.51.100.7, 11.0.0.0"], "11.0.0.0"),  # the neighbour of 10.0.0.0/8
        (["198.51.100.7, ::ffff:10.0.0.9"], "198.51.100.7"),
        (["2001:db8::7"], "2001:db8::8"),
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.1"),
        (["198.51.100.7, unknown"], "10.0.0.1"),
        (["198.51.100.7,"], "10.0.0.1"),
        (["198.51.100.7:1234"], "198.51.100.7"),  # as some proxies write it
        (["\xff"], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_caller(forwarded: list[str], caller: str) -> None:
    assert caller_of("10.0.0.1", *forwarded, trusted="10.0.0.0/8") == caller_of(caller)


def test_only_the_trusted_are_believed() -> None:
    assert caller_of("10.0.0.1", "198.51.100.7", trusted="10.0.0.2 2001:db8::/32") == caller_of("10.0.0.1")
    assert caller_of("10.0.0.2", "198.51.100.7", trusted="10.0.0.2 2001:db8::/32") == caller_of(
        "198.51.100.7"
    )
    assert caller_of("2001:db8::1", "198.51.100.7", trusted="2001:db8::/32") == caller_of("198.51.100.7")


def test_the_decoder_hears_who_calls() -> None:
    with serving(trusted_proxies=(network("127.0.0.1"),)) as service:
        for path in ("fit/1", "info", "prepare_jpeg", "rescale_avatar"):
            ask(service, post(f"/images/{path}", form(b"x"), "X-Forwarded-For: 198.51.100.7"))

        assert service.decoder.callers == ["198.51.100.7"] * 4
