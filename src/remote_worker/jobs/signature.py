"""How webhooks are signed: https://www.standardwebhooks.com, with shared secrets (`v1`). Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

LEAST_KEY_BYTES, MOST_KEY_BYTES = 24, 64
"""Of a secret, as the specification has it."""
PREFIX = "whsec_"


def key_of(text: str) -> bytes:
    """The secret that a text stands for: base64 after `whsec_`, else its own bytes. Raises ValueError."""
    try:
        if text.startswith(PREFIX):
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        else:
            key = text.encode()
    except (binascii.Error, UnicodeEncodeError):
        key = b""
    if not LEAST_KEY_BYTES <= len(key) <= MOST_KEY_BYTES:
        # The text is a secret: it is not told.
        raise ValueError(
            f"{LEAST_KEY_BYTES} to {MOST_KEY_BYTES} bytes, as they are or in base64 after `{PREFIX}`"
        )
    return key


def headers(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers that go with a body, with a signature by each key."""
    if "." in id:
        # It parts what is signed: two messages must not be signed alike.
        raise ValueError("the ID of a webhook has no full stop")
    signed = f"{id}.{timestamp}.".encode() + body
    digests = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    return (
        ("webhook-id", id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)),
    )
