"""The JSON object that a server answered with. The server may be anybody who got in between."""

import os
from typing import Any

from ..contract import wire
from ..contract.links import Fetched


class NothingTold(Exception):
    """The answer is no JSON object, or none that may be read."""


def read(fetched: Fetched, most_bytes: int) -> dict[str, Any]:
    """The object. Raises NothingTold."""
    if fetched.status != 200 or fetched.is_cut or fetched.body.size_bytes > most_bytes:
        raise NothingTold(f"an answer of status {fetched.status}, or a long one")
    descriptor = fetched.body.read_only_fd()
    try:
        text = os.pread(descriptor, most_bytes, 0)
    finally:
        os.close(descriptor)
    try:
        return wire.read_facts(memoryview(text))
    except wire.BadReply as broken:
        raise NothingTold("an answer that is no JSON object") from broken
