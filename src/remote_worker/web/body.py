"""What a client sends and whether it is still there: asked of our own server directly, of others by ASGI."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from starlette.requests import Request

from .exchange import ClientGone

Take = Callable[[bytes | bytearray, int, int], None]
"""Takes the bytes from a start to an end of a buffer that is used again afterwards."""

EXTENSION = "remote_worker.client"
"""The ASGI extension of our server; it holds a `Client` as its member `client`."""


class Client(Protocol):
    """A client as our own server knows it, without copies and without a task that waits."""

    async def pass_on(self, take: Take) -> None:
        """Call `take` with each part of the body. Raises what that raises, or ClientGone."""
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
