"""Where an item's outputs lie. Pure: whatever a source's key is, the answer is a key that a store takes."""

import hashlib
from urllib.parse import quote

OBJECTS = "objects/"
INDEX = "made.json"
"""What says that all of an item was made, where that is not one picture of one name."""

LONGEST_QUOTED = 700
"""Bytes of a key that stays readable; with recipe, version and name it is far from S3's 1,024."""
LONGEST_QUOTED_PART = 180
"""The same of what stands between two slashes, which a folder bounds at 255."""
LONGEST_VERSION = 64


def place(objects: str, key: str, version: str) -> str:
    """The prefix of what is made of that version: `objects/RECIPE/KEY@VERSION/`.

    No two keys share one: `@` and `=` stand in no quoted key.
    """
    return f"{objects}{_quoted(key)}@{_word(version)}/"


def _quoted(key: str) -> str:
    quoted = quote(key, safe="/", errors="surrogateescape")
    parts = quoted.split("/")
    is_plain = len(quoted) <= LONGEST_QUOTED and all(
        0 < len(part) <= LONGEST_QUOTED_PART and not part.startswith(".") for part in parts
    )
    return quoted if is_plain else f"={_digest(key)}"


def _word(version: str) -> str:
    quoted = quote(version, safe="", errors="surrogateescape")
    return quoted if len(quoted) <= LONGEST_VERSION else f"={_digest(version)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
