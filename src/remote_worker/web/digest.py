"""Content-Digest (RFC 9530): what a body is said to hash to, and whether what came does."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

from ..contract.failures import FailureCode, WorkFailed

HEADER = b"content-digest"
LONGEST_DIGEST_HEADER = 1024
_SIZES = {"sha-256": 32, "sha-512": 64}
"""Those that a body can be trusted by; others are passed over, as the RFC has it."""
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
_SEPARATOR = re.compile(r"[ \t]*,[ \t]*")


class BodyDigest:
    """The digest of a body as it comes, against what is expected of it."""

    def __init__(self, expected: Sequence[tuple[str, bytes]]) -> None:
        self._expected = [(hashlib.new(name.replace("-", "")), value) for name, value in expected]

    def update(self, data: bytes | memoryview) -> None:
        """Some more of the body."""
        for digest, _ in self._expected:
            digest.update(data)

    def check(self) -> None:
        """The body is complete. Raises WorkFailed when it is another."""
        if not all(hmac.compare_digest(digest.digest(), value) for digest, value in self._expected):
            raise WorkFailed(FailureCode.BAD_DIGEST)


def expected(value: bytes) -> list[tuple[str, bytes]]:
    """The digests that the header tells, of the algorithms that are known here. Raises WorkFailed."""
    if len(value) > LONGEST_DIGEST_HEADER:
        raise _malformed()
    told: dict[str, bytes] = {}
    for member in _SEPARATOR.split(value.decode("latin-1").strip(" \t")):
        found = _MEMBER.fullmatch(member)
        if found is None:
            raise _malformed()
        size = _SIZES.get(found[1])
        if size is None:
            continue
        try:
            told[found[1]] = decoded(found[2])
        except ValueError as broken:
            raise _malformed() from broken
        if len(told[found[1]]) != size:
            raise _malformed()
    return list(told.items())


def decoded(text: str) -> bytes:
    """A byte sequence of a header, whose padding may be missing (RFC 9651, 4.2.7). Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def of_nothing() -> BodyDigest:
    """What an empty body passes, and no other."""
    return BodyDigest([("sha-256", hashlib.sha256().digest())])


def _malformed() -> WorkFailed:
    return WorkFailed(FailureCode.BAD_DIGEST, "Content-Digest cannot be read")
