"""What a client sends and whether it is still there: asked of our own server directly, of others by ASGI."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from starlette.requests import Request

from ..contract.failures import FailureCode, WorkFailed
from .digest import BodyDigest
from .exchange import ClientGone, exchange_of
from .settings import WebSettings

Take = Callable[[bytes | bytearray, int, int], None]
"""Takes the bytes from a start to an end of a buffer that is used again afterwards."""

EXTENSION = "remote_worker.client"
"""The ASGI extension of our server; it holds a `Client` as its member `client`."""


class Client(Protocol):
    """A client as our own server knows it, without copies and without a task that waits."""

    async def pass_on(self, take: Take) -> None:
        """Call `take` with each part of the body. Raises what that raises, or ClientGone."""
        ...

    @property
    def has_whole_body(self) -> bool:
        """All of the body is here: `pass_on` does not wait."""
        ...

    def when_gone(self, tell: Callable[[], None] | None) -> None:
        """Call this once, as soon as the client has gone; None takes it back."""
        ...


async def read_body(request: Request, take: Take) -> None:
    """Call `take` with each part of the body. Raises what that raises, or ClientGone when the body is cut."""
    client = _client(request)
    if client is not None:
        await client.pass_on(take)
        return
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientGone
        part = message.get("body", b"")
        take(part, 0, len(part))
        more = message.get("more_body", False)


async def read_in_time(request: Request, settings: WebSettings, take: Take) -> None:
    """Call `take` with each part of a body that is counted, and has its time in all and between its parts.

    Raises what that raises, WorkFailed when the time is over or the body is not the one that its digest is
    of, or ClientGone when the body is cut.
    """
    digest: BodyDigest | None = request.scope["state"].get("body_digest")
    if digest is None:
        await _read_in_time(request, settings, take)
        return

    def take_and_digest(buffer: bytes | bytearray, start: int, stop: int) -> None:
        digest.update(memoryview(buffer)[start:stop])
        take(buffer, start, stop)

    await _read_in_time(request, settings, take_and_digest)
    digest.check()


async def _read_in_time(request: Request, settings: WebSettings, take: Take) -> None:
    exchange = exchange_of(request)
    client = _client(request)
    if client is not None and client.has_whole_body:

        def take_at_once(buffer: bytes | bytearray, start: int, stop: int) -> None:
            exchange.received_bytes += stop - start
            take(buffer, start, stop)

        await client.pass_on(take_at_once)
        return
    clock = asyncio.get_running_loop().time
    end = clock() + settings.body_seconds
    idle_seconds = settings.body_idle_seconds
    try:
        async with asyncio.timeout_at(min(end, clock() + idle_seconds)) as timeout:

            def take_in_time(buffer: bytes | bytearray, start: int, stop: int) -> None:
                late = min(end, clock() + idle_seconds)
                # A timer for each part would be a tenth of the work.
                if late - (timeout.when() or end) > idle_seconds / 100:
                    timeout.reschedule(late)
                exchange.received_bytes += stop - start
                take(buffer, start, stop)

            await read_body(request, take_in_time)
    except TimeoutError as late:
        raise WorkFailed(FailureCode.BODY_TIMEOUT) from late


def watch(request: Request, tell: Callable[[], None]) -> Callable[[], object]:
    """Call `tell` when the client goes, after its body has been read. Returns what ends the watch."""
    client = _client(request)
    if client is not None:
        client.when_gone(tell)
        return lambda: client.when_gone(None)
    watching = asyncio.ensure_future(_gone(request))
    watching.add_done_callback(lambda _: None if watching.cancelled() else tell())
    return watching.cancel


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _client(request: Request) -> Client | None:
    extension = request.scope.get("extensions", {}).get(EXTENSION, {})
    return cast(Client | None, extension.get("client"))
