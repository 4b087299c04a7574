"""The application for any ASGI server: `uvicorn --factory remote_worker.asgi:create_app`.

`remote-worker serve` is the better way: its server also bounds heads, slow clients and early answers.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from . import wiring
from .settings import read
from .web.app import create_app as create_web_app
from .web.replay import Replay


def create_app() -> Callable[..., Awaitable[None]]:
    """Read the environment and build the application; its lifespan opens and closes its parts."""
    settings = read(dict(os.environ))
    if not settings.pool.jail:
        raise RuntimeError(
            "REMOTE_JAIL=off works with `remote-worker serve` only, which listens on loopback then"
        )
    gate = wiring.open_gate(settings)
    whole = wiring.Whole(settings)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with whole, whole.jobs.served(Replay(app, gate, settings.limits)):
            yield

    app = create_web_app(
        whole.uses,
        whole.check,
        settings.web,
        settings.limits,
        gate=gate,
        lifespan=lifespan,
        watch=whole.watch,
        tell=whole.tell,
    )
    return app
