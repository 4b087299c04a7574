"""The key file: who may call by which secret, what each may do and at most ask for."""

import difflib
import hmac
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from stat import S_ISREG
from typing import Any

from ..contract.limits import NO_CEILINGS, Ceilings

AREAS = ("images", "links", "text", "network", "presets", "stats")
"""What a key may be for: its `may`."""
MOST_KEYS_FILE_BYTES = 4 * 1024 * 1024
SHORTEST_SECRET = 32
"""Characters of a secret that signs."""
BEARER_PREFIX = "rw_"
"""Makes a key known as one to who finds it, and to what looks for secrets in code."""

KEY_NAME = "[A-Za-z0-9._-]{1,64}"
_NAME = re.compile(KEY_NAME)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NOBODY = bytes(32)


class BadKeys(ValueError):
    """The key file cannot be used. Each problem says where, and never what a secret is."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls, once that is certain."""

    name: str
    trust: str
    """Processes that read several texts are shared among those alone that have the same."""
    may: frozenset[str] = frozenset(AREAS)
    ceilings: Ceilings = NO_CEILINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much a key may ask for; 0 is as much as there is room for."""

    requests_per_minute: int = 0
    burst: int = 0
    """Requests at a stroke; 0 is those of ten seconds."""
    bytes_per_minute: int = 0
    at_once: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One name of the file."""

    identity: Identity
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True, slots=True)
class _Secret:
    key: Key | None
    value: bytes


class Keys:
    """What the file says, ready to be asked. Who is not known takes as long as who is."""

    def __init__(
        self,
        keys: Mapping[str, Key],
        bearers: Mapping[bytes, str],
        secrets: Mapping[str, tuple[str, bytes]],
        certificates: Mapping[str, str],
    ) -> None:
        """By digest, by key id and by fingerprint: the key's name, beside a secret that signs."""
        self.named = dict(keys)
        self._bearers = {digest: _Secret(keys[name], digest) for digest, name in bearers.items()}
        self._secrets = {word: _Secret(keys[name], secret) for word, (name, secret) in secrets.items()}
        self.signers = self._secrets.keys()
        """The ids of secrets that sign."""
        self._certificates = {fingerprint: keys[name] for fingerprint, name in certificates.items()}

    def by_bearer(self, token: bytes) -> Key | None:
        """Whose key this is. A key has 256 random bits, so that nobody can guess one from its hash."""
        digest = sha256(token).digest()
        found = self._bearers.get(digest, _UNKNOWN_BEARER)
        return found.key if hmac.compare_digest(found.value, digest) else None

    def by_signature(self, key_id: str, base: bytes, signature: bytes) -> Key | None:
        """Who signed these bytes, by HMAC-SHA256."""
        found = self._secrets.get(key_id, _UNKNOWN_SIGNER)
        expected = hmac.digest(found.value, base, "sha256")
        return found.key if hmac.compare_digest(expected, signature) else None

    def by_certificate(self, fingerprint: str) -> Key | None:
        """Whose certificate this is: the TLS handshake has shown that its private key is there."""
        return self._certificates.get(fingerprint)


# Neither has a key, so that whatever they are compared with is refused.
_UNKNOWN_BEARER = _Secret(None, _NOBODY)
_UNKNOWN_SIGNER = _Secret(None, os.urandom(32))


def read_keys(path: str, most: Mapping[str, float]) -> Keys:
    """The keys in this file, which nobody but its owner may read. Raises BadKeys.

    `most` has the worker's own limits by name: no ceiling may be above.
    """
    return parse(_text(path), most)


