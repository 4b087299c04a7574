"""JSON bodies: what is read, what is refused, and that no body costs more than its bytes."""

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web.json_body import DEEPEST, MOST_VALUES, parse


def refused(body: bytes) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        parse(body)
    return failed.value.code


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"text": "# Hi"}', {"text": "# Hi"}),
        (b' [1, 2.5, true, null, "\\u00e9\\n"] ', [1, 2.5, True, None, "é\n"]),
        (b'"\xf0\x9f\x98\x80"', "😀"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"{}", {}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json_becomes_its_value(body: bytes, value: object) -> None:
    assert parse(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text=a",
        b'{"text": "a"',
        b"{'text': 1}",
        b'{"a": NaN}',
        b"[Infinity]",
        b'"\xff"',
        b'"\x00"',
        b"[1,]",
        '{"text": 1}'.encode("utf-16"),
        b"9" * 5000,
        b'"' * 1001,
        b'[[[[[[[[[[[[[[[[["\\"' + b'\\"' * 1000 + b"\\",
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    assert refused(body) is FailureCode.BAD_REQUEST


def test_a_value_is_nested_so_deep_and_not_one_deeper() -> None:
    assert parse(b"[" * DEEPEST + b"]" * DEEPEST)
    assert refused(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1)) is FailureCode.BAD_REQUEST
    assert refused(b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1)) is FailureCode.BAD_REQUEST


def test_a_value_has_so_many_parts_and_not_one_more() -> None:
    assert len(parse(b"[" + b"1," * (MOST_VALUES - 1) + b"1]")) == MOST_VALUES
    assert refused(b"[" + b"1," * MOST_VALUES + b"1]") is FailureCode.BAD_REQUEST


@pytest.mark.parametrize("text", ["[" * 20_000, ",{" * 20_000, r"[\"" * 20_000, r"\\[\\\"," * 20_000])
def test_what_stands_in_a_string_counts_for_neither(text: str) -> None:
    assert len(parse(f'{{"text": "{text}"}}'.encode())["text"]) >= 20_000


def test_arrays_side_by_side_are_not_deep() -> None:
    assert len(parse(b"[" + b"[]," * 1000 + b"[]]")) == 1001
