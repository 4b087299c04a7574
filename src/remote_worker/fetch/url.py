"""Which URLs may be fetched by their shape: parsed once as browsers do, then held to stricter rules. Pure.

The rules for names, ports and addresses are in `policy`.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_address
from pathlib import Path

from ada_url import URL
from publicsuffixlist import PSLFILE, PublicSuffixList, encode_idn

from ..contract.addresses import Address
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Place

LONGEST_URL_BYTES = 2048
LONGEST_HOST = 253
"""Characters of a name, without a dot at its end: RFC 1035, 2.3.4."""
LONGEST_LABEL = 63
MOST_REMEMBERED = 512
"""URLs whose reading is kept; each is short."""

NONCANONICAL = "noncanonical"
"""The rule for an address in a host that is not spelled as everybody reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that passed. All parts are as browsers write them, and `href` parses to the same value again."""

    href: str
    """Without a fragment, and without a dot at the end of its host."""
    scheme: str
    host: str
    """A name in lower case and Punycode, or an address; IPv6 without brackets."""
    port: int
    address: Address | None
    """The host where it is one."""
    authority: str
    """For `Host`: with brackets, and with the port if it is not the scheme's."""
    path: str
    """With its query: what a request asks for."""
    site: str
    """The registrable domain, the name where it has none, or the address."""


def parse(text: str, base: Target | None = None) -> Target:
    """The URL, or with a base what a link or a redirect there leads to. Raises WorkFailed.

    A caller's URL is absolute and has no blanks but at its ends. A link may be relative, and have blanks in
    its path. Neither guesses: no host after less or more than two slashes, no backslashes, no users.
    """
    text = text.strip(" " if base is None else " \t\n\f\r")
    if len(text) > LONGEST_URL_BYTES:
        raise WorkFailed(FailureCode.TOO_LONG, "URL")
    return _parsed(text, base)


@lru_cache(MOST_REMEMBERED)
def _parsed(text: str, base: Target | None) -> Target:
    """The same for a text of at most LONGEST_URL_BYTES: on its way a preview asks for one again and again."""
    raw_host = _raw_host(text, base)
    try:
        if len(text.encode()) > LONGEST_URL_BYTES:
            raise WorkFailed(FailureCode.TOO_LONG, "URL")
        url = URL(text) if base is None else URL(text, base.href)
    except UnicodeEncodeError as broken:
        raise WorkFailed(FailureCode.BAD_URL, "no text") from broken
    except ValueError as refused:
        raise WorkFailed(FailureCode.BAD_HOST) from refused
    # Asking the library for one part after the other costs more than its parsing.
    parts = _HREF.fullmatch(url.href)
    if parts is None:
        raise WorkFailed(FailureCode.BAD_HOST)
    scheme, hostname, given_port, pathname, search = parts.groups()
    address: Address | None = None
    # Told from the text, since `host_type` forgets what a base's host is (ada-url 4.0.0).
    if not _LITERAL.fullmatch(hostname):
        host = hostname = _name(hostname)
        site = _suffixes().privatesuffix(host) or host
    else:
        # Only capitals in IPv6 are read alike by everyone.
        if raw_host is not None and hostname not in (raw_host, raw_host.lower()):
            raise WorkFailed(FailureCode.BLOCKED_ADDRESS, NONCANONICAL)
        host = site = hostname.strip("[]")
        address = ip_address(host)
    port = int(given_port or _PORTS[scheme])
    if port in BAD_PORTS:
        raise WorkFailed(FailureCode.BAD_PORT, str(port))
    authority = f"{hostname}:{given_port}" if given_port else hostname
    path = f"{pathname}?{search}" if search else pathname
    href = f"{scheme}://{authority}{path}"
    if len(href) > LONGEST_URL_BYTES:
        raise WorkFailed(FailureCode.TOO_LONG, "URL")
    return Target(
        href=href,
        scheme=scheme,
        host=host,
        port=port,
        address=address,
        authority=authority,
        path=path,
        site=site,
    )


