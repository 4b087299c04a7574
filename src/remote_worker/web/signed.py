"""Signed requests: HTTP Message Signatures (RFC 9421) with HMAC-SHA256, one list of components, each once.

docs/decisions/0022-who-may-call.md says why it is so narrow.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from ..contract.failures import FailureCode, WorkFailed
from .digest import decoded

COMPONENTS = ("@method", "@path", "@query")
"""What every request signs, in this order; one with a body has `content-digest` behind them."""
LONGEST_SIGNATURE_INPUT = 1024
MOST_SKEW_SECONDS = 30
"""How far a client's clock may be ahead."""
MOST_SIGNATURES_KEPT = 200_000
"""Of one key id: those that could still be sent once more."""

_BARE = " ".join(f'"{name}"' for name in COMPONENTS)
_LABEL = "[a-z*][a-z0-9_.*-]{0,63}"
_TEXT = r'"(?:[ !#-\[\]-~])*"'
_INPUT = re.compile(
    rf'({_LABEL})=(\({re.escape(_BARE)}( "content-digest")?\)((?:;[a-z]+=(?:[0-9]{{1,15}}|{_TEXT}))*))'
)
_PARAMETER = re.compile(rf";([a-z]+)=(?:([0-9]+)|({_TEXT}))")
_SIGNATURE = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/]+={{0,2}}):")
_ALGORITHM = "hmac-sha256"
_NUMBERS = ("created", "expires")
_TEXTS = ("keyid", "alg", "nonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """What Signature-Input and Signature say, not yet believed."""

    key_id: str
    created: int
    expires: int | None
    covers_digest: bool
    signature: bytes
    parameters: str
    """The value of `@signature-params`. What is taken is in its one canonical form, so it is as it came."""

    def base(self, method: str, path: str, query: str, digest: str) -> bytes:
        """The text that was signed (RFC 9421, 2.5), if this request is the one."""
        lines = [f'"@method": {method}', f'"@path": {path}', f'"@query": ?{query}']
        if self.covers_digest:
            lines.append(f'"content-digest": {digest}')
        return "\n".join([*lines, f'"@signature-params": {self.parameters}']).encode("latin-1")

    def last_second(self, window_seconds: int) -> int:
        """The last at which it holds."""
        latest = self.created + window_seconds
        return latest if self.expires is None else min(latest, self.expires)


def read(signature_input: bytes, signature: bytes) -> SignedHead:
    """What both headers say. Raises WorkFailed."""
    if len(signature_input) > LONGEST_SIGNATURE_INPUT or len(signature) > LONGEST_SIGNATURE_INPUT:
        raise _refused("the signature is too long")
    inputs = _INPUT.fullmatch(signature_input.decode("latin-1").strip(" \t"))
    given = _SIGNATURE.fullmatch(signature.decode("latin-1").strip(" \t"))
    if inputs is None:
        raise _refused(f"Signature-Input must be one signature over ({_BARE}), with a body over more")
    if given is None or given[1] != inputs[1]:
        raise _refused("Signature must be one, under the label of Signature-Input")
    numbers, texts = _parameters(inputs[4])
    if "created" not in numbers or not texts.get("keyid"):
        raise _refused("the signature needs created and keyid")
    if numbers.get("expires", numbers["created"]) < numbers["created"]:
        raise _refused("the signature expires before it was created")
    if texts.get("alg", _ALGORITHM) != _ALGORITHM:
        raise _refused(f"the signature must be made by {_ALGORITHM}")
    try:
        value = decoded(given[2])
    except ValueError as broken:
        raise _refused("the signature is not base64") from broken
    return SignedHead(
        key_id=texts["keyid"],
        created=numbers["created"],
        expires=numbers.get("expires"),
        covers_digest=inputs[3] is not None,
        signature=value,
        parameters=inputs[2],
    )


def _parameters(text: str) -> tuple[dict[str, int], dict[str, str]]:
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    for found in _PARAMETER.finditer(text):
        name = found[1]
        if name in numbers or name in texts:
            raise _refused("a parameter of the signature is there twice")
        if name in _NUMBERS and found[2] is not None:
            if found[2] != str(int(found[2])):
                raise _refused("a time of the signature begins with 0")
            numbers[name] = int(found[2])
        elif name in _TEXTS and found[3] is not None:
            texts[name] = found[3][1:-1]
        else:
            raise _refused(f"the signature's parameters are {', '.join(_NUMBERS + _TEXTS)}")
    return numbers, texts


@dataclass(slots=True)
class _Used:
    """The signatures of one key id that still hold, by the last second at which they do."""

    by_last_second: dict[int, set[bytes]] = field(default_factory=dict)
    count: int = 0
    forgotten_before: int = 0

    def forget_before(self, second: int) -> None:
        """Drop what is over; once a second that costs something."""
        if second == self.forgotten_before:
            return
        self.forgotten_before = second
        for over in [last for last in self.by_last_second if last < second]:
            self.count -= len(self.by_last_second.pop(over))


class Replays:
    """Holds signatures to their time, and to one use each."""

    def __init__(self, window_seconds: int) -> None:
        self._window = window_seconds
        self._used: dict[str, _Used] = {}

    def check_time(self, head: SignedHead, now: float) -> None:
        """Raises WorkFailed when it is made in the future, or its time is over."""
        if head.created > now + MOST_SKEW_SECONDS:
            raise _refused("the signature is from the future: compare the clocks")
        if now > head.last_second(self._window):
            raise _refused("the signature's time is over")

    def use(self, key_id: str, head: SignedHead, now: float) -> None:
        """Note that this id has used this signature, which is right. Raises WorkFailed if it had before."""
        used = self._used.setdefault(key_id, _Used())
        used.forget_before(int(now))
        last = head.last_second(self._window)
        short = head.signature[:16]  # Half of an HMAC tells signatures apart as well.
        if short in used.by_last_second.get(last, ()):
            raise _refused("the signature was used before: sign anew, with a nonce")
        if used.count >= MOST_SIGNATURES_KEPT:
            wait = max(1, min(used.by_last_second) - int(now) + 1)
            raise WorkFailed(
                FailureCode.QUOTA_EXCEEDED, "too many signatures that still hold", retry_seconds=wait
            )
        used.by_last_second.setdefault(last, set()).add(short)
        used.count += 1

    def keep_only(self, key_ids: Collection[str]) -> None:
        """Forget ids that are gone."""
        for key_id in self._used.keys() - set(key_ids):
            del self._used[key_id]


def _refused(detail: str) -> WorkFailed:
    return WorkFailed(FailureCode.UNAUTHENTICATED, detail)
