"""The check before a picture leaves: what is asked, which answers are believed, and that it fails closed."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, FetchFailed, Purpose, Want
from remote_worker.contract.messages import Fit, Info, Output, Picture, Prepare, Recipe, Reply, Task
from remote_worker.service.check import Check
from remote_worker.service.images import Images
from remote_worker.service.settings import CheckSettings

URL = "https://check.example/pictures"
UPLOAD = b"the stranger's own bytes"
THUMBNAIL = b"\xff\xd8 a small picture"
PHASH = "c3a5963cc35aa569"
PICTURE = Picture(format="jpeg", width=4, height=3, frames=1, body=memoryview(THUMBNAIL).toreadonly())
YES, NO = b'{"allow": true}', b'{"allow": false, "reason": "nudity"}'


class Asked:
    """A door that leads to one who answers as told."""

    def __init__(self, answer: bytes | Exception = YES, status: int = 200, *, is_cut: bool = False) -> None:
        self.answer, self.status, self.is_cut = answer, status, is_cut
        self.wants: list[Want] = []
        self.deadlines: list[float] = []

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """Fill the protocol."""
        self.wants.append(want)
        self.deadlines.append(deadline)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Fetched(
            url=URL,
            status=self.status,
            headers={},
            body=Document.of(self.answer),
            media_type="application/json",
            is_cut=self.is_cut,
            hops=(),
            received_bytes=0,
            milliseconds=0.0,
        )


class Makes:
    """A decoder that makes whatever is wanted, or does as it is told for some tasks."""

    def __init__(self, does: Callable[[Task], None] = lambda _: None, **info: Any) -> None:
        self.tasks: list[Task] = []
        self.cancelled: list[Task] = []
        self.never: tuple[type, ...] = ()
        self._does = does
        self._info = {"display_width": 4000, "display_height": 3000, "phash": PHASH, **info}

    def check_room(self, caller: str) -> None:
        """Fill the protocol."""

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Fill the protocol."""
        self.tasks.append(task)
        self._does(task)
        if isinstance(task, self.never):
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(task)
        names = ["output", *(f"avatar{side}" for side in (24, 48, 73))]
        if isinstance(task, Recipe):
            names = [output.name for output in task.outputs]
        pictures = {} if isinstance(task, Info) else dict.fromkeys(names, PICTURE)
        return Reply(format="png", mime="image/png", pictures=pictures, info=self._info)


FIT = Fit(width=8, height=8)


def fitted(door: Asked, decoder: Makes | None = None, **settings: Any) -> Any:
    """A picture that was scaled down and let through."""
    decoder = decoder or Makes()
    own = CheckSettings(external_check_url=URL, **settings)

    async def do() -> Any:
        with Document.of(UPLOAD) as document:
            return await Images(decoder, Check(door, decoder, own)).fit(
                document, FIT, deadline=1e12, caller="c", request_id="r-1"
            )

    return asyncio.run(do())


def refusal(door: Asked, decoder: Makes | None = None, **settings: Any) -> tuple[FailureCode, str]:
    with pytest.raises(WorkFailed) as caught:
        fitted(door, decoder, **settings)
    return caught.value.code, caught.value.detail


def test_it_is_asked_with_a_hash_and_a_thumbnail_and_never_with_the_upload() -> None:
    door = Asked()

    made = fitted(door)

    assert bytes(made.picture.body) == THUMBNAIL
    (want,) = door.wants
    assert (want.url, want.purpose, want.authorization) == (URL, Purpose.CHECK, "")
    assert json.loads(want.body) == {
        "request_id": "r-1",
        "mime": "image/png",
        "size": len(UPLOAD),
        "width": 4000,
        "height": 3000,
        "phash": PHASH,
        "thumbnail": base64.b64encode(THUMBNAIL).decode(),
    }
    assert UPLOAD not in want.body
    assert base64.b64encode(UPLOAD)[:-4] not in want.body


def test_the_thumbnail_is_a_jpeg_of_256_pixels_that_shows_no_transparency() -> None:
    decoder = Makes()

    fitted(Asked(), decoder)

    (recipe,) = (task for task in decoder.tasks if isinstance(task, Recipe))
    (output,) = recipe.outputs
    assert (output.width, output.height, output.mode, output.format) == (256, 256, "fit", "jpeg")
    assert (output.background, recipe.facts) == ("ffffff", ("phash",))


def test_a_token_goes_along_as_a_bearer_and_shows_in_no_text() -> None:
    door = Asked()

    fitted(door, external_check_token="s3cret")

    assert door.wants[0].authorization == "Bearer s3cret"
    assert "s3cret" not in repr(door.wants) + repr(CheckSettings(external_check_token="s3cret"))


def test_no_longer_is_waited_than_the_caller_waits() -> None:
    door = Asked()
    settings = CheckSettings(external_check_url=URL)

    async def do() -> None:
        with Document.of(UPLOAD) as document:
            images = Images(Makes(), Check(door, Makes(), settings))
            await images.fit(document, FIT, deadline=5.0)

    asyncio.run(do())

    assert door.deadlines == [5.0]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (NO, "nudity"),
        (b'{"allow": false}', ""),
        (b'{"allow": false, "reason": "a"}', "a"),
        (b'{"allow": false, "reason": "' + b"a" * 32 + b'"}', "a" * 32),
        (b'{"allow": false, "reason": "' + b"a" * 33 + b'"}', ""),
        (b'{"allow": false, "reason": "<b>"}', ""),
        (b'{"allow": false, "reason": "two words"}', ""),
        (b'{"allow": false, "reason": "a\\n"}', ""),
        (b'{"allow": false, "reason": 7}', ""),
    ],
)
def test_a_no_refuses_with_a_plain_word_or_none(answer: bytes, word: str) -> None:
    assert refusal(Asked(answer)) == (FailureCode.REFUSED_BY_CHECK, word)


