"""Opens the long-lived parts from the settings and closes them in reverse."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from . import telemetry
from .contract.failures import FailureCode, WorkFailed
from .contract.links import Fetched, Resolved, Want
from .fetch.url import parse, place
from .pool.pool import Health, Pool
from .pool.template import TemplateFailed
from .service.ens import Ens
from .service.geo import BadDatabase, Geo
from .service.images import Images
from .service.network import Network
from .settings import BadSettings, Settings
from .telemetry import Event
from .web.app import Uses


def open_pool(settings: Settings) -> Pool:
    """The pool; entering it raises TemplateFailed when a required layer of the seal cannot be put up."""
    return Pool(settings.pool, settings.limits)


def uses(pool: Pool, settings: Settings) -> Uses:
    """All use cases. Raises BadSettings where a file or an address that a setting names is none."""
    return Uses(
        images=Images(pool),
        network=Network(_SHUT, settings.network, settings.fetch.nat64),
        geo=open_geo(settings),
        ens=Ens(_SHUT, _rpc_url(settings)),
    )


def open_geo(settings: Settings) -> Geo:
    """The facts of addresses. Raises BadSettings."""
    path = settings.network.ipip_db_path
    try:
        return Geo(path, settings.fetch.nat64)
    except BadDatabase as bad:
        raise BadSettings([f"REMOTE_IPIP_DB_PATH must be an MMDB file, not {path!r}: {bad}"]) from bad


def _rpc_url(settings: Settings) -> str:
    """The endpoint of the node. Raises BadSettings."""
    url = settings.network.ens_rpc_url
    try:
        if url:
            place(parse(url))
    except WorkFailed as bad:
        raise BadSettings([f"REMOTE_ENS_RPC_URL must be an http or https URL ({bad.code})"]) from bad
    return url


class _Shut:
    """A door that lets nothing out."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:  # noqa: ARG002 - a protocol's signature
        raise WorkFailed(FailureCode.FETCH_UNAVAILABLE)

    async def resolve(self, name: str, kind: str, *, deadline: float) -> Resolved:  # noqa: ARG002
        raise WorkFailed(FailureCode.FETCH_UNAVAILABLE)


_SHUT = _Shut()


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
