"""Tasks survive their way into the jail."""

import json

import pytest

from remote_worker.contract.messages import Avatars, Fit, Info, Prepare, Task, decode_task, encode_task


@pytest.mark.parametrize(
    "task",
    [
        Info(),
        Prepare(keep_metadata=True),
        Avatars(animated=True),
        Fit(width=1, height=65_535, format="webp", quality=80, animated=True),
        Fit(width=10, height=10),
    ],
)
def test_a_task_is_the_same_on_the_other_side(task: Task) -> None:
    assert decode_task(encode_task(task)) == task


@pytest.mark.parametrize("message", [{"kind": "attack"}, {"kind": "info", "more": 1}, {}, {"kind": "fit"}])
def test_what_is_no_task_is_refused(message: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        decode_task(json.dumps(message).encode())


@pytest.mark.parametrize("message", [b"", b"{", b'{"kind": "info"}{}', b'{"kind": "info"} ', b"\xff"])
def test_what_is_not_one_json_object_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  JSON and UTF-8 have errors of their own, both of this kind
        decode_task(message)
