"""How the address of NATS servers is read."""

import pytest

from remote_worker.engines.address import Address, BadAddress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats://host", Address(servers=("nats://host:4222",))),
        ("nats://host:1234/", Address(servers=("nats://host:1234",))),
        ("nats://a,b:1,[::1]:2", Address(servers=("nats://a:4222", "nats://b:1", "nats://[::1]:2"))),
        ("nats://u:p@a:1,nats://b:2", Address(servers=("nats://a:1", "nats://b:2"), user="u", password="p")),
        ("nats://u%40:p%2C%3A%2F@a", Address(servers=("nats://a:4222",), user="u@", password="p,:/")),
        ("nats://token@a", Address(servers=("nats://a:4222",), token="token")),
        (
            "tls://a?tls_ca=/etc/ca.pem&replicas=3",
            Address(servers=("tls://a:4222",), is_protected=True, tls_ca="/etc/ca.pem", replicas=3),
        ),
    ],
)
def test_an_address_is_taken_apart(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:4222",
        "http://u:secret@host",
        "nats://u:secret@",
        "nats://u:secret@a,,b",
        "nats://u:secret@a:port",
        "nats://u:secret@a:65536",
        "nats://u:secret@a/stream",
        "nats://u:secret@a b",
        "nats://u:secret@a,u:secret@b",
        "nats://u:sec@ret@a",
        "nats://u:secret@a,tls://b",
        "nats://u:secret@a?replicas=2",
        "nats://u:secret@a?password=secret",
        "nats://u:secret@a?secret",
    ],
)
def test_what_is_no_address_is_refused_and_its_password_not_repeated(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        Address.parse(text)

    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_password_is_not_shown() -> None:
    shown = repr(Address.parse("nats://user:secret@host")) + repr(Address.parse("nats://secret@host"))

    assert "secret" not in shown
