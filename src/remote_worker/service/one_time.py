"""Which URLs look as if asking for them once would use them up. Pure: told from the URL alone.

A link out of a mail confirms an address, logs somebody in or takes somebody off a list as soon as anyone
follows it. A word that says so is not enough, nor is a long random part: articles have the one, commits the
other.
"""

import re
from functools import lru_cache
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRET_NAMES = {"token", "otp", "totp", "jwt", "magic", "magiclink", "onetime", "oobcode", "passcode"}
"""Words of a parameter's name whose value is a key to something."""
_PAGING = {"page", "next", "prev", "previous", "continuation", "cursor", "sync", "pagination"}
"""Words beside `token` that make it a place in a list."""
_CODE_NAMES = {"code", "pin", "key", "hash", "sig", "signature", "secret", "confirmation", "activation"}
"""Names whose value is a key where the path names an action."""
_ACTIONS = {
    *(
        "verify",
        "verification",
        "validate",
        "validation",
        "confirm",
        "confirmation",
        "activate",
        "activation",
    ),
    *("reset", "recover", "recovery", "unlock", "invite", "invitation", "invitations", "accept"),
    *("passwordless", "onetime", "otp", "magic", "magiclink", "magiclogin", "sso", "optin"),
}
"""Words of a path that name what a mailed link does."""
_KEYED = {"approve", "emailchange", "changeemail", "emaillogin", "complete"}
"""Words of a path that mean a mailed link only with a secret directly behind them."""
_DEEDS = {"rp", "resetpass"}
"""What WordPress calls the setting of a new password, in its query."""
_DEED_NAMES = {"action", "mode"}
"""Names of parameters whose value may name an action."""
_CALLBACKS = {"callback", "oauth", "oauth2", "oidc", "auth", "authorize", "login", "signin"}
"""Words of a path to which whoever logs somebody in sends the code, however short."""
_KEPT = {"commit", "commits", "blob", "tree", "raw"}
"""Segments behind which hashes name what is kept under them."""
_LEAVING = {"unsubscribe", "unsub", "optout"}
"""Words that need no secret: whoever is named in the rest of the URL is taken off."""
_SHORT_CODES = {"magic", "magiclink", "otp", "onetime", "passwordless", "optin"}
"""Words behind which a short code is a secret too."""
_MAGIC_LINKS = {"magiclink", "magiclogin"}
"""Words that nothing but a key is behind."""
_MOST_WORDS = 3
"""Of a segment that names an action; one of more words is a headline."""
_DOUBLE_OPT_IN = {"double", "opt", "in", "doubleopt", "optin"}
"""The words of `double-opt-in`, which is no headline."""
_COUNTED = re.compile(r"utm_|mc_|fbclid|gclid|ref$|source$|lang$|locale$", re.IGNORECASE)
"""Names of parameters that say nothing of who follows the link."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
_OPAQUE = re.compile(r"[\w~.=+-]{16,}", re.ASCII)
_SHORT = re.compile(r"(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[A-Za-z0-9]{6,}", re.ASCII)
_NAMED = re.compile(r"(?=.*[0-9]).+|[^/@\s]+@[^/@\s]+")
"""Whoever is taken off a list: a number, a code, or a mailbox."""
_MAGIC_WORD = re.compile(r"\w{3,}", re.ASCII)
"""All that is behind `/magic/`, where the path begins with it; a headline has hyphens."""
_SYMBOL = re.compile(r"[a-z]{1,12}|[A-Z]{1,12}")
"""A token that is traded, not a secret."""
_AREA_CODE = re.compile(r"[0-9]{1,5}(?:-[0-9]{4})?|[A-Za-z]{1,3}")
_TICKET = re.compile(r"ST-[\w.-]{4,}", re.ASCII)
"""What CAS gives out for one log-in."""
_DIGITS = re.compile(r"[0-9]{4,10}")
_NO_LETTERS = re.compile(r"[^A-Za-z]+")
_HINT = re.compile("|".join(sorted({*_ACTIONS, *_KEYED, *_LEAVING, "eyJ"})), re.IGNORECASE)
"""Without a query only paths that have one of these letters in a row, however divided, need a closer look."""


@lru_cache(4096)
def is_one_time(url: str) -> bool:
    """Whether following this canonical URL may use it up."""
    parts = urlsplit(url)
    if not parts.query and not _HINT.search(_NO_LETTERS.sub("", unquote(parts.path))):
        return False
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    query = [(name, value) for name, value in parse_qsl(parts.query) if not _COUNTED.match(name)]
    if any(_JWT.fullmatch(text) for text in (*segments, *(value for _, value in query))):
        return True
    if _is_callback(segments, query) or any(_is_key(name, value) for name, value in query):
        return True
    if any(_names_deed(name, value) for name, value in query) and _has_secret(set(), [], query):
        return True
    if len(segments) == 2 and segments[0].lower() == "magic" and _MAGIC_WORD.fullmatch(segments[1]):
        return True
    for place, segment in enumerate(segments):
        words = _words(segment)
        if len(words) > _MOST_WORDS and words != _DOUBLE_OPT_IN:
            continue
        behind = _before_kept(segments[place + 1 :])
        if _KEYED & words and behind and _is_secret(behind[0]):
            return True
        if _LEAVING & words and (query or any(_is_secret(text) or _NAMED.fullmatch(text) for text in behind)):
            return True
        is_last = place == len(segments) - 1
        if _LEAVING & words and is_last and any(map(_is_secret, _before_kept(segments[:-1]))):
            return True
        if _ACTIONS & words and _has_secret(words, behind, query):
            return True
    return False


def _is_callback(segments: list[str], query: list[tuple[str, str]]) -> bool:
    """What a provider of log-ins sends people back with; others call a place so: its state and its code."""
    said = {name.lower(): value for name, value in query}
    if not {"code", "state"} <= said.keys():
        return False
    return not _AREA_CODE.fullmatch(said["code"]) or any(_CALLBACKS & _words(text) for text in segments)


def _names_deed(name: str, value: str) -> bool:
    return name.lower() in _DEED_NAMES and bool((_ACTIONS | _DEEDS) & _words(value))


def _before_kept(segments: list[str]) -> list[str]:
    ends = (place for place, segment in enumerate(segments) if segment.lower() in _KEPT)
    return segments[: next(ends, len(segments))]


def _has_secret(words: set[str], behind: list[str], query: list[tuple[str, str]]) -> bool:
    if any(_is_secret(text) for text in (*behind, *(value for _, value in query))):
        return True
    if any(_words(name) & _CODE_NAMES and len(value) >= 4 for name, value in query):
        return True
    if any(value and _words(name) & _SECRET_NAMES and not _words(name) & _PAGING for name, value in query):
        return True
    if "optin" in words and any(_SHORT.fullmatch(value) for _, value in query):
        return True
    if not behind:
        return False
    if words & _MAGIC_LINKS:
        return True
    return bool(_DIGITS.fullmatch(behind[0]) or (words & _SHORT_CODES and _SHORT.fullmatch(behind[0])))


def _is_key(name: str, value: str) -> bool:
    words = _words(name)
    if _LEAVING & words and value:
        return True
    if words & _ACTIONS and _is_secret(value):
        return True
    if name.lower() == "ticket":
        return bool(_TICKET.fullmatch(value))
    secrets = words & _SECRET_NAMES
    if secrets == {"token"} and not words & _ACTIONS and _SYMBOL.fullmatch(value):
        return False
    return bool(secrets) and not words & _PAGING and len(value) >= 4


def _is_secret(text: str) -> bool:
    """Random letters, as far as one can tell: no words between hyphens, but letters and digits mixed."""
    if _UUID.fullmatch(text) or _HEX.fullmatch(text) or _JWT.fullmatch(text):
        return True
    if not _OPAQUE.fullmatch(text):
        return False
    pieces = [piece for piece in re.split(r"[-_.~=+]", text) if piece]
    if all(piece.isalpha() and (piece.islower() or piece.istitle()) for piece in pieces):
        return False
    longest = max(pieces, key=len, default="")
    if len(longest) < 12:
        return False
    kinds = (str.isdigit, str.islower, str.isupper)
    return sum(any(map(kind, longest)) for kind in kinds) >= 2


def _words(text: str) -> set[str]:
    """The words of a name or a segment, however they are joined; `opt-out` and the like are one too."""
    words = [word.lower() for word in _WORD.findall(text)]
    return {*words, *(first + second for first, second in pairwise(words))}