def place(target: Target) -> Place:
    """What a URL says of itself."""
    return Place(url=target.href, host=target.host, site=target.site)


def warm() -> None:
    """Read the list of public suffixes now (20 ms), for a process that will not be able to open files."""
    _suffixes()


def _raw_host(text: str, base: Target | None) -> str | None:
    """The host as it is spelled, or None where it is the base's. Raises WorkFailed."""
    if _CONTROL.search(text):
        raise WorkFailed(FailureCode.BAD_URL, "control character")
    if base is None and " " in text:
        raise WorkFailed(FailureCode.BAD_URL, "blank")
    start = _START.match(text)
    scheme, authority = start.groups() if start else (None, None)
    if scheme is None and base is None:
        raise WorkFailed(FailureCode.BAD_URL, "not absolute")
    if scheme is not None and scheme.lower() not in _PORTS:
        raise WorkFailed(FailureCode.BAD_SCHEME, scheme[:_SHOWN_CHARACTERS].lower())
    if _BACKSLASH.match(text):
        raise WorkFailed(FailureCode.BAD_URL, "backslash")
    if authority == "" or (scheme is not None and authority is None):
        raise WorkFailed(FailureCode.BAD_URL, "no host")
    return None if authority is None else _host_of(authority)


def _host_of(authority: str) -> str:
    if "@" in authority:
        raise WorkFailed(FailureCode.USERINFO)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise WorkFailed(FailureCode.BAD_HOST)
    host, port = parts.groups()
    if "%" in host:
        # A browser would decode it, which nobody else does.
        is_control = _ESCAPED_CONTROL.search(host)
        raise WorkFailed(FailureCode.BAD_URL if is_control else FailureCode.BAD_HOST, "percent in the host")
    if port and not (_DIGITS.fullmatch(port) and int(port) <= 65_535):
        raise WorkFailed(FailureCode.BAD_PORT)
    return str(host)


def _name(hostname: str) -> str:
    host = hostname.removesuffix(".")
    if len(host) > LONGEST_HOST:
        raise WorkFailed(FailureCode.TOO_LONG, "host")
    if not _NAME.fullmatch(host):
        raise WorkFailed(FailureCode.BAD_HOST)
    if len(host) > LONGEST_LABEL and max(map(len, host.split("."))) > LONGEST_LABEL:
        raise WorkFailed(FailureCode.TOO_LONG, "label of the host")
    return host


@cache
def _suffixes() -> PublicSuffixList:
    # With the private section: a.github.io and b.github.io are two sites.
    with Path(PSLFILE).open("rb") as lines:
        # Names come in ASCII, so rules need no other spelling. To spell out all twice takes longest.
        rules = [line if line.isascii() else encode_idn(line.strip()) for line in lines if line[:2] != b"//"]
    return PublicSuffixList(rules, accept_encoded_idn=False)


_PORTS = {"http": 80, "https": 443}
_SHOWN_CHARACTERS = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_START = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#\\]*))?")
_HREF = re.compile(r"(https?)://(\[[^\]]*\]|[^/:@?#]*)(?::([0-9]+))?(/[^?#]*)(?:\?([^#]*))?(?:#.*)?")
"""What the parser writes."""
_BACKSLASH = re.compile(r"[^?#\\]*\\")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::(.*))?")
_ESCAPED_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_DIGITS = re.compile(r"[0-9]+")
_LITERAL = re.compile(r"\[.*\]|[0-9]+(?:\.[0-9]+){3}")
"""A name never ends in a number: the parser makes an IPv4 address of it, or refuses it."""
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")

BAD_PORTS = frozenset(
    map(
        int,
        "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115"
        " 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563"
        " 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667"
        " 6668 6669 6679 6697 10080".split(),
    )
)
"""Those of the Fetch standard (https://fetch.spec.whatwg.org/#port-blocking): other protocols live there."""
