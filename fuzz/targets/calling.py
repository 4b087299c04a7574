"""What callers say of who they are: keys, signatures, digests and limits of their own."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.web import auth, digest, signed
from remote_worker.web.keys import BadKeys, parse
from remote_worker.web.settings import WebSettings

from ..choices import Choices

_BEARER, _SECRET = "rw_" + "a" * 43, "s" * 64
_FILE = f'[keys.a]\nsha256 = ["{hashlib.sha256(_BEARER.encode()).hexdigest()}"]\nhmac = {{k = "{_SECRET}"}}\n'
_NOW = 2_000_000_000.0
_NAMES = (b"authorization", b"signature-input", b"signature", b"content-digest", b"remote-limits")
_ALLOWED = {
    FailureCode.UNAUTHENTICATED,
    FailureCode.BAD_DIGEST,
    FailureCode.BAD_PARAMETER,
    FailureCode.BAD_REQUEST,
}


def gate() -> auth.Gate:
    """One with a bearer key and a secret, at a time that stands."""
    made = auth.Gate(WebSettings(), Limits(), clock=lambda: _NOW, steady=lambda: _NOW)
    made.keys = parse(_FILE, {})
    made._settings = WebSettings(keys_file="of these", host_names=("a",))
    return made


def head(data: bytes) -> None:
    """Whatever the headers are, nobody is let in who does not show the key."""
    choices = Choices(data)
    headers = [(b"host", b"a")]
    for name in _NAMES:
        if choices.flag():
            headers.append((name, choices.take(choices.number(0, 300))))
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/images/info",
        "raw_path": b"/images/info",
        "query_string": b"",
        "headers": headers,
        "state": {},
    }
    try:
        gate().check(scope)
    except WorkFailed as failed:
        assert failed.code in _ALLOWED, failed.code
        return
    told = dict(headers)
    has_key = _BEARER.encode() in told.get(b"authorization", b"")
    assert has_key or _is_signed(told), "somebody without a key is let in"
    assert scope["state"]["identity"].name == "a"


def _is_signed(told: Mapping[bytes, bytes]) -> bool:
    """Whether the signature is that of the secret, by a reading of our own."""
    label, _, parameters = told.get(b"signature-input", b"").strip(b" \t").partition(b"=")
    lines = [b'"@method": POST', b'"@path": /images/info', b'"@query": ?']
    if b'"content-digest"' in parameters:
        lines.append(b'"content-digest": ' + told.get(b"content-digest", b"").strip(b" \t"))
    lines.append(b'"@signature-params": ' + parameters)
    value = base64.b64encode(hmac.digest(_SECRET.encode(), b"\n".join(lines), "sha256"))
    return told.get(b"signature", b"").strip(b" \t") == label + b"=:" + value + b":"


def signature(data: bytes) -> None:
    """What is read of a signature says what its text says, and its base has a line for each component."""
    choices = Choices(data)
    first, second = choices.take(choices.number(0, 400)), choices.rest()
    try:
        read = signed.read(first, second)
    except WorkFailed as failed:
        assert failed.code is FailureCode.UNAUTHENTICATED, failed.code
        return
    text = first.decode("latin-1")
    assert read.parameters in text and f"created={read.created}" in text and f'keyid="{read.key_id}"' in text
    assert base64.b64encode(read.signature).decode().rstrip("=")[:-1] in second.decode("latin-1")
    lines = read.base("POST", "/p", "q=1", "d").decode("latin-1").split("\n")
    assert [line.partition(": ")[0].strip('"') for line in lines] == [
        *signed.COMPONENTS,
        *(["content-digest"] if read.covers_digest else []),
        "@signature-params",
    ]
    assert read.last_second(300) <= read.created + 300


def content_digest(data: bytes) -> None:
    """A header is refused, or tells digests of the right size that only their own body passes."""
    try:
        expected = digest.expected(data)
    except WorkFailed as failed:
        assert failed.code is FailureCode.BAD_DIGEST, failed.code
        return
    for name, value in expected:
        assert len(value) == {"sha-256": 32, "sha-512": 64}[name]
        assert re.search(name.encode() + rb"=:", data)
    body = digest.BodyDigest(expected)
    body.update(b"another body")
    try:
        body.check()
    except WorkFailed as failed:
        assert failed.code is FailureCode.BAD_DIGEST
        assert expected
    else:
        others = {"sha-256": hashlib.sha256(b"another body"), "sha-512": hashlib.sha512(b"another body")}
        assert all(value == others[name].digest() for name, value in expected)


def key_file(data: bytes) -> None:
    """Any text is a key file or has problems, of which none tells a secret."""
    text = data.decode("utf-8", "replace")
    try:
        keys = parse(text + f'\n[keys.zz]\nhmac = {{zz = "{_SECRET}"}}\n', {"pixels": 10})
    except BadKeys as bad:
        assert bad.problems
        assert not any(_SECRET in problem for problem in bad.problems)
        return
    assert keys.named["zz"].identity.name == "zz"
    for key in keys.named.values():
        assert (key.identity.ceilings.pixels or 0) <= 10
