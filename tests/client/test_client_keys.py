"""How the client says who it is: a key, or signatures that another implementation of RFC 9421 accepts."""

from dataclasses import dataclass

import http_message_signatures as other
import pytest
from http_message_signatures.resolvers import MappingKeyResolver

from remote_worker.client import Client, Signer

from .scripted import Call, Told, failure, in_json, no_sleep, picture, scripted

KEYS = MappingKeyResolver(public_keys={"site": b"secret"}, private_keys={})
ANSWER = in_json({"distance": 1})


@dataclass
class Seen:
    """A request as the other implementation wants it."""

    method: str
    url: str
    headers: dict[str, str]


def seen(request: Told, url: str, /, **changed: str) -> Seen:
    """The request, perhaps changed on its way."""
    as_it_came = {"method": request.method, "url": url + request.target}
    return Seen(**{**as_it_came, **changed}, headers={k.title(): v for k, v in request.headers.items()})


def verify(message: Seen, body: bytes | None = None) -> set[str]:
    """What the signature covers, if it is right and made now."""
    verifier = other.HTTPMessageVerifier(signature_algorithm=other.algorithms.HMAC_SHA256, key_resolver=KEYS)
    (verified,) = verifier.verify(message, body=body)
    return {name.strip('"') for name in verified.covered_components}


def test_another_implementation_accepts_a_signed_upload(call: Call) -> None:
    with scripted(picture()) as server:
        call(server.url, "fit", 100, b"upload", format="webp", signer=Signer(key_id="site", secret="secret"))

    (request,) = server.requests
    covered = verify(seen(request, server.url), request.body)
    assert covered == {"@method", "@path", "@query", "content-digest", "@signature-params"}


def test_without_a_body_there_is_no_digest(call: Call) -> None:
    with scripted(ANSWER) as server:
        call(server.url, "distance", "00", "01", signer=Signer(key_id="site", secret="secret"))

    (request,) = server.requests
    assert verify(seen(request, server.url)) == {"@method", "@path", "@query", "@signature-params"}
    assert "content-digest" not in request.headers


@pytest.mark.parametrize(
    "changed", [{"method": "PUT"}, {"url": "http://w/images/fit/101"}, {"url": "http://w/images/fit/100?a=1"}]
)
def test_a_signature_holds_for_its_own_request_alone(changed: dict[str, str]) -> None:
    signer = Signer(key_id="site", secret="secret")
    with scripted(picture()) as server, Client(server.url, signer=signer) as client:
        client.fit(100, b"upload")

    (request,) = server.requests
    assert verify(seen(request, "http://w"))
    with pytest.raises(other.InvalidSignature):
        verify(seen(request, "http://w", **changed))


def test_a_body_that_was_changed_does_not_fit_its_digest() -> None:
    signer = Signer(key_id="site", secret="secret")
    with scripted(picture()) as server, Client(server.url, signer=signer) as client:
        client.fit(100, b"upload")

    (request,) = server.requests
    with pytest.raises(other.InvalidSignature):
        verify(seen(request, server.url), request.body.replace(b"upload", b"Upload"))


def test_every_try_is_signed_anew(call: Call) -> None:
    with scripted(failure("busy", 503), picture()) as server:
        call(
            server.url,
            "fit",
            100,
            b"upload",
            signer=Signer(key_id="site", secret="secret", clock=lambda: 1_790_000_000.0),
            sleep=lambda _: None,
        )

    first, second = (request.headers["signature"] for request in server.requests)
    assert first != second


def test_a_signature_says_for_how_long_it_holds() -> None:
    signer = Signer(
        key_id="site", secret="secret", seconds=30, clock=lambda: 1_790_000_000.9, nonce=lambda: "n-1"
    )

    # The value was made with openssl from the base that RFC 9421, 2.5 gives.
    assert signer.headers("GET", "/ip") == {
        "signature-input": 'sig1=("@method" "@path" "@query");created=1790000000;expires=1790000030;'
        'keyid="site";alg="hmac-sha256";nonce="n-1"',
        "signature": "sig1=:cyDztCRMUVXIYXKzfq2raYDGRaX1lr/Embu6kUWL4QU=:",
    }


def test_a_key_goes_along_as_bearer_and_shows_nowhere(call: Call) -> None:
    with scripted(ANSWER) as server:
        call(server.url, "distance", "00", "01", key="rw_secret", sleep=no_sleep)

    assert server.requests[0].headers["authorization"] == "Bearer rw_secret"
    assert "secret" not in repr(Signer(key_id="site", secret="secret"))


def test_without_a_key_nothing_is_said(call: Call) -> None:
    with scripted(ANSWER) as server:
        call(server.url, "distance", "00", "01")

    assert not server.requests[0].headers.keys() & {"authorization", "signature", "signature-input"}


def test_a_key_or_a_signer_is_given_and_not_both() -> None:
    with pytest.raises(ValueError, match="a key or a signer"):
        Client("http://127.0.0.1:9", key="rw_x", signer=Signer(key_id="a", secret="b"))
