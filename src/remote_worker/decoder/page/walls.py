"""What stands between a reader and the page: walls against robots, consent, log-in, payment; and its labels.

A wrong flag hides a good preview, so each row needs a title that real pages do not have, or a mark that
only the wall's own page has, on a page that means to show nothing else.
"""

import re
from typing import TYPE_CHECKING, Any

from . import json_ld

if TYPE_CHECKING:
    from .fields import Page

_MOST_LOOKED_AT = 64 * 1024

# A whole title in lower case without its last dots, and words of which one must be there too.
_WALL_TITLES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), marks)
    for pattern, marks in (
        ("just a moment", ("challenge-platform", "_cf_chl", "cf-browser-verification", "cf_chl")),
        (r"attention required! \| cloudflare", ()),
        (
            r"access denied(?: \| \S+ used cloudflare to restrict access)?",
            (
                "cloudflare",
                "errors.edgesuite.net",
                "errors.edgekey.net",
                "sucuri",
                "reference #",
                "reference&#32;&#35;",
            ),
        ),
        ("access to this page has been denied", ("px-captcha", "_pxappid", "perimeterx")),
        ("vercel security checkpoint", ()),
        ("making sure you(?:'|&#39;)re not a bot!", ("anubis",)),
        ("ddos-guard", ()),
        ("sucuri website firewall(?: - (?:access denied|not configured))?", ()),
        ("pardon our interruption", ()),
        ("human verification", ("awswaf",)),
        ("robot check", ("captcha",)),
        (r"(?:bloomberg - )?are you a robot\?", ("captcha", "bloomberg")),
        ("you have been blocked", ("captcha-delivery.com", "datadome")),
        ("please verify you are a human", ("captcha", "perimeterx")),
        ("one moment, please", ("wsidchk", "challenge")),
        (r"checking your browser(?: before accessing \S+)?", ("challenge", "captcha", "ddos")),
    )
)
# A title's beginning, and what only its vendor's own page loads or names: more may follow in the title.
_WALL_BEGINNINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("just a moment", ("_cf_chl_opt",)),
    ("attention required!", ("_cf_chl_opt",)),
    ("access denied", ("errors.edgesuite.net", "errors&#46;edgesuite&#46;net", "_incapsula_resource")),
    ("access to this page has been denied", ("px-captcha", "_pxappid")),
    ("vercel security checkpoint", ("/.well-known/vercel/security",)),
    ("making sure you", ("/.within.website/x/cmd/anubis",)),
    ("ddos-guard", ("/.well-known/ddos-guard",)),
    ("pardon our interruption", ("_incapsula_resource",)),
    ("human verification", ("token.awswaf.com",)),
    ("are you a robot?", ("px-captcha", "captcha-delivery.com")),
    ("you have been blocked", ("captcha-delivery.com",)),
    ("please verify you are a human", ("px-captcha",)),
    ("checking your browser", ("_cf_chl_opt", "cf-browser-verification", "/.well-known/ddos-guard")),
)
# On a page without a card whose title says nothing: its host's own, or none.
_WALL_MARKS = (
    "captcha-delivery.com",
    "_incapsula_resource",
    "/.within.website/x/cmd/anubis",
    "token.awswaf.com",
    "/_sec/cp_challenge/",
    "ips.js?kpsdk",
    "_cf_chl_opt",
    "px-captcha",
)
_CONSENT_HOST = re.compile(
    r"https?://(?:consent\.(?:youtube|google|yahoo)\.[a-z.]+|guce\.[a-z.]+)(?=[:/])"
    r"|https?://(?:www\.)?tumblr\.com/privacy/consent"
)
_CONSENT_TITLES = (
    "before you continue",
    "bevor sie fortfahren",
    "bevor du fortfährst",
    "avant d'accéder à",
    "avant de continuer",
    "antes de continuar",
    "prima di continuare",
    "voordat je verdergaat",
    "yahoo is part of the yahoo family of brands",
    "yahoo ist teil der yahoo markenfamilie",
)
_CONSENT_MARKS = ("consent.youtube.com", "consent.google.", "consent.yahoo.com", "guce.")
_LOGIN_PLACE = re.compile(
    r"https?://(?:accounts\.google\.com/|login\.microsoftonline\.com/|login\.live\.com/|login\.yahoo\.com/"
    r"|(?:www\.|m\.)?facebook\.com/login|(?:www\.)?instagram\.com/accounts/login"
    r"|(?:www\.)?linkedin\.com/(?:authwall|uas/login|login)"
    r"|(?:x|twitter)\.com/(?:i/flow/)?login|id\.atlassian\.com/login|github\.com/login)"
)
# Nothing but a log-in: its word, where to in a few words, or the site's name behind a line.
_LOGIN_TITLE = re.compile(
    r"(?:(?:please )?(?:log|sign)[ -]?(?:into [^\s:|]+|in|on)|einloggen|anmelden|se connecter"
    r"|connexion|iniciar sesión|登录|登入|ログイン|로그인|вход)"
    r"(?: page| required| or (?:sign up|register|join))?"
    r"(?: (?:to|bei|à|en|\u0432|\u043d\u0430|with your) [^\s:|]+(?: [^\s:|]+){0,3})?"
    r"(?: ?[-\u2013\u2014|\u00b7\u2022:/,\u00bb\u203a\u2039] ?[^\s:|]+(?: [^\s:|]+)?"
    r"| \u2039 .{1,80} \u2014 wordpress)?"
)
_SHORT_TITLE = 120
_PASSWORD = re.compile(r"<input\b[^<>]{0,1000}?\btype[ \n]{0,5}=[ \n]{0,5}[\"']?password\b", re.I)
_ADULT = frozenset({"adult", "mature", "restricted", "rta-5042-1996-1400-1577-rta"})
_ADULT_AGE = re.compile(r"(?:18|19|21)\s*\+?")


