"""Tasks survive their way into the jail."""

import json

import pytest

from remote_worker.contract.messages import (
    FACTS,
    Avatars,
    Fit,
    Info,
    Output,
    Prepare,
    Recipe,
    Task,
    decode_task,
    encode_task,
)
from remote_worker.decoder.child import TASK_BYTES


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


def most_of_a_recipe() -> Recipe:
    return Recipe(
        outputs=tuple(
            Output(
                name=f"{number:016d}",
                width=65_535,
                height=65_535,
                mode="cover",
                gravity="northeast",
                background="00112233",
                enlarge=True,
                format="jpeg",
                quality=100,
            )
            for number in range(16)
        ),
        facts=FACTS,
    )


@pytest.mark.parametrize(
    "recipe",
    [
        most_of_a_recipe(),
        Recipe(facts=("phash",)),
        Recipe(outputs=(Output(name="a", width=1, height=65_535),), facts=()),
    ],
)
def test_a_recipe_is_the_same_on_the_other_side_and_fits_into_a_message(recipe: Recipe) -> None:
    message = encode_task(recipe)

    assert decode_task(message) == recipe
    assert len(message) <= TASK_BYTES


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a" * 17},
        {"name": "facts"},
        {"name": "a-b"},
        {"name": "é"},
        {"width": 0},
        {"height": 65_536},
        {"mode": "stretch"},
        {"gravity": "up"},
        {"format": "gif"},
        {"background": "red"},
        {"background": "1234567"},
        {"quality": 0},
        {"quality": 101},
    ],
)
def test_an_output_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {
        "name": "a" * 16,
        "width": 65_535,
        "height": 1,
        "background": "a1B2c3",
        "quality": 1,
    }
    assert Output(**right)

    with pytest.raises(ValueError, match=" "):
        Output(**right | wrong)


SMALL = Output(name="small", width=8, height=8)


@pytest.mark.parametrize(
    ("outputs", "facts"),
    [
        ((), ()),
        ((SMALL, SMALL), ()),
        (tuple(Output(name=f"a{number}", width=8, height=8) for number in range(17)), ()),
        ((), ("phash", "phash")),
        ((), ("name",)),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(outputs: tuple[Output, ...], facts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=" "):
        Recipe(outputs=outputs, facts=facts)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "recipe", "outputs": [{"name": "a"}], "facts": []},
        {"kind": "recipe", "outputs": [1], "facts": []},
        {"kind": "recipe", "outputs": 1, "facts": []},
        {"kind": "recipe", "facts": ["phash"]},
        {"kind": "recipe", "outputs": [], "facts": [[]]},
        {"kind": "recipe", "outputs": [], "facts": [], "more": 1},
    ],
)
def test_what_is_no_recipe_is_refused(message: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode_task(json.dumps(message).encode())
