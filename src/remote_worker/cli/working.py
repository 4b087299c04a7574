"""`remote-worker worker`: opens everything as `serve` does, and works off jobs instead of listening."""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from dataclasses import replace

from .. import telemetry, wiring
from ..bulk.running import handler
from ..settings import BadSettings, Settings
from ..stores.opening import BadStore, open_store, open_within
from ..telemetry import Event
from ..web import scrape
from ..web.app import create_app
from ..web.auth import Gate
from ..web.replay import Replay


def work(_: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; the answer is the exit status. Raises what main translates."""
    settings = _for_others(settings)
    _check_stores(settings.jobs.bulk_stores)
    telemetry.configure(form=settings.telemetry.log_format)
    if not settings.pool.jail:
        telemetry.emit(Event.JAIL_OFF, level=logging.WARNING, text="strangers' images are decoded UNSEALED")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What starts now is fresh.
    asyncio.run(_work_until_stopped(settings, wiring.open_gate(settings)))
    telemetry.emit(Event.STOPPED)
    return 0


def _for_others(settings: Settings) -> Settings:
    """Without jobs where nobody could bring any. Raises BadSettings where nothing is left to do."""
    own = settings.jobs
    is_fed = bool(own.jobs) and own.is_on
    if not is_fed and not (own.bulk_stores and own.engine):
        raise BadSettings(
            [
                "a worker needs to know where jobs are: set REMOTE_JOBS as it is for `serve`, or "
                "REMOTE_BULK_STORES and REMOTE_ENGINE for bulk jobs"
            ]
        )
    return settings if is_fed else replace(settings, jobs=replace(own, jobs="off"))


def _check_stores(urls: Sequence[str]) -> None:
    try:
        for url in urls:
            open_store(url)
    except BadStore as bad:
        raise BadSettings([f"REMOTE_BULK_STORES: {bad}"]) from bad


async def _work_until_stopped(settings: Settings, gate: Gate) -> None:
    working = asyncio.create_task(_open_and_work(settings, gate))
    # Until it is open: a container's first process never hears of a signal without a handler.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _open_and_work(settings: Settings, gate: Gate) -> None:
    loop = asyncio.get_running_loop()
    async with wiring.Whole(settings) as whole, wiring.renewal(whole) as renew:
        for host, port in whole.scrapes.addresses if whole.scrapes else ():
            telemetry.emit(Event.METRICS, url=f"http://{telemetry.Listening(host, port)}{scrape.PATH}")

        def refresh() -> None:
            gate.read_again()
            renew()

        loop.add_signal_handler(signal.SIGHUP, refresh)
        gate.read_again()  # Nobody has heard a SIGHUP while the templates got warm.
        app = create_app(
            whole.uses,
            whole.check,
            settings.web,
            settings.limits,
            gate=gate,
            watch=whole.watch,
            tell=whole.tell,
        )
        stores = settings.jobs.bulk_stores
        with wiring.bench(whole.uses.images, settings) as bench:
            shards = handler(stores, open_within, bench) if stores else None
            async with whole.jobs.worked_off(Replay(app, gate, settings.limits), shards) as crew:

                def stop() -> None:
                    if not crew.stopping.is_set():
                        telemetry.emit(Event.STOPPING)
                    crew.stop()

                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, stop)
                telemetry.emit(Event.WORKING, slots=whole.jobs.worker_slots)
                await crew.ended()
