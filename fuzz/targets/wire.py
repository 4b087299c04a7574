"""The reply of a child: its record, its table of parts and its JSON, as an attacker may write them."""

from collections.abc import Callable, Mapping

from remote_worker.contract import wire
from remote_worker.contract.failures import FailureCode

MOST_BODY_BYTES = 1 << 26
ReadParts = Callable[[bytes], Mapping[str, memoryview]]


def record(data: bytes) -> None:
    """A record is one that an honest child could have written, byte for byte, or BadReply."""
    try:
        read = wire.read_record(data, most_body_bytes=MOST_BODY_BYTES)
    except wire.BadReply:
        return
    assert read.failure is None or read.failure in wire.SAID_BY_CHILDREN
    assert 0 <= read.body_bytes <= MOST_BODY_BYTES
    assert isinstance(read.failure, FailureCode | None)
    assert wire.write_record(read.failure, read.body_bytes, in_header=read.in_header) == data


def parts(data: bytes, read_parts: ReadParts = wire.read_parts) -> None:
    """Parts lie side by side inside the body, and say again what the table says; or BadReply."""
    try:
        found = read_parts(data)
    except wire.BadReply:
        return
    table, offsets, length = wire.layout({name: len(part) for name, part in found.items()})
    assert len(found) <= wire.MOST_PARTS and length == len(data)
    assert bytes(table) == data[: len(table)], "another table"
    for (name, part), offset in zip(found.items(), offsets, strict=True):
        assert part.readonly and bytes(part) == data[offset : offset + len(part)], name


def facts(data: bytes) -> None:
    """An object of no more depth than is allowed, or BadReply."""
    try:
        found = wire.read_facts(memoryview(data))
    except wire.BadReply:
        return
    assert isinstance(found, dict) and _depth(found) <= wire.JSON_DEPTH


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
