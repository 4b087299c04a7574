"""Runs our HTTP server: uvicorn with the connections of `connection`."""

import gc
import socket
from collections.abc import Callable
from types import FrameType
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application

from ..contract.limits import MIB
from . import auth
from .app import App
from .connection import COUNTED_READ_BYTES, Connection
from .settings import WebSettings

Address = tuple[str, int]
BACKLOG = 4096
"""Connections that wait to be accepted, up to net.core.somaxconn; one more loses its SYN, and a second."""
ACCEPTED_AT_ONCE = 16
"""In one turn of the event loop, so that a rush of connections holds up no other."""
KEPT_BYTES = 4 * MIB


async def serve(
    app: App, settings: WebSettings, *, on_listening: Callable[[Address], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way. Raises UnsafeListening, CannotListen."""
    auth.check_listening(settings)
    _keep_freed_memory()
    await Server(app, settings, on_listening).serve()


def _keep_freed_memory() -> None:
    """Have glibc keep some megabytes that were freed: it would page them in anew for each part of an answer.

    As mallopt(3) has it, freeing a block raises M_MMAP_THRESHOLD to its size, M_TRIM_THRESHOLD to twice that.
    """
    block = bytes(KEPT_BYTES)
    del block


class CannotListen(Exception):
    """The address is taken, or is not this machine's."""


class Server(uvicorn.Server):
    """uvicorn's server, which tells where it listens, and returns when it was asked to stop."""

    def __init__(
        self, app: App, settings: WebSettings, on_listening: Callable[[Address], None] | None = None
    ) -> None:
        super().__init__(Config(app, settings))
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Raises CannotListen."""
        try:
            await super().startup(sockets)
        except SystemExit as refused:  # uvicorn has logged what the system says.
            address = f"REMOTE_HOST={self.config.host}, REMOTE_PORT={self.config.port}"
            raise CannotListen(f"cannot listen on {address}: see the line above") from refused
        for listening in self.servers[0].sockets:
            with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
                same.listen(BACKLOG)
        # What is there now stays. Looking through it at each full collection held the loop up for 9 ms.
        gc.collect()
        gc.freeze()
        if self._on_listening is not None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_listening((host, port))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully, and do not raise the signal again: others have things to close after us."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


class Config(uvicorn.Config):
    """uvicorn's configuration with our protocol, its settings, and the buffer all connections read into."""

    def __init__(self, app: App, settings: WebSettings) -> None:
        super().__init__(
            cast(ASGI3Application, app),
            host=settings.host,
            port=settings.port,
            http=Connection,
            ws="none",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
            # asyncio takes one number for both: `startup` lengthens the queue afterwards.
            backlog=ACCEPTED_AT_ONCE,
        )
        self.settings = settings
        self.admits = app.admits
        # What is read is used up before the event loop reads again, so one will do.
        self.incoming = bytearray(COUNTED_READ_BYTES)