def flags(page: "Page") -> list[str]:
    """Those that hold, in the order of contract.pages.FLAGS."""
    title = " ".join(page.head.title.lower().replace("\u2019", "'").split())
    found = {
        "bot_wall": _is_bot_wall(page, title),
        "consent": _is_consent(page, title),
        "login": _is_login(page, title),
        "paywall": _is_paid(page),
        "nsfw": _is_adult(page),
        "noindex": _is_unindexed(page),
    }
    return [name for name, holds in found.items() if holds]


def _marked(page: "Page", marks: tuple[str, ...]) -> bool:
    text = page.text[:_MOST_LOOKED_AT].lower()
    return any(mark in text for mark in marks)


def _has_card(page: "Page") -> bool:
    """Whoever says how it is to be shown is no wall, whatever its title."""
    return page.has_card() or bool(json_ld.first(page.items, "headline"))


def _is_bot_wall(page: "Page", title: str) -> bool:
    if _has_card(page):
        return False
    bare = title.rstrip(".\u2026 ")
    for whole, marks in _WALL_TITLES:
        if whole.fullmatch(bare):
            return not marks or _marked(page, marks)
    if any(title.startswith(beginning) and _marked(page, marks) for beginning, marks in _WALL_BEGINNINGS):
        return True
    says_nothing = not title or title in page.url.lower()
    return says_nothing and _marked(page, _WALL_MARKS)


def _is_consent(page: "Page", title: str) -> bool:
    if _CONSENT_HOST.match(page.url):
        return True
    return title.startswith(_CONSENT_TITLES) and not _has_card(page) and _marked(page, _CONSENT_MARKS)


def _is_login(page: "Page", title: str) -> bool:
    if _LOGIN_PLACE.match(page.url):
        return True
    if len(title) > _SHORT_TITLE or not _LOGIN_TITLE.fullmatch(title) or _has_card(page):
        return False
    return bool(_PASSWORD.search(page.text[:_MOST_LOOKED_AT]))


def _is_paid(page: "Page") -> bool:
    if page.meta("article:content_tier").strip().lower() == "locked":
        return True
    return any(_is_false(item.get("isAccessibleForFree")) for item in page.items)


def _is_adult(page: "Page") -> bool:
    ratings = {value.strip().lower() for value in page.metas.get("rating", ())}
    return (
        not ratings.isdisjoint(_ADULT)
        or bool(_ADULT_AGE.fullmatch(page.meta("og:restrictions:age").strip()))
        or any(_is_false(item.get("isFamilyFriendly")) for item in page.items)
    )


def _is_unindexed(page: "Page") -> bool:
    said = ",".join([*page.metas.get("robots", ()), *page.metas.get("googlebot", ())]).lower()
    return not {"noindex", "none"}.isdisjoint(word.strip() for word in said.split(","))


def _is_false(value: Any) -> bool:
    return value is False or (isinstance(value, str) and value.rpartition("/")[2].lower() == "false")
