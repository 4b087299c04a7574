"""How long what a server answered is fresh, and how long it may do in need (RFC 9111, RFC 5861). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

SHORTEST_SECONDS = 300.0
"""Fresh for so long whatever the page says: of a crowd that opens one link, one asks its site."""
LONGEST_SECONDS = 86_400.0
STALE_SECONDS = 86_400.0
"""How long a card is shown past its time while it is made anew."""
ERROR_SECONDS = 7 * 86_400.0
"""How long past its time a card is shown while its site cannot be asked."""
GONE_SECONDS = 600.0
"""How long a page is known not to be there."""
FAILED_SECONDS = 60.0
"""How long any other failure of a site is remembered."""

_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,"]*)))?', re.ASCII)
_MOST_DELTA = 2**31
"""RFC 9111, 1.2.2: larger numbers count as this."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Seconds from now: fresh, then good while it is made anew, then good in need."""

    fresh: float
    stale: float = STALE_SECONDS
    error: float = ERROR_SECONDS
    is_kept: bool = True
    """It may be written to a file."""

    def at_most(self, seconds: float) -> "Lifetime":
        """Fresh no longer than this, within the bounds."""
        return replace(self, fresh=min(self.fresh, clamped(seconds)))


def lifetime(headers: Mapping[str, str], *, now: float, default: float) -> Lifetime:
    """What the headers of an answer that came at `now` say; `default` where they say nothing.

    `no-store` and `private` keep it out of files and end it with its shortest time; `no-cache` and
    `must-revalidate` let nobody see it past its time.
    """
    told = directives(headers.get("cache-control", ""))
    if "no-store" in told or "private" in told:
        return Lifetime(SHORTEST_SECONDS, 0.0, 0.0, is_kept=False)
    if told.keys() & {"no-cache"}:
        return Lifetime(SHORTEST_SECONDS, 0.0, 0.0)
    seconds = _stated(told, headers, now)
    fresh = clamped(default) if seconds is None else clamped(seconds - _age(headers, now))
    if told.keys() & {"must-revalidate", "proxy-revalidate"} or "s-maxage" in told:
        return Lifetime(fresh, 0.0, 0.0)
    return Lifetime(fresh)


def clamped(seconds: float) -> float:
    """Within the bounds for a card."""
    return min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


def directives(text: str) -> dict[str, str]:
    """The directives of a Cache-Control header, in lower case; of one that is repeated the first."""
    found: dict[str, str] = {}
    for name, quoted, plain in _DIRECTIVE.findall(text):
        found.setdefault(name.lower(), quoted or plain)
    return found


def _stated(told: Mapping[str, str], headers: Mapping[str, str], now: float) -> float | None:
    for name in ("s-maxage", "max-age"):
        if name in told:
            return _delta(told[name])
    if "expires" not in headers:
        return None
    expires = _date(headers["expires"])
    # RFC 9111, 5.3: what is no date, above all 0, is a time in the past.
    return 0.0 if expires is None else expires - (_date(headers.get("date", "")) or now)


def _age(headers: Mapping[str, str], now: float) -> float:
    """RFC 9111, 4.2.3, without the time that the answer took to come."""
    date = _date(headers.get("date", ""))
    apparent = 0.0 if date is None else max(0.0, now - date)
    return max(apparent, _delta(headers.get("age", "0").split(",")[0].strip()))


def _delta(text: str) -> float:
    """A number of seconds; what is none counts as past."""
    return float(min(int(text[:12]), _MOST_DELTA)) if text.isascii() and text.isdigit() else 0.0


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
