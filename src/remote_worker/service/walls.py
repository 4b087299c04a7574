"""Who stands between a fetch and the page: bot walls, consent pages, log-ins. Pure tables over what came."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..contract.links import Fetched, FetchFailed

BOT_WALL, CONSENT, LOGIN = "bot_wall", "consent", "login"
BARRIERS = frozenset({BOT_WALL, CONSENT, LOGIN})
"""Flags that say that what was fetched is not the page."""
FLAGS = (BOT_WALL, CONSENT, LOGIN, "paywall", "nsfw", "noindex", "one_time_link")
"""All flags of a card, in the order in which they are told."""

_CHALLENGES = {
    "cf-mitigated": re.compile("challenge|block"),
    "x-vercel-mitigated": re.compile("challenge|deny"),
    "x-amzn-waf-action": re.compile("challenge|captcha"),
    "x-datadome": re.compile("protected|blocked"),
}
"""Headers that name the wall, whatever the status."""
_GUARDS = {
    "server": re.compile(r"cloudflare|akamaighost|datadome|sucuri|imperva|ddos-guard|qrator|vercel|awselb"),
    "x-iinfo": re.compile("."),
    "x-sucuri-id": re.compile("."),
}
"""Headers of those who guard sites; with one of these statuses they have refused a robot."""
_REFUSALS = {403, 429, 503}
_WALL_STATUSES = {999}
"""LinkedIn's word for robots."""

_CONSENT_HOST = re.compile(r"(?:consent|guce|cmp|privacy-gate)\..+")
_LOGIN_PATH = re.compile(
    r"(?:.*/)?(?:(?:wp-)?log[-_]?in|sign[-_]?in|servicelogin|authwall|checkpoint|session/new)(?:\.[a-z]{2,5})?/?",
    re.IGNORECASE,
)
"""Its end says it: what is behind the word makes it another place."""
_WRITTEN = re.compile(r"/(?:wiki|docs)/", re.IGNORECASE)
"""Places that write of log-ins."""
_LOGIN_HOST = re.compile(r"(?:accounts|login|signin|auth|sso)\..+")


def of_failure(url: str, failed: FetchFailed) -> set[str]:
    """The barriers that a fetch of this URL ended at, none if it simply failed."""
    found = _barriers(failed.status, failed.headers)
    if failed.hops:
        found |= _on_the_way(url, failed.hops[-1].url)
    if failed.status == 401:
        found.add(LOGIN)
    # A name that cannot be resolved is no wall, wherever it was met.
    return found if failed.status else set()


def of_answer(url: str, fetched: Fetched) -> set[str]:
    """The flags that the headers and the final address of what this URL led to tell."""
    found = _barriers(fetched.status, fetched.headers) | _on_the_way(url, fetched.url)
    if _is_noindex(fetched.headers.get("x-robots-tag", "")):
        found.add("noindex")
    return found


def _barriers(status: int, headers: Mapping[str, str]) -> set[str]:
    if status in _WALL_STATUSES or _has(_CHALLENGES, headers):
        return {BOT_WALL}
    return {BOT_WALL} if status in _REFUSALS and _has(_GUARDS, headers) else set()


def _has(table: Mapping[str, re.Pattern[str]], headers: Mapping[str, str]) -> bool:
    return any(name in headers and pattern.search(headers[name].lower()) for name, pattern in table.items())


def _on_the_way(wanted: str, final: str) -> set[str]:
    """What a redirect to another place says; whoever wanted a log-in page gets that."""
    found: set[str] = set()
    if final == wanted:
        return found
    if _host(final) != _host(wanted) and _CONSENT_HOST.fullmatch(_host(final)):
        found.add(CONSENT)
    if _is_login(final) and not _is_login(wanted):
        found.add(LOGIN)
    return found


def _is_login(url: str) -> bool:
    path = urlsplit(url).path
    if _LOGIN_PATH.fullmatch(path) and not _WRITTEN.search(path):
        return True
    return bool(_LOGIN_HOST.fullmatch(_host(url)))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_noindex(header: str) -> bool:
    """For every robot: a robot's name binds its own rule only, as the next may be of another header field."""
    for rule in header.lower().split(","):
        robot, _, word = rule.rpartition(":")
        if robot.strip() in ("", "*") and word.strip() in ("noindex", "none"):
            return True
    return False
