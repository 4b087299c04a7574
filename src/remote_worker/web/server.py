"""Runs our HTTP server: uvicorn with the connections of `connection`, and a stop that loses no request."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.server import ServerState

from .. import telemetry
from ..contract.limits import MIB
from ..telemetry import Event
from . import auth, tls
from .app import App
from .callers import Callers
from .connection import COUNTED_READ_BYTES, DRAIN_SECONDS, Connection
from .door import Door
from .listening import CannotListen, refuse_handshakes
from .settings import WebSettings
from .stopping import Stage, enter, prepare

Address = tuple[str, int]
BACKLOG = 4096
"""Connections that wait to be accepted, up to net.core.somaxconn; one more loses its SYN, and a second."""
ACCEPTED_AT_ONCE = 16
"""In one turn of the event loop, so that a rush of connections holds up no other."""
KEPT_BYTES = 4 * MIB
LAST_CALL_SECONDS = 0.2
"""For requests that are on their way: their connections are open as far as their clients know."""
END_SECONDS = DRAIN_SECONDS + 0.5
"""For the answers to what was cancelled: a little more than a client has to read an early answer."""


async def serve(
    app: App,
    settings: WebSettings,
    *,
    listener: socket.socket | None = None,
    on_listening: Callable[[Address], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way; a second one ends it at once.

    `listener` is a listening socket that a supervisor keeps: a stop begins with leaving it to our successor.
    SIGHUP has keys and certificates read again, and calls `on_hangup`; each signal to stop calls `on_stop`.
    Raises UnsafeListening, CannotListen, BadCertificate.
    """
    auth.check_listening(settings)
    _keep_freed_memory()
    server = Server(app, settings, on_listening, listener=listener)
    # They stay until the loop closes, because others have things to close after us.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop, on_stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.renew, on_hangup)
    await server.serve([listener] if listener else None)


def _keep_freed_memory() -> None:
    """Have glibc keep some megabytes that were freed: it would page them in anew for each part of an answer.

    As mallopt(3) has it, freeing a block raises M_MMAP_THRESHOLD to its size, M_TRIM_THRESHOLD to twice that.
    """
    block = bytes(KEPT_BYTES)
    del block


class Server(uvicorn.Server):
    """uvicorn's server, which tells where it listens, and stops in stages (`stopping.Stage`)."""

    config: "Config"

    def __init__(
        self,
        app: App,
        settings: WebSettings,
        on_listening: Callable[[Address], None] | None = None,
        *,
        listener: socket.socket | None = None,
    ) -> None:
        super().__init__(Config(app, settings))
        self._settings = settings
        self._on_listening = on_listening
        self._is_handed_over = listener is not None
        self.last_call_seconds = LAST_CALL_SECONDS

    def stop(self, and_then: Callable[[], None] | None = None) -> None:
        """Begin to stop. The second time, wait for nothing any more."""
        if and_then is not None:
            and_then()
        if self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True
            enter(Stage.DRAINING, self.lifespan.state)
            telemetry.emit(Event.STOPPING)
        self.config.progress.set()

    def renew(self, and_then: Callable[[], None] | None = None) -> None:
        """Read keys and certificates again; what cannot be used leaves the former in force."""
        cast(App, self.config.app).gate.read_again()
        try:
            self.config.secure_anew()
        except tls.BadCertificate as bad:
            telemetry.emit(Event.CERTIFICATE_FAILED, level=logging.ERROR, reason=str(bad))
        else:
            for connection in self._connections():
                connection.retire()
        if and_then is not None:
            and_then()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`: uvicorn would raise them again when it has stopped."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Raises CannotListen."""
        prepare(self.lifespan.state)
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
        self._dating = asyncio.create_task(self._date())
        if self._on_listening is not None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_listening((host, port))

    async def main_loop(self) -> None:
        """Serve until asked to stop."""
        await self._until(lambda: self.should_exit)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's
        """Serve on for a while, finish what is in hand and refuse the rest; then end everything."""
        if self._is_handed_over:
            await self._close_listeners()
        await self._until(lambda: self.force_exit, seconds=self._settings.drain_seconds)
        enter(Stage.REFUSING, self.lifespan.state)
        deadline = asyncio.get_running_loop().time() + self._settings.shutdown_seconds
        in_hand = {connection for connection in self._connections() if connection.is_busy}

        def is_finished() -> bool:
            in_hand.difference_update([connection for connection in in_hand if not connection.is_busy])
            return self.force_exit or not in_hand

        await self._until(is_finished, seconds=self._settings.shutdown_seconds)
        for server in self.servers:
            for listener in server.sockets:
                refuse_handshakes(listener)
        await asyncio.sleep(self.last_call_seconds)
        await self._close_listeners()
        self.config.handshakes.end()
        await self._end_connections(deadline)
        self._dating.cancel()
        await self.lifespan.shutdown()

    async def _end_connections(self, deadline: float) -> None:
        """Close what is idle, cancel what still runs, and let the answers leave."""
        running = list(self.server_state.tasks)
        for connection in self._connections():
            connection.shutdown()
        # A task that was cancelled before its first step would not answer.
        await asyncio.sleep(0)
        for task in running:
            task.cancel()
        connections = self.server_state.connections
        left = deadline - asyncio.get_running_loop().time()
        await self._until(lambda: self.force_exit or not connections, seconds=left)
        await self._until(lambda: not connections, seconds=END_SECONDS)
        for connection in self._connections():
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=END_SECONDS)

    async def _until(self, is_done: Callable[[], bool], *, seconds: float | None = None) -> None:
        """Wait for what may come with a signal or the progress of a connection, but not longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_done():
                    self.config.progress.clear()
                    await self.config.progress.wait()

    async def _date(self) -> None:
        """Keep the `Date` of answers; the rest of uvicorn's tick is not in use."""
        while True:
            await self.on_tick(0)
            await asyncio.sleep(1)

    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    async def _close_listeners(self) -> None:
        """Accept no more. What asyncio has accepted needs a turn to become a connection, or it is dropped."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()


class Config(uvicorn.Config):
    """uvicorn's configuration with our protocol, its settings, and the buffer all connections read into."""

    def __init__(self, app: App, settings: WebSettings) -> None:
        super().__init__(
            cast(ASGI3Application, app),
            host=settings.host,
            port=settings.port,
            http=cast(type[asyncio.Protocol], self._protocol),
            ws="none",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            # asyncio takes one number for both: `startup` lengthens the queue afterwards.
            backlog=ACCEPTED_AT_ONCE,
        )
        self.settings = settings
        self.admits = app.admits
        callers = Callers(settings.trusted_proxies)
        self.door = Door(settings.connections, callers)
        # What is read is used up before the event loop reads again, so one will do.
        self.incoming = bytearray(COUNTED_READ_BYTES)
        self.progress = asyncio.Event()
        """Set whenever a connection has answered or ended, for who waits for that."""
        self.secure = tls.context(settings)
        self.handshakes = tls.Handshakes(settings.connections, settings.head_seconds, callers)

    def secure_anew(self) -> None:
        """Take the certificates as they are now, for connections to come. Raises BadCertificate."""
        self.secure = tls.context(self.settings)

    def _protocol(
        self,
        config: "Config",
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.BaseProtocol:
        """What a fresh connection is given to, called as uvicorn calls its protocols."""

        secure = self.secure

        def connection() -> Connection:
            made = Connection(config, server_state, app_state, _loop)
            made.is_last = secure is not self.secure  # Renewed while it shook hands.
            return made

        return connection() if secure is None else self.handshakes.protocol(secure, connection)
