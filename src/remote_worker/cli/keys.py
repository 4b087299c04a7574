"""`remote-worker keys`: makes keys, each shown once, when it is made, and tells of those there are."""

import argparse
import base64
import re
import secrets
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from .. import wiring
from ..settings import BadSettings, Settings
from ..web.keys import BEARER_PREFIX, Key, fingerprint

_PEM = re.compile("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def keys(options: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked for; the answer is the exit status. Raises BadSettings."""
    match options.what:
        case "new":
            _make(options.name, signs=options.hmac)
        case "list":
            _tell(settings)
        case _:
            print(_fingerprint(options.certificate))
    return 0


def _make(name: str, *, signs: bool) -> None:
    """The lines for the file on standard output; what its owner needs on standard error, for it is secret."""
    header = f'[keys."{name}"]' if "." in name else f"[keys.{name}]"
    if signs:
        key_id = f"{name[:48]}-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}"
        secret = secrets.token_hex(32)
        print(f'{header}\nhmac = {{"{key_id}" = "{secret}"}}')
        print(f"key id: {key_id}\nsecret: {secret}", file=sys.stderr)
        return
    key = BEARER_PREFIX + secrets.token_urlsafe(32)
    print(f'{header}\nsha256 = ["{sha256(key.encode()).hexdigest()}"]')
    print(f"key: {key}", file=sys.stderr)


def _tell(settings: Settings) -> None:
    if not settings.web.keys_file:
        raise BadSettings(["REMOTE_KEYS_FILE is not set: there are no keys"])
    known = wiring.open_gate(settings).keys
    for name, key in sorted(known.named.items() if known else ()):
        print(f"{name}: {_words(key)}")


def _words(key: Key) -> str:
    identity, allowance = key.identity, key.allowance
    given = {name: getattr(allowance, name) for name in allowance.__slots__ if getattr(allowance, name)}
    bounds = {**given, **identity.ceilings.given()}
    told = [f"may {', '.join(sorted(identity.may)) or 'nothing'}"]
    if identity.trust != identity.name:
        told.append(f"trust {identity.trust}")
    return "; ".join([*told, *(f"{name} {most:g}" for name, most in bounds.items())])


def _fingerprint(path: Path) -> str:
    found = _PEM.search(path.read_text("ascii", "replace"))
    if found is None:
        raise BadSettings([f"{path} is not a certificate in PEM"])
    return fingerprint(base64.b64decode(found[1]))
