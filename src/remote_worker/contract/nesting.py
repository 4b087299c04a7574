"""How deep JSON is nested, told before it is parsed: how deep a parser comes is the interpreter's affair."""

import re

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""One that is not closed goes to the end: looked for again from each of its quotes, it cost the square."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_deeper(text: bytes | bytearray, most: int) -> bool:
    """Whether more than `most` arrays and objects are within each other. Also where brackets do not match."""
    # So many brackets at least make it too deep.
    return text.count(b"[") + text.count(b"{") > most and _is_deeper(text, most)


def without_strings(text: bytes | bytearray) -> bytes:
    """What is outside of strings."""
    return _STRING.sub(b"", text)


def _is_deeper(text: bytes | bytearray, most: int) -> bool:
    # Strings without backslashes end at the next quote, which is told much quicker.
    outside = without_strings(text) if b"\\" in text else b"".join(text.split(b'"')[::2])
    brackets = outside.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(most):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
