"""Opens the long-lived parts from the settings and closes them in reverse."""

import asyncio
import contextlib
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Self

from . import __version__, reporting, telemetry, tracing
from .bulk.lanes import Lanes
from .bulk.shard import Bench
from .contract.failures import FailureCode, WorkFailed
from .contract.links import Purpose
from .contract.signatures import Template
from .fetch.door import Door, DoorFailed
from .metrics import Load, Pulse
from .pool import texts
from .pool.pool import Health, Pool
from .pool.template import TemplateFailed
from .service.cache import Cache
from .service.cache_file import CacheFile
from .service.check import Check
from .service.ens import Ens
from .service.errand import Fetcher, Reader
from .service.geo import BadDatabase, Geo
from .service.images import Images
from .service.network import Network
from .service.presets import Presets
from .service.previews import Previews
from .service.signing import Camo, Signer
from .service.texts import Texts
from .settings import BadSettings, Settings, read_presets
from .telemetry import Event
from .web.app import Uses
from .web.auth import Gate
from .web.exchange import Tell
from .web.keys import BadKeys
from .web.links import Links
from .web.network import NetworkUses
from .web.scrape import Scrapes
from .web.stats import Watch
from .wiring_jobs import JobParts


def open_pool(settings: Settings) -> Pool:
    """The pool; entering it raises TemplateFailed when a required layer of the seal cannot be put up."""
    return Pool(settings.pool, settings.limits)


@contextlib.asynccontextmanager
async def open_images(settings: Settings) -> AsyncIterator[Images]:
    """What makes pictures, with the check that all of them go through; for work without a server.

    Raises TemplateFailed, DoorFailed, and BadSettings.
    """
    async with open_pool(settings) as pool:
        if not settings.check.external_check_url:
            yield Images(pool)
            return
        async with open_door(settings) as door:
            yield Images(pool, _check(door, pool, settings))


@contextlib.contextmanager
def bench(images: Images, settings: Settings) -> Iterator[Bench]:
    """What all bulk work of a process is done with."""
    limits = settings.limits
    with Lanes(settings.pool.children, settings.pool.children * limits.input_bytes) as lanes:
        yield Bench(
            images=images,
            lanes=lanes,
            input_bytes=limits.input_bytes,
            work_seconds=max(settings.web.work_seconds, limits.decode_seconds),
        )


def open_door(settings: Settings) -> Door:
    """The door; entering it raises DoorFailed when a layer of its seal cannot be put up."""
    return Door(settings.fetch, is_sealed=settings.pool.jail)


def open_texts(settings: Settings) -> texts.Texts:
    """What reads pages and renders posts; entering it raises TemplateFailed."""
    return texts.Texts(settings.pool)


def open_gate(settings: Settings) -> Gate:
    """What lets callers in. Raises BadSettings where the key file cannot be used."""
    try:
        return Gate(settings.web, settings.limits)
    except BadKeys as bad:
        path = settings.web.keys_file
        raise BadSettings([f"REMOTE_KEYS_FILE={path}: {problem}" for problem in bad.problems]) from bad


class Whole:
    """Everything that lives long, an async context manager, and all use cases on it.

    Making it raises BadSettings where a file or a URL that a setting names is none. Entering it raises
    TemplateFailed, DoorFailed, CacheUnusable, CannotListen, or EngineFailed.
    """

    def __init__(self, settings: Settings, door: Door | None = None) -> None:
        """`door` is for tests."""
        self.door = door or open_door(settings)
        self.pool, self._reader = open_pool(settings), open_texts(settings)
        linked = links(settings, self.door, self._reader, self.door.via)
        self._settings_file = settings.file.settings_file
        self.jobs = JobParts(settings, self.door)
        self.uses = Uses(
            images=Images(self.pool, _check(self.door, self.pool, settings)),
            presets=Presets(settings.presets),
            texts=Texts(self._reader, _sign(linked.signer) if settings.links.proxy_keys else None),
            links=linked,
            network=network(self.door, settings),
            jobs=self.jobs.uses,
        )
        pulse = Pulse()
        self.watch = Watch(self._load, pulse)
        self._tracer = _tracer(settings)
        self.tell: Tell | None = self._tracer.tell if self._tracer else None
        """Makes the spans of requests."""
        self.scrapes = _scrapes(settings, self._load)
        seeing = (self._tracer, _reporter(settings), self.scrapes, pulse)
        self._seeing = tuple(part for part in seeing if part is not None)
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._opened as opened:
            for part in self._seeing:
                await opened.enter_async_context(part)
            await _enter_together(opened, self.pool, self.door, self._reader)
            await opened.enter_async_context(self.uses.links.previews)
            await opened.enter_async_context(self.jobs)
            self._opened = opened.pop_all()
        for address in self.scrapes.addresses if self.scrapes else ():
            self.door.listens(*address)
        return self

    def _load(self) -> Load:
        return Load(pictures=self.pool.load(), texts=self._reader.load(), fetches=self.door.load())

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def check(self) -> Health:
        """Whether every seal holds, and a picture, a page and a post go through: for `/readyz`, `doctor`."""
        health, text, door = await asyncio.gather(self.pool.check(), self._reader.check(), self.door.check())
        reason = health.reason or text or door
        templates = {**health.templates, Template.TEXT: self._reader.report()}
        return replace(health, ok=not reason, reason=reason, templates=templates)

    async def renew(self) -> None:
        """Replace every template, and what fetches, by a freshly started one; what they do goes on.

        The presets are read from their file again. Raises BadSettings, TemplateFailed or DoorFailed: what has
        not been replaced by then stays.
        """
        if self._settings_file:
            self.uses.presets.exchange(await asyncio.to_thread(read_presets, self._settings_file))
        await self.pool.renew()
        await self._reader.renew()
        await self.door.renew()


