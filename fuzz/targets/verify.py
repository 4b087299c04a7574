"""The check of a whole reply: pictures that are what the task asked for, or HostileReply."""

import json
from collections.abc import Callable
from typing import Any

from remote_worker.contract import wire
from remote_worker.contract.messages import (
    AVATAR_SIZES,
    FACTS,
    Avatars,
    Fit,
    Info,
    Output,
    Picture,
    Prepare,
    Recipe,
    Reply,
    Task,
)
from remote_worker.pool import verify

from ..choices import Choices

TASKS: tuple[Task, ...] = (
    Prepare(),
    Fit(width=64, height=48),
    Fit(width=64, height=48, format="png"),
    Avatars(),
    Info(),
    Info(metadata=True),
    Recipe(outputs=(Output(name="output", width=64, height=48, mode="cover"),), facts=FACTS),
    Recipe(outputs=(Output(name="a1", width=64, height=48, mode="pad", format="png"),)),
    Recipe(facts=("phash", "colors")),
)
FORMATS = ("avif", "bmp", "gif", "jp2", "jpeg", "jxl", "png", "tiff", "webp", "other")
NAMES = ("output", "facts", "avatar24", "avatar48", "avatar73", "avatar128", "a1")
MEMBERS = ("metadata", "exif", "gps", "xmp", "iptc", "comment", "icc", "latitude", "longitude", "altitude")
TEXTS = ("#00ff7f", "8f373714acfcf4d0", "LEHV6nWB2yk8pyo0adR*.7kCMdnj", "3OcRJYB4d3h/iIeHeEh3eIhw+j2w")
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
    elif choices.flag():
        facts["info"] = _members(choices, 3)
    parts["facts"] = json.dumps(facts).encode()
    table, _, _ = wire.layout({name: len(part) for name, part in parts.items()})
    _check(task, table + b"".join(parts.values()), reply)


def _members(choices: Choices, deepest: int) -> dict[str, Any]:
    """What facts and metadata are told with, in any order."""
    members: dict[str, Any] = {}
    for _ in range(choices.number(0, 8)):
        name = choices.one_of((*MEMBERS, *FACTS))
        kind = choices.number(0, 3)
        if kind == 0 and deepest:
            members[name] = _members(choices, deepest - 1)
        elif kind == 1:
            members[name] = [choices.one_of(TEXTS)] * choices.number(0, 9)
        else:
            members[name] = choices.one_of((*TEXTS, choices.text(4)) if kind == 2 else NUMBERS)
    return members


def _check(task: Task, body: bytes, reply: Callable[[Task, bytes], Reply]) -> None:
    try:
        checked = reply(task, body)
    except verify.HostileReply:
        return
    for name, picture in checked.pictures.items():
        assert picture.format in FORMATS and 1 <= picture.frames <= 65_535
        assert 0 < len(picture.body) < len(body), name
        _check_size(task, name, picture)
    json.dumps(checked.info, allow_nan=False)
    if isinstance(task, Recipe):
        assert checked.info.keys() == set(task.facts)
        assert checked.pictures.keys() == {output.name for output in task.outputs}
    elif isinstance(task, Info):
        assert ("metadata" in checked.info) is task.metadata


def _check_size(task: Task, name: str, picture: Picture) -> None:
    match task:
        case Fit():
            assert 0 < picture.width <= task.width and 0 < picture.height <= task.height
        case Avatars():
            assert picture.width == picture.height and picture.width in AVATAR_SIZES
        case Recipe():
            assert 0 < picture.width <= 64 and 0 < picture.height <= 48
        case Prepare():
            assert name == "output" and picture.format == "jpeg"
        case Info():
            raise AssertionError("info with a picture")
