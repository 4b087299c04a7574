"""Signed addresses: ours, camo's and go-camo's."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.service.signing import Camo, Signed, Signer

NOW = 1_790_000_000
DAY = 86_400
EXPIRES = 1_790_640_000
"""A week later, at the end of the day."""
PICTURE = "https://a.example.org/x.png?a=1&b=%20"


def signer(*keys: str, now: float = NOW) -> Signer:
    return Signer(keys, seconds=7 * DAY, public_url="https://img.example.org/", clock=lambda: now)


def parts(address: str | None) -> tuple[str, str]:
    assert address is not None
    signature, _, rest = address.removeprefix("https://img.example.org/links/proxy/").partition("/")
    return signature, rest


def code_of(do: Callable[[], object]) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        do()
    return failed.value.code


def test_an_address_is_as_described() -> None:
    encoded = base64.urlsafe_b64encode(PICTURE.encode()).decode().rstrip("=")
    rest = f"{EXPIRES}/fit:800/{encoded}"
    signature = hmac.new(b"key", rest.encode(), hashlib.sha256).hexdigest()

    assert (
        signer("key").address(PICTURE, "fit:800") == f"https://img.example.org/links/proxy/{signature}/{rest}"
    )


def test_what_was_signed_comes_out_again() -> None:
    signature, rest = parts(signer("key").address(PICTURE, "avatar:73"))

    assert signer("key").opened(signature, rest) == Signed(PICTURE, "avatar:73", EXPIRES)


def test_one_picture_has_one_address_all_day_that_holds_at_least_as_long_as_promised() -> None:
    midnight = NOW // DAY * DAY
    morning, evening = (signer("key", now=midnight + hour * 3600).address(PICTURE) for hour in (1, 23))

    assert morning == evening
    assert midnight + 23 * 3600 + 7 * DAY <= int(parts(evening)[1].split("/")[0])
    assert signer("key", now=midnight + 25 * 3600).address(PICTURE) != evening


def test_the_first_key_signs_and_every_key_opens() -> None:
    old = parts(signer("old").address(PICTURE))
    new = parts(signer("new", "old").address(PICTURE))

    assert new == parts(signer("new").address(PICTURE))
    assert signer("new", "old").opened(*old).url == PICTURE
    assert code_of(lambda: signer("new").opened(*old)) is FailureCode.BAD_SIGNATURE


def test_an_address_expires() -> None:
    signature, rest = parts(signer("key").address(PICTURE))

    assert signer("key", now=EXPIRES - 1).opened(signature, rest).url == PICTURE
    assert code_of(lambda: signer("key", now=EXPIRES).opened(signature, rest)) is FailureCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        lambda signature, rest: (signature[:-1], rest),
        lambda signature, rest: (signature.upper(), rest),
        lambda signature, rest: ("0" * 64, rest),
        lambda signature, rest: ("", rest),
        lambda signature, rest: ("é" * 64, rest),
        lambda signature, rest: (signature, rest.replace("original", "fit:9999")),
        lambda signature, rest: (signature, rest.replace(str(EXPIRES), str(EXPIRES + 1))),
        lambda signature, rest: (signature, rest + "="),
        lambda signature, rest: (signature, rest[:-4]),
        lambda signature, rest: (signature, ""),
    ],
)
def test_an_address_has_one_form(change: Callable[[str, str], tuple[str, str]]) -> None:
    changed = change(*parts(signer("key").address(PICTURE)))

    assert code_of(lambda: signer("key").opened(*changed)) is FailureCode.BAD_SIGNATURE


@pytest.mark.parametrize("rest", ["", "x", f"{EXPIRES}/original/*", "-1/original/aHR0"])
def test_what_was_signed_but_is_no_address_is_refused(rest: str) -> None:
    signature = hmac.new(b"key", rest.encode(), hashlib.sha256).hexdigest()

    assert code_of(lambda: signer("key").opened(signature, rest)) is FailureCode.BAD_SIGNATURE


def test_without_a_key_nothing_is_signed_or_opened() -> None:
    assert signer().address(PICTURE) is None
    assert code_of(lambda: signer().opened("0" * 64, "x")) is FailureCode.NOT_CONFIGURED


def test_a_url_that_would_be_refused_anyway_is_not_signed() -> None:
    longest = "https://a.example.org/".ljust(2048, "x")

    assert signer("key").address(longest) is not None
    assert signer("key").address(longest + "x") is None


# From go-camo's own tests (pkg/camo/encoding/url_test.go), key `test`.
GOPHER = "http://golang.org/doc/gopher/frontpage.png"
HEX = "687474703a2f2f676f6c616e672e6f72672f646f632f676f706865722f66726f6e74706167652e706e67"
HEX_DIGEST = "0f6def1cb147b0e84f39cbddc5ea10c80253a6f3"
BASE64 = "aHR0cDovL2dvbGFuZy5vcmcvZG9jL2dvcGhlci9mcm9udHBhZ2UucG5n"
BASE64_DIGEST = "D23vHLFHsOhPOcvdxeoQyAJTpvM"


@pytest.mark.parametrize(("digest", "encoded"), [(HEX_DIGEST, HEX), (BASE64_DIGEST, BASE64)])
def test_go_camos_own_examples_open(digest: str, encoded: str) -> None:
    assert Camo("test").opened(digest, encoded) == Signed(GOPHER, "original")


def test_camos_form_with_a_parameter_opens() -> None:
    assert Camo("test").opened_query(HEX_DIGEST, GOPHER).url == GOPHER


@pytest.mark.parametrize(
    ("digest", "encoded"),
    [
        # The first five are go-camo's own.
        ("000", HEX),
        (HEX_DIGEST, "0" * 84),
        (BASE64_DIGEST, "0" * 56),
        (HEX_DIGEST, BASE64),
        (BASE64_DIGEST, HEX),
        (HEX_DIGEST.upper(), HEX),
        (HEX_DIGEST, HEX.upper()),
        (HEX_DIGEST[:-1], HEX),
        (HEX_DIGEST, HEX[:-2]),
        (HEX_DIGEST, HEX[:-1]),
        (HEX_DIGEST, HEX[:-2] + " " + HEX[-2:]),
        (BASE64_DIGEST + "=", BASE64),
        (BASE64_DIGEST, BASE64 + "===="),
        ("", ""),
    ],
)
def test_other_forms_of_camos_addresses_do_not(digest: str, encoded: str) -> None:
    assert code_of(lambda: Camo("test").opened(digest, encoded)) is FailureCode.BAD_SIGNATURE


def test_camos_addresses_need_their_key() -> None:
    assert code_of(lambda: Camo("other").opened(HEX_DIGEST, HEX)) is FailureCode.BAD_SIGNATURE
    assert code_of(lambda: Camo("other").opened_query(HEX_DIGEST, GOPHER)) is FailureCode.BAD_SIGNATURE
    assert code_of(lambda: Camo("").opened(HEX_DIGEST, HEX)) is FailureCode.NOT_CONFIGURED
