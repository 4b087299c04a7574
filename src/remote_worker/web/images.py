"""The endpoints under /images/: from a request to a use case, and from its result to the answer."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from ..contract.messages import Output
from ..service import asked
from ..service.asked import box, fit, is_on
from ..service.images import AvatarSet, Described, Images, Made
from .answers import json_answer, picture_as_text, pictures_in_json, raw_picture
from .budget import Budget, Share
from .by_url import ByUrl
from .callers import Callers
from .exchange import exchange_of
from .negotiation import wants_picture
from .presets_only import check_may_pick
from .settings import WebSettings
from .upload import Uploads
from .work import while_wanted

T = TypeVar("T")

_GIVEN = "as the part `file` of multipart/form-data, or its URL as `url`."
_PREPARE_USAGE = (
    f"POST a JPEG {_GIVEN} It comes back upright and without metadata; "
    "?metadata=keep takes away the location only."
)
_FIT_USAGE = (
    f"POST an image {_GIVEN} It comes back scaled down to fit into "
    "the box. ?animated=1 keeps all frames, ?format= is one of png, jpeg, webp, avif, ?quality= is 1 to 100, "
    "?simple=1 answers with the base64 alone. ?mode= is one of fit, cover, pad, crop, with ?gravity=, "
    "?background=rrggbb and ?enlarge=1."
)
_AVATAR_USAGE = (
    f"POST an image {_GIVEN} It comes back as square PNG avatars with sides "
    "of 24, 48 and 73 pixels, and of 128, 256 and 512 where it is large enough. ?animated=1 keeps all frames."
)
_INFO_USAGE = (
    f"POST an image {_GIVEN} What its header says comes back; ?metadata=1 adds what EXIF and its like say."
)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A result, what it was made from, and when."""

    result: T
    upload_bytes: int
    start: float
    end: float
    share: Share
    """Of the memory, for the answer."""

    def times(self) -> dict[str, Any]:
        """The members that say how long it took."""
        return {"start": self.start, "end": self.end, "cost": int((self.end - self.start) * 1000)}

    def uploaded(self, mime: str) -> dict[str, Any]:
        """The member that says what was uploaded."""
        return {"uploaded": {"mime": mime, "size": self.upload_bytes}}


class ImageEndpoints:
    """One method for each path; each answers GET with its usage."""

    def __init__(
        self,
        images: Images,
        limits: Limits,
        settings: WebSettings,
        callers: Callers,
        budget: Budget,
        by_url: ByUrl,
    ) -> None:
        self._images = images
        self._callers = callers
        self._budget = budget
        self._uploads = Uploads(limits, settings, by_url)
        self._settings = settings

    async def prepare(self, request: Request) -> Response:
        """A JPEG upright and without metadata."""
        if request.method != "POST":
            return _usage(_PREPARE_USAGE)

        async def use(document: Document, deadline: float, caller: str) -> Made:
            keep = asked.prepare(request.query_params).keep_metadata
            return await self._images.prepare(
                document,
                keep_metadata=keep,
                deadline=deadline,
                caller=caller,
                request_id=exchange_of(request).request_id,
            )

        done = await self.do(request, "prepare", use)
        picture = done.result.picture
        if wants_picture(request.headers.get("accept", "")):
            return raw_picture(picture.body, picture.format, done.share)
        members = {**_OK, "output": picture.body, **done.uploaded(done.result.mime)}
        return pictures_in_json(members, done.share)

    async def fit(self, request: Request) -> Response:
        """A picture scaled down into a box."""
        sides = _path_box(request.path_params["box"])
        if request.method != "POST":
            return _usage(_FIT_USAGE)
        check_may_pick(request, self._settings)

        async def use(document: Document, deadline: float, caller: str) -> Made:
            wanted = fit(sides, request.query_params)
            request_id = exchange_of(request).request_id
            if isinstance(wanted, Output):
                return await self._images.place(
                    document, wanted, deadline=deadline, caller=caller, request_id=request_id
                )
            return await self._images.fit(
                document, wanted, deadline=deadline, caller=caller, request_id=request_id
            )

        done = await self.do(request, "fit", use)
        picture = done.result.picture
        if is_on(request.query_params, "simple"):
            return picture_as_text(picture.body, done.share)
        if wants_picture(request.headers.get("accept", "")):
            return raw_picture(picture.body, picture.format, done.share)
        members = {**_OK, **done.times(), "output": picture.body, **done.uploaded(done.result.mime)}
        return pictures_in_json(members, done.share)

    async def avatars(self, request: Request) -> Response:
        """Square pictures in up to six sizes."""
        if request.method != "POST":
            return _usage(_AVATAR_USAGE)
        if is_on(request.query_params, "animated"):
            check_may_pick(request, self._settings)

        async def use(document: Document, deadline: float, caller: str) -> AvatarSet:
            animated = asked.avatars(request.query_params).animated
            return await self._images.avatars(
                document,
                animated=animated,
                deadline=deadline,
                caller=caller,
                request_id=exchange_of(request).request_id,
            )

        done = await self.do(request, "avatars", use)
        avatars = {
            name: {"body": picture.body, "size": len(picture.body)}
            for name, picture in done.result.avatars.items()
        }
        members = {**_OK, **done.times(), **avatars, **done.uploaded(done.result.mime)}
        return pictures_in_json(members, done.share)

    async def info(self, request: Request) -> Response:
        """What a picture's header says."""
        if request.method != "POST":
            return _usage(_INFO_USAGE)

        async def use(document: Document, deadline: float, caller: str) -> Described:
            metadata = asked.info(request.query_params).metadata
            return await self._images.info(document, metadata=metadata, deadline=deadline, caller=caller)

        done = await self.do(request, "info", use)
        described = done.result
        told = {} if described.metadata is None else {"metadata": described.metadata}
        return json_answer(
            {
                **described.members,
                **told,
                **_OK,
                "binary_size": done.upload_bytes,
                "mime_type": described.mime,
            }
        )

    async def do(
        self, request: Request, kind: str, use: Callable[[Document, float, str], Awaitable[T]]
    ) -> Done[T]:
        """Receive the upload, then do the work for as long as its client waits.

        The file comes before the parameters, as clients know it: without one, they hear of that first.
        """
        exchange = exchange_of(request)
        exchange.kind = kind
        caller = self._callers.of(request.scope)
        share = self._budget.share(caller)
        self._images.check_room(caller)  # Our own server has asked already, others cannot.
        async with self._uploads.receive(request, share) as document:
            began, start = time.perf_counter(), time.time()
            deadline = time.monotonic() + self._settings.work_seconds

            try:
                result = await while_wanted(request, use(document, deadline, caller), deadline=deadline)
            finally:
                took = exchange.decode_seconds = time.perf_counter() - began
            return Done(result, document.size_bytes, start, start + took, share)


_OK = {"status": "ok", "success": True}


def _usage(text: str) -> Response:
    return json_answer({**_OK, "usage": text})


def _path_box(text: str) -> tuple[int, int]:
    found = box(text)
    if found is None:
        raise WorkFailed(FailureCode.NOT_FOUND)
    return found
