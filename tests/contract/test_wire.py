"""A reply is believed only when every number in it fits."""

import json
import struct

import pytest

from remote_worker.contract import wire
from remote_worker.contract.failures import FailureCode

MOST = 1000


def body(parts: dict[str, bytes]) -> bytes:
    table, _, length = wire.layout({name: len(part) for name, part in parts.items()})
    joined = table + b"".join(parts.values())
    assert len(joined) == length
    return joined


@pytest.mark.parametrize("failure", [None, *wire.SAID_BY_CHILDREN])
def test_a_record_is_sixteen_bytes_and_says_what_was_written(failure: FailureCode | None) -> None:
    length = 100 if failure is None else 0
    record = wire.write_record(failure, length)

    assert len(record) == 16
    assert wire.read_record(record, most_body_bytes=MOST) == wire.Record(failure, length)


@pytest.mark.parametrize(
    "failure", [FailureCode.INTERNAL, FailureCode.BUSY, FailureCode.JAIL_UNAVAILABLE, FailureCode.NOT_FOUND]
)
def test_a_child_has_no_word_about_the_worker(failure: FailureCode) -> None:
    with pytest.raises(wire.BadReply):
        wire.read_record(wire.write_record(failure), most_body_bytes=MOST)


def test_a_failure_may_be_one_of_the_header() -> None:
    record = wire.write_record(FailureCode.DAMAGED, in_header=True)

    assert wire.read_record(record, most_body_bytes=MOST) == wire.Record(FailureCode.DAMAGED, 0, True)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        wire.write_record(None, 100)[:15],
        wire.write_record(None, 100) + b"\0",
        struct.pack("<HHIQ", 2, 0, 0, 100),
        struct.pack("<HHIQ", 1, 0, 1, 100),
        struct.pack("<HHIQ", 1, 1, 2, 0),
        struct.pack("<HHIQ", 1, len(FailureCode) + 1, 0, 0),
        struct.pack("<HHIQ", 1, 1, 0, 1),
        struct.pack("<HHIQ", 1, 0, 0, 7),
        struct.pack("<HHIQ", 1, 0, 0, MOST + 1),
        struct.pack("<HHIQ", 1, 0, 0, (1 << 64) - 1),
    ],
)
def test_a_record_that_does_not_fit_is_refused(record: bytes) -> None:
    with pytest.raises(wire.BadReply):
        wire.read_record(record, most_body_bytes=MOST)


@pytest.mark.parametrize("length", [8, MOST])
def test_a_body_may_be_as_short_as_a_table_and_as_long_as_the_limit(length: int) -> None:
    record = struct.pack("<HHIQ", 1, 0, 0, length)

    assert wire.read_record(record, most_body_bytes=MOST).body_bytes == length


def test_parts_come_back_under_their_names() -> None:
    parts = {"facts": b"{}", "output": b"picture", "avatar24": b""}

    assert {name: bytes(part) for name, part in wire.read_parts(body(parts)).items()} == parts


def test_sixty_four_parts_pass_and_one_more_does_not() -> None:
    names = [f"part{index}" for index in range(65)]

    assert len(wire.read_parts(body(dict.fromkeys(names[:64], b"x")))) == 64
    with pytest.raises(wire.BadReply):
        wire.read_parts(body(dict.fromkeys(names, b"x")))


def entry(name: bytes, offset: int, length: int) -> bytes:
    return struct.pack("<16sQQ", name, offset, length)


@pytest.mark.parametrize(
    "lie",
    [
        b"",
        b"RWP2" + struct.pack("<I", 0),
        b"RWP1" + struct.pack("<I", 1),
        b"RWP1" + struct.pack("<I", 0) + b"behind",
        b"RWP1" + struct.pack("<I", 1) + entry(b"a", 41, 0),
        b"RWP1" + struct.pack("<I", 1) + entry(b"a", 40, 1),
        b"RWP1" + struct.pack("<I", 1) + entry(b"a", 40, (1 << 64) - 1),
        b"RWP1" + struct.pack("<I", 1) + entry(b"a", 0, 40),
        b"RWP1" + struct.pack("<I", 2) + entry(b"a", 72, 1) + entry(b"a", 73, 1) + b"xy",
        b"RWP1" + struct.pack("<I", 2) + entry(b"a", 72, 2) + entry(b"b", 73, 1) + b"xy",
        b"RWP1" + struct.pack("<I", 1) + entry(b"", 40, 0),
        b"RWP1" + struct.pack("<I", 1) + entry(b"../x", 40, 0),
        b"RWP1" + struct.pack("<I", 1) + entry(b"a\0b", 40, 0),
        b"RWP1" + struct.pack("<I", 1) + entry("é".encode(), 40, 0),
    ],
)
def test_a_table_that_lies_is_refused(lie: bytes) -> None:
    with pytest.raises(wire.BadReply):
        wire.read_parts(lie)


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_json_may_be_eight_deep_and_sixty_four_kibibytes_long() -> None:
    longest = json.dumps({"a": "x" * (64 * 1024 - 9)}).encode()

    assert wire.read_facts(memoryview(nested(8)))
    assert wire.read_facts(memoryview(longest))
    for too_much in (nested(9), longest + b" "):
        with pytest.raises(wire.BadReply):
            wire.read_facts(memoryview(too_much))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"1", b'{"a":NaN}', b'{"a":Infinity}', b"{", b"\xff", b"[" * 60000]
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(wire.BadReply):
        wire.read_facts(memoryview(text))


@pytest.mark.parametrize("text", ["[" * 100, "]" * 100, '"[' * 50, "\\" + "{" * 9, "[\\"])
def test_brackets_within_strings_are_no_depth(text: str) -> None:
    facts = {"a": text, text: ["b"]}

    assert wire.read_facts(memoryview(json.dumps(facts).encode())) == facts


@pytest.mark.parametrize("text", ['"]]]]]]]]"', '"\\""', '"\\\\"'])
def test_strings_hide_no_depth(text: str) -> None:
    lie = f'{{"a":[{text},'.encode() + nested(8) + b"]}"

    with pytest.raises(wire.BadReply, match="deep"):
        wire.read_facts(memoryview(lie))


@pytest.mark.parametrize("text", [b'"', b'{"a', b'"\\', b'"' + b'\\"' * 30_000])
def test_a_string_that_never_ends_is_refused(text: bytes) -> None:
    with pytest.raises(wire.BadReply):
        wire.read_facts(memoryview(text))
