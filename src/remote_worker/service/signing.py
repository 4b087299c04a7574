"""Addresses of pictures that this worker has signed, so that strangers get these and no others. Pure.

`/links/proxy/SIGNATURE/EXPIRY/OPERATION/URL`: the signature is the HMAC-SHA256 of what stands behind its
slash, in lower-case hex; the URL is base64url without padding. Beside it what camo and go-camo sign: the
HMAC-SHA1 of the URL.
"""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..contract.failures import FailureCode, WorkFailed

PREFIX = "/links/proxy/"
ROUND_SECONDS = 86_400
"""Expiries are rounded up to this, so that one picture has one address all day and caches can hold it."""
LONGEST_SIGNED = 2048
"""Characters of a URL that is signed."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What an address was signed for, and until when (seconds of the epoch; 0 means for ever)."""

    url: str
    operation: str
    expires: int = 0


class Signer:
    """Signs with the first key and takes the signatures of all, so that keys can be changed."""

    def __init__(
        self, keys: Sequence[str], *, seconds: float, public_url: str, clock: Callable[[], float]
    ) -> None:
        self._keys = [key.encode() for key in keys]
        self._seconds = seconds
        self._public_url = public_url.rstrip("/")
        self._clock = clock

    @property
    def is_on(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def address(self, url: str, operation: str = "original", *, kept_seconds: float = 0.0) -> str | None:
        """Where this picture is had from here, or None without a key.

        It holds for the time set and `kept_seconds`, which is how long the caller keeps it.
        """
        if not self._keys or len(url) > LONGEST_SIGNED:
            return None
        until = self._clock() + self._seconds + kept_seconds
        expires = math.ceil(until / ROUND_SECONDS) * ROUND_SECONDS
        rest = f"{expires}/{operation}/{_encoded(url.encode())}"
        return f"{self._public_url}{PREFIX}{_hmac(self._keys[0], rest, 'sha256').hex()}/{rest}"

    def opened(self, signature: str, rest: str) -> Signed:
        """What the address with this signature was signed for. Raises WorkFailed."""
        if not self._keys:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "no key for signed addresses is set")
        given = signature.encode()
        matches = [
            hmac.compare_digest(_hmac(key, rest, "sha256").hex().encode(), given) for key in self._keys
        ]
        if not any(matches):
            raise WorkFailed(FailureCode.BAD_SIGNATURE)
        expiry, _, behind = rest.partition("/")
        operation, _, encoded = behind.partition("/")
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12 and int(expiry) > self._clock()):
            raise WorkFailed(FailureCode.BAD_SIGNATURE, "the address has expired")
        return Signed(_decoded(encoded), operation, int(expiry))


class Camo:
    """Takes the addresses that were signed for camo (atmos/camo) and go-camo (cactus/go-camo)."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @property
    def is_on(self) -> bool:
        """Whether there is a key."""
        return bool(self._key)

    def opened(self, digest: str, encoded: str) -> Signed:
        """Both in lower-case hex, or as go-camo also has it, both in base64url. Raises WorkFailed."""
        self._check_set()
        if len(digest) == 40:
            return self._checked(digest, _from_hex(encoded))
        url = _decoded(encoded)
        expected = _encoded(_hmac(self._key, url, "sha1"))
        if _encoded(url.encode()) != encoded or not _is_same(expected, digest):
            raise WorkFailed(FailureCode.BAD_SIGNATURE)
        return Signed(url, "original")

    def opened_query(self, digest: str, url: str) -> Signed:
        """The URL as the parameter `url`. Raises WorkFailed."""
        self._check_set()
        return self._checked(digest, url)

    def _checked(self, digest: str, url: str) -> Signed:
        if not _is_same(_hmac(self._key, url, "sha1").hex(), digest):
            raise WorkFailed(FailureCode.BAD_SIGNATURE)
        return Signed(url, "original")

    def _check_set(self) -> None:
        if not self._key:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "no key for camo's addresses is set")


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _hmac(key: bytes, text: str, digest: str) -> bytes:
    return hmac.digest(key, text.encode(errors="surrogatepass"), getattr(hashlib, digest)().name)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as broken:
        raise WorkFailed(FailureCode.BAD_SIGNATURE) from broken


def _from_hex(text: str) -> str:
    try:
        data = bytes.fromhex(text)
        if data.hex() != text:  # Blanks, or upper case.
            raise ValueError("not as camo writes it")
        return data.decode()
    except ValueError as broken:
        raise WorkFailed(FailureCode.BAD_SIGNATURE) from broken
