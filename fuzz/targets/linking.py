"""What callers send to the endpoints of links and texts: JSON, and signed addresses."""

import json

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.service.signing import PREFIX, Camo, Signer
from remote_worker.web.json_body import parse

from ..choices import Choices

_SIGNER = Signer(["a key", "an old key"], seconds=60, public_url="", clock=lambda: 1e9)
_CAMO = Camo("a key")


def json_body(data: bytes) -> None:
    """A body is a bad request, or what another reading of it gives."""
    try:
        value = parse(data)
    except WorkFailed as failed:
        assert failed.code is FailureCode.BAD_REQUEST, failed.code
        return
    assert json.dumps(value) == json.dumps(json.loads(data.decode()))


def signed(data: bytes) -> None:
    """No address opens that was not signed; what was signed opens as it was, and with no bit changed."""
    choices = Choices(data)
    url = choices.text(200)
    digest = choices.text(80)
    rest = choices.text(300)
    for opened in (_SIGNER.opened, _CAMO.opened, _CAMO.opened_query):
        try:
            opened(digest, rest)
        except WorkFailed as failed:
            assert failed.code is FailureCode.BAD_SIGNATURE, failed.code
        else:
            raise AssertionError("an address that nobody signed opens")
    address = _SIGNER.address(url, "fit:80")
    assert address is not None
    signature, _, behind = address.removeprefix(PREFIX).partition("/")
    made = _SIGNER.opened(signature, behind)
    assert (made.url, made.operation) == (url, "fit:80")
    at = choices.number(0, len(signature) - 1)
    other = signature[:at] + ("0" if signature[at] != "0" else "1") + signature[at + 1 :]
    try:
        _SIGNER.opened(other, behind)
    except WorkFailed:
        return
    raise AssertionError("another signature opens it")
