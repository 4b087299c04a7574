"""The use cases, on a decoder that answers as it is told."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Avatars, Fit, Info, Picture, Prepare, Reply, Task
from remote_worker.service.images import Images

PICTURE = Picture(format="png", width=1, height=1, frames=1, body=memoryview(b"x"))
HEADER: dict[str, Any] = {
    "width": 4,
    "height": 3,
    "display_width": 3,
    "display_height": 4,
    "frames": 1,
    "orientation": 6,
    "has_alpha": True,
    "color_space": "rgb",
    "bit_depth": 8,
    "has_icc_profile": False,
    "has_exif": True,
    "has_gps": False,
    "loop": None,
    "duration_ms": None,
}


class Told:
    """A decoder that gives one reply and remembers what it was asked."""

    def __init__(self, pictures: Mapping[str, Picture], info: Mapping[str, Any]) -> None:
        self._reply = Reply(format="jpeg", mime="image/jpeg", pictures=pictures, info=info)
        self.asked: list[tuple[Task, float]] = []

    def check_room(self, caller: str) -> None:
        """Fill the protocol: there is always room."""

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Fill the protocol."""
        self.asked.append((task, deadline))
        return self._reply


def told(*names: str, info: Mapping[str, Any] = {}) -> Told:
    return Told(dict.fromkeys(names, PICTURE), info)


def test_each_use_case_sends_its_task_with_the_callers_deadline() -> None:
    decoder = told("output", "avatar24", "avatar48", "avatar73", info=HEADER)
    images = Images(decoder)

    async def all_of_them() -> None:
        with Document.of(b"x") as document:
            await images.prepare(document, keep_metadata=True, deadline=1)
            await images.fit(document, Fit(width=5, height=6, quality=7), deadline=2)
            await images.avatars(document, animated=True, deadline=3)
            await images.info(document, deadline=4)

    asyncio.run(all_of_them())

    assert decoder.asked == [
        (Prepare(keep_metadata=True), 1),
        (Fit(width=5, height=6, quality=7), 2),
        (Avatars(animated=True), 3),
        (Info(), 4),
    ]


def test_avatars_come_in_the_order_of_their_size_and_nothing_else_comes() -> None:
    decoder = told("avatar128", "avatar73", "avatar48", "avatar24", "output")

    with Document.of(b"x") as document:
        made = asyncio.run(Images(decoder).avatars(document, animated=False, deadline=1))

    assert list(made.avatars) == ["avatar24", "avatar48", "avatar73", "avatar128"]


@pytest.mark.parametrize("names", [("avatar24", "avatar48"), ()])
def test_a_reply_without_the_avatars_that_are_always_made_is_a_crash(names: tuple[str, ...]) -> None:
    with Document.of(b"x") as document, pytest.raises(WorkFailed) as failed:
        asyncio.run(Images(told(*names)).avatars(document, animated=False, deadline=1))

    assert failed.value.code is FailureCode.DECODER_CRASHED


def test_a_reply_without_the_picture_is_a_crash() -> None:
    with Document.of(b"x") as document, pytest.raises(WorkFailed) as failed:
        asyncio.run(Images(told("avatar24")).fit(document, Fit(width=1, height=1), deadline=1))

    assert failed.value.code is FailureCode.DECODER_CRASHED


def test_info_tells_the_known_members_and_no_other() -> None:
    decoder = told(info={**HEADER, "status": "forged", "is_animation": False})

    with Document.of(b"x") as document:
        described = asyncio.run(Images(decoder).info(document, deadline=1))

    assert described.members == {**HEADER, "format": "jpeg"}
    assert described.mime == "image/jpeg"


@pytest.mark.parametrize(
    ("member", "value"),
    [("width", "4"), ("width", True), ("width", None), ("has_gps", 1), ("color_space", 3), ("loop", "0")],
)
def test_info_of_a_wrong_type_is_a_crash(member: str, value: object) -> None:
    with Document.of(b"x") as document, pytest.raises(WorkFailed) as failed:
        asyncio.run(Images(told(info={**HEADER, member: value})).info(document, deadline=1))

    assert failed.value.code is FailureCode.DECODER_CRASHED
