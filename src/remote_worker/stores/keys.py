"""Which keys and prefixes there are. Pure."""

from .store import BadKey

LONGEST_KEY_BYTES = 1024
LONGEST_PART_BYTES = 255
"""What Linux takes as the name of a file."""


def parts_of(key: str) -> list[str]:
    """What lies between its slashes. Raises BadKey."""
    parts = key.split("/")
    _check(key, parts)
    return parts


def parts_of_prefix(prefix: str) -> tuple[list[str], str]:
    """The folders that it names whole, and with what the names in the last of them begin. Raises BadKey."""
    *folders, beginning = prefix.split("/")
    if "\0" in beginning:
        raise BadKey("a prefix has no NUL")
    if folders:
        _check(prefix, folders)
    else:
        _encoded(beginning)
    return folders, beginning


def _check(key: str, parts: list[str]) -> None:
    if len(_encoded(key)) > LONGEST_KEY_BYTES:
        raise BadKey(f"a key has at most {LONGEST_KEY_BYTES} bytes")
    for part in parts:
        if part in {"", ".", ".."}:
            raise BadKey("no part of a key is empty, `.` or `..`")
        if "\0" in part or len(part.encode()) > LONGEST_PART_BYTES:
            raise BadKey(f"a part of a key has no NUL and at most {LONGEST_PART_BYTES} bytes")


def _encoded(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise BadKey("a key is text that UTF-8 can tell") from None
