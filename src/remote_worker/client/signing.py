"""Signatures of requests by a shared secret: HTTP Message Signatures (RFC 9421). Pure."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LABEL = "sig1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs with the secret of one key id; a signature is good for `seconds`, and for one request."""

    key_id: str
    secret: str = field(repr=False)
    seconds: int = 60
    clock: Callable[[], float] = time.time
    nonce: Callable[[], str] = lambda: secrets.token_urlsafe(16)

    def headers(self, method: str, target: str, digest: str = "") -> dict[str, str]:
        """The headers that sign a request for `target`, the path and query as they are sent.

        `digest` is the Content-Digest of its body, empty where there is none.
        """
        path, _, query = target.partition("?")
        components = {"@method": method, "@path": path, "@query": f"?{query}"}
        if digest:
            components["content-digest"] = digest
        created = int(self.clock())
        names = " ".join(f'"{name}"' for name in components)
        parameters = (
            f"({names});created={created};expires={created + self.seconds}"
            f';keyid="{self.key_id}";alg="hmac-sha256";nonce="{self.nonce()}"'
        )
        lines = [f'"{name}": {value}' for name, value in components.items()]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        signature = hmac.new(self.secret.encode(), base.encode(), hashlib.sha256).digest()
        headers = {"signature-input": f"{LABEL}={parameters}", "signature": f"{LABEL}=:{_text(signature)}:"}
        return headers | ({"content-digest": digest} if digest else {})


def content_digest(pieces: Iterable[bytes]) -> str:
    """The Content-Digest (RFC 9530) of a body."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return f"sha-256=:{_text(digest.digest())}:"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
