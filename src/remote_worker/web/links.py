"""The endpoints under /links/ that make pictures by their URL, of the caller or signed."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import LONGEST_SIDE
from ..contract.links import Fetched
from ..contract.messages import AVATAR_SIZES, Fit, Output, Picture
from ..service import freshness
from ..service.asked import AD_HOC, box, fit, is_on, one_of
from ..service.errand import Fetcher
from ..service.images import Images
from ..service.presets import Presets
from ..service.previews import Previews
from ..service.settings import LinkSettings
from ..service.signing import Camo, Signed, Signer
from .answers import json_answer, pictures_in_json, raw_picture
from .budget import Budget, Share
from .by_url import ByUrl
from .callers import Callers
from .exchange import exchange_of
from .negotiation import wants_json
from .presets_only import check_may_pick
from .settings import WebSettings
from .validators import asked_with, opened, tag_of, tags_of
from .work import while_wanted

_RECIPE = "1"
"""Changes whenever the same picture would be made otherwise: caches must not mix both."""
_PICTURE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "content-disposition": "inline",
    "cross-origin-resource-policy": "cross-origin",
    "accept-ranges": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What the endpoints need."""

    previews: Previews
    fetcher: Fetcher
    signer: Signer
    camo: Camo
    settings: LinkSettings
    image_bytes: int
    """Of the largest picture that is fetched."""
    via: str
    """What this worker calls itself when it asks others: a request that says so comes from itself."""

    def by_url(self) -> ByUrl:
        """What fetches pictures."""
        return ByUrl(self.fetcher, most_bytes=self.image_bytes, seconds=self.settings.preview_seconds)


class LinkEndpoints:
    """One method for each path."""

    def __init__(
        self,
        links: Links,
        images: Images,
        presets: Presets,
        settings: WebSettings,
        callers: Callers,
        budget: Budget,
    ) -> None:
        self._links = links
        self._images = images
        self._presets = presets
        self._settings = settings
        self._callers = callers
        self._budget = budget
        self._by_url = links.by_url()

    async def image(self, request: Request) -> Response:
        """A picture by its URL, made anew like an upload."""
        url = request.query_params.get("url", "")
        if not url:
            raise WorkFailed(FailureCode.BAD_PARAMETER, 'Required parameter "url" is missing or empty')
        # What somebody signed, who has the key, is picked by no stranger.
        if any(name in request.query_params for name in AD_HOC):
            check_may_pick(request, self._settings)
        return await self._picture(request, url, request.query_params, None)

    async def proxy(self, request: Request) -> Response:
        """The same by an address that this worker, or who has its key, has signed."""
        _check_plain(request)
        path = request.path_params
        signed = self._links.signer.opened(path["signature"], path["rest"])
        return await self._signed(request, signed)

    async def camo(self, request: Request) -> Response:
        """The same by an address signed for camo or go-camo."""
        _check_plain(request)
        digest, encoded = request.path_params["digest"], request.path_params["encoded"]
        return await self._signed(request, self._links.camo.opened(digest, encoded))

    async def camo_query(self, request: Request) -> Response:
        """The same, with the URL as a parameter."""
        _check_plain(request)
        url = request.query_params.get("url", "")
        return await self._signed(request, self._links.camo.opened_query(request.path_params["digest"], url))

    async def _signed(self, request: Request, signed: Signed) -> Response:
        expires = signed.expires or None
        return await self._picture(request, signed.url, _options(signed.operation), expires)

    async def _picture(
        self, request: Request, url: str, options: Mapping[str, str], expires: int | None
    ) -> Response:
        wanted = self._preset(options) if "preset" in options else _wanted(options)
        caller = self._callers.of(request.scope)
        self._images.check_room(caller)
        share = self._budget.share(caller)
        recipe = _recipe(wanted)
        # Only the picture itself has a tag, not what tells of it in JSON.
        has_tag = not isinstance(wanted, _Header) and not wants_json(request.headers.get("accept", ""))
        known = request.headers.get("if-none-match", "") if has_tag else ""
        validators = asked_with(known, recipe)
        async with self._by_url.fetched(request, url, share, **validators) as fetched:
            headers = {**_PICTURE_HEADERS, "cache-control": self._cache_control(fetched, expires)}
            tag = tag_of(recipe, fetched.headers)
            if fetched.status == 304:
                tag = tag or next(one for one in tags_of(known) if opened(one, recipe))
            if tag and (fetched.status == 304 or tag in tags_of(known)):
                return Response(status_code=304, headers={**headers, "etag": tag, "vary": "Accept"})
            return await self._made(request, wanted, fetched, share, headers, tag, known)

    async def _made(
        self,
        request: Request,
        wanted: "_Wanted",
        fetched: Fetched,
        share: Share,
        headers: dict[str, str],
        tag: str,
        known: str,
    ) -> Response:
        exchange = exchange_of(request)
        exchange.kind = wanted.kind
        began = time.perf_counter()
        deadline = time.monotonic() + self._settings.work_seconds
        caller = share.caller
        if isinstance(wanted, _Header):
            described = await while_wanted(
                request,
                self._images.info(fetched.body, metadata=wanted.metadata, deadline=deadline, caller=caller),
                deadline=deadline,
            )
            exchange.decode_seconds = time.perf_counter() - began
            told = {} if described.metadata is None else {"metadata": described.metadata}
            return json_answer(
                {
                    **described.members,
                    **told,
                    **_came_from(fetched, described.mime),
                    "binary_size": fetched.body.size_bytes,
                    "mime_type": described.mime,
                },
                headers={"cache-control": headers["cache-control"]},
            )
        mime, picture = await while_wanted(
            request,
            self._drawn(wanted, fetched.body, deadline, caller, exchange.request_id),
            deadline=deadline,
        )
        exchange.decode_seconds = time.perf_counter() - began
        tag = tag or f'"{_recipe(wanted)}.{await asyncio.to_thread(_digest, picture.body)}"'
        headers["etag"] = tag
        if tag in tags_of(known):
            return Response(status_code=304, headers={**headers, "vary": "Accept"})
        if wants_json(request.headers.get("accept", "")):
            return pictures_in_json({"output": picture.body, **_came_from(fetched, mime)}, share)
        return raw_picture(picture.body, picture.format, share, {**headers, "vary": "Accept"})

    async def _drawn(
        self,
        wanted: "_Scaled | _Placed | _Avatar",
        document: Document,
        deadline: float,
        caller: str,
        request_id: str,
    ) -> tuple[str, Picture]:
        if isinstance(wanted, _Scaled):
            made = await self._images.fit(
                document, wanted.task, deadline=deadline, caller=caller, request_id=request_id
            )
            return made.mime, made.picture
        if isinstance(wanted, _Placed):
            made = await self._images.place(
                document, wanted.output, deadline=deadline, caller=caller, request_id=request_id
            )
            return made.mime, made.picture
        made_set = await self._images.avatars(
            document, animated=wanted.animated, deadline=deadline, caller=caller, request_id=request_id
        )
        # Those larger than the picture are not made.
        sides = [side for side in AVATAR_SIZES if side <= wanted.side]
        names = [name for side in sides if (name := f"avatar{side}") in made_set.avatars]
        return made_set.mime, made_set.avatars[names[-1]]

    def _preset(self, options: Mapping[str, str]) -> "_Placed":
        """The one picture of a preset. Raises WorkFailed."""
        if len(options.keys() & _SHAPING) > 1:
            raise WorkFailed(FailureCode.BAD_PARAMETER, "a preset goes with no other options")
        outputs = self._presets.named(options["preset"]).recipe.outputs
        if len(outputs) != 1:
            raise WorkFailed(FailureCode.BAD_PARAMETER, "this preset makes more than one picture, or none")
        return _Placed(outputs[0])

    def _cache_control(self, fetched: Fetched, expires: int | None) -> str:
        now = time.time()
        good = freshness.lifetime(fetched.headers, now=now, default=self._links.settings.cache_seconds)
        seconds = good.fresh if expires is None else min(good.fresh, expires - now)
        return f"{'public' if good.is_kept else 'private'}, max-age={max(0, int(seconds))}"


