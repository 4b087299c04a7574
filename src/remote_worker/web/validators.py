"""ETags of pictures that are made of a site's: the site's own validator can be had again out of them."""

import base64
import re
from collections.abc import Mapping

LONGEST_VALIDATOR = 200
"""Characters of an ETag that is passed on; a longer one is a site's mistake."""
_ETAG = re.compile(r'(?:W/)?"[!#-~]*"')
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT")


def tag_of(recipe: str, headers: Mapping[str, str]) -> str:
    """An ETag out of which the site's own validator can be had again; empty where the site has none."""
    for letter, name, pattern in (("e", "etag", _ETAG), ("m", "last-modified", _HTTP_DATE)):
        value = headers.get(name, "")
        if len(value) <= LONGEST_VALIDATOR and pattern.fullmatch(value):
            return f'"{recipe}.{letter}{base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")}"'
    return ""


def opened(tag: str, recipe: str) -> dict[str, str]:
    """The validator to ask the site with, if this tag is one of ours for this recipe."""
    begin, _, rest = tag.strip('"').partition(".")
    if begin != recipe or not rest or len(rest) > 2 * LONGEST_VALIDATOR:
        return {}
    try:
        value = base64.b64decode(rest[1:] + "=" * (-len(rest[1:]) % 4), b"-_", validate=True).decode("ascii")
    except ValueError:
        return {}
    if rest[0] == "e" and _ETAG.fullmatch(value):
        return {"etag": value}
    return {"last_modified": value} if rest[0] == "m" and _HTTP_DATE.fullmatch(value) else {}


def asked_with(if_none_match: str, recipe: str) -> dict[str, str]:
    """The validator to ask the site with, where the caller has a picture of this recipe."""
    return next((found for tag in tags_of(if_none_match) if (found := opened(tag, recipe))), {})


def tags_of(header: str) -> list[str]:
    """The tags of If-None-Match, whose comparison is the weak one."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")] if header else []
