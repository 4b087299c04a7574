"""A request signed by a shared secret (RFC 9421), with the standard library alone: signed.py PICTURE

The Python client does the same with `Client(url, signer=Signer(key_id=..., secret=...))`.
"""

import base64
import hashlib
import hmac
import os
import secrets
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit


def signed(method: str, url: str, body: bytes | None, key_id: str, secret: str) -> dict[str, str]:
    """The headers that sign a request."""
    parts = urlsplit(url)
    components = {"@method": method, "@path": parts.path or "/", "@query": f"?{parts.query}"}
    headers = {}
    if body is not None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers["Content-Digest"] = components["content-digest"] = f"sha-256=:{digest}:"
    names = " ".join(f'"{name}"' for name in components)
    now = int(time.time())
    # The nonce tells two requests of the same second apart: each signature is taken once.
    parameters = (
        f"({names});created={now};expires={now + 60}"
        f';keyid="{key_id}";alg="hmac-sha256";nonce="{secrets.token_urlsafe(16)}"'
    )
    lines = [f'"{name}": {value}' for name, value in components.items()]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = base64.b64encode(hmac.digest(secret.encode(), base.encode(), "sha256")).decode()
    return headers | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}


url = os.environ.get("REMOTE_WORKER_URL", "http://127.0.0.1:5000") + "/images/fit/800?format=webp"
boundary = secrets.token_hex(16)
head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n\r\n'
body = head.encode() + Path(sys.argv[1]).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Accept": "image/*"}
headers |= signed("POST", url, body, os.environ["REMOTE_WORKER_KEY_ID"], os.environ["REMOTE_WORKER_SECRET"])
with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
    Path("small.webp").write_bytes(answer.read())
