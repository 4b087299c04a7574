"""The asynchronous client."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from . import calls, course, results
from .bodies import Body, Source
from .calls import Box, Call
from .course import ERROR_BYTES, Course, Terms
from .reading import Head, PreviewLines
from .retrying import Retries
from .signing import Signer

T = TypeVar("T")


class AsyncClient:
    """Calls a worker; safe to share among tasks. Files are read in threads.

    `http` is a client of httpx to use instead of an own one, for TLS certificates, proxies or limits of
    connections; whoever gives it closes it. `seconds` is for a call with all its tries.
    Making one raises ValueError where `url` or `key` cannot be one; every call WorkerError when it fails.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        signer: Signer | None = None,
        retries: Retries | None = None,
        seconds: float = 60.0,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self._terms = Terms(
            key=key, signer=signer, retries=retries or Retries(), seconds=seconds, clock=clock
        )
        self._url = course.base(url)
        self._http = http or httpx.AsyncClient()
        self._is_own = http is None
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of a given `http`."""
        if self._is_own:
            await self._http.aclose()

    async def prepare_jpeg(
        self, picture: Source | None = None, *, url: str | None = None, keep_metadata: bool = False
    ) -> results.Picture:
        """A JPEG upright and without metadata; with `keep_metadata` only the location goes."""
        return await self._do(calls.prepare_jpeg(picture, url, keep_metadata=keep_metadata))

    async def fit(
        self,
        box: Box,
        picture: Source | None = None,
        *,
        url: str | None = None,
        mode: str | None = None,
        gravity: str | None = None,
        background: str | None = None,
        enlarge: bool = False,
        format: str | None = None,
        quality: int | None = None,
        animated: bool = False,
    ) -> results.Picture:
        """A picture in a box: scaled down into it, or as `mode` says (cover, pad, crop)."""
        return await self._do(
            calls.fit(
                box,
                picture,
                url,
                mode=mode,
                gravity=gravity,
                background=background,
                enlarge=enlarge,
                format=format,
                quality=quality,
                animated=animated,
            )
        )

    async def avatars(
        self, picture: Source | None = None, *, url: str | None = None, animated: bool = False
    ) -> results.Avatars:
        """Square PNG pictures in up to six sizes."""
        return await self._do(calls.avatars(picture, url, animated=animated))

    async def info(
        self, picture: Source | None = None, *, url: str | None = None, metadata: bool = False
    ) -> results.Info:
        """What a picture's header says, with `metadata` its EXIF fields and location too."""
        return await self._do(calls.info(picture, url, metadata=metadata))

    async def facts(
        self, picture: Source | None = None, *, url: str | None = None, only: Sequence[str] = ()
    ) -> results.Facts:
        """Placeholders, dominant colours and a perceptual hash: all of them, or `only` some."""
        return await self._do(calls.facts(picture, url, only=only))

    async def distance(self, one: str, other: str) -> int:
        """In how many of 64 bits two perceptual hashes differ."""
        return await self._do(calls.distance(one, other))

    async def preset(
        self, name: str, picture: Source | None = None, *, url: str | None = None
    ) -> results.Outputs:
        """All pictures and facts that a preset of the worker makes."""
        return await self._do(calls.preset(name, picture, url))

    async def preview(self, url: str, *, lang: str | None = None, force: bool = False) -> results.Preview:
        """What a link leads to."""
        return await self._do(calls.preview(url, lang=lang, force=force))

    async def previews(
        self, urls: Sequence[str], *, lang: str | None = None, force: bool = False
    ) -> AsyncGenerator[results.PreviewLine, None]:
        """What many links lead to, each as it gets ready: not in their order."""
        lines = PreviewLines(list(urls))
        course = Course(calls.previews(urls, lang=lang, force=force), self._terms)
        async with self._answer(course) as (_, pieces):
            async for piece in pieces:
                for line in lines.feed(piece):
                    yield line
            lines.finish()

    async def image_by_url(
        self,
        url: str,
        *,
        fit: Box | None = None,
        avatar: int | None = None,
        preset: str | None = None,
        format: str | None = None,
        quality: int | None = None,
        animated: bool = False,
    ) -> results.Picture:
        """A picture by its URL, made anew: whole, in a box, as an avatar, or by a preset."""
        return await self._do(
            calls.image_by_url(
                url,
                fit=fit,
                avatar=avatar,
                preset=preset,
                format=format,
                quality=quality,
                animated=animated,
            )
        )

    async def render_markdown(self, text: str, *, proxy_images: bool = False) -> str:
        """Markdown as sanitised HTML."""
        return await self._do(calls.render_markdown(text, proxy_images=proxy_images))

    async def submit(
        self,
        request: str,
        picture: Source | None = None,
        *,
        url: str | None = None,
        members: Mapping[str, object] | None = None,
        method: str | None = None,
        accept: str = "*/*",
        callback: str | None = None,
        idempotency_key: str | None = None,
    ) -> results.Job:
        """Have a request answered later: its path and query, with a picture, JSON members, or nothing."""
        return await self._do(
            calls.submit(
                request,
                picture,
                url,
                members=members,
                method=method,
                accept=accept,
                callback=callback,
                idempotency_key=idempotency_key,
            )
        )

    async def job(self, id: str, *, wait: float = 0) -> results.Job:
        """How far a job is, as soon as it is over or after so many seconds, of which there are up to 60."""
        return await self._do(calls.job(id, wait=wait))

    async def result(self, id: str) -> results.Result:
        """What a job's request was answered. Where that is a failure it is raised, as the request would."""
        return await self._do(calls.result(id))

    async def forget(self, id: str) -> None:
        """Forget a job, with what was sent and what it was answered."""
        return await self._do(calls.forget(id))

    async def resolve(self, domain: str, type: str = "A") -> results.Resolved:
        """The records of a name."""
        return await self._do(calls.resolve(domain, type))

    async def ip(self) -> results.Address:
        """The address from which the worker is called."""
        return await self._do(calls.ip())

    async def geo(self, address: str) -> results.Geo:
        """Where an address is."""
        return await self._do(calls.geo(address))

    async def ens(self, name: str) -> results.EnsName:
        """Who owns an ENS name."""
        return await self._do(calls.ens(name))

    async def capabilities(self) -> results.Capabilities:
        """Formats, operations and limits of the worker."""
        return await self._do(calls.capabilities())

    async def ready(self) -> results.Readiness:
        """Whether the worker can work, and why not."""
        return await self._do(calls.ready())

    async def stats(self) -> results.Stats:
        """The worker's load at this moment."""
        return await self._do(calls.stats())

    async def hello(self) -> results.Greeting:
        """Who answers."""
        return await self._do(calls.hello())

    async def _do(self, call: Call[T]) -> T:
        async with self._answer(Course(call.ask, self._terms)) as (head, pieces):
            reader = call.reader(head)
            async for piece in pieces:
                reader.feed(piece)
            return reader.finish()

    @asynccontextmanager
    async def _answer(self, under_way: Course) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """The answer's beginning and its body, after as many tries as it takes."""
        content = under_way.ask.content
        with ExitStack() as opened:
            body = None
            if content is not None:
                body = await anyio.to_thread.run_sync(opened.enter_context, content.opened())
            response = await self._tried(under_way, body)
            try:
                yield course.head_of(response), _pieces(response, under_way)
            finally:
                await response.aclose()

    async def _tried(self, under_way: Course, body: Body | None) -> httpx.Response:
        digest = await anyio.to_thread.run_sync(under_way.digest, body)
        while True:
            request = self._http.build_request(
                under_way.ask.method,
                self._url + under_way.ask.path,
                params=under_way.ask.query,
                headers=under_way.headers(body),
                content=None if body is None else _in_threads(body.pieces()),
            )
            under_way.begin(request, digest)
            try:
                response = await self._http.send(request, stream=True)
            except httpx.RequestError as broken:
                wait = under_way.after_break(broken)
            else:
                if under_way.is_answer(response.status_code):
                    return response
                wait = under_way.after_refusal(
                    response.status_code, response.headers, await _failure(response, under_way)
                )
            await self._sleep(wait)


async def _pieces(response: httpx.Response, under_way: Course) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_bytes():
            under_way.check_time()
            yield piece
    except httpx.RequestError as broken:
        raise course.cut(broken) from broken


async def _failure(response: httpx.Response, under_way: Course) -> bytes:
    """The body of an answer that is a failure, as far as it comes."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > ERROR_BYTES or under_way.left <= 0:
                break
    except httpx.RequestError:
        pass  # Its status says enough.
    finally:
        await response.aclose()
    return bytes(body)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, each read in a thread: a disk may be slow."""
    while (piece := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
        yield piece
