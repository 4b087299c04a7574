"""Key files, and requests that show a key or a signature."""

import base64
import hashlib
import hmac
import os
import time
from pathlib import Path

BEARER = "rw_" + "k" * 43
OTHER_BEARER = "rw_" + "o" * 43
SECRET = "0123456789abcdef" * 4


def hashed(bearer: str) -> str:
    return hashlib.sha256(bearer.encode()).hexdigest()


def write(path: Path, text: str) -> str:
    """A key file that its owner alone may read."""
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def one_key(*lines: str, name: str = "app", bearer: str = BEARER) -> str:
    """A table of one bearer key with these lines."""
    return "\n".join([f"[keys.{name}]", f'sha256 = ["{hashed(bearer)}"]', *lines, ""])


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signature(
    method: str,
    path: str,
    query: str = "",
    *,
    digest: str = "",
    key_id: str = "app-1",
    secret: str = SECRET,
    created: float | None = None,
    more: str = "",
    parameters: str | None = None,
) -> list[str]:
    """The lines of a signature, written out from RFC 9421 by hand."""
    created = time.time() if created is None else created
    components = '"@method" "@path" "@query"' + (' "content-digest"' if digest else "")
    if parameters is None:
        parameters = (
            f'({components});created={int(created)};keyid="{key_id}";nonce="{os.urandom(8).hex()}"{more}'
        )
    base = f'"@method": {method}\n"@path": {path}\n"@query": ?{query}\n'
    if digest:
        base += f'"content-digest": {digest}\n'
    base += f'"@signature-params": {parameters}'
    value = base64.b64encode(hmac.new(secret.encode(), base.encode(), "sha256").digest()).decode()
    lines = [f"Signature-Input: sig={parameters}", f"Signature: sig=:{value}:"]
    return [*lines, f"Content-Digest: {digest}"] if digest else lines