async def _enter_together(
    opened: contextlib.AsyncExitStack, *parts: contextlib.AbstractAsyncContextManager[object]
) -> None:
    """Enter parts that wait for processes of their own to get ready. Raises what the first to fail does."""
    try:
        async with asyncio.TaskGroup() as entering:
            for part in parts:
                entering.create_task(opened.enter_async_context(part))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _tracer(settings: Settings) -> tracing.Tracer | None:
    try:
        return tracing.Tracer(__version__) if settings.outside.traces else None
    except tracing.MissingPackage as missing:
        raise BadSettings([str(missing)]) from missing


def _reporter(settings: Settings) -> reporting.Reporter | None:
    dsn = settings.outside.sentry_dsn
    try:
        return reporting.Reporter(dsn, version=__version__, worker=settings.web.uid) if dsn else None
    except reporting.CannotReport as bad:
        raise BadSettings([str(bad)]) from bad


def _scrapes(settings: Settings, load: Callable[[], Load]) -> Scrapes | None:
    told = settings.telemetry
    if not told.metrics.host:
        return None
    return Scrapes(told.metrics, load, host_names=settings.web.host_names, is_open=told.metrics_open)


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
        raise BadSettings([f"REMOTE_ENS_RPC_URL {_refused(bad)}"]) from bad
    return url


def _check(door: Door, pool: Pool, settings: Settings) -> Check | None:
    """What looks at each picture before it is given out, None where nobody is asked. Raises BadSettings."""
    url = settings.check.external_check_url
    if not url:
        return None
    if not re.fullmatch("[!-~]*", settings.check.external_check_token):
        raise BadSettings(["REMOTE_EXTERNAL_CHECK_TOKEN must be visible ASCII without blanks"])
    try:
        door.place(url, purpose=Purpose.CHECK)
    except WorkFailed as bad:
        refused = _refused(bad, opened_by="REMOTE_EXTERNAL_CHECK_ALLOW")
        raise BadSettings([f"REMOTE_EXTERNAL_CHECK_URL {refused}"]) from bad
    return Check(door, pool, settings.check)


def _refused(bad: WorkFailed, *, opened_by: str = "REMOTE_EGRESS_ALLOW") -> str:
    if bad.code in (FailureCode.BLOCKED_ADDRESS, FailureCode.BLOCKED_NAME, FailureCode.BAD_PORT):
        return f"must be opened by {opened_by}, with its address and port ({bad.code})"
    return f"must be an http or https URL ({bad.code})"


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


def _sign(signer: Signer) -> Callable[[str], str]:
    """Signs for Markdown. What cannot be signed is not shown: it would tell its host who reads."""
    return lambda url: signer.address(url) or ""


def _generation(settings: Settings) -> str:
    """A word for what previews are made with: signed addresses in them, and what the door lets out."""
    own = settings.links
    told = repr((own.proxy_keys[:1], own.proxy_seconds, own.public_url, settings.fetch))
    return hashlib.sha256(told.encode()).hexdigest()


@contextlib.asynccontextmanager
async def renewal(whole: Whole) -> AsyncIterator[Callable[[], None]]:
    """Gives what asks for fresh templates. Asked while they are made, it has them made once more."""
    asked = asyncio.Event()
    renewing = asyncio.create_task(_renew(whole, asked))
    try:
        yield asked.set
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


async def _renew(whole: Whole, asked: asyncio.Event) -> None:
    while await asked.wait():
        asked.clear()
        try:
            await whole.renew()
        except (BadSettings, TemplateFailed, DoorFailed, OSError) as failed:
            telemetry.emit(Event.RENEWAL_FAILED, level=logging.ERROR, reason=str(failed))
        else:
            telemetry.emit(Event.RENEWED)
