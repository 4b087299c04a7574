"""The check of a whole reply: pictures that are what the task asked for, or HostileReply."""

import json
from collections.abc import Callable
from typing import Any

from remote_worker.contract import wire
from remote_worker.contract.messages import AVATAR_SIZES, Avatars, Fit, Info, Picture, Prepare, Reply, Task
from remote_worker.pool import verify

from ..choices import Choices

TASKS: tuple[Task, ...] = (
    Prepare(),
    Fit(width=64, height=48),
    Fit(width=64, height=48, format="png"),
    Avatars(),
    Info(),
)
FORMATS = ("avif", "bmp", "gif", "jp2", "jpeg", "jxl", "png", "tiff", "webp", "other")
NAMES = ("output", "facts", "avatar24", "avatar48", "avatar73", "avatar128", "a1")
NUMBERS = (0, 1, 24, 48, 64, 65, 73, 128, 512, -1, 1 << 31, 1 << 53, 1.5, True, None, "64")


def plain(data: bytes) -> None:
    """Any body at all."""
    if data:
        _check(TASKS[data[0] % len(TASKS)], data[1:], verify.reply)


def built(data: bytes, reply: Callable[[Task, bytes], Reply] = verify.reply) -> None:
    """A body with a right table and facts of the right shape, and lies in both."""
    choices = Choices(data)
    task = choices.one_of(TASKS)
    claims: list[dict[str, Any]] = []
    parts: dict[str, bytes] = {}
    for _ in range(choices.number(0, 4)):
        name = choices.one_of(NAMES)
        claims.append(
            {
                "name": name,
                "format": choices.one_of(FORMATS),
                "width": choices.one_of(NUMBERS),
                "height": choices.one_of(NUMBERS),
                "frames": choices.one_of(NUMBERS),
            }
        )
        parts[name] = choices.take(choices.number(0, 600))
    facts: dict[str, Any] = {
        "upload": {"format": choices.one_of(FORMATS), "mime": "image/" + choices.text(4)},
        "pictures": claims,
    }
    if choices.flag():
        facts["info"] = {choices.text(4): choices.one_of((*NUMBERS, "rgb", [], {}))}
    parts["facts"] = json.dumps(facts).encode()
    table, _, _ = wire.layout({name: len(part) for name, part in parts.items()})
    _check(task, table + b"".join(parts.values()), reply)


def _check(task: Task, body: bytes, reply: Callable[[Task, bytes], Reply]) -> None:
    try:
        checked = reply(task, body)
    except verify.HostileReply:
        return
    for name, picture in checked.pictures.items():
        assert picture.format in FORMATS and 1 <= picture.frames <= 65_535
        assert 0 < len(picture.body) < len(body), name
        _check_size(task, name, picture)
    json.dumps(checked.info)


def _check_size(task: Task, name: str, picture: Picture) -> None:
    match task:
        case Fit():
            assert 0 < picture.width <= task.width and 0 < picture.height <= task.height
        case Avatars():
            assert picture.width == picture.height and picture.width in AVATAR_SIZES
        case Prepare():
            assert name == "output" and picture.format == "jpeg"
        case Info():
            raise AssertionError("info with a picture")