@pytest.mark.parametrize(
    "door",
    [
        Asked(FetchFailed(FailureCode.TIMEOUT, "total")),
        Asked(FetchFailed(FailureCode.HTTP_4XX, "403")),
        Asked(FetchFailed(FailureCode.HTTP_5XX, "503")),
        Asked(FetchFailed(FailureCode.CONNECT_FAILED)),
        Asked(FetchFailed(FailureCode.BUSY)),
        Asked(WorkFailed(FailureCode.TOO_LONG)),
        Asked(YES, status=201),
        Asked(YES, is_cut=True),
        Asked(b"yes"),
        Asked(b"[true]"),
        Asked(b"{}"),
        Asked(b'{"allow": 1}'),
        Asked(b'{"allow": "true"}'),
        Asked(b'{"allow": null}'),
        Asked(b'{"allow": NaN}'),
        Asked(b'{"allow": true}{"allow": true}'),
    ],
    ids=lambda door: str(door.answer)[:40],
)
def test_what_is_no_answer_refuses_and_tells_the_caller_nothing_of_it(door: Asked) -> None:
    assert refusal(door) == (FailureCode.CHECK_FAILED, "")


def test_an_answer_has_so_many_bytes_and_not_one_more() -> None:
    assert fitted(Asked(YES.ljust(65_536))).mime == "image/png"
    assert refusal(Asked(YES.ljust(65_537))) == (FailureCode.CHECK_FAILED, "")


@pytest.mark.parametrize("info", [{"phash": None}, {"phash": "xyz"}, {"display_width": "4"}])
def test_a_reply_of_the_jail_that_lacks_something_refuses(info: dict[str, Any]) -> None:
    assert refusal(Asked(), Makes(**info)) == (FailureCode.DECODER_CRASHED, "")


def test_a_no_ends_the_work_on_the_picture() -> None:
    decoder = Makes()
    decoder.never = (Fit,)

    assert refusal(Asked(NO), decoder) == (FailureCode.REFUSED_BY_CHECK, "nudity")
    assert decoder.cancelled == [FIT]


def test_a_picture_that_cannot_be_made_ends_the_check() -> None:
    def damaged(task: Task) -> None:
        if isinstance(task, Fit):
            raise WorkFailed(FailureCode.DAMAGED)

    decoder = Makes(damaged)
    decoder.never = (Info,)

    assert refusal(Asked(), decoder) == (FailureCode.DAMAGED, "")


def test_a_picture_of_which_no_thumbnail_can_be_made_does_not_leave() -> None:
    def damaged(task: Task) -> None:
        if isinstance(task, Recipe):
            raise WorkFailed(FailureCode.DAMAGED)

    assert refusal(Asked(), Makes(damaged)) == (FailureCode.DAMAGED, "")


def test_who_stops_waiting_ends_both() -> None:
    decoder = Makes()
    decoder.never = (Fit, Info)

    async def do() -> None:
        with Document.of(UPLOAD) as document:
            check = Check(Asked(), decoder, CheckSettings(external_check_url=URL))
            work = asyncio.create_task(Images(decoder, check).fit(document, FIT, deadline=1e12))
            while len(decoder.tasks) < 2:
                await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(do())

    assert sorted(task.kind for task in decoder.cancelled) == ["fit", "info"]


OUTPUT = Output(name="output", width=1, height=1)


@pytest.mark.parametrize(
    ("use", "asked"),
    [
        (lambda images, document: images.prepare(document, keep_metadata=False, deadline=1e12), 1),
        (lambda images, document: images.fit(document, FIT, deadline=1e12), 1),
        (lambda images, document: images.avatars(document, animated=True, deadline=1e12), 1),
        (lambda images, document: images.place(document, OUTPUT, deadline=1e12), 1),
        (lambda images, document: images.make(document, Recipe(outputs=(OUTPUT,)), deadline=1e12), 1),
        (lambda images, document: images.make(document, Recipe(facts=("phash",)), deadline=1e12), 0),
    ],
)
def test_whatever_gives_pixels_asks_first_and_facts_alone_do_not(
    use: Callable[[Images, Document], Any], asked: int
) -> None:
    door, decoder = Asked(), Makes()

    async def do() -> None:
        with Document.of(UPLOAD) as document:
            check = Check(door, decoder, CheckSettings(external_check_url=URL))
            await use(Images(decoder, check), document)

    asyncio.run(do())

    assert len(door.wants) == asked


def test_without_a_check_there_is_one_task() -> None:
    decoder = Makes()

    async def do() -> None:
        with Document.of(UPLOAD) as document:
            await Images(decoder).prepare(document, keep_metadata=False, deadline=1)

    asyncio.run(do())

    assert decoder.tasks == [Prepare()]