def parse(text: str, most: Mapping[str, float]) -> Keys:
    """The keys in this TOML. Raises BadKeys with every problem there is."""
    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as broken:
        raise BadKeys([f"it is not TOML: {_place(broken)}"]) from None  # The error quotes what it found.
    reading = _Reading(most)
    reading.read(told)
    if reading.problems:
        raise BadKeys(reading.problems)
    return Keys(reading.keys, reading.bearers, reading.secrets, reading.certificates)


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 fingerprint of a certificate in DER, as the file has it."""
    return sha256(certificate).hexdigest()


def _place(broken: Exception) -> str:
    found = re.search(r"at (line \d+, column \d+|end of document)", str(broken))
    return f"look at {found[1]}" if found else "look at its quotes and brackets"


def _text(path: str) -> str:
    try:
        # It does not wait for whoever might write into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as missing:
        raise BadKeys([f"it cannot be opened: {missing.strerror}"]) from missing
    try:
        _check_owner(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_KEYS_FILE_BYTES + 1)
    except OSError as broken:
        raise BadKeys([f"it cannot be read: {broken.strerror}"]) from broken
    finally:
        os.close(descriptor)
    if len(data) > MOST_KEYS_FILE_BYTES:
        raise BadKeys([f"it has more than {MOST_KEYS_FILE_BYTES} bytes"])
    try:
        return data.decode()
    except UnicodeDecodeError as broken:
        raise BadKeys(["it is not UTF-8"]) from broken


def _check_owner(status: os.stat_result) -> None:
    if not S_ISREG(status.st_mode):
        raise BadKeys(["it cannot be read: it is not a file"])
    # A group that is lent the file is how orchestrators hand one to a process that does not own it.
    is_lent = status.st_uid != os.geteuid()
    if status.st_mode & (0o027 if is_lent else 0o077):
        raise BadKeys(["others than its owner can read or write it: chmod 600"])


class _Reading:
    """Collects the keys of a file and everything that is wrong with them."""

    def __init__(self, most: Mapping[str, float]) -> None:
        self._most = most
        self.problems: list[str] = []
        self.keys: dict[str, Key] = {}
        self.bearers: dict[bytes, str] = {}
        self.secrets: dict[str, tuple[str, bytes]] = {}
        self.certificates: dict[str, str] = {}

    def read(self, told: Mapping[str, Any]) -> None:
        """The whole file."""
        for other in told.keys() - {"keys"}:
            self.problems.append(f"{other} is not known here: keys are tables such as [keys.app]")
        tables = told.get("keys", {})
        if not isinstance(tables, dict) or not tables:
            self.problems.append("there is no key: each is a table such as [keys.app]")
            return
        for name, table in tables.items():
            if not _NAME.fullmatch(name):
                self.problems.append("a key's name is 1 to 64 letters, digits, dots, dashes and underscores")
            elif not isinstance(table, dict):
                self.problems.append(f"keys.{name} must be a table")
            else:
                self._read_key(name, table)

    def _read_key(self, name: str, table: Mapping[str, Any]) -> None:
        for other in table.keys() - _MEMBERS:
            near = difflib.get_close_matches(other, _MEMBERS, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            self.problems.append(f"keys.{name}.{other} is not known{hint}")
        if not any(table.get(kind) for kind in _CREDENTIALS):
            self.problems.append(f"keys.{name} needs one of {', '.join(_CREDENTIALS)}")
        self.keys[name] = Key(
            identity=Identity(
                name=name,
                trust=self._trust(name, table),
                may=self._may(name, table),
                ceilings=Ceilings(**dict(self._ceilings(name, table))),
            ),
            allowance=Allowance(**dict(self._allowance(name, table))),
        )
        self._read_credentials(name, table)

    def _read_credentials(self, name: str, table: Mapping[str, Any]) -> None:
        for digest in self._texts(name, table, "sha256"):
            if not _DIGEST.fullmatch(digest.lower()):
                self.problems.append(f"keys.{name}.sha256 has hashes of 64 hexadecimal digits")
            elif self._is_new(name, "sha256", bytes.fromhex(digest), self.bearers):
                self.bearers[bytes.fromhex(digest)] = name
        for certificate in self._texts(name, table, "certificates"):
            plain = certificate.lower().replace(":", "")
            if not _DIGEST.fullmatch(plain):
                self.problems.append(f"keys.{name}.certificates has SHA-256 fingerprints of 64 hex digits")
            elif self._is_new(name, "certificates", plain, self.certificates):
                self.certificates[plain] = name
        secrets = table.get("hmac", {})
        if not isinstance(secrets, dict):
            self.problems.append(f"keys.{name}.hmac must be a table of secrets by key id")
            return
        for word, secret in secrets.items():
            if not _NAME.fullmatch(word):
                self.problems.append(f"keys.{name}.hmac has an id that is not of letters, digits, . - and _")
            elif not isinstance(secret, str) or len(secret) < SHORTEST_SECRET:
                self.problems.append(f"keys.{name}.hmac.{word} needs {SHORTEST_SECRET} characters or more")
            elif self._is_new(name, f"hmac.{word}", word, self.secrets):
                self.secrets[word] = (name, secret.encode())

    def _is_new(self, name: str, member: str, found: Any, known: Mapping[Any, Any]) -> bool:
        if found in known:
            self.problems.append(f"keys.{name}.{member}: one is there twice")
        return found not in known

    def _texts(self, name: str, table: Mapping[str, Any], member: str) -> list[str]:
        texts = table.get(member, [])
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return texts
        self.problems.append(f"keys.{name}.{member} must be a list of texts")
        return []

    def _trust(self, name: str, table: Mapping[str, Any]) -> str:
        trust = table.get("trust", name)
        if isinstance(trust, str) and _NAME.fullmatch(trust):
            return trust
        self.problems.append(f"keys.{name}.trust must be a word like a key's name")
        return name

    def _may(self, name: str, table: Mapping[str, Any]) -> frozenset[str]:
        if "may" not in table:
            return frozenset(AREAS)
        may = self._texts(name, table, "may")
        if set(may) - set(AREAS):
            self.problems.append(f"keys.{name}.may is a list out of {', '.join(AREAS)}")
        return frozenset(may)

    def _ceilings(self, name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for row in fields(Ceilings):
            if row.name not in table:
                continue
            is_whole = not row.name.endswith("_seconds")
            value = self._number(name, table, row.name, is_whole=is_whole)
            most = self._most.get(row.name)
            if value is not None and most is not None and value > most:
                self.problems.append(f"keys.{name}.{row.name} is above the worker's own, {most:g}")
            elif value is not None:
                yield row.name, value

    def _allowance(self, name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for row in fields(Allowance):
            value = self._number(name, table, row.name, is_whole=True) if row.name in table else None
            if value is not None:
                yield row.name, value
        if "burst" in table and "requests_per_minute" not in table:
            self.problems.append(f"keys.{name}.burst goes with requests_per_minute")

    def _number(
        self, name: str, table: Mapping[str, Any], member: str, *, is_whole: bool
    ) -> int | float | None:
        value = table[member]
        # The exact type, because True is an int too.
        if (type(value) is int or (type(value) is float and not is_whole)) and 0 < value < _LARGEST:
            return value if is_whole else float(value)
        kind = "a whole number" if is_whole else "a number of seconds"
        self.problems.append(f"keys.{name}.{member} must be {kind} above 0")
        return None


_LARGEST = 1 << 53
_CREDENTIALS = ("sha256", "hmac", "certificates")
_MEMBERS = {
    *_CREDENTIALS,
    "trust",
    "may",
    *(row.name for row in fields(Ceilings)),
    *(row.name for row in fields(Allowance)),
}
