"""How deep JSON is nested, and what it costs to tell."""

import pytest

from remote_worker.contract.nesting import is_deeper


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        (b"1", 0),
        (b"[]", 1),
        (b'{"a": [{}]}', 3),
        (b"[[], [[]], []]", 3),
        (b'["[[[["]', 1),
        (rb'["\"[[", {}]', 2),
        (rb'["\\", [[]]]', 3),
    ],
)
def test_a_text_is_as_deep_as_it_is(text: bytes, depth: int) -> None:
    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


def test_a_hundred_thousand_levels_are_told_without_going_down() -> None:
    assert is_deeper(b"[" * 100_000 + b"]" * 100_000, 64)
    assert not is_deeper(b"[" + b"[]," * 100_000 + b"[]]", 64)
