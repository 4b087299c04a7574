"""Tasks on their way into the jail."""

from remote_worker.contract.messages import (
    FACTS,
    GRAVITIES,
    MODES,
    OUTPUT_FORMATS,
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

from ..choices import Choices


def there_and_back(data: bytes) -> None:
    """A task comes out as it went in."""
    choices = Choices(data)
    task: Task
    match choices.number(0, 4):
        case 0:
            task = Prepare(keep_metadata=choices.flag())
        case 1:
            task = Fit(
                width=choices.number(1, 65_535),
                height=choices.number(1, 65_535),
                format=choices.one_of((None, *OUTPUT_FORMATS)),
                quality=choices.one_of((None, choices.number(1, 100))),
                animated=choices.flag(),
            )
        case 2:
            task = Avatars(animated=choices.flag())
        case 3:
            task = _recipe(choices)
        case _:
            task = Info(metadata=choices.flag())
    assert decode_task(encode_task(task)) == task


def any_message(data: bytes) -> None:
    """What is no task is told as such."""
    try:
        task = decode_task(data)
    except (ValueError, KeyError, TypeError):
        return
    assert decode_task(encode_task(task)) == task


def _recipe(choices: Choices) -> Recipe:
    outputs = tuple(
        Output(
            name=f"picture{number}",
            width=choices.number(1, 65_535),
            height=choices.number(1, 65_535),
            mode=choices.one_of(MODES),
            gravity=choices.one_of(GRAVITIES),
            background=choices.one_of(("", "00ff00", "00ff0080")),
            enlarge=choices.flag(),
            format=choices.one_of((None, *OUTPUT_FORMATS)),
            quality=choices.one_of((None, choices.number(1, 100))),
        )
        for number in range(choices.number(0, 16))
    )
    return Recipe(outputs=outputs, facts=FACTS[: choices.number(0 if outputs else 1, len(FACTS))])
