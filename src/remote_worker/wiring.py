"""Opens the long-lived parts from the settings and closes them in reverse."""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from . import telemetry
from .contract.failures import WorkFailed
from .fetch.door import Door
from .pool.pool import Health, Pool
from .pool.template import TemplateFailed
from .service.cache import Cache
from .service.cache_file import CacheFile
from .service.ens import Ens
from .service.geo import BadDatabase, Geo
from .service.images import Images
from .service.network import Network
from .service.previews import Fetcher, Previews, Reader
from .service.signing import Camo, Signer
from .settings import BadSettings, Settings
from .telemetry import Event
from .web.app import Uses
from .web.links import Links
from .web.network import NetworkUses


def open_pool(settings: Settings) -> Pool:
    """The pool; entering it raises TemplateFailed when a required layer of the seal cannot be put up."""
    return Pool(settings.pool, settings.limits)


def open_door(settings: Settings) -> Door:
    """The door; entering it raises DoorFailed when a layer of its seal cannot be put up."""
    return Door(settings.fetch, is_sealed=settings.pool.jail)


def uses(pool: Pool, door: Door, settings: Settings) -> Uses:
    """All use cases. Raises BadSettings where a file or a URL that a setting names is none."""
    return Uses(images=Images(pool), network=network(door, settings))


def network(door: Door, settings: Settings) -> NetworkUses:
    """The use cases about names and addresses. Raises BadSettings."""
    return NetworkUses(
        names=names(door, settings),
        geo=_geo(settings),
        ens=Ens(door, _rpc_url(door, settings)),
    )


def names(door: Door, settings: Settings) -> Network:
    """What is asked of name servers."""
    return Network(door, settings.network, settings.fetch.nat64)


def _geo(settings: Settings) -> Geo:
    path = settings.network.ipip_db_path
    try:
        return Geo(path, settings.fetch.nat64)
    except BadDatabase as bad:
        raise BadSettings([f"REMOTE_IPIP_DB_PATH must be an MMDB file, not {path!r}: {bad}"]) from bad


def _rpc_url(door: Door, settings: Settings) -> str:
    url = settings.network.ens_rpc_url
    try:
        if url:
            door.place(url)
    except WorkFailed as bad:
        raise BadSettings([f"REMOTE_ENS_RPC_URL must be an http or https URL ({bad.code})"]) from bad
    return url


def links(settings: Settings, fetcher: Fetcher, reader: Reader, via: str) -> Links:
    """What the endpoints for links need; its previews are to be entered, which may raise CacheUnusable."""
    own = settings.links
    signer = Signer(own.proxy_keys, seconds=own.proxy_seconds, public_url=own.public_url, clock=time.time)
    file = CacheFile(own.cache_path, own.cache_bytes, _generation(settings)) if own.cache_path else None
    return Links(
        previews=Previews(fetcher, reader, Cache(own.cache_bytes, file), signer, own),
        fetcher=fetcher,
        signer=signer,
        camo=Camo(own.camo_key),
        settings=own,
        image_bytes=settings.fetch.fetched_image_bytes,
        via=via,
    )


def _generation(settings: Settings) -> str:
    """A word for what previews are made with: signed addresses in them, and what the door lets out."""
    own = settings.links
    told = repr((own.proxy_keys[:1], own.proxy_seconds, own.public_url, settings.fetch))
    return hashlib.sha256(told.encode()).hexdigest()


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
