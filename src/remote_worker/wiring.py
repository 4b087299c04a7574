"""Opens the long-lived parts from the settings and closes them in reverse."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from . import telemetry
from .fetch.door import Door
from .pool.pool import Health, Pool
from .pool.template import TemplateFailed
from .service.images import Images
from .settings import Settings
from .telemetry import Event
from .web.app import Uses


def open_pool(settings: Settings) -> Pool:
    """The pool; entering it raises TemplateFailed when a required layer of the seal cannot be put up."""
    return Pool(settings.pool, settings.limits)


def open_door(settings: Settings) -> Door:
    """The one door out; entering it raises DoorFailed when a required layer of its seal cannot be put up."""
    return Door(settings.fetch, is_sealed=settings.pool.jail)


def uses(pool: Pool) -> Uses:
    """All use cases."""
    return Uses(images=Images(pool))


def health(pool: Pool) -> Callable[[], Awaitable[Health]]:
    """What `/readyz` and `doctor` ask."""
    return pool.check


@contextlib.asynccontextmanager
async def renewal(pool: Pool) -> AsyncIterator[Callable[[], None]]:
    """Gives what asks for fresh templates. Asked while they are made, it has them made once more."""
    asked = asyncio.Event()
    renewing = asyncio.create_task(_renew(pool, asked))
    try:
        yield asked.set
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


async def _renew(pool: Pool, asked: asyncio.Event) -> None:
    while await asked.wait():
        asked.clear()
        try:
            await pool.renew()
        except (TemplateFailed, OSError) as failed:
            telemetry.emit(Event.RENEWAL_FAILED, level=logging.ERROR, reason=str(failed))
        else:
            telemetry.emit(Event.RENEWED)
