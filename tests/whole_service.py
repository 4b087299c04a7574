"""The whole service in a thread of the tests: HTTP, use cases, pool, and sealed children."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from web.serving import small_uses

from remote_worker.contract.limits import Limits
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.template import ENTRY
from remote_worker.service.images import Decoder
from remote_worker.web.app import create_app
from remote_worker.web.server import Address, Server
from remote_worker.web.settings import WebSettings


@contextmanager
def whole_service(
    limits: Limits,
    pool_settings: PoolSettings,
    web: WebSettings | None = None,
    *,
    entry: Sequence[str] = ENTRY,
    around: Callable[[Pool], Decoder] = lambda pool: pool,
) -> Iterator[Address]:
    """It listens until the block ends; `around` may stand between it and the pool."""
    settings = web or WebSettings(port=0)
    addresses: list[Address] = []
    is_listening = threading.Event()
    stops: list[Callable[[], object]] = []

    def note(address: Address) -> None:
        addresses.append(address)
        is_listening.set()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with Pool(pool_settings, limits, entry=entry) as pool:
            app = create_app(small_uses(around(pool)), pool.check, settings, limits)
            server = Server(app, settings, note)
            stops.append(lambda: loop.call_soon_threadsafe(server.stop))
            await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        if not is_listening.wait(60):
            raise RuntimeError("the service does not listen")
        yield addresses[0]
    finally:
        for stop in stops:
            with suppress(RuntimeError):  # The loop may be closed already.
                stop()
        thread.join(60)
