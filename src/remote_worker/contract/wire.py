"""The reply of a child: a 16-byte record on its socket, and a body of named parts in its output memory.

Both are written by a process that a stranger may own, so reading checks every number before using it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .failures import FailureCode
from .nesting import is_deeper

RECORD = struct.Struct("<HHIQ")
"""Version, outcome, 1 for a failure in the header, body length in bytes: 16 bytes in all."""

VERSION = 1
DONE = 0
FAILURES = tuple(FailureCode)
SAID_BY_CHILDREN = frozenset(
    {
        FailureCode.NOT_A_JPEG,
        FailureCode.UNSUPPORTED_FORMAT,
        FailureCode.FORMAT_UNAVAILABLE,
        FailureCode.DAMAGED,
        FailureCode.TOO_MANY_PIXELS,
        FailureCode.TOO_MANY_FRAMES,
        FailureCode.TOO_MUCH_MEMORY,
        FailureCode.DECODER_CRASHED,
        FailureCode.OUTPUT_TOO_LARGE,
        FailureCode.PARSE_LIMIT,
    }
)
"""What a document can be at fault for. A child has no word about the worker or its callers."""

TABLE = struct.Struct("<4sI")
ENTRY = struct.Struct("<16sQQ")
MAGIC = b"RWP1"
MOST_PARTS = 64
JSON_BYTES = 64 * 1024
JSON_DEPTH = 8
FACTS = "facts"
"""The name of the part that is JSON; the others are pictures or text."""


class BadReply(Exception):
    """The reply is not what an honest child writes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the 16 bytes say: `failure` None means that a body of `body_bytes` was written."""

    failure: FailureCode | None
    body_bytes: int
    in_header: bool = False


def write_record(failure: FailureCode | None, body_bytes: int = 0, *, in_header: bool = False) -> bytes:
    """The 16 bytes of a reply."""
    outcome = DONE if failure is None else 1 + FAILURES.index(failure)
    return RECORD.pack(VERSION, outcome, in_header, body_bytes)


def read_record(message: bytes, *, most_body_bytes: int) -> Record:
    """Check and read the 16 bytes. Raises BadReply."""
    if len(message) != RECORD.size:
        raise BadReply(f"a record of {len(message)} bytes")
    version, outcome, in_header, body_bytes = RECORD.unpack(message)
    if version != VERSION or outcome > len(FAILURES) or in_header > (outcome != DONE):
        raise BadReply("a record with unknown numbers")
    failure = None if outcome == DONE else FAILURES[outcome - 1]
    if failure not in SAID_BY_CHILDREN | {None}:
        raise BadReply(f"{failure} from a child")
    least, most = (TABLE.size, most_body_bytes) if failure is None else (0, 0)
    if not least <= body_bytes <= most:
        raise BadReply(f"a body of {body_bytes} bytes")
    return Record(failure, body_bytes, bool(in_header))


def layout(lengths: Mapping[str, int]) -> tuple[bytes, list[int], int]:
    """The table for parts of these lengths in bytes, the offset of each part, and the body's length."""
    offset = TABLE.size + ENTRY.size * len(lengths)
    table = [TABLE.pack(MAGIC, len(lengths))]
    offsets = []
    for name, length in lengths.items():
        table.append(ENTRY.pack(name.encode(), offset, length))
        offsets.append(offset)
        offset += length
    return b"".join(table), offsets, offset


def read_parts(body: bytes | memoryview) -> dict[str, memoryview]:
    """The named parts of a body, in order, one behind the other with no gap. Raises BadReply."""
    if len(body) < TABLE.size:
        raise BadReply("no table")
    magic, count = TABLE.unpack_from(body)
    if magic != MAGIC or count > MOST_PARTS:
        raise BadReply("an unknown table")
    expected = TABLE.size + ENTRY.size * count
    if len(body) < expected:
        raise BadReply("a table that is cut")
    view = memoryview(body).toreadonly()
    parts: dict[str, memoryview] = {}
    for index in range(count):
        raw_name, offset, length = ENTRY.unpack_from(body, TABLE.size + ENTRY.size * index)
        name = _name(raw_name)
        if name in parts or offset != expected or length > len(body) - offset:
            raise BadReply(f"part {index} is out of place")
        parts[name] = view[offset : offset + length]
        expected += length
    if expected != len(body):
        raise BadReply("bytes behind the last part")
    return parts


def read_facts(part: memoryview) -> dict[str, Any]:
    """The JSON object of the facts part, of at most 64 KiB and depth 8. Raises BadReply."""
    if len(part) > JSON_BYTES:
        raise BadReply("too much JSON")
    text = bytes(part)
    if is_deeper(text, JSON_DEPTH):
        raise BadReply("JSON nested too deep")
    try:
        facts = _DECODER.decode(text.decode())
    except ValueError as error:
        raise BadReply("broken JSON") from error
    if not isinstance(facts, dict):
        raise BadReply("JSON that is no object")
    return facts


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads makes one for each call that gives it an option.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _name(raw: bytes) -> str:
    name = raw.rstrip(b"\0")
    if not name.isalnum() or not name.isascii():
        raise BadReply("a part without a plain name")
    return name.decode("ascii")