@dataclass(frozen=True, slots=True)
class _Scaled:
    task: Fit
    kind: str = "fit"


@dataclass(frozen=True, slots=True)
class _Placed:
    output: Output
    kind: str = "fit"


@dataclass(frozen=True, slots=True)
class _Avatar:
    side: int
    animated: bool
    kind: str = "avatars"


@dataclass(frozen=True, slots=True)
class _Header:
    metadata: bool = False
    kind: str = "info"


_Wanted = _Scaled | _Placed | _Avatar | _Header
_SHAPING = {"preset", "avatar", "info", "metadata", *AD_HOC}
_SIDES = {str(side): side for side in AVATAR_SIZES}


def _wanted(options: Mapping[str, str]) -> _Wanted:
    """What is to be made of the picture: by itself the whole of it. Raises WorkFailed."""
    is_info = is_on(options, "info")
    if is_info + ("fit" in options) + ("avatar" in options) > 1:
        raise WorkFailed(FailureCode.BAD_PARAMETER, "fit, avatar and info exclude each other")
    if is_info:
        return _Header(is_on(options, "metadata"))
    if "avatar" in options:
        side = one_of(options, "avatar", _SIDES, default=0)
        return _Avatar(side, is_on(options, "animated"))
    sides = box(options["fit"]) if "fit" in options else (LONGEST_SIDE, LONGEST_SIDE)
    if sides is None:
        raise WorkFailed(FailureCode.BAD_PARAMETER, "fit is a side or two, such as 800 or 800x600")
    wanted = fit(sides, options)
    return _Placed(wanted) if isinstance(wanted, Output) else _Scaled(wanted)


def _options(operation: str) -> Mapping[str, str]:
    """The options in a signed address: `original`, or `fit:800,format:webp` and the like."""
    if operation == "original":
        return {}
    return {name: value for name, _, value in (part.partition(":") for part in operation.split(","))}


def _recipe(wanted: _Wanted) -> str:
    """A word for what is made, the same whenever the same is made."""
    return _digest(repr((_RECIPE, wanted)).encode())[:8]


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _came_from(fetched: Fetched, mime: str) -> dict[str, Any]:
    return {
        "final_url": fetched.url,
        "uploaded": {"mime": mime, "size": fetched.body.size_bytes},
        "status": "ok",
        "success": True,
    }


def _check_plain(request: Request) -> None:
    """A signed address has one spelling. Raises WorkFailed."""
    if b"%" in request.scope.get("raw_path", b""):
        raise WorkFailed(FailureCode.BAD_SIGNATURE)
